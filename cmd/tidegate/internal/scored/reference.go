package scored

import (
	"context"
	"sync"

	"github.com/tidegate/tidegate/cmd/tidegate/internal/tables"
	"github.com/tidegate/tidegate/shared/evaluation"
	"github.com/tidegate/tidegate/shared/evaluation/quality"
	"github.com/tidegate/tidegate/shared/evaluation/score"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/outcome"
	"github.com/tidegate/tidegate/shared/schema"
)

// Layouts are the layouts of the predictions without a reference, by table: bins
// frozen on the table's own scores, so that areas are as exact as bins allow. It
// reads the scores of every row, 8 bytes each. Multiclass scores have bins of equal
// width: each class has as many scores as there are rows.
func (in *Input) Layouts(ctx context.Context) ([]*quality.Layout, error) {
	out := make([]*quality.Layout, len(in.Predictions))
	for i, set := range in.Predictions {
		var err error
		if in.Task != schema.Binary || !in.Scored() {
			out[i], err = evaluation.UniformLayout(evaluation.TaskOf(in.Task), in.ClassNames())
		} else {
			out[i], err = in.frozen(ctx, set)
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// frozen is the layout of the scores of a table.
func (in *Input) frozen(ctx context.Context, set *tables.Set) (*quality.Layout, error) {
	f := in.join(outcome.Names{Scores: in.Names.Scores}, []*tables.Set{set}, nil)
	classes := max(1, len(in.Names.Scores))
	parts := make([][][]float64, f.Width())
	for w := range parts {
		parts[w] = make([][]float64, classes)
	}
	_, err := f.Join(ctx, func(worker int, b *outcome.Batch) error {
		own := parts[worker]
		if b.Scores == nil {
			own[0] = append(own[0], b.Score...)
			return nil
		}
		for i, s := range b.Scores {
			own[i%classes] = append(own[i%classes], s)
		}
		return nil
	})
	if err != nil {
		return nil, said(err)
	}
	bins := make([]*score.Bins, classes)
	for k := range bins {
		var all []float64
		for w := range parts {
			all = append(all, parts[w][k]...)
			parts[w][k] = nil
		}
		if in.Task == schema.Binary {
			bins[k] = score.Freeze(all)
		} else {
			bins[k] = score.FreezeTo(quality.BinsPerClass(classes), all)
		}
	}
	if in.Task == schema.Binary {
		return quality.NewBinary(bins[0], in.Classes...)
	}
	return quality.NewMulticlass(in.ClassNames(), bins)
}

// Reference makes a reference of a table of labelled predictions: bins are frozen on
// its scores, then its rows are counted on them.
func (in *Input) Reference(ctx context.Context, dataset string) (*quality.Reference, error) {
	layout, err := evaluation.UniformLayout(evaluation.TaskOf(in.Task), in.ClassNames())
	if err == nil && in.Scored() && in.Task != schema.Regression {
		layout, err = in.frozen(ctx, in.Predictions[0])
	}
	if err != nil {
		return nil, err
	}
	f := in.join(in.Names, in.Predictions, in.Labels)
	var mu sync.Mutex // of state: a reference is small beside what is judged by it
	state := quality.NewState(layout)
	_, err = f.Join(ctx, func(_ int, b *outcome.Batch) error {
		mu.Lock()
		defer mu.Unlock()
		evaluation.Count(state, quality.ClusterHour, b)
		return nil
	})
	if err != nil {
		return nil, said(err)
	}
	ref, err := quality.NewReference(state, dataset, timeless)
	if fault.Is(err, fault.FailedPrecondition) {
		return nil, fault.Wrap(err, fault.InvalidArgument, "%s has no row with a prediction and a label in column %q; a reference needs both", in.Predictions[0].Files[0].Path, in.Names.Label)
	}
	return ref, err
}

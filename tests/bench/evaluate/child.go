package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"time"

	"github.com/tidegate/tidegate/shared/evaluation/quality"
	"github.com/tidegate/tidegate/shared/evaluation/score"
	"github.com/tidegate/tidegate/shared/outcome"
	"github.com/tidegate/tidegate/shared/schema"
)

// answer is what a child, or the peer, prints.
type answer struct {
	Seconds float64            `json:"seconds"` // by its own clock
	Found   map[string]float64 `json:"found"`
	Bounds  map[string]float64 `json:"bounds,omitempty"` // by how much a metric of bins may differ from that of the rows
}

// runChild is one load in a process of its own.
func runChild(ctx context.Context, load string, files []string, workers int, out io.Writer) error {
	if len(files) != 2 {
		return errors.New("bench: a child reads a file of predictions and one of labels")
	}
	start := time.Now()
	var a answer
	var err error
	switch load {
	case "quality":
		a, err = withQuality(ctx, files, workers)
	case "join":
		a, err = joinOnly(ctx, files, workers)
	case "bare":
		a, err = bareRead(files, workers)
	default:
		err = fmt.Errorf("bench: there is no load %q", load)
	}
	if err != nil {
		return err
	}
	a.Seconds = time.Since(start).Seconds()
	return json.NewEncoder(out).Encode(a)
}

type sizedFile struct {
	*os.File
	size int64
}

func (f sizedFile) Size() int64 { return f.size }

func open(path string) (outcome.File, error) {
	f, err := os.Open(path) // #nosec G304
	if err != nil {
		return outcome.File{}, err
	}
	info, err := f.Stat()
	if err != nil {
		return outcome.File{}, err
	}
	return outcome.File{Name: path, ReaderAtSize: sizedFile{f, info.Size()}}, nil
}

func filesOf(paths []string, workers int) (*outcome.Files, error) {
	predictions, err := open(paths[0])
	if err != nil {
		return nil, err
	}
	labels, err := open(paths[1])
	if err != nil {
		return nil, err
	}
	return &outcome.Files{Task: schema.Binary, Workers: workers,
		Names:       outcome.Names{ID: "id", Scores: []string{"score"}, Prediction: "prediction", Label: "label"},
		Predictions: []outcome.Predicted{{Files: []outcome.File{predictions}}}, Labels: []outcome.File{labels}}, nil
}

// withQuality joins, counts every row and computes all metrics with their intervals.
func withQuality(ctx context.Context, paths []string, workers int) (answer, error) {
	files, err := filesOf(paths, workers)
	if err != nil {
		return answer{}, err
	}
	layout, err := quality.NewBinary(score.Uniform(score.MaxBins))
	if err != nil {
		return answer{}, err
	}
	states := make([]*quality.State, files.Width())
	for i := range states {
		states[i] = quality.NewState(layout)
	}
	_, err = files.Join(ctx, func(worker int, b *outcome.Batch) error {
		s := states[worker]
		r := quality.Row{Mature: true}
		for i := range b.Rows {
			r.Score, r.Class, r.Key = b.Score[i], int(b.Predicted[i]), b.Cluster[i]
			if r.Labelled = b.Label[i] == b.Label[i]; r.Labelled {
				r.Label = int(b.Label[i])
			}
			s.Add(&r)
		}
		return nil
	})
	if err != nil {
		return answer{}, err
	}
	for _, s := range states[1:] {
		if err := states[0].Merge(s); err != nil {
			return answer{}, err
		}
	}
	q, err := quality.Measure("bench", quality.Stratum{State: states[0], Sampled: 1})
	if err != nil {
		return answer{}, err
	}
	a := answer{Found: map[string]float64{"n": float64(q.Counts.Judged)}, Bounds: map[string]float64{}}
	for _, name := range metrics {
		m := q.Metric(name)
		if m == nil || m.Value == nil {
			return answer{}, fmt.Errorf("bench: there is no %s", name)
		}
		a.Found[name] = *m.Value
		if m.Bounds != nil {
			a.Bounds[name] = max(m.Bounds.Hi-*m.Value, *m.Value-m.Bounds.Lo)
		}
	}
	return a, nil
}

// metrics are those that the peer computes.
var metrics = []string{"roc_auc", "log_loss", "brier_score", "accuracy"}

// joinOnly joins, and adds up the score of every labelled row.
func joinOnly(ctx context.Context, paths []string, workers int) (answer, error) {
	files, err := filesOf(paths, workers)
	if err != nil {
		return answer{}, err
	}
	sums := make([]float64, files.Width())
	counts, err := files.Join(ctx, func(worker int, b *outcome.Batch) error {
		for i := range b.Rows {
			if b.Label[i] == b.Label[i] {
				sums[worker] += b.Score[i]
			}
		}
		return nil
	})
	total := 0.0
	for _, s := range sums {
		total += s
	}
	return answer{Found: map[string]float64{"n": float64(counts.Labelled), "sum": total}}, err
}

// compare finds metrics that differ by more than their bounds and rounding explain.
func compare(ours, theirs answer) error {
	for _, name := range append([]string{"n"}, metrics...) {
		a, ok := ours.Found[name]
		b, known := theirs.Found[name]
		if !ok || !known || !(math.Abs(a-b) <= ours.Bounds[name]+1e-9) {
			return fmt.Errorf("bench: %s is %.12g, scikit-learn has %.12g", name, a, b)
		}
	}
	return nil
}

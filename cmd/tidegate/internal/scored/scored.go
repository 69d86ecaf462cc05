// Package scored counts tables of predictions and labels: files of a user, joined
// and tallied on all cores, without any AWS.
//
// It reads with shared/outcome and counts with shared/evaluation; it judges nothing.
// Its invariant: what it returns depends on the rows alone, not on how they are
// spread over files or on the number of workers.
//
//	in := scored.Input{Task: schema.Binary, Names: names, Predictions: []*tables.Set{set}, Labels: labels}
//	layouts, err := in.Layouts(ctx)
//	tally, err := in.Tally(ctx, setup)
package scored

import (
	"context"
	"errors"
	"slices"

	"github.com/tidegate/tidegate/cmd/tidegate/internal/tables"
	"github.com/tidegate/tidegate/shared/evaluation"
	"github.com/tidegate/tidegate/shared/evaluation/comparison"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/outcome"
	"github.com/tidegate/tidegate/shared/schema"
)

// Input is tables and the names of their columns. Versions are the numbers of the
// predictions, from 1.
type Input struct {
	Task        schema.Task
	Classes     []string // in the order of the scores; see [outcome.Files]
	Names       outcome.Names
	Predictions []*tables.Set
	Labels      *tables.Set // nil: the labels, if any, are in the predictions
	Workers     int         // 0 = one for each core
	Read        func(bytes int64)
}

// join is the join of the tables.
func (in *Input) join(names outcome.Names, predictions []*tables.Set, labels *tables.Set) *outcome.Files {
	f := &outcome.Files{Task: in.Task, Classes: in.Classes, Names: names, Workers: in.Workers}
	for i, set := range predictions {
		f.Predictions = append(f.Predictions, outcome.Predicted{Version: i + 1, Files: in.files(set)})
	}
	if labels != nil {
		f.Labels = in.files(labels)
	}
	return f
}

func (in *Input) files(set *tables.Set) []outcome.File {
	if in.Read != nil {
		set.Watch(in.Read)
	}
	out := make([]outcome.File, len(set.Files))
	for i, f := range set.Files {
		out[i] = outcome.File{Name: f.Path, ReaderAtSize: f}
	}
	return out
}

// said makes an interruption an error that says so.
func said(err error) error {
	if errors.Is(err, context.Canceled) {
		return fault.Wrap(err, fault.Unavailable, "interrupted")
	}
	return err
}

// ClassNames are the classes in the order of their numbers, as a tally needs them.
func (in *Input) ClassNames() []string {
	if in.Task == schema.Multiclass && len(in.Classes) == 0 {
		return in.Names.Scores
	}
	return in.Classes
}

// Size is the bytes of one reading of all tables.
func (in *Input) Size() int64 {
	var n int64
	for _, set := range in.Predictions {
		n += set.Size()
	}
	if in.Labels != nil {
		n += in.Labels.Size()
	}
	return n
}

// Scored says whether the rows have scores, and not predicted classes alone.
func (in *Input) Scored() bool { return len(in.Names.Scores) > 0 }

// Tally joins the tables and counts them, one state a worker. Where a segment column
// has too many values, they are read again for the largest.
func (in *Input) Tally(ctx context.Context, s *evaluation.Setup) (*evaluation.Tally, error) {
	t, err := in.tally(ctx, s)
	if err != nil {
		return nil, err
	}
	chosen, again := t.Choose()
	if !again {
		return t, nil
	}
	with := *s
	with.Chosen = chosen
	return in.tally(ctx, &with)
}

func (in *Input) tally(ctx context.Context, s *evaluation.Setup) (*evaluation.Tally, error) {
	names := in.Names
	names.Segments = s.SegmentColumns()
	f := in.join(names, in.Predictions, in.Labels)
	total, err := evaluation.NewTally(s)
	if err != nil {
		return nil, err
	}
	parts := make([]*evaluation.Tally, f.Width())
	counts, err := f.Join(ctx, func(worker int, b *outcome.Batch) (err error) {
		if parts[worker] == nil {
			if parts[worker], err = total.Like(); err != nil {
				return err
			}
		}
		return parts[worker].Add(b, f.Segments())
	})
	if err != nil {
		return nil, said(err)
	}
	for w, p := range parts {
		if p == nil {
			continue
		}
		if err := total.Merge(p); err != nil {
			return nil, err
		}
		parts[w] = nil
	}
	total.Join.Merge(&counts)
	return total, nil
}

// Pairs counts the labelled pairs by the value of a segment column.
func (in *Input) Pairs(ctx context.Context, column string) (map[string]comparison.Counts, error) {
	names := in.Names
	names.Segments = []string{column}
	f := in.join(names, in.Predictions, in.Labels)
	parts := make([][]comparison.Counts, f.Width())
	_, err := f.Join(ctx, func(worker int, b *outcome.Batch) error {
		own := parts[worker]
		for _, p := range b.Pairs {
			label, n := b.Label[p.Served], int(b.Segments[0][p.Served])
			if label != label {
				continue
			}
			for len(own) <= n {
				own = append(own, comparison.Counts{})
			}
			own[n].Pairs++
			if in.Task == schema.Binary {
				if label == 1 {
					own[n].Positives++
				} else {
					own[n].Negatives++
				}
			}
		}
		parts[worker] = own
		return nil
	})
	if err != nil {
		return nil, said(err)
	}
	out := map[string]comparison.Counts{}
	for _, own := range parts {
		for n, c := range own {
			name := f.Segments().Name(0, uint32(n))
			have := out[name]
			out[name] = comparison.Counts{Pairs: have.Pairs + c.Pairs, Positives: have.Positives + c.Positives, Negatives: have.Negatives + c.Negatives}
		}
	}
	for name, c := range out {
		if c.Pairs == 0 {
			delete(out, name)
		}
	}
	return out, nil
}

// Digest is that of a table's content, whatever its files are called.
func Digest(ctx context.Context, set *tables.Set) (string, error) {
	sums := make([]string, len(set.Files))
	for i, f := range set.Files {
		sum, err := digest(ctx, f)
		if err != nil {
			return "", err
		}
		sums[i] = sum
	}
	slices.Sort(sums)
	return sumOf(sums), nil
}

package scored

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/tidegate/tidegate/shared/evaluation"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/outcome"
	"github.com/tidegate/tidegate/shared/period"
)

// maxChunks bounds the memory of chunks: a state each.
const maxChunks = 1000

// Chunk is the rows of one stretch of time.
type Chunk struct {
	Window period.Window
	Tally  *evaluation.Tally
}

// Cut says how rows are cut by their time: "day", "month", or so many rows each.
type Cut struct {
	By   string // "day" or "month", UTC; else
	Rows int
}

// Chunks counts the rows by stretches of their time, without segments and pairs.
// Rows without a time are in none; placed says how many are in one. Of a cut by rows,
// rows of the same moment stay together.
func (in *Input) Chunks(ctx context.Context, s *evaluation.Setup, cut Cut) (chunks []Chunk, placed uint64, err error) {
	plain := *s
	plain.Pairing, plain.Policy.Segments = nil, nil
	c := &chunker{setup: &plain, cut: cut, tallies: map[int64]*part{}}
	if cut.By == "" {
		if c.starts, err = in.starts(ctx, cut.Rows); err != nil {
			return nil, 0, err
		}
	}
	if c.like, err = evaluation.NewTally(&plain); err != nil {
		return nil, 0, err
	}
	f := in.join(in.Names, in.Predictions, in.Labels)
	owns := make([]map[int64][]uint32, f.Width())
	_, err = f.Join(ctx, func(worker int, b *outcome.Batch) error {
		if owns[worker] == nil {
			owns[worker] = map[int64][]uint32{}
		}
		return c.add(b, f.Segments(), owns[worker])
	})
	if err != nil {
		return nil, 0, said(err)
	}
	for _, key := range c.keys() {
		p := c.tallies[key]
		placed += p.tally.Rows()
		chunks = append(chunks, Chunk{Window: c.window(key), Tally: p.tally})
	}
	return chunks, placed, nil
}

type chunker struct {
	setup   *evaluation.Setup
	cut     Cut
	starts  []int64 // of a cut by rows, milliseconds, ascending
	like    *evaluation.Tally
	mu      sync.Mutex // of tallies
	tallies map[int64]*part
}

// part is the tally of one chunk. It is shared by the workers: a chunk takes
// megabytes, and there are many.
type part struct {
	mu    sync.Mutex
	tally *evaluation.Tally
}

// add counts the rows of a batch, chunk by chunk. own is the worker's.
func (c *chunker) add(b *outcome.Batch, names evaluation.Names, own map[int64][]uint32) error {
	for key := range own {
		own[key] = own[key][:0]
	}
	last, from, to := int64(0), int64(0), int64(-1) // the chunk that was found last
	for i, at := range b.At {
		if at == 0 {
			continue
		}
		if at < from || at > to {
			last, from, to = c.find(at)
		}
		own[last] = append(own[last], uint32(i))
	}
	for key, rows := range own {
		if len(rows) == 0 {
			continue
		}
		p, err := c.part(key)
		if err != nil {
			return err
		}
		p.mu.Lock()
		err = p.tally.AddRows(b, names, rows)
		p.mu.Unlock()
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *chunker) part(key int64) (*part, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.tallies[key]; p != nil {
		return p, nil
	}
	if len(c.tallies) >= maxChunks {
		return nil, fault.New(fault.InvalidArgument, "there are more than %d chunks; cut by month, or into more rows each", maxChunks)
	}
	t, err := c.like.Like()
	if err != nil {
		return nil, err
	}
	p := &part{tally: t}
	c.tallies[key] = p
	return p, nil
}

// find is the chunk of a moment: its start in milliseconds, and its first and last one.
func (c *chunker) find(at int64) (key, from, to int64) {
	if c.cut.By == "" {
		i := sort.Search(len(c.starts), func(i int) bool { return c.starts[i] > at })
		to = at
		if i < len(c.starts) {
			to = c.starts[i] - 1
		}
		from = c.starts[max(0, i-1)]
		return from, from, to
	}
	t := time.UnixMilli(at).UTC()
	start := time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
	end := start.AddDate(0, 0, 1)
	if c.cut.By == "month" {
		start = time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC)
		end = start.AddDate(0, 1, 0)
	}
	return start.UnixMilli(), start.UnixMilli(), end.UnixMilli() - 1
}

func (c *chunker) keys() []int64 {
	var out []int64
	for key := range c.tallies {
		out = append(out, key)
	}
	slices.Sort(out)
	return out
}

// window names a chunk.
func (c *chunker) window(key int64) period.Window {
	at := time.UnixMilli(key).UTC()
	w := period.Window{Start: at}
	switch c.cut.By {
	case "day":
		w.ID, w.End = at.Format(time.DateOnly), at.AddDate(0, 0, 1)
	case "month":
		w.ID, w.End = at.Format("2006-01"), at.AddDate(0, 1, 0)
	default:
		w.ID, w.Batch = at.Format("2006-01-02T15:04:05.000Z"), true
	}
	return w
}

// starts are the times at which chunks of so many rows begin.
func (in *Input) starts(ctx context.Context, rows int) ([]int64, error) {
	names := outcome.Names{Scores: in.Names.Scores, Prediction: in.Names.Prediction, Time: in.Names.Time}
	f := in.join(names, in.Predictions, nil)
	parts := make([][]int64, f.Width())
	_, err := f.Join(ctx, func(worker int, b *outcome.Batch) error {
		for _, at := range b.At {
			if at != 0 {
				parts[worker] = append(parts[worker], at)
			}
		}
		return nil
	})
	if err != nil {
		return nil, said(err)
	}
	all := slices.Concat(parts...)
	slices.Sort(all)
	if len(all) == 0 {
		return nil, fault.New(fault.InvalidArgument, "column %q holds no times that can be read; write them like 2026-11-24 or 2026-11-24T12:00:00Z", in.Names.Time)
	}
	var starts []int64
	for i := 0; i < len(all); i += rows {
		if k := len(starts); k == 0 || starts[k-1] < all[i] {
			starts = append(starts, all[i])
		}
	}
	if len(starts) > maxChunks {
		return nil, fault.New(fault.InvalidArgument, "there are %d chunks, and %d at most; cut into more rows each", len(starts), maxChunks)
	}
	return starts, nil
}

// ParseCut reads "day", "month" or a number of rows.
func ParseCut(text string) (Cut, error) {
	var n int
	switch {
	case text == "day" || text == "month":
		return Cut{By: text}, nil
	default:
		if _, err := fmt.Sscanf(text, "%d", &n); err != nil || fmt.Sprint(n) != text || n < 100 {
			return Cut{}, fault.New(fault.InvalidArgument, "--chunk must be day, month, or a number of rows, at least 100")
		}
		return Cut{Rows: n}, nil
	}
}

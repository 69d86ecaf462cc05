// Package bulk sends many rows through a prediction API: batches on their way at
// once, results in the order of the rows.
//
// It is not a queue and keeps no state: the output, being in order, says how far a
// run came, and a run that starts again skips that many rows.
//
// Invariant: Emit is called once per batch, in order, without gaps, from one
// goroutine; memory is bounded by Concurrency batches waiting for their turn.
package bulk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/tidegate/tidegate/cmd/tidegate/endpoint"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/rows"
)

// Batch is some consecutive rows and what was answered.
type Batch struct {
	First  int // number of the first row, from 1
	Rows   []rows.Row
	Result endpoint.Result
}

// Job is one run. All fields are required but Skip.
type Job struct {
	Source      rows.Source
	Skip        int // rows that were answered by an earlier run
	BatchSize   int
	Concurrency int
	Send        func(ctx context.Context, first int, batch []rows.Row) (endpoint.Result, error)
	Emit        func(Batch) error
}

// pending is a batch on its way; done is closed once err and batch.Result are set.
type pending struct {
	batch Batch
	err   error
	done  chan struct{}
}

// Run sends every row and returns how many were emitted. It stops at the first
// error: a refused batch, an unreadable row, a failing Emit, or the end of ctx;
// batches before it have been emitted by then.
func (j *Job) Run(ctx context.Context) (emitted int, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := j.skip(); err != nil {
		return 0, err
	}
	queue := make(chan *pending, j.Concurrency)
	var reading error
	var workers sync.WaitGroup
	workers.Go(func() {
		defer close(queue)
		reading = j.read(ctx, queue, &workers)
	})
	for p := range queue {
		<-p.done
		if p.err == nil {
			p.err = j.Emit(p.batch)
		}
		if p.err != nil {
			err = p.err
			break
		}
		emitted += len(p.batch.Rows)
	}
	cancel()
	for range queue { // lets the reader see the end of ctx and leave
	}
	workers.Wait()
	if err == nil {
		err = reading
	}
	return emitted, err
}

func (j *Job) skip() error {
	for n := range j.Skip {
		_, err := j.Source.Next()
		if errors.Is(err, io.EOF) {
			return fault.New(fault.InvalidArgument, "the input has %d rows, but the output holds the answers of %d; is it the output of another input?", n, j.Skip)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// read cuts batches and starts one goroutine each; queue and slots bound how many.
func (j *Job) read(ctx context.Context, queue chan<- *pending, workers *sync.WaitGroup) error {
	slots := make(chan struct{}, j.Concurrency)
	first := j.Skip + 1
	for {
		batch, end := j.cut()
		if len(batch) > 0 {
			p := &pending{batch: Batch{First: first, Rows: batch}, done: make(chan struct{})}
			select {
			case <-ctx.Done():
				return fault.Wrap(ctx.Err(), fault.Unavailable, "interrupted after row %d", first-1)
			case slots <- struct{}{}:
			}
			workers.Go(func() {
				defer func() { <-slots; close(p.done) }()
				p.batch.Result, p.err = j.Send(ctx, p.batch.First, batch)
				if p.err != nil {
					p.err = fmt.Errorf("rows %d to %d: %w", p.batch.First, p.batch.First+len(batch)-1, p.err)
				}
			})
			queue <- p // the consumer drains it to the end, so this ends
			first += len(batch)
		}
		if errors.Is(end, io.EOF) {
			return nil
		}
		if end != nil {
			return end
		}
	}
}

func (j *Job) cut() ([]rows.Row, error) {
	batch := make([]rows.Row, 0, j.BatchSize)
	for len(batch) < j.BatchSize {
		row, err := j.Source.Next()
		if err != nil {
			return batch, err
		}
		batch = append(batch, row)
	}
	return batch, nil
}

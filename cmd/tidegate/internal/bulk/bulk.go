// Package bulk sends many rows through a prediction API: batches on their way at
// once, results in the order of the rows, and an output that an interrupted run
// goes on with.
//
// It is not a queue. What it keeps is one small journal beside the output
// (docs/formats/predictions.md).
//
// Invariants: Emit is called once per batch, in order, without gaps, from one
// goroutine; an error says at which rows it is, and the rows before have been
// emitted by then; memory is bounded by Concurrency batches waiting for their turn.
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
	"github.com/tidegate/tidegate/shared/tensor"
)

// Batch is some consecutive rows and what was answered.
type Batch struct {
	First  int // number of the first row, from 1
	Rows   int
	Result endpoint.Result
}

// Job is one run. All fields are required but Skip.
type Job struct {
	Source      rows.Source
	Specs       []rows.Spec
	Skip        int // rows that were answered by an earlier run
	Pace        *Pace
	Concurrency int
	Send        func(ctx context.Context, inputs []tensor.Tensor) (endpoint.Result, error)
	Emit        func(Batch) error
}

// pending is a batch on its way; done is closed once parts and err are set.
type pending struct {
	parts []Batch
	err   error
	done  chan struct{}
}

// Run sends every row and returns how many were emitted. It stops at the first
// error: a refused batch, an unreadable row, a failing Emit, or the end of ctx;
// rows before it have been emitted by then.
func (j *Job) Run(ctx context.Context) (emitted int, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := j.skip(ctx); err != nil {
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
		n, problem := j.emit(p)
		emitted += n
		if problem != nil {
			err = problem
			break
		}
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

// emit passes on what p has, which may be rows before an error.
func (j *Job) emit(p *pending) (n int, err error) {
	for _, b := range p.parts {
		if err := j.Emit(b); err != nil {
			return n, err
		}
		n += b.Rows
	}
	return n, p.err
}

func (j *Job) skip(ctx context.Context) error {
	for n := range j.Skip {
		if n%10_000 == 0 && ctx.Err() != nil {
			return interrupted(ctx, j.Skip)
		}
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

func interrupted(ctx context.Context, row int) error {
	return fault.Wrap(ctx.Err(), fault.Unavailable, "interrupted after row %d", row)
}

// read cuts batches and starts one goroutine each; queue and slots bound how many.
func (j *Job) read(ctx context.Context, queue chan<- *pending, workers *sync.WaitGroup) error {
	slots := make(chan struct{}, j.Concurrency)
	first := j.Skip + 1
	for {
		select { // before the rows are cut, for the pace has changed by then
		case <-ctx.Done():
			return interrupted(ctx, first-1)
		case slots <- struct{}{}:
		}
		batch, end := j.cut()
		if len(batch) > 0 {
			p := &pending{done: make(chan struct{})}
			at := first
			workers.Go(func() {
				defer func() { <-slots; close(p.done) }()
				p.parts, p.err = j.send(ctx, at, batch)
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
	size := j.Pace.Rows()
	batch := make([]rows.Row, 0, size)
	for len(batch) < size {
		row, err := j.Source.Next()
		if err != nil {
			return batch, err
		}
		batch = append(batch, row)
	}
	return batch, nil
}

// send asks for a batch, in halves when the server cannot take it as a whole. With
// an error come the rows before the one at fault, as far as it can be told.
func (j *Job) send(ctx context.Context, first int, batch []rows.Row) ([]Batch, error) {
	if n := j.Pace.Rows(); !j.Pace.divides() && len(batch) != n {
		return nil, fault.New(fault.InvalidArgument, "the model takes %d rows at a time, and there are only %d from row %d on", n, len(batch), first)
	}
	inputs, err := rows.Columns(j.Specs, batch, first)
	if err != nil {
		return nil, err
	}
	result, err := j.Send(ctx, inputs)
	if err == nil {
		err = whole(&result, len(batch))
	}
	if err == nil {
		j.Pace.took(len(batch), &result)
		return []Batch{{First: first, Rows: len(batch), Result: result}}, nil
	}
	if len(batch) == 1 || ctx.Err() != nil || !j.Pace.divides() || !divisible(err) {
		return nil, j.located(err, first, len(batch))
	}
	half := (len(batch) + 1) / 2
	parts, err := j.send(ctx, first, batch[:half])
	if err != nil {
		return parts, err
	}
	rest, err := j.send(ctx, first+half, batch[half:])
	if err == nil {
		j.Pace.refused(len(batch))
	}
	return append(parts, rest...), err
}

// divisible says whether fewer rows may do, or tell which row is at fault.
func divisible(err error) bool {
	switch fault.KindOf(err) {
	case fault.PayloadTooLarge, fault.DeadlineExceeded, fault.Internal:
		return true
	case fault.InvalidArgument: // without a place it may as well be the size
		return !rows.Located(err)
	}
	return false
}

// whole refuses an answer that does not have an entry for each row.
func whole(r *endpoint.Result, n int) error {
	if len(r.Outputs) == 0 {
		return fault.New(fault.FailedPrecondition, "the answer has no outputs")
	}
	for i := range r.Outputs {
		if t := &r.Outputs[i]; t.Rows() != int64(n) || t.Len()%n != 0 {
			return fault.New(fault.FailedPrecondition, "output %q has %d rows where %d were sent: the model does not answer row by row", t.Name, t.Rows(), n)
		}
	}
	return nil
}

// located names the rows of a batch in the message of err.
func (j *Job) located(err error, first, n int) error {
	err = rows.Locate(err, j.Specs, first)
	where := fmt.Sprintf("rows %d to %d", first, first+n-1)
	if n == 1 {
		where = fmt.Sprintf("row %d", first)
	}
	message := err.Error()
	var known *fault.Error
	if errors.As(err, &known) {
		message = known.Message
	}
	return fault.Wrap(err, fault.KindOf(err), "%s: %s", where, message)
}

package registration

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/inference"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/shared/tensor"
)

// parity scores the holdout again and compares with the trainer's predictions.
//
// The error is FailedPrecondition when answers differ by more than the tolerance
// or are not finite; InvalidArgument when the files do not fit the signature or
// each other.
func (r *Registrar) parity(ctx context.Context, b *bundle, session inference.Session, sig schema.Signature, spare []string, tolerance float64) (registry.Parity, error) {
	if b.holdout == nil {
		return registry.Parity{Reason: "the source has no " + holdoutFile + " and " + predictionsFile}, nil
	}
	holdout, closeHoldout, err := b.holdout.read()
	if err != nil {
		return registry.Parity{}, err
	}
	defer closeHoldout.Close()
	predictions, closePredictions, err := b.predictions.read()
	if err != nil {
		return registry.Parity{}, err
	}
	defer closePredictions.Close()
	in, err := newFeed(sig, holdout.header, spare, r.Limits.BatchRows)
	if err != nil {
		return registry.Parity{}, err
	}
	c := &comparison{sig: sig, tolerance: tolerance, predictions: predictions}
	for done := false; !done; {
		if done, err = r.fill(in, holdout); err != nil {
			return registry.Parity{}, err
		}
		if in.rows == 0 {
			break
		}
		if in.fixed && !in.full() {
			return registry.Parity{}, notMultiple(in.batch)
		}
		if err := c.score(ctx, session, in); err != nil {
			return registry.Parity{}, err
		}
		in.reset()
	}
	return c.result()
}

// fill reads rows until the batch is full; done says that the file has ended.
func (r *Registrar) fill(in *feed, holdout *records) (done bool, err error) {
	for !in.full() {
		record, err := holdout.next()
		if errors.Is(err, io.EOF) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		if holdout.row > r.Limits.Rows {
			return false, fault.New(fault.PayloadTooLarge, "%s has more than %d rows; register a sample of it", holdoutFile, r.Limits.Rows)
		}
		if err := in.add(holdout.row, record); err != nil {
			return false, err
		}
	}
	return false, nil
}

// place is where something was found: an element of an output, and a row of the files (the first is 1).
type place struct {
	column string
	row    int
}

func (p place) String() string { return fmt.Sprintf("output %s, row %d", quoted(p.column), p.row) }

// answered are answers that ours are compared with: the trainer's, row by row.
type answered interface {
	columns() []string
	next() ([]string, error) // io.EOF at the end
}

// comparison adds up what differs between our answers and the trainer's.
type comparison struct {
	sig         schema.Signature
	tolerance   float64
	predictions answered
	layout      []answer // made at the first batch, when the widths of the outputs are known

	rows      int
	differing int     // rows with a difference over the tolerance, another label, or a non-finite answer
	max       float64 // largest absolute difference
	maxAt     place
	excess    float64 // largest difference in tolerances, which is what decides
	excessBy  float64 // the difference there
	excessAt  place
	labels    int // rows whose label differs
	labelAt   place
	ties      int // rows whose label differs between classes that score the same
	unfit     int // rows with an answer that is not finite
	unfitAt   place
}

// score runs one batch and compares it with as many rows of predictions.csv.
func (c *comparison) score(ctx context.Context, session inference.Session, in *feed) error {
	outputs, release, err := session.Run(ctx, in.take(), nil)
	if err != nil {
		if fault.Is(err, fault.DeadlineExceeded) {
			return fault.Wrap(err, fault.DeadlineExceeded, "the parity check ran out of time after %d rows; register a sample of the holdout, or give the function more memory (it brings processor time)", c.rows)
		}
		if fault.KindOf(err).Retryable() {
			return err
		}
		return fault.Wrap(err, fault.FailedPrecondition, "the model cannot be run on the rows from %d of %s", c.rows+1, holdoutFile)
	}
	defer release()
	return c.add(outputs, in.rows)
}

// add compares answers to so many rows with as many of predictions.
func (c *comparison) add(outputs []tensor.Tensor, rows int) (err error) {
	if c.layout == nil {
		if c.layout, err = newLayout(c.sig, outputs, rows, c.predictions.columns()); err != nil {
			return err
		}
	}
	for i := range c.layout {
		if err := c.layout[i].bind(outputs, rows); err != nil {
			return err
		}
	}
	for row := range rows {
		record, err := c.predictions.next()
		if errors.Is(err, io.EOF) {
			return fault.New(fault.InvalidArgument, "%s has %d rows, %s has more; both must hold the same rows in the same order", predictionsFile, c.rows, holdoutFile)
		}
		if err != nil {
			return err
		}
		if err := c.compare(row, record); err != nil {
			return err
		}
	}
	return nil
}

// compare takes row (of the batch) into account.
func (c *comparison) compare(row int, record []string) error {
	c.rows++
	bad := false
	for i := range c.layout {
		a := &c.layout[i]
		for j, field := range a.fields {
			d, problem := a.differ(row*len(a.fields)+j, record[field], c.tolerance)
			if problem != "" {
				return fault.New(fault.InvalidArgument, "%s: column %s of row %d %s", predictionsFile, quoted(a.names[j]), c.rows, problem)
			}
			if c.note(d, a, place{a.names[j], c.rows}, row) {
				bad = true
			}
		}
	}
	if bad {
		c.differing++
	}
	return nil
}

// note records one difference and says whether it is too large.
func (c *comparison) note(d difference, a *answer, at place, row int) bool {
	switch {
	case d.unfit:
		if c.unfit++; c.unfit == 1 {
			c.unfitAt = at
		}
		return true
	case d.label && c.tied(row):
		c.ties++
		return false
	case d.label:
		if c.labels++; c.labels == 1 {
			c.labelAt = at
		}
		return true
	}
	if d.abs > c.max {
		c.max, c.maxAt = d.abs, at
	}
	if d.tolerances > c.excess {
		c.excess, c.excessBy, c.excessAt = d.tolerances, d.abs, at
	}
	return d.tolerances > 1
}

// tied says whether the two best classes of row score the same within what the
// tolerance allows each of them to move. Then either label is right.
func (c *comparison) tied(row int) bool {
	var scores *answer
	for i := range c.layout {
		if a := &c.layout[i]; a.isFloat() && len(a.fields) > 1 {
			if scores != nil {
				return false // two of them: it is not known which one the label follows
			}
			scores = a
		}
	}
	if scores == nil {
		return false
	}
	best, second := scores.best(row)
	return best-second <= 2*c.tolerance
}

// result checks that both files end together and gives the verdict.
func (c *comparison) result() (registry.Parity, error) {
	if err := c.ended(); err != nil {
		return registry.Parity{}, err
	}
	p, differs := c.verdict(" of the holdout", "here", "by the trainer")
	if differs == "" {
		return p, nil
	}
	return p, fault.New(fault.FailedPrecondition, "%s; check that holdout and predictions belong to this model file and that all preprocessing is inside it", differs)
}

// ended refuses an end without rows, or before that of predictions.
func (c *comparison) ended() error {
	if c.rows == 0 {
		return noRows()
	}
	_, err := c.predictions.next()
	if err == nil {
		return fault.New(fault.InvalidArgument, "%s has %d rows, %s has more; both must hold the same rows in the same order", holdoutFile, c.rows, predictionsFile)
	}
	if !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// verdict is what was found, and in words what differs by more than the tolerance, ""
// if nothing does.
func (c *comparison) verdict(of, here, there string) (p registry.Parity, differs string) {
	p = registry.Parity{Checked: true, Rows: c.rows, MaxAbsDiff: c.max, Tolerance: c.tolerance}
	if c.max > 0 {
		p.Where = c.maxAt.String()
	}
	if c.differing == 0 {
		return p, ""
	}
	text := fmt.Sprintf("%d of %d rows%s are answered differently %s than %s (tolerance %g)", c.differing, c.rows, of, here, there, c.tolerance)
	if c.unfit > 0 {
		text += fmt.Sprintf("; %d answers are not finite, the first in %s", c.unfit, c.unfitAt)
	}
	if c.labels > 0 {
		text += fmt.Sprintf("; %d labels differ, the first in %s", c.labels, c.labelAt)
	}
	if c.excess > 1 {
		text += fmt.Sprintf("; the largest difference is %.3g, in %s", c.excessBy, c.excessAt)
	}
	return p, text
}

func notMultiple(rows int) error {
	return fault.New(fault.InvalidArgument, "the model takes %d rows at a time, and the rows of %s are not a multiple of that", rows, holdoutFile)
}

func noRows() error {
	return fault.New(fault.InvalidArgument, "%s has no rows; leave it and %s out to register without parity", holdoutFile, predictionsFile)
}

package scoring

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/rows"
	"github.com/tidegate/tidegate/shared/tensor"
)

const (
	// storeMargin is left for storing the result, beside what its size takes at storeRate.
	storeMargin = 2 * time.Second
	storeRate   = 20 << 20 // bytes a second: a third of what S3 takes from a function of 1,769 MB
	// batchValues bounds the values of a batch, inputs and outputs together: 64 MB as cells of a row.
	batchValues = 2 << 20
)

// scored is one item on its way.
type scored struct {
	*Scorer
	in      *In
	version *version
	table   *table
	result  *result
	size    int           // rows of the next batch
	took    time.Duration // the last batch
	rowsIn  int64
}

// score predicts all rows and stores them.
func (s *Scorer) score(ctx context.Context, key string, in *In) (Out, error) {
	v, err := s.version(ctx, in)
	if err != nil {
		return Out{}, err
	}
	t, etag, err := s.open(ctx, &in.Source)
	if err != nil {
		return Out{}, err
	}
	r, err := newResult(s.Dir, s.limits().ResultBytes)
	if err != nil {
		return Out{}, err
	}
	defer r.close()
	x := &scored{Scorer: s, in: in, version: v, table: t, result: r, size: s.firstBatch(v)}
	if err := x.all(ctx, etag); err != nil {
		return Out{}, err
	}
	if r.rows != x.rowsIn {
		return Out{}, fault.New(fault.Internal, "%d rows came in and %d went out", x.rowsIn, r.rows)
	}
	return s.keep(ctx, key, in, r)
}

// firstBatch is how many rows are tried first: those of the limits, fewer where they are wide.
func (s *Scorer) firstBatch(v *version) int {
	if v.fixed > 0 {
		return v.fixed
	}
	return max(1, min(s.limits().BatchRows, batchValues/max(1, v.width)))
}

// all runs batch by batch.
func (x *scored) all(ctx context.Context, etag string) error {
	var batch []rows.Row
	for begun := false; ; begun = true {
		if err := x.timeLeft(ctx); err != nil {
			return err
		}
		started := x.Now()
		var first int64
		var err error
		if batch, first, err = x.table.batch(batch, x.size); err != nil {
			return x.late(err)
		}
		if !begun {
			if err := x.begin(batch, etag); err != nil {
				return err
			}
		}
		if len(batch) == 0 {
			return x.result.end()
		}
		x.rowsIn += int64(len(batch))
		if err := x.batch(ctx, batch, first); err != nil {
			return x.late(err)
		}
		x.took = x.Now().Sub(started)
		x.adapt(len(batch))
	}
}

// begin writes the head, when the columns are known to be there.
func (x *scored) begin(batch []rows.Row, etag string) error {
	h := newHead(x.in, etag)
	h.VersionDigest, h.Settings, h.Runtime = x.version.digest, x.version.inForce, x.Runtime.String()
	if len(batch) > 0 {
		var err error
		if h.Absent, err = x.version.columns(x.in, batch); err != nil {
			return err
		}
	}
	return x.result.begin(h)
}

// batch checks, predicts and writes rows.
func (x *scored) batch(ctx context.Context, batch []rows.Row, first int64) error {
	if n := x.version.fixed; n > 0 && len(batch) != n {
		return fault.New(fault.InvalidArgument, "the model takes %d rows at a time, and there are only %d from row %d on", n, len(batch), first+1)
	}
	inputs, err := rows.Columns(x.version.specs, batch, int(first)+1)
	if err != nil {
		return err
	}
	if inputs, err = x.version.checker.CheckRows(inputs); err != nil {
		return rows.Locate(err, x.version.specs, int(first)+1)
	}
	outputs, release, err := x.version.session.Run(ctx, inputs, nil)
	if err != nil {
		if fault.KindOf(err).Retryable() {
			return err
		}
		return fault.Wrap(err, fault.FailedPrecondition, "the model fails on the rows from %d to %d", first+1, first+int64(len(batch)))
	}
	defer release()
	if err := byRow(outputs, len(batch)); err != nil {
		return err
	}
	return x.result.add(x.in, x.version, batch, first, outputs)
}

// byRow checks that every output has an entry for each row.
func byRow(outputs []tensor.Tensor, n int) error {
	for i := range outputs {
		if t := &outputs[i]; len(t.Shape) == 0 || t.Shape[0] != int64(n) {
			return fault.New(fault.FailedPrecondition, "output %s has the shape %v for %d rows: the model does not answer row by row", quoted(t.Name), t.Shape, n)
		}
	}
	return nil
}

// adapt makes batches of about the time that one may take: the end of the function's
// time then cuts off little work, and is seen coming.
func (x *scored) adapt(n int) {
	if x.version.fixed > 0 || x.took <= 0 {
		return
	}
	fits := float64(n) * float64(x.limits().BatchTime) / float64(x.took)
	x.size = max(1, min(x.firstBatch(x.version), int(min(fits, 2*float64(x.size)))))
}

// timeLeft refuses to begin a batch whose result could not be stored any more.
func (x *scored) timeLeft(ctx context.Context) error {
	deadline, ok := ctx.Deadline()
	if !ok {
		return ctx.Err()
	}
	need := storeMargin + x.took + time.Duration(float64(x.result.size)/storeRate*float64(time.Second))
	if deadline.Sub(x.Now()) < need {
		return x.late(context.DeadlineExceeded)
	}
	return ctx.Err()
}

// late says how far an item came whose time was over.
func (x *scored) late(err error) error {
	if !fault.Is(err, fault.DeadlineExceeded) {
		return err
	}
	return fault.Wrap(err, fault.DeadlineExceeded, "there was no time left after %d rows; make items of fewer rows, or give the function more memory (it brings processor time)", x.result.rows)
}

// quoted shows a name of the caller's in a message, shortened.
func quoted(name string) string {
	const most = 80
	if len(name) > most {
		name = strings.ToValidUTF8(name[:most], "") + "…"
	}
	return strconv.Quote(name)
}

package batching

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/pause"
	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/shared/tensor"
)

// poison is a value that makes every run fail that has it in a row.
const poison = -1

// model is a session with behaviour: twice the sum of a row, and its text turned
// around. What it gives is overwritten when it is released, and what it is given
// it reads twice, so that memory used too early or too late is seen.
type model struct {
	cost     func(rows int) time.Duration
	mixing   bool // each output depends on all rows
	fewer    bool // gives one row less than it was given
	ceiling  int  // more rows than this are too many for its memory
	panicked bool // it panics instead of failing
	barrier  chan struct{}

	now, most atomic.Int64 // runs at a time
	mu        sync.Mutex
	sizes     []int
}

func (m *model) Run(ctx context.Context, inputs []tensor.Tensor, _ []string) ([]tensor.Tensor, func(), error) {
	n := m.now.Add(1)
	defer m.now.Add(-1)
	for most := m.most.Load(); n > most && !m.most.CompareAndSwap(most, n); most = m.most.Load() {
	}
	rows := int(inputs[0].Shape[0])
	m.mu.Lock()
	m.sizes = append(m.sizes, rows)
	m.mu.Unlock()
	before := fmt.Sprint(inputs[0].FP32s, inputs[1].Strings)
	if m.barrier != nil {
		select {
		case <-m.barrier:
		case <-ctx.Done():
			return nil, nil, ended(ctx.Err())
		}
	}
	if m.cost != nil {
		if err := pause.For(ctx, m.cost(rows)); err != nil {
			return nil, nil, ended(err)
		}
	}
	if after := fmt.Sprint(inputs[0].FP32s, inputs[1].Strings); after != before {
		panic("inputs changed during a run")
	}
	if m.ceiling > 0 && rows > m.ceiling {
		return nil, nil, fault.New(fault.Internal, "out of memory")
	}
	return m.compute(inputs, rows)
}

func (m *model) compute(inputs []tensor.Tensor, rows int) ([]tensor.Tensor, func(), error) {
	width := int(inputs[0].Shape[1])
	sum := tensor.Tensor{Name: "sum", Datatype: tensor.FP32, Shape: []int64{int64(rows), 1}, FP32s: make([]float32, rows)}
	text := tensor.Tensor{Name: "text", Datatype: tensor.Bytes, Shape: []int64{int64(rows)}, Strings: make([]string, rows), Missing: append([]int(nil), inputs[1].Missing...)}
	all := float32(0)
	for r := range rows {
		for _, v := range inputs[0].FP32s[r*width : (r+1)*width] {
			if v == poison && m.panicked {
				panic(inputs[0].FP32s)
			} else if v == poison {
				return nil, nil, fault.New(fault.InvalidArgument, "a row is poisoned")
			}
			sum.FP32s[r] += 2 * v
			all += v
		}
		text.Strings[r] = reversed(inputs[1].Strings[r])
	}
	if m.mixing {
		for r := range sum.FP32s {
			sum.FP32s[r] = all
		}
	}
	if m.fewer {
		sum.Shape[0], sum.FP32s = int64(rows-1), sum.FP32s[1:]
	}
	return []tensor.Tensor{sum, text}, func() {
		for r := range sum.FP32s {
			sum.FP32s[r] = -12345
		}
		clear(text.Strings)
	}, nil
}

func (m *model) runs() []int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]int(nil), m.sizes...)
}

func reversed(s string) string {
	b := []byte(strings.Clone(s))
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
	return string(b)
}

// lender counts who holds the version.
type lender struct {
	*model
	holds atomic.Int64
}

func (l *lender) hold()  { l.holds.Add(1) }
func (l *lender) letGo() { l.holds.Add(-1) }

// twoColumns is the signature of model.
func twoColumns() *schema.Signature {
	return &schema.Signature{
		Inputs:  []schema.Spec{{Name: "x", Datatype: tensor.FP32, Shape: []int64{-1, -1}}, {Name: "name", Datatype: tensor.Bytes, Shape: []int64{-1}}},
		Outputs: []schema.Spec{{Name: "sum", Datatype: tensor.FP32, Shape: []int64{-1, 1}}, {Name: "text", Datatype: tensor.Bytes, Shape: []int64{-1}}},
	}
}

// request is rows that tell whose they are.
type request struct {
	inputs []tensor.Tensor
	text   []byte // what the strings lie over, as they do in a body
	id     int
}

func newRequest(id, rows, width int) *request {
	r := &request{id: id}
	x := tensor.Tensor{Name: "x", Datatype: tensor.FP32, Shape: []int64{int64(rows), int64(width)}, FP32s: make([]float32, rows*width)}
	name := tensor.Tensor{Name: "name", Datatype: tensor.Bytes, Shape: []int64{int64(rows)}, Strings: make([]string, rows)}
	for i := range rows {
		x.FP32s[i*width] = float32(id)
		if width > 1 {
			x.FP32s[i*width+1] = float32(i)
		}
		r.text = fmt.Appendf(r.text, "%08d-%06d", id, i)
	}
	for i := range rows {
		name.Strings[i] = alias(r.text[15*i : 15*i+15])
	}
	if id%3 == 0 {
		name.Missing = []int{rows - 1}
	}
	r.inputs = []tensor.Tensor{x, name}
	return r
}

// spoil overwrites the request's memory, as the next request on a connection does.
func (r *request) spoil() {
	for i := range r.inputs[0].FP32s {
		r.inputs[0].FP32s[i] = 9e9
	}
	for i := range r.text {
		r.text[i] = '!'
	}
}

// check compares an answer with what the rows of r must give.
func (r *request) check(outputs []tensor.Tensor) error {
	rows, width := int(r.inputs[0].Shape[0]), int(r.inputs[0].Shape[1])
	if len(outputs) != 2 || outputs[0].Shape[0] != int64(rows) || len(outputs[0].FP32s) != rows || len(outputs[1].Strings) != rows {
		return fmt.Errorf("request %d of %d rows got %d outputs of shape %v", r.id, rows, len(outputs), outputs[0].Shape)
	}
	for i := range rows {
		want := 2 * float32(r.id)
		if width > 1 {
			want += 2 * float32(i)
		}
		if got := outputs[0].FP32s[i]; got != want {
			return fmt.Errorf("request %d row %d got sum %v, want %v", r.id, i, got, want)
		}
		if got, want := outputs[1].Strings[i], reversed(r.inputs[1].Strings[i]); got != want {
			return fmt.Errorf("request %d row %d got text %q, want %q", r.id, i, got, want)
		}
	}
	if got, want := fmt.Sprint(outputs[1].Missing), fmt.Sprint(r.inputs[1].Missing); got != want {
		return fmt.Errorf("request %d got missing %v, want %v", r.id, got, want)
	}
	return nil
}

// nothingHeld fails the test unless every hold was given back.
func (l *lender) nothingHeld(t *testing.T) {
	t.Helper()
	if n := l.holds.Load(); n != 0 {
		t.Errorf("%d holds are left", n)
	}
}

// drained makes a batcher of model that is drained when the test ends.
func drained(t *testing.T, set Settings) *batcher {
	b := newBatcher(twoColumns(), set, time.Now)
	t.Cleanup(func() {
		if err := b.drain(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return b
}

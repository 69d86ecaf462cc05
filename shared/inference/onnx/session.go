package onnx

import (
	"context"
	"sync"
	"sync/atomic"

	ort "github.com/yalue/onnxruntime_go"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/shared/tensor"
)

// session is one loaded model.
type session struct {
	native          *ort.DynamicAdvancedSession
	inputs, outputs []schema.Spec
	// batched says that the first dimension of every batched output is the number of rows. It is
	// assumed from the signature, and given up for good when a run shows otherwise.
	batched atomic.Bool

	running sync.RWMutex // held for reading while a run lasts, for writing by Close
	closed  bool

	mu      sync.Mutex
	resting []*call
}

func newSession(native *ort.DynamicAdvancedSession, sig schema.Signature) *session {
	s := &session{native: native, inputs: sig.Inputs, outputs: sig.Outputs}
	s.batched.Store(true)
	return s
}

// Run implements inference.Session. All outputs are computed, whatever want
// names: the graphs served here do not have outputs that are costly to add.
//
// Errors: InvalidArgument for inputs that the graph refuses by shape or an
// unknown name in want, DeadlineExceeded or Unavailable when ctx ended,
// Unavailable when the session is closed, Internal otherwise.
func (s *session) Run(ctx context.Context, inputs []tensor.Tensor, want []string) ([]tensor.Tensor, func(), error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, ended(err)
	}
	if len(inputs) != len(s.inputs) {
		return nil, nil, fault.New(fault.InvalidArgument, "the model has %d inputs, %d were given", len(s.inputs), len(inputs))
	}
	s.running.RLock()
	defer s.running.RUnlock()
	if s.closed {
		return nil, nil, fault.New(fault.Unavailable, "the model was unloaded; try again")
	}
	c := s.take()
	whole := false
	defer func() {
		if !whole { // a panic: memory that is still pinned when c is collected would end the process
			c.destroy()
		}
	}()
	wanted, err := s.run(ctx, c, inputs, want)
	c.rest()
	whole = true
	if err != nil {
		s.put(c)
		return nil, nil, err
	}
	released := false
	return wanted, func() {
		if !released {
			released = true
			s.release(c)
		}
	}, nil
}

func (s *session) run(ctx context.Context, c *call, inputs []tensor.Tensor, want []string) ([]tensor.Tensor, error) {
	for i := range inputs {
		if err := c.in[i].fill(&inputs[i]); err != nil {
			return nil, err
		}
	}
	reserved, err := s.reserve(c, inputs)
	if err != nil {
		return nil, err
	}
	err = c.runNative(ctx, s.native)
	if err != nil && reserved && ctx.Err() == nil {
		// Perhaps the graph gives other shapes than its signature says: let ONNX Runtime decide.
		for i := range c.out {
			c.out[i].destroy()
		}
		if c.runNative(ctx, s.native) == nil {
			s.batched.Store(false)
			err = nil
		}
	}
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return nil, ended(ctx.Err())
	default:
		return nil, runError(err)
	}
	if err := c.collect(); err != nil {
		return nil, err
	}
	return c.pick(want)
}

// reserve makes the outputs whose shape is known from the signature and the
// number of rows; the others are made by ONNX Runtime.
func (s *session) reserve(c *call, inputs []tensor.Tensor) (some bool, err error) {
	rows, batched := s.rows(inputs)
	batched = batched && s.batched.Load()
	var shape [8]int64
	for i, spec := range s.outputs {
		if spec.Datatype == tensor.Bytes || len(spec.Shape) > len(shape) || !known(spec.Shape, batched) {
			c.out[i].destroy()
			continue
		}
		dims := shape[:copy(shape[:], spec.Shape)]
		if spec.Batched() {
			dims[0] = rows
		}
		if err := c.out[i].reserve(dims); err != nil {
			return some, err
		}
		some = true
	}
	return some, nil
}

// rows is the size of the batch, if the inputs agree on one.
func (s *session) rows(inputs []tensor.Tensor) (int64, bool) {
	rows := int64(-1)
	for i, spec := range s.inputs {
		if !spec.Batched() {
			continue
		}
		n := inputs[i].Rows()
		if rows >= 0 && n != rows {
			return 0, false
		}
		rows = n
	}
	return rows, rows > 0
}

// known says whether a shape is free in nothing, or in its first dimension only and that is the batch.
func known(shape []int64, batched bool) bool {
	for i, d := range shape {
		if d < 0 && (i > 0 || !batched) {
			return false
		}
	}
	return true
}

// take returns a resting call or a new one.
func (s *session) take() *call {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.resting); n > 0 {
		c := s.resting[n-1]
		s.resting = s.resting[:n-1]
		return c
	}
	return newCall(s)
}

// put lets c rest. The caller holds running, so that Close finds it.
func (s *session) put(c *call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.resting) < restingCalls {
		s.resting = append(s.resting, c)
		return
	}
	c.destroy()
}

// release ends the use of a call's results, which may be after Close.
func (s *session) release(c *call) {
	s.running.RLock()
	defer s.running.RUnlock()
	if s.closed {
		c.destroy()
		return
	}
	c.shrink()
	s.put(c)
}

// Close waits for running calls and destroys the session. Results of earlier
// calls stay readable until they are released.
func (s *session) Close() error {
	s.running.Lock()
	defer s.running.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	for _, c := range s.resting {
		c.destroy()
	}
	s.resting = nil
	return s.native.Destroy()
}

func ended(cause error) error {
	kind := fault.KindOf(cause)
	if kind == fault.DeadlineExceeded {
		return fault.Wrap(cause, kind, "the deadline passed while the model ran")
	}
	return fault.Wrap(cause, fault.Unavailable, "the request was given up while the model ran")
}

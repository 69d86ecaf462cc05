package inferencetest

import (
	"context"
	"strings"
	"sync"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/inference"
	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/shared/tensor"
)

// Schema is of the models that Runtime runs: x FP32 [N,1] to y FP32 [N,1].
func Schema() schema.Schema {
	column := func(name string) []schema.Spec {
		return []schema.Spec{{Name: name, Datatype: tensor.FP32, Shape: []int64{-1, 1}}}
	}
	return schema.Schema{V: schema.Version, Task: schema.Regression, Signature: schema.Signature{Inputs: column("x"), Outputs: column("y")}}
}

// Runtime "loads" any file that begins with "model". Its sessions add the length
// of the file to x. It is the second implementation of inference.Runtime: one
// whose loads and runs a test can hold up.
type Runtime struct {
	mu      sync.Mutex
	loads   []string // files, in order
	open    map[string]int
	barrier chan struct{} // loads wait for it to be closed
	running chan struct{} // runs wait for it to be closed
}

// String implements inference.Runtime.
func (r *Runtime) String() string { return "test 1.0.0" }

// Load implements inference.Runtime.
func (r *Runtime) Load(ctx context.Context, model []byte, _ schema.Signature) (inference.Session, error) {
	r.mu.Lock()
	barrier := r.barrier
	r.mu.Unlock()
	if barrier != nil {
		select {
		case <-barrier:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	file := string(model)
	if !strings.HasPrefix(file, "model") {
		return nil, fault.New(fault.InvalidArgument, "not a model")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.loads = append(r.loads, file)
	if r.open == nil {
		r.open = map[string]int{}
	}
	r.open[file]++
	return &session{runtime: r, file: file}, nil
}

// HoldLoads makes loads wait until the returned function is called.
func (r *Runtime) HoldLoads() (release func()) { return r.hold(&r.barrier) }

// HoldRuns makes runs wait until the returned function is called.
func (r *Runtime) HoldRuns() (release func()) { return r.hold(&r.running) }

func (r *Runtime) hold(at *chan struct{}) func() {
	barrier := make(chan struct{})
	r.mu.Lock()
	*at = barrier
	r.mu.Unlock()
	return func() {
		r.mu.Lock()
		*at = nil
		r.mu.Unlock()
		close(barrier)
	}
}

// Loads lists the files that were loaded, in order.
func (r *Runtime) Loads() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.loads...)
}

// Open is how many sessions there are of all files.
func (r *Runtime) Open() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, k := range r.open {
		n += k
	}
	return n
}

type session struct {
	runtime *Runtime
	file    string
	mu      sync.Mutex
	runs    int
	closed  bool
}

// Run implements inference.Session.
func (s *session) Run(ctx context.Context, inputs []tensor.Tensor, _ []string) ([]tensor.Tensor, func(), error) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil, nil, fault.New(fault.Internal, "the session was closed while it was in use")
	}
	s.runs++
	warm := s.runs == 1
	s.mu.Unlock()
	s.runtime.mu.Lock()
	running := s.runtime.running
	s.runtime.mu.Unlock()
	if running != nil && !warm {
		select {
		case <-running:
		case <-ctx.Done():
			return nil, nil, fault.Wrap(ctx.Err(), fault.DeadlineExceeded, "the deadline passed while the model ran")
		}
	}
	out := tensor.Tensor{Name: "y", Datatype: tensor.FP32, Shape: inputs[0].Shape, FP32s: make([]float32, len(inputs[0].FP32s))}
	for i, x := range inputs[0].FP32s {
		out.FP32s[i] = x + float32(len(s.file))
	}
	return []tensor.Tensor{out}, func() {}, nil
}

// Close implements inference.Session.
func (s *session) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.closed = true
		s.runtime.mu.Lock()
		s.runtime.open[s.file]--
		s.runtime.mu.Unlock()
	}
	return nil
}

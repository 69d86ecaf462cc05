package onnx

import (
	"context"
	"runtime"
	"slices"

	ort "github.com/yalue/onnxruntime_go"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/tensor"
)

const (
	// keptElements is up to which size an input is copied into memory that already is an ONNX Runtime
	// value, when the shape is that of the call before. Making a value and giving it back costs as much
	// as copying some thousand numbers.
	keptElements = 1024
	// keptBytes bounds the memory that a resting call keeps for its outputs.
	keptBytes = 1 << 20
	// restingCalls bounds how many calls rest in a session, i.e. how many concurrent runs find one.
	restingCalls = 8
)

// call is what one run needs in ONNX Runtime, kept for later runs. It is used by
// one run at a time, until its results are released.
type call struct {
	in, out []slot
	inputs  []ort.Value // of the slots, in the form that Run takes
	outputs []ort.Value
	results []tensor.Tensor
	wanted  []tensor.Tensor
	options *ort.RunOptions
}

// slot is one value and the memory it lies over.
type slot struct {
	value  ort.Value
	memory tensor.Tensor // the slot's own, when kept
	kept   bool          // value is over memory and may serve the next run of the same shape
	pinner runtime.Pinner
}

func newCall(s *session) *call {
	c := &call{
		in: make([]slot, len(s.inputs)), inputs: make([]ort.Value, len(s.inputs)),
		out: make([]slot, len(s.outputs)), outputs: make([]ort.Value, len(s.outputs)),
		results: make([]tensor.Tensor, len(s.outputs)),
	}
	for i, spec := range s.outputs {
		c.results[i] = tensor.Tensor{Name: spec.Name, Datatype: spec.Datatype}
		c.out[i].memory = tensor.Tensor{Name: spec.Name, Datatype: spec.Datatype}
	}
	// Results that nobody releases would end the process when they are collected: their memory is still pinned then.
	runtime.SetFinalizer(c, (*call).destroy)
	return c
}

// destroy gives everything back. A value that onnxruntime_go 1.27.0 could not
// convert is a nil *CustomDataTensor.
func (s *slot) destroy() {
	if custom, ok := s.value.(*ort.CustomDataTensor); s.value != nil && !(ok && custom == nil) {
		_ = s.value.Destroy()
	}
	s.value, s.kept = nil, false
	s.pinner.Unpin()
}

// fill makes the slot's value hold t: by a copy into the value of the run before
// when t is small and of the same form, otherwise over t's memory.
func (s *slot) fill(t *tensor.Tensor) (err error) {
	n := t.Len()
	if s.kept && s.memory.Datatype == t.Datatype && slices.Equal(s.memory.Shape, t.Shape) && s.memory.Len() == n {
		if text, ok := s.value.(*ort.StringTensor); ok {
			return fillStrings(text, t)
		}
		copyElements(&s.memory, t)
		return nil
	}
	s.destroy()
	from := t
	if n <= keptElements && len(t.Shape) > 0 { // a scalar's value cannot be changed
		s.memory.Name, s.memory.Datatype, s.memory.Shape = t.Name, t.Datatype, append(s.memory.Shape[:0], t.Shape...)
		s.memory.Resize(n)
		s.kept = true
		if t.Datatype != tensor.Bytes { // strings are copied by ONNX Runtime; ours would only keep the request alive
			copyElements(&s.memory, t)
			from = &s.memory
		}
	}
	if s.value, err = newValue(from, &s.pinner); err != nil {
		s.destroy()
	}
	return err
}

// reserve makes the slot's value an output of the given shape, reusing the last.
func (s *slot) reserve(shape []int64) (err error) {
	if s.kept && slices.Equal(s.memory.Shape, shape) {
		return nil
	}
	s.destroy()
	n, err := tensor.Elements(shape, maxElements)
	if err != nil || n == 0 {
		return nil //nolint:nilerr // ONNX Runtime shall say what the size is
	}
	s.memory.Shape = append(s.memory.Shape[:0], shape...)
	s.memory.Resize(int(n))
	if s.value, err = newValue(&s.memory, &s.pinner); err != nil {
		s.destroy()
		return err
	}
	s.kept = len(shape) > 0
	return nil
}

// maxElements bounds an output that is made beforehand; 2^28 FP32 are 1 GiB.
const maxElements = 1 << 28

// runNative runs once; the end of ctx terminates it between two operators.
func (c *call) runNative(ctx context.Context, native *ort.DynamicAdvancedSession) error {
	for i := range c.in {
		c.inputs[i] = c.in[i].value
	}
	for i := range c.out {
		c.outputs[i] = c.out[i].value
	}
	if ctx.Done() == nil {
		return c.adopt(native.Run(c.inputs, c.outputs))
	}
	if c.options == nil {
		options, err := ort.NewRunOptions()
		if err != nil {
			return err
		}
		c.options = options
	}
	options, terminated := c.options, make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(terminated)
		_ = options.Terminate()
	})
	err := native.RunWithOptions(c.inputs, c.outputs, options)
	if !stop() {
		<-terminated // it may still be using options, which are of no more use
		_ = options.Destroy()
		c.options = nil
	}
	return c.adopt(err)
}

// adopt takes the values that ONNX Runtime made into their slots.
func (c *call) adopt(err error) error {
	for i := range c.out {
		c.out[i].value = c.outputs[i]
	}
	return err
}

// collect turns every output into a tensor of Go memory.
func (c *call) collect() error {
	for i := range c.out {
		if err := readValue(c.out[i].value, &c.out[i].memory); err != nil {
			return err
		}
		c.results[i] = c.out[i].memory
	}
	return nil
}

// pick returns the results named in want, in its order; all when it is nil.
func (c *call) pick(want []string) ([]tensor.Tensor, error) {
	if want == nil {
		return c.results, nil
	}
	c.wanted = c.wanted[:0]
	for _, name := range want {
		i := slices.IndexFunc(c.results, func(t tensor.Tensor) bool { return t.Name == name })
		if i < 0 {
			return nil, fault.New(fault.InvalidArgument, "the model has no output %q", name)
		}
		c.wanted = append(c.wanted, c.results[i])
	}
	return c.wanted, nil
}

// rest gives back all that is not kept, at once after a run: inputs lie over the
// caller's memory. Results stay, they are Go memory.
func (c *call) rest() {
	for i := range c.in {
		if !c.in[i].kept {
			c.in[i].destroy()
		}
	}
	for i := range c.out {
		if !c.out[i].kept {
			c.out[i].destroy()
		}
	}
	clear(c.inputs)
	clear(c.outputs)
}

// shrink drops output memory above keptBytes, once the results are released.
func (c *call) shrink() {
	for i := range c.out {
		m := &c.out[i].memory
		if m.Len()*max(m.Datatype.Size(), 16) > keptBytes {
			c.out[i].destroy()
			*m = tensor.Tensor{Name: m.Name, Datatype: m.Datatype}
			c.results[i] = *m
		}
	}
}

// destroy gives everything back to ONNX Runtime.
func (c *call) destroy() {
	for i := range c.in {
		c.in[i].destroy()
	}
	for i := range c.out {
		c.out[i].destroy()
	}
	if c.options != nil {
		_ = c.options.Destroy()
		c.options = nil
	}
}

package onnx

import (
	"errors"
	"strconv"

	ort "github.com/yalue/onnxruntime_go"

	"github.com/tidegate/tidegate/shared/fault"
)

// Provider is where models run.
type Provider string

// The providers.
const (
	CPU  Provider = "cpu"
	CUDA Provider = "cuda"
)

// Device is what is asked of the CUDA provider.
type Device struct {
	ID          int   // of the GPU, from 0
	MemoryBytes int64 // that its arena may take; 0 = all there is
	// TF32 lets matrix products of FP32 round their inputs to 10 bits: several times faster, and no
	// longer within the tolerance that a version's parity was checked with.
	TF32 bool
}

// options are those of ONNX Runtime's documentation of the provider:
//
//   - the arena grows by what is asked for, not by powers of two: several models share the device;
//   - convolutions are chosen by a heuristic: an exhaustive search runs again for each new batch size;
//   - copies run in the stream of the kernels, which saves a synchronization and is always right.
func (d Device) options() map[string]string {
	o := map[string]string{
		"device_id": strconv.Itoa(d.ID), "arena_extend_strategy": "kSameAsRequested", "cudnn_conv_algo_search": "HEURISTIC",
		"do_copy_in_default_stream": "1", "use_tf32": "0",
	}
	if d.MemoryBytes > 0 {
		o["gpu_mem_limit"] = strconv.FormatInt(d.MemoryBytes, 10)
	}
	if d.TF32 {
		o["use_tf32"] = "1"
	}
	return o
}

// settle finds out where models run. CUDA that was asked for is tried with a
// model of one node, since a library without it, a missing driver and a missing
// device show at different moments. When it does not work models run on the CPU,
// and [Runtime.Fallback] says why.
func (r *Runtime) settle(asked Provider, d Device) error {
	r.provider = CPU
	switch asked {
	case "", CPU:
		return nil
	case CUDA:
	default:
		return fault.New(fault.InvalidArgument, "the execution provider %q is neither cpu nor cuda", asked)
	}
	r.provider, r.device = CUDA, d
	if err := r.tryOut(); err != nil {
		r.provider, r.fallback = CPU, fault.Wrap(err, fault.Unavailable, "CUDA cannot be used; models run on the CPU")
	}
	return nil
}

// tryOut runs a model of one node.
func (r *Runtime) tryOut() error {
	options, err := r.sessionOptions()
	if err != nil {
		return err
	}
	defer options.Destroy()
	session, err := ort.NewDynamicAdvancedSessionWithONNXData(identity, []string{"x"}, []string{"y"}, options)
	if err != nil {
		return err
	}
	defer session.Destroy()
	in, err := ort.NewTensor(ort.NewShape(1), []float32{1})
	if err != nil {
		return err
	}
	defer in.Destroy()
	out, err := ort.NewEmptyTensor[float32](ort.NewShape(1))
	if err != nil {
		return err
	}
	defer out.Destroy()
	if err := session.Run([]ort.Value{in}, []ort.Value{out}); err != nil {
		return err
	}
	if out.GetData()[0] != 1 {
		return errors.New("a model of one node does not compute what it should")
	}
	return nil
}

// appendProvider makes sessions of o run on the provider.
func (r *Runtime) appendProvider(o *ort.SessionOptions) error {
	if r.provider != CUDA {
		return nil
	}
	cuda, err := ort.NewCUDAProviderOptions()
	if err != nil {
		return err
	}
	defer cuda.Destroy()
	if err := cuda.Update(r.device.options()); err != nil {
		return err
	}
	return o.AppendExecutionProviderCUDA(cuda)
}

// Provider is where models run; it waits for the library.
func (r *Runtime) Provider() Provider {
	<-r.loaded
	return r.provider
}

// Fallback says why models run on the CPU although CUDA was asked for; nil when
// they run where they should.
func (r *Runtime) Fallback() error {
	<-r.loaded
	return r.fallback
}

// identity is an ONNX file (ir_version 7, opset 13): y = Identity(x), both FP32 of shape [1].
var identity = []byte("\x08\x07:7\x0a\x10\x0a\x01x\x12\x01y\x22\x08Identity\x12\x01gZ\x0f\x0a\x01x\x12\x0a\x0a\x08\x08\x01\x12\x04\x0a\x02\x08\x01b\x0f\x0a\x01y\x12\x0a\x0a\x08\x08\x01\x12\x04\x0a\x02\x08\x01B\x04\x0a\x00\x10\x0d")

// Package onnx runs ONNX models in this process with ONNX Runtime, through
// yalue/onnxruntime_go. It implements inference.Runtime and is the only package
// that uses cgo.
//
// It does not choose, verify or cache models (see inference), and does not check
// requests (see schema): it trusts that inputs are in the signature's order and
// that every slice is as long as its shape says.
//
// Inputs are handed over without a copy: ONNX Runtime reads the Go slices, which
// are pinned while a run lasts. Outputs whose shape follows from the signature
// are written straight into Go memory; others are copied once. Strings are copied
// both ways, since ONNX Runtime keeps them as std::string.
//
//	rt, err := onnx.Open(onnx.Options{Library: "/opt/lib/libonnxruntime.so"})
//	session, err := rt.Load(ctx, model, signature)
//	outputs, release, err := session.Run(ctx, inputs, nil)
package onnx

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	ort "github.com/yalue/onnxruntime_go"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/inference"
	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/shared/tensor"
)

// DefaultLibrary is where the layer of the template puts the library.
const DefaultLibrary = "/opt/lib/libonnxruntime.so"

// Options configure the runtime of a process.
type Options struct {
	Library string // path of libonnxruntime; "" = DefaultLibrary
	// Threads is how many threads share the operators of one run; 0 = 1. See [Threads].
	Threads int
	// Provider is where models are to run; "" = CPU. What cannot be had is given up at start: see [Runtime.Provider].
	Provider Provider
	Device   Device       // of CUDA
	Log      *slog.Logger // told how long the library took to load; nil logs nothing
}

// Runtime is the ONNX Runtime of this process.
type Runtime struct {
	threads int
	loaded  chan struct{} // closed when err and version are set
	err     error
	version string

	provider Provider
	device   Device
	fallback error
}

// library guards the one ONNX Runtime that a process can hold: onnxruntime_go
// keeps it in package variables, so this cannot be a field.
var library struct {
	sync.Mutex
	path string
}

// Open loads the library, once per process: a second call with the same path
// shares it. Loading takes 12 to 20 ms; in a Lambda function it has begun before
// (early.c).
//
// Errors: Internal, with the path and what to do, when the file is not there, is
// not ONNX Runtime, or does not offer the API version this binary was built for;
// also when another path is loaded already.
func Open(o Options) (*Runtime, error) {
	r := Start(o)
	return r, r.Wait()
}

// Start is Open that does not wait: Load and Wait do.
func Start(o Options) *Runtime {
	r := &Runtime{threads: max(o.Threads, 1), loaded: make(chan struct{})}
	go func() {
		defer close(r.loaded)
		if r.err = r.open(o); r.err == nil {
			r.version = ort.GetVersion()
			r.err = r.settle(o.Provider, o.Device)
		}
	}()
	return r
}

// Wait returns when the library is loaded, with Open's error.
func (r *Runtime) Wait() error {
	<-r.loaded
	return r.err
}

func (r *Runtime) open(o Options) error {
	if o.Library == "" {
		o.Library = DefaultLibrary
	}
	library.Lock()
	defer library.Unlock()
	if library.path == "" {
		limitArenas(r.threads)
		started := time.Now()
		if err := load(o.Library); err != nil {
			return err
		}
		if o.Log != nil {
			o.Log.Info("library loaded", "path", o.Library, "version", ort.GetVersion(), "library_us", time.Since(started).Microseconds())
		}
		library.path = o.Library
	}
	if library.path != o.Library {
		return fault.New(fault.Internal, "libonnxruntime is loaded from %s already; a process has one", library.path)
	}
	return nil
}

func load(path string) error {
	const advice = "set TIDEGATE_ONNXRUNTIME_LIB to the libonnxruntime.so that `make layer` puts into .local/onnxruntime/lib, or attach the layer"
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return fault.Wrap(err, fault.Internal, "there is no ONNX Runtime at %s: %s", path, advice)
	}
	ort.SetSharedLibraryPath(path)
	// ONNX Runtime's own log repeats values of the input in its errors: they reach us as errors, cleaned.
	if err := ort.InitializeEnvironment(ort.WithLogLevelFatal()); err != nil {
		return fault.Wrap(err, fault.Internal, "%s cannot be loaded as ONNX Runtime: %s", path, advice)
	}
	return nil
}

// String names the runtime and its version, e.g. "onnxruntime 1.27.0"; it waits for the library.
func (r *Runtime) String() string {
	<-r.loaded
	return "onnxruntime " + r.version
}

// Threads returns the threads worth using in a Lambda function of the given
// memory: a vCPU comes with every 1,769 MB (Lambda's documentation), whatever
// number of processors the sandbox shows. Without a memory size, outside Lambda,
// it is the number of processors.
func Threads(memoryMB, processors int) int {
	if memoryMB <= 0 {
		return max(processors, 1)
	}
	const perCPU = 1769
	return max(1, min(processors, (memoryMB+perCPU/2)/perCPU))
}

// Load makes a session of the ONNX file's bytes, which are not needed afterwards.
//
// Errors: InvalidArgument when ONNX Runtime does not accept the file or a
// datatype is not served; Unimplemented for what onnxruntime_go 1.27.0 cannot
// carry: scalars of BYTES and FP16, and FP16 outputs with a free dimension other
// than the batch. Names that the graph does not have are found by the first run.
func (r *Runtime) Load(ctx context.Context, model []byte, sig schema.Signature) (inference.Session, error) {
	select {
	case <-r.loaded:
	case <-ctx.Done():
	}
	if err := cmp.Or(ctx.Err(), r.err); err != nil {
		return nil, err
	}
	if len(model) == 0 || len(sig.Inputs) == 0 || len(sig.Outputs) == 0 {
		return nil, fault.New(fault.InvalidArgument, "a model needs a file, inputs and outputs")
	}
	if err := carried(sig); err != nil {
		return nil, err
	}
	options, err := r.sessionOptions()
	if err != nil {
		return nil, err
	}
	defer options.Destroy()
	names := func(specs []schema.Spec) []string {
		out := make([]string, len(specs))
		for i, s := range specs {
			out[i] = s.Name
		}
		return out
	}
	native, err := ort.NewDynamicAdvancedSessionWithONNXData(model, names(sig.Inputs), names(sig.Outputs), options)
	if err != nil {
		return nil, fault.Wrap(err, fault.InvalidArgument, "ONNX Runtime %s does not accept the model file", r.version)
	}
	return newSession(native, sig), nil
}

func carried(sig schema.Signature) error {
	for _, spec := range slices.Concat(sig.Inputs, sig.Outputs) {
		switch {
		case spec.Datatype.Size() < 0:
			return fault.New(fault.InvalidArgument, "tensor %q has the datatype %q, which is not served", spec.Name, spec.Datatype)
		case len(spec.Shape) == 0 && (spec.Datatype == tensor.Bytes || spec.Datatype == tensor.FP16):
			return fault.New(fault.Unimplemented, "tensor %q is a scalar of %s, which is not served", spec.Name, spec.Datatype)
		}
	}
	for _, spec := range sig.Outputs {
		if spec.Datatype == tensor.FP16 && !known(spec.Shape, true) {
			return fault.New(fault.Unimplemented, "output %q is FP16 with a free dimension other than the batch, which is not served", spec.Name)
		}
	}
	return nil
}

// sessionOptions are the same for every session:
//
//   - one operator at a time (inter-op 1, sequential execution): a Lambda answers one request at a time;
//   - threads do not spin while they wait: on a Lambda their busy waiting is taken from the same CPU quota;
//   - nothing below a fatal error is logged by ONNX Runtime itself, see load;
//   - no arena and no memory pattern: an arena never gives back what the largest batch took, and for the
//     models measured (decisions, "Session options") malloc is as fast.
func (r *Runtime) sessionOptions() (*ort.SessionOptions, error) {
	o, err := ort.NewSessionOptions()
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "ONNX Runtime gives no session options")
	}
	err = errors.Join(
		o.SetIntraOpNumThreads(r.threads),
		o.SetInterOpNumThreads(1),
		o.SetExecutionMode(ort.ExecutionModeSequential),
		o.SetGraphOptimizationLevel(ort.GraphOptimizationLevelEnableAll),
		o.AddSessionConfigEntry("session.intra_op.allow_spinning", "0"),
		o.SetLogSeverityLevel(ort.LoggingLevelFatal),
		o.SetCpuMemArena(false),
		o.SetMemPattern(false),
		r.appendProvider(o),
	)
	if err != nil {
		o.Destroy()
		return nil, fault.Wrap(err, fault.Internal, "ONNX Runtime refuses the session options")
	}
	return o, nil
}

// runError turns an error of a run into a fault without its text where that could
// repeat a value of the input ("could not convert string 'x'"): what is kept is
// the operator, which ONNX Runtime names before "Status Message:".
func runError(err error) error {
	text := err.Error()
	for _, refusal := range []string{"Got invalid dimensions for input", "Invalid rank for input", "Unexpected input data type"} {
		if strings.Contains(text, refusal) {
			return fault.Wrap(errors.New(refusal), fault.InvalidArgument, "the model does not take inputs of this shape")
		}
	}
	where, _, found := strings.Cut(text, "Status Message:")
	if !found {
		where = "ONNX Runtime gave an error without the name of an operator"
	}
	return fault.Wrap(errors.New(strings.TrimSpace(where)), fault.Internal, "the model failed on these inputs")
}

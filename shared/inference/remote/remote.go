// Package remote runs versions on the backend that a model's settings name: any
// server of the Open Inference Protocol v2 under a URL, such as functions/endpoint,
// Triton, KServe or MLServer, or a SageMaker real-time endpoint. Tensors travel
// binary, connections stay open.
//
// A [Client] asks a backend for one version: it encodes, tries again where nothing
// can have run, hedges if it is told to, and checks what comes back. [Backends]
// puts a client behind inference.Backends: a share of a request's time is the
// backend's, a breaker leaves alone what fails, and what the backend does not answer
// is run in this process, when the version is loaded here.
//
// Invariants: an answer is passed on only if it is of the version asked for, and has
// the outputs, datatypes and shapes of the signature, for as many rows as were sent.
// A request that the backend refused as wrong (400, 422) is refused, not run again.
// Rows are in no log and no error. It knows no settings and no state: those are
// inference's.
//
//	backends := remote.New(remote.Options{Log: log, Count: told.Count})
//	fleet := inference.NewFleet(inference.Options{Backends: backends, …})
//
// Without a fleet, as a tool that compares a backend with a file does:
//
//	client := backends.Client(backend, inference.Bound{Model: "flights", Version: 7, Digest: digest, Signature: &s.Signature})
//	answer, err := client.Infer(ctx, remote.Call{Inputs: inputs})
//	defer answer.Release()
package remote

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/tidegate/tidegate/shared/inference"
)

// Names of the counts (docs/formats/telemetry.md). Behind BackendLost there is the
// reason, see [Reason].
const (
	BackendLost    = "BackendLost"
	BackendRetries = "BackendRetries"
	BackendHedges  = "BackendHedges"
	BreakerOpened  = "BreakerOpened"
	BreakerClosed  = "BreakerClosed"
)

// Options are what backends take from their surroundings.
type Options struct {
	HTTP      *http.Client                 // for URLs; NewHTTP() when nil
	SageMaker func() Invoker               // for SageMaker endpoints, called when the first is met; nil: there is none
	Now       func() time.Time             // time.Now when nil
	Rand      func() float64               // [0, 1), for the pauses before tries; math/rand's when nil
	Count     func(name string, n int64)   // nil counts nothing
	Log       *slog.Logger                 // gets what a backend did wrong; nil logs nothing
	Trace     func(context.Context) string // the trace header of a request, passed on; nil: none
	MaxAnswer int64                        // bytes of an answer; 0 = 64 MiB
}

// Backends implements inference.Backends. It is safe for concurrent use.
type Backends struct {
	opt       Options
	sagemaker func() Invoker
	memory    sync.Pool // of *memory

	mu    sync.Mutex
	bound map[key]*version
}

// key tells versions on backends apart. The signature is that of the digest.
type key struct {
	backend inference.Backend
	model   string
	number  int
	digest  string
}

// New returns backends that nothing is bound to.
func New(o Options) *Backends {
	if o.HTTP == nil {
		o.HTTP = NewHTTP()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Float64
	}
	if o.Count == nil {
		o.Count = func(string, int64) {}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Trace == nil {
		o.Trace = func(context.Context) string { return "" }
	}
	if o.MaxAnswer <= 0 {
		o.MaxAnswer = 64 << 20
	}
	b := &Backends{opt: o, bound: map[key]*version{}, sagemaker: func() Invoker { return nil }}
	if o.SageMaker != nil {
		b.sagemaker = sync.OnceValue(o.SageMaker)
	}
	b.memory.New = func() any { return new(memory) }
	return b
}

// keptVersions bounds the versions whose breakers are remembered.
const keptVersions = 256

// Bind implements inference.Backends.
func (b *Backends) Bind(backend inference.Backend, v inference.Bound) inference.Remote {
	k := key{backend, v.Model, v.Version, v.Digest}
	b.mu.Lock()
	defer b.mu.Unlock()
	if known, ok := b.bound[k]; ok {
		return known
	}
	if len(b.bound) >= keptVersions {
		clear(b.bound) // states that name them keep what they were given
	}
	bound := &version{owner: b, client: b.Client(backend, v), breaker: newBreaker(backend.Breaker, b.opt.Now)}
	b.bound[k] = bound
	return bound
}

// Client returns a client of one version, which has no breaker and no fallback. A
// bound without a version asks for none, one without a digest checks none.
func (b *Backends) Client(backend inference.Backend, v inference.Bound) *Client {
	c := &Client{owner: b, backend: backend, bound: v}
	if c.name = backend.Model; c.name == "" {
		c.name = v.Model
	}
	if backend.Identity != inference.Unchecked {
		c.number = v.Version
	}
	if backend.Kind == inference.SageMaker {
		c.transport = &sagemaker{client: b.sagemaker, endpoint: backend.Endpoint, component: backend.Component, of: c}
	} else {
		c.transport = newURL(c)
	}
	return c
}

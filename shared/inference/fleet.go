package inference

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/provenance/signature"
	"github.com/tidegate/tidegate/shared/registry"
)

// Names of the counts that a fleet reports (docs/formats/telemetry.md).
const (
	StateStale    = "StateStale"    // requests answered by a state older than 5 s
	StateErrors   = "StateErrors"   // states that could not be read or make no sense
	Untrusted     = "Untrusted"     // versions that were not loaded since no trusted key signed them
	LoadFailures  = "LoadFailures"  // versions that could not be loaded: the alarm of a missing or damaged blob
	Loads         = "Loads"         // versions loaded
	Swaps         = "Swaps"         // changes of the version in force of a warm model
	SwapsDelayed  = "SwapsDelayed"  // changes put off by the cap
	Evictions     = "Evictions"     // models unloaded to make room
	MemoryRelease = "MemoryRelease" // times that memory above the limit was given back
)

// The ages of a state at which it is looked at again (PROTOCOLS §3).
const (
	freshFor  = 2500 * time.Millisecond // after the answer
	staleAt   = 5 * time.Second         // before the answer, for at most stalePause
	staleWait = 200 * time.Millisecond
)

// Options are what a fleet takes from its surroundings.
type Options struct {
	Registry *registry.Registry // required
	Runtime  Runtime            // required
	Trust    signature.Trust    // whose signature a version needs to be loaded; the zero value = nobody's
	Backends Backends           // run what settings name a backend for; nil: everything runs here
	Now      func() time.Time   // time.Now when nil
	// Count adds n to the metric of the given name; it may be called at any time. Nil counts nothing.
	Count func(name string, n int64)
	// Log gets what no request can report: background loads that failed. Nil logs nothing.
	Log *slog.Logger
	// CacheBytes bounds the memory of loaded models, as estimated from their files; 0 = no bound.
	// The versions of one model are not held against one another: a rollout needs them side by side, and
	// RSSLimit watches what they really take.
	CacheBytes int64
	// ServedBy is reported with every answer; "" = "lambda".
	ServedBy string
	// Capture is in force where a model's settings leave a field empty.
	Capture registry.CaptureSettings
	// SwapsPerMinute caps the changes of version of all models together; 0 = 6. Each costs a load.
	SwapsPerMinute int
	// RSS is the memory of the process in bytes, RSSLimit what it may be (0 = anything), and Trim
	// gives free memory of the C heap back. Nil RSS or Trim turn the matter off.
	RSS      func() int64
	RSSLimit int64
	Trim     func()
}

// Fleet serves several models. It follows each model's state.json, keeps the
// versions that the state names loaded and picks who answers a request. It
// implements httpapi.Predictor; its methods may be called concurrently.
//
// A state is adopted when the versions that can be routed to (champion and
// challenger) are loaded; until then the one before serves. Work that takes long
// happens in a goroutine of its own, which AfterRequest waits for: only the first
// request of a model ever waits for a load.
type Fleet struct {
	opt    Options
	memory memory

	mu      sync.Mutex
	models  map[string]*model
	unknown map[string]pause // names without an entry: those that had no state, and those whose state could not be read, which have a next pause
	swaps   []time.Time      // of the last minute
}

// NewFleet returns a fleet that has nothing loaded.
func NewFleet(o Options) *Fleet {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Count == nil {
		o.Count = func(string, int64) {}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.ServedBy == "" {
		o.ServedBy = "lambda"
	}
	if o.SwapsPerMinute == 0 {
		o.SwapsPerMinute = 6
	}
	return &Fleet{opt: o, memory: memory{claims: map[*model]int64{}}, models: map[string]*model{}, unknown: map[string]pause{}}
}

// Preload loads models at once, so that their first requests do not wait. The
// error is the first that occurred; the others are loaded all the same, and a
// model that failed is tried again when it is asked for.
func (f *Fleet) Preload(ctx context.Context, names []string) error {
	errs := make(chan error, len(names))
	for _, name := range names {
		go func() {
			m, err := f.model(name)
			if err == nil {
				m.preloaded.Store(true)
				_, err = m.current(ctx)
			}
			errs <- err
		}()
	}
	var first error
	for range names {
		if err := <-errs; err != nil && first == nil {
			first = err
		}
	}
	return first
}

// Pick implements httpapi.Predictor.
func (f *Fleet) Pick(ctx context.Context, sel Selection) (Served, error) {
	m, err := f.model(sel.Model)
	if err != nil {
		return nil, err
	}
	// A view can be evicted between being found and being held. Twice in a row means that the cache
	// is far too small for the traffic.
	for range 3 {
		v, err := m.current(ctx)
		if err != nil {
			return nil, err
		}
		number, slot, err := v.choose(sel)
		if err != nil {
			return nil, err
		}
		p, ok := v.versions[number]
		if !ok {
			if v, err = m.complete(ctx, v); err != nil {
				return nil, err
			}
			if p, ok = v.versions[number]; !ok {
				return nil, unavailable(nil, 0, "version %d of model %q cannot be loaded now", number, m.name)
			}
		}
		if p.hold() {
			m.used.Store(f.opt.Now().UnixNano())
			return newServed(v, p, slot, f.opt.ServedBy), nil
		}
	}
	return nil, unavailable(nil, 0, "model %q was unloaded to make room for others; try again", m.name)
}

// Status implements httpapi.Predictor.
func (f *Fleet) Status(ctx context.Context, name string) (ModelStatus, error) {
	m, err := f.model(name)
	if err != nil {
		return ModelStatus{}, err
	}
	v, err := m.current(ctx)
	if err != nil {
		return ModelStatus{}, err
	}
	return v.status(), nil
}

// Ready implements httpapi.Predictor. A process that came this far can answer:
// whether a model can be loaded is that model's readiness.
func (f *Fleet) Ready(ctx context.Context) error { return ctx.Err() }

// AfterRequest implements httpapi.Predictor: it looks again at states that have
// aged, and waits for what that brings (loading a version, warming it up) until
// ctx ends, so that the next request finds it done. What ctx cuts off goes on in
// the background.
func (f *Fleet) AfterRequest(ctx context.Context) {
	var flights []*flight
	for _, m := range f.list() {
		if m.due() {
			flights = append(flights, m.refresh())
		}
	}
	for _, fl := range flights {
		select {
		case <-fl.done:
		case <-ctx.Done():
			return
		}
	}
	f.watchMemory()
}

// Exhausted says that memory stays above the limit whatever is unloaded: the
// process should end after an answer, as the last resort.
func (f *Fleet) Exhausted() bool { return f.memory.exhausted.Load() }

// Close unloads everything. Versions in use go when their requests are done.
func (f *Fleet) Close() {
	for _, m := range f.list() {
		m.mu.Lock()
		fl := m.flight
		m.mu.Unlock()
		if fl != nil {
			<-fl.done
		}
		if v := m.view.Swap(nil); v != nil {
			v.drop()
		}
	}
}

func (f *Fleet) list() []*model {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := make([]*model, 0, len(f.models))
	for _, m := range f.models {
		all = append(all, m)
	}
	return all
}

// The names of models that do not exist are remembered for as long as a state is
// fresh, those of which nothing is known since the registry does not answer for as
// long as it is not asked again, and not more than unknownKept of them: a flood of
// them costs no reads per request, and no memory.
const unknownKept = 1024

// model finds or makes the entry of a model. NotFound for names that no model
// can have and for those that had no state just now; Unavailable for those whose
// state could not be read just now.
func (f *Fleet) model(name string) (*model, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if m, ok := f.models[name]; ok {
		return m, nil
	}
	if registry.CheckName(name) != nil {
		return nil, fault.New(fault.NotFound, "there is no model of this name: names are made of a-z, 0-9, \"-\" and \"_\"")
	}
	p := f.unknown[name]
	switch wait := p.until.Sub(f.opt.Now()); {
	case wait > 0 && p.next > 0:
		return nil, unread(name, wait)
	case wait > 0:
		return nil, noModel(name)
	}
	delete(f.unknown, name)
	m := &model{fleet: f, name: name, pause: p}
	f.models[name] = m
	return m, nil
}

// forget drops the entry of a model of which nothing is known, and asks for it no
// more before p is over.
func (f *Fleet) forget(m *model, p pause) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.models, m.name)
	if len(f.unknown) >= unknownKept {
		for name := range f.unknown { // any one will do
			delete(f.unknown, name)
			break
		}
	}
	f.unknown[m.name] = p
}

// maySwap counts a change of version against the cap.
func (f *Fleet) maySwap() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.opt.Now()
	kept := f.swaps[:0]
	for _, at := range f.swaps {
		if now.Sub(at) < time.Minute {
			kept = append(kept, at)
		}
	}
	f.swaps = kept
	if len(f.swaps) >= f.opt.SwapsPerMinute {
		f.opt.Count(SwapsDelayed, 1)
		return false
	}
	f.swaps = append(f.swaps, now)
	return true
}

func noModel(name string) error {
	return fault.New(fault.NotFound, "there is no model %q, or no version of it serves yet", name)
}

func unread(name string, wait time.Duration) error {
	return unavailable(nil, wait, "the registry could not be read for model %q; try again", name)
}

// unavailable is a fault that passes by itself. cause may be nil, after 0.
func unavailable(cause error, after time.Duration, format string, args ...any) error {
	e := fault.New(fault.Unavailable, format, args...)
	if cause != nil {
		e, _ = fault.Wrap(cause, fault.Unavailable, format, args...).(*fault.Error)
	}
	return e.After(max(after, time.Second))
}

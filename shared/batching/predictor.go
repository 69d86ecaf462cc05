package batching

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/inference"
	"github.com/tidegate/tidegate/shared/tensor"
)

// Port is what picks versions: inference.Fleet.
type Port interface {
	Pick(ctx context.Context, sel inference.Selection) (inference.Served, error)
	Status(ctx context.Context, model string) (inference.ModelStatus, error)
	Ready(ctx context.Context) error
	AfterRequest(ctx context.Context)
}

// Options are what a predictor takes from its surroundings.
type Options struct {
	Settings func(model string) Settings // nil = the defaults
	Now      func() time.Time            // time.Now when nil
}

// Predictor is a Port whose versions run in batches. It implements
// httpapi.Predictor; its methods may be called concurrently.
type Predictor struct {
	port   Port
	opt    Options
	closed atomic.Bool

	mu      sync.RWMutex
	entries map[version]*entry
}

// version is what a batcher is of. The digest tells apart what a registry that was
// made anew calls by the same number.
type version struct {
	model  string
	number int
	digest string
}

// entry is the batcher of a version, and who uses it.
type entry struct {
	*batcher
	users atomic.Int64
	by    string
}

// New wraps port.
func New(port Port, o Options) *Predictor {
	if o.Settings == nil {
		o.Settings = func(string) Settings { return Settings{} }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Predictor{port: port, opt: o, entries: map[version]*entry{}}
}

// Pick implements httpapi.Predictor.
func (p *Predictor) Pick(ctx context.Context, sel inference.Selection) (inference.Served, error) {
	inner, err := p.port.Pick(ctx, sel)
	if err != nil {
		return nil, err
	}
	return p.wrap(inner, Normal), nil
}

// Status implements httpapi.Predictor.
func (p *Predictor) Status(ctx context.Context, model string) (inference.ModelStatus, error) {
	return p.port.Status(ctx, model)
}

// Ready implements httpapi.Predictor.
func (p *Predictor) Ready(ctx context.Context) error {
	if p.closed.Load() {
		return fault.New(fault.Unavailable, "the server is shutting down").After(time.Second)
	}
	return p.port.Ready(ctx)
}

// AfterRequest implements httpapi.Predictor.
func (p *Predictor) AfterRequest(ctx context.Context) { p.port.AfterRequest(ctx) }

// Drain refuses new runs with Unavailable and waits until all that were admitted
// are answered, or ctx ends.
func (p *Predictor) Drain(ctx context.Context) error {
	p.closed.Store(true)
	for _, e := range p.list() {
		if err := e.drain(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Stats are the figures of every version that has served, by model and version.
func (p *Predictor) Stats() []Stats {
	var all []Stats
	p.mu.RLock()
	for v, e := range p.entries {
		s := e.snapshot()
		s.Model, s.Version, s.ServedBy = v.model, v.number, e.by
		all = append(all, s)
	}
	p.mu.RUnlock()
	slices.SortFunc(all, func(a, b Stats) int { return cmp.Or(cmp.Compare(a.Model, b.Model), cmp.Compare(a.Version, b.Version)) })
	return all
}

func (p *Predictor) list() []*entry {
	p.mu.RLock()
	defer p.mu.RUnlock()
	all := make([]*entry, 0, len(p.entries))
	for _, e := range p.entries {
		all = append(all, e)
	}
	return all
}

// keptVersions bounds the batchers of a model that nobody uses. A state names at
// most four versions.
const keptVersions = 8

// entry finds or makes the batcher of v, with one user more.
func (p *Predictor) entry(v *inference.Version) *entry {
	key := version{v.Model, v.Number, v.Digest}
	p.mu.RLock()
	e, ok := p.entries[key]
	if ok {
		e.users.Add(1)
	}
	p.mu.RUnlock()
	if ok {
		return e
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if e, ok = p.entries[key]; !ok {
		p.prune(v.Model)
		e = &entry{batcher: newBatcher(&v.Schema.Signature, p.opt.Settings(v.Model), p.opt.Now), by: v.ServedBy}
		e.closed = p.closed.Load()
		p.entries[key] = e
	}
	e.users.Add(1)
	return e
}

// prune forgets the versions of a model that are out of use once there are many.
func (p *Predictor) prune(model string) {
	var unused []version
	for key, e := range p.entries {
		if key.model == model && e.users.Load() == 0 {
			unused = append(unused, key)
		}
	}
	if len(unused) < keptVersions {
		return
	}
	for _, key := range unused {
		delete(p.entries, key)
	}
}

func (p *Predictor) wrap(inner inference.Served, at Priority) *served {
	v := inner.Version()
	s := &served{predictor: p, priority: at, lease: lease{inner: inner, entry: p.entry(&v)}}
	s.lease.holds.Store(1)
	return s
}

// lease keeps a version loaded for its caller and for the batches with its rows.
type lease struct {
	inner inference.Served
	entry *entry
	holds atomic.Int64
}

// Run implements holder: it runs the session itself.
func (l *lease) Run(ctx context.Context, inputs []tensor.Tensor, want []string) ([]tensor.Tensor, func(), error) {
	return l.inner.Run(ctx, inputs, want)
}

func (l *lease) hold() { l.holds.Add(1) }

func (l *lease) letGo() {
	if l.holds.Add(-1) == 0 {
		l.inner.Done()
		l.entry.users.Add(-1)
	}
}

// served is a version picked for one request, behind its batcher.
type served struct {
	lease     lease
	predictor *Predictor
	priority  Priority
	done      atomic.Bool
}

// Version implements inference.Served.
func (s *served) Version() inference.Version { return s.lease.inner.Version() }

// Run implements inference.Served.
func (s *served) Run(ctx context.Context, inputs []tensor.Tensor, want []string) ([]tensor.Tensor, func(), error) {
	return s.lease.entry.run(WithPriority(ctx, s.priority), &s.lease, inputs, want)
}

// Ran implements inference.Served: the server of a container runs what it serves itself.
func (s *served) Ran() inference.Ran { return s.lease.inner.Ran() }

// Partners implements inference.Served. Nobody waits for what partners score: it
// gives way to requests.
func (s *served) Partners(key string) []inference.Partner {
	partners := s.lease.inner.Partners(key)
	for i := range partners {
		if partners[i].Served != nil {
			partners[i].Served = s.predictor.wrap(partners[i].Served, Low)
		}
	}
	return partners
}

// Done implements inference.Served.
func (s *served) Done() {
	if !s.done.Swap(true) {
		s.lease.letGo()
	}
}

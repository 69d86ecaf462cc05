package inference

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
)

const (
	// refreshTimeout bounds one look at the registry and the loads that follow from it.
	refreshTimeout = 2 * time.Minute
	// After a failure the next try waits firstPause, then twice as long each time, to lastPause: a
	// registry that is down, or a damaged blob, is not asked for with every request.
	firstPause = time.Second
	lastPause  = 60 * time.Second
	// maxStatePause bounds that pause for states alone, so that the promise to follow within seconds
	// holds again soon after the registry is back.
	maxStatePause = 4 * time.Second
)

// model follows one state.json.
type model struct {
	fleet *Fleet
	name  string
	view  atomic.Pointer[view] // what serves; nil when nothing is loaded
	used  atomic.Int64         // last pick, in Unix nanoseconds

	preloaded atomic.Bool // it is asked for by us, not by clients alone

	mu      sync.Mutex
	gone    error          // why the fleet has dropped this entry; nil while it has not
	flight  *flight        // the refresh that is going on
	newest  registry.State // the newest state read
	etag    string         // its ETag; "" before the first
	checked time.Time      // when the registry last said what the newest state is
	pause   pause          // of reading the state
	behind  pause          // of adopting it
	failed  map[want]*failure
}

// flight is one refresh: at most one per model is going on.
type flight struct {
	read chan struct{} // closed when the state was read, or could not be
	done chan struct{} // closed when the state is adopted, or cannot be
	err  error         // why not; read it after done
}

// pause spaces out tries that fail.
type pause struct {
	until time.Time
	next  time.Duration
}

func (p *pause) failed(now time.Time, longest time.Duration) {
	p.next = min(max(p.next*2, firstPause), longest)
	p.until = now.Add(p.next)
}

// want is a version that is to be loaded, or only described.
type want struct {
	ref   registry.Ref
	local bool
}

// failure is a version that could not be loaded.
type failure struct {
	pause
	err error
}

// current returns what serves now, as new as PROTOCOLS §3 asks for.
func (m *model) current(ctx context.Context) (*view, error) {
	v := m.view.Load()
	if v == nil {
		return m.cold(ctx)
	}
	stale, resting := m.stale()
	if !stale {
		return v, nil
	}
	if resting { // the registry did not answer a moment ago: do not let every request wait for it
		m.fleet.opt.Count(StateStale, 1)
		return v, nil
	}
	fl := m.refresh()
	timer := time.NewTimer(staleWait)
	defer timer.Stop()
	select {
	case <-fl.read:
	case <-timer.C:
	case <-ctx.Done():
		return nil, ended(ctx)
	}
	if stale, _ = m.stale(); stale {
		m.fleet.opt.Count(StateStale, 1)
	}
	if newer := m.view.Load(); newer != nil {
		return newer, nil
	}
	return v, nil
}

// cold waits for the first load.
func (m *model) cold(ctx context.Context) (*view, error) {
	fl, err := m.start()
	if err != nil {
		return nil, err
	}
	select {
	case <-fl.done:
	case <-ctx.Done():
		return nil, ended(ctx)
	}
	if v := m.view.Load(); v != nil {
		return v, nil
	}
	if fl.err == nil {
		return nil, unavailable(nil, 0, "model %q was unloaded to make room for others; try again", m.name)
	}
	return nil, fl.err
}

// start is refresh, unless the registry could not be read just now, or the fleet has
// dropped this entry since the caller found it.
func (m *model) start() (*flight, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.flight == nil && m.gone != nil {
		return nil, m.gone
	}
	if wait := m.pause.until.Sub(m.fleet.opt.Now()); wait > 0 && m.flight == nil {
		return nil, unread(m.name, wait)
	}
	return m.launch(), nil
}

// complete loads the versions that v's state names besides those routed to.
func (m *model) complete(ctx context.Context, v *view) (*view, error) {
	fl := m.refresh()
	select {
	case <-fl.done:
	case <-ctx.Done():
		return nil, ended(ctx)
	}
	if newer := m.view.Load(); newer != nil {
		return newer, nil
	}
	return v, nil
}

func ended(ctx context.Context) error {
	if fault.Is(ctx.Err(), fault.DeadlineExceeded) {
		return fault.Wrap(ctx.Err(), fault.DeadlineExceeded, "the deadline passed while the model was loading")
	}
	return unavailable(ctx.Err(), 0, "the request was given up while the model was loading")
}

// stale says whether the state is too old to answer by, and whether reading it rests after a failure.
func (m *model) stale() (stale, resting bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.fleet.opt.Now()
	return now.Sub(m.checked) > staleAt, now.Before(m.pause.until)
}

// due says whether there is something to do after an answer: a refresh goes on,
// the state has aged since a request used it, or what it names is not all loaded.
func (m *model) due() bool {
	v := m.view.Load()
	if v == nil {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.flight != nil {
		return true // to be waited for
	}
	now := m.fleet.opt.Now()
	if now.Before(m.pause.until) {
		return false
	}
	if m.used.Load() >= m.checked.UnixNano() && now.Sub(m.checked) > freshFor {
		return true
	}
	return !now.Before(m.behind.until) && m.lacking(v, now)
}

// lacking says whether v is behind the newest state in something that may be tried now.
func (m *model) lacking(v *view, now time.Time) bool {
	if v.etag != m.etag {
		return true
	}
	if v.whole {
		return false
	}
	for _, ref := range refs(&m.newest) {
		if v.find(ref, v.local()) == nil {
			if f := m.failed[want{ref, v.local()}]; f == nil || !now.Before(f.until) {
				return true
			}
		}
	}
	return false
}

// refresh joins the refresh that is going on, or starts one. It outlives the
// request that started it: others wait for it too.
func (m *model) refresh() *flight {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.launch()
}

// launch is refresh with the lock held.
func (m *model) launch() *flight {
	if m.flight != nil {
		return m.flight
	}
	fl := &flight{read: make(chan struct{}), done: make(chan struct{})}
	m.flight = fl
	go m.fly(fl)
	return fl
}

func (m *model) fly(fl *flight) {
	ctx, cancel := context.WithTimeout(context.Background(), refreshTimeout)
	defer cancel()
	read := false
	defer func() {
		if p := recover(); p != nil {
			fl.err = unavailable(fmt.Errorf("panic: %v\n%s", p, debug.Stack()), 0, "model %q cannot be loaded", m.name)
		}
		if fl.err != nil {
			m.fleet.opt.Log.Warn("model not refreshed", "model", m.name, "error", fl.err.Error())
		}
		m.mu.Lock()
		m.flight = nil
		if fl.err == nil {
			m.behind = pause{}
		} else {
			m.behind.failed(m.fleet.opt.Now(), lastPause)
		}
		m.mu.Unlock()
		if !read {
			close(fl.read)
		}
		close(fl.done)
	}()
	if fl.err = m.read(ctx); fl.err != nil {
		return
	}
	if fl.err = m.adopt(ctx, false); fl.err == nil { // what needs no load is in force for the request that waits
		read = true
		close(fl.read)
		fl.err = m.adopt(ctx, true)
	}
}

// read brings newest up to date.
func (m *model) read(ctx context.Context) error {
	m.mu.Lock()
	etag := m.etag
	m.mu.Unlock()
	state, newETag, changed, err := m.fleet.opt.Registry.StateIfChanged(ctx, m.name, etag)
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.fleet.opt.Now()
	warm := m.view.Load() != nil
	switch {
	case err == nil:
		m.pause, m.checked = pause{}, now
		if changed {
			m.newest, m.etag = state, newETag
		}
		return nil
	case fault.Is(err, fault.NotFound) && !warm:
		m.gone = noModel(m.name)
		m.fleet.forget(m, pause{until: now.Add(freshFor)})
		return m.gone
	}
	m.fleet.opt.Count(StateErrors, 1)
	m.pause.failed(now, maxStatePause)
	err = unavailable(err, m.pause.next, "the state of model %q cannot be read; try again", m.name)
	if m.etag == "" && !m.preloaded.Load() { // it may be a name that a client made up
		m.gone = err
		m.fleet.forget(m, m.pause)
	}
	return err
}

// adopt puts the newest state in force. Without load it does so only when all
// that it takes is at hand.
func (m *model) adopt(ctx context.Context, load bool) error {
	m.mu.Lock()
	state, etag := m.newest, m.etag
	m.mu.Unlock()
	old := m.view.Load()
	if old != nil && old.etag == etag && old.whole {
		return nil
	}
	if !load && (old == nil || !old.covers(&state)) {
		return nil
	}
	defer m.fleet.unclaim(m)
	next, err := m.build(ctx, old, state, etag)
	if err != nil {
		return err
	}
	m.view.Store(next)
	if old == nil {
		return nil
	}
	if !slices.Equal(refs(&old.state), refs(&next.state)) {
		m.fleet.opt.Count(Swaps, 1)
	}
	if old.drop() {
		m.fleet.release()
	}
	return nil
}

// build makes the view of a state, which holds its versions: those of the old
// view are taken over, the others are loaded. What is not routed to may be
// missing: it is tried again.
func (m *model) build(ctx context.Context, old *view, state registry.State, etag string) (*view, error) {
	next := &view{state: state, etag: etag, versions: map[int]*placed{}, whole: true}
	if err := m.settle(ctx, old, next); err != nil {
		return nil, err
	}
	asked := old == nil || old.etag == etag // the cap on swaps is asked once per state
	for i, ref := range refs(&state) {
		routed := i < routedRefs(&state)
		l := m.keep(old, ref, next.local())
		if l == nil {
			if old == nil && !routed {
				next.whole = false // after the first answer
				continue
			}
			if !asked && next.local() && !m.fleet.maySwap() {
				next.drop()
				return nil, unavailable(nil, time.Minute, "model %q changes too often", m.name)
			}
			asked = true
			var err error
			if l, err = m.obtain(ctx, old, next, ref); err != nil && routed {
				next.drop()
				return nil, err
			} else if err != nil {
				next.whole = false
				continue
			}
		}
		p, err := m.fleet.place(l, next)
		if err != nil {
			l.release()
			next.drop()
			return nil, unavailable(err, lastPause, "version %d of model %q has a contract that cannot be used", ref.Version, m.name)
		}
		next.versions[ref.Version] = p
	}
	m.fleet.pair(next)
	return next, nil
}

// keep takes over a version of the old view, held; nil when it has not got it as it
// is wanted. A session that is not wanted any more goes with the old view.
func (m *model) keep(old *view, ref registry.Ref, local bool) *loaded {
	l := old.find(ref, local)
	switch {
	case l == nil:
		return nil
	case !local && l.session != nil:
		l = &loaded{ref: l.ref, schema: l.schema, at: l.at}
		l.holders.Store(1)
	default:
		l.hold() // old holds it: nothing evicts during a flight
	}
	return l
}

// obtain loads or describes a version. One that cannot be loaded here, for memory
// or for a damaged blob, runs on its backend alone until it can.
func (m *model) obtain(ctx context.Context, old, next *view, ref registry.Ref) (*loaded, error) {
	l, err := m.load(ctx, want{ref, next.local()})
	if err == nil || !next.backend.Remote() || !next.local() {
		return l, err
	}
	m.fleet.opt.Log.Warn("version without fallback", "model", m.name, "version", ref.Version, "error", err.Error())
	next.whole = false
	if l = m.keep(old, ref, false); l != nil {
		return l, nil
	}
	return m.load(ctx, want{ref, false})
}

// settle fills in the settings in force.
func (m *model) settle(ctx context.Context, old, next *view) error {
	digest := next.state.SettingsDigest
	switch {
	case old != nil && old.state.SettingsDigest == digest:
		next.settings = old.settings
	case digest != "":
		s, err := m.fleet.opt.Registry.Settings(ctx, m.name, digest)
		if err != nil {
			m.fleet.opt.Count(StateErrors, 1)
			return unavailable(err, 0, "the settings of model %q cannot be read; try again", m.name)
		}
		next.settings = s
	}
	var err error
	if next.backend, err = ParseBackend(next.settings.Backend); err != nil { // it was stored before its form was fixed, or by a newer release
		m.fleet.opt.Count(StateErrors, 1)
		return unavailable(err, 0, "the backend in the settings of model %q is not valid; configure the model again", m.name)
	}
	if m.fleet.opt.Backends == nil {
		next.backend = DefaultBackend()
	}
	next.capture = merge(m.fleet.opt.Capture, next.settings.Capture)
	return nil
}

func merge(base registry.CaptureSettings, over *registry.CaptureSettings) registry.CaptureSettings {
	if over == nil {
		return base
	}
	if over.Mode != "" {
		base.Mode = over.Mode
	}
	if over.Sampling != nil {
		base.Sampling = over.Sampling
	}
	if over.Redact != nil {
		base.Redact = over.Redact
	}
	if over.MaxBytes != 0 {
		base.MaxBytes = over.MaxBytes
	}
	return base
}

package inference

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/routing"
	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/shared/tensor"
)

// view is a state in force with the versions loaded for it. It never changes; a
// newer state gets a view of its own.
type view struct {
	state    registry.State
	etag     string
	settings registry.Settings
	backend  Backend
	capture  registry.CaptureSettings
	versions map[int]*placed // by number
	whole    bool            // every version that the state names is there
	// partners score beside the version of a number; nil while there is neither a rollout nor a shadow.
	partners map[int][]partner
}

// placed is a loaded version under the settings of a view.
type placed struct {
	*loaded
	checker *schema.Checker
	remote  Remote // nil: it runs here
}

// place makes what serves a version in v.
func (f *Fleet) place(l *loaded, v *view) (*placed, error) {
	checker, err := schema.Compile(l.schema, v.settings.Contract)
	if err != nil {
		return nil, err
	}
	p := &placed{loaded: l, checker: checker}
	if v.backend.Remote() && (v.backend.Identity != Unchecked || l.ref == *v.state.Slots.Champion) {
		p.remote = f.opt.Backends.Bind(v.backend, Bound{Model: v.state.Model, Version: l.ref.Version, Digest: l.ref.Digest, Signature: &l.schema.Signature})
	}
	return p, nil
}

// loaded is a version in memory. It is destroyed when the last of its holders,
// views and requests, lets go.
type loaded struct {
	ref     registry.Ref
	schema  *schema.Schema
	session Session // nil: described only, it runs on a backend
	bytes   int64
	at      time.Time
	holders atomic.Int64 // 0 = destroyed
}

// hold keeps the version loaded, unless it is destroyed already.
func (l *loaded) hold() bool {
	for {
		n := l.holders.Load()
		if n == 0 {
			return false
		}
		if l.holders.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// release lets go; it says whether that destroyed the version.
func (l *loaded) release() bool {
	if l.holders.Add(-1) > 0 {
		return false
	}
	l.close()
	return true
}

func (l *loaded) close() {
	if l.session != nil {
		_ = l.session.Close()
	}
}

// retire takes the version from its only holder, without destroying it yet.
func (l *loaded) retire() bool { return l.holders.CompareAndSwap(1, 0) }

// slotRefs lists what a state's slots hold, those that are routed to first.
func slotRefs(s *registry.State) [4]struct {
	slot registry.Slot
	ref  *registry.Ref
} {
	return [4]struct {
		slot registry.Slot
		ref  *registry.Ref
	}{
		{registry.Champion, s.Slots.Champion}, {registry.Challenger, s.Slots.Challenger},
		{registry.Shadow, s.Slots.Shadow}, {registry.Previous, s.Slots.Previous},
	}
}

// refs lists the versions of a state once each, those that are routed to first.
func refs(s *registry.State) []registry.Ref {
	var all []registry.Ref
	for _, e := range slotRefs(s) {
		if e.ref != nil && !slices.Contains(all, *e.ref) {
			all = append(all, *e.ref)
		}
	}
	return all
}

// routedRefs is how many of refs are champion or challenger.
func routedRefs(s *registry.State) int {
	if s.Slots.Challenger != nil && s.Slots.Champion != nil && *s.Slots.Challenger != *s.Slots.Champion {
		return 2
	}
	return 1
}

// local says whether versions are to be loaded in this process.
func (v *view) local() bool { return !v.backend.Remote() || v.backend.Fallback }

// find returns the version if v has it: loaded, or if local is false described. A
// nil view has nothing.
func (v *view) find(ref registry.Ref, local bool) *loaded {
	if v == nil {
		return nil
	}
	if p, ok := v.versions[ref.Version]; ok && p.ref == ref && (!local || p.session != nil) {
		return p.loaded
	}
	return nil
}

// covers says whether v has all that a state takes at hand.
func (v *view) covers(s *registry.State) bool {
	if v.state.SettingsDigest != s.SettingsDigest {
		return false
	}
	for _, ref := range refs(s) {
		if v.find(ref, v.local()) == nil {
			return false
		}
	}
	return true
}

// drop lets go of every version; it says whether any was destroyed.
func (v *view) drop() (destroyed bool) {
	for _, p := range v.versions {
		destroyed = p.release() || destroyed
	}
	return destroyed
}

// choose says which version answers sel, and as what.
func (v *view) choose(sel Selection) (int, registry.Slot, error) {
	switch {
	case sel.Version > 0:
		if !v.state.Holds(sel.Version) {
			return 0, "", fault.New(fault.NotFound, "no slot of model %q holds version %d; GET /v2/models/%s lists those that serve", sel.Model, sel.Version, sel.Model)
		}
		return sel.Version, registry.Pinned, nil
	case sel.Slot != "":
		for _, e := range slotRefs(&v.state) {
			if e.slot == sel.Slot && e.ref != nil {
				return e.ref.Version, e.slot, nil
			}
		}
		return 0, "", fault.New(fault.NotFound, "model %q has no version in that slot", sel.Model)
	}
	if r, c := v.state.Rollout, v.state.Slots.Challenger; r != nil && c != nil {
		if (routing.Split{RolloutID: r.ID, Weight: v.state.Weights.Challenger}).Challenger(sel.Key) {
			return c.Version, registry.Challenger, nil
		}
	}
	return v.state.Slots.Champion.Version, registry.Champion, nil
}

func (v *view) status() ModelStatus {
	st := ModelStatus{Model: v.state.Model, Generation: v.state.Generation}
	for _, ref := range refs(&v.state) {
		vs := VersionStatus{Number: ref.Version}
		for _, e := range slotRefs(&v.state) {
			if e.ref != nil && *e.ref == ref {
				vs.Slots = append(vs.Slots, e.slot)
			}
		}
		if l := v.find(ref, false); l != nil {
			vs.Ready, vs.Loaded = true, l.at
		}
		st.Versions = append(st.Versions, vs)
	}
	return st
}

// served is a version held for one request.
type served struct {
	placed  *placed
	view    *view // who else was there
	version Version
	low     bool // nobody waits for it
	ran     Ran
	done    atomic.Bool
}

// newServed takes over the caller's hold of p.
func newServed(v *view, p *placed, slot registry.Slot, by string) *served {
	s := &served{placed: p, view: v, ran: Ran{ServedBy: by, Backend: p.remote != nil}, version: Version{
		Model: v.state.Model, Number: p.ref.Version, Digest: p.ref.Digest, Slot: slot, Generation: v.state.Generation,
		ServedBy: by, Schema: p.checker.Schema(), Columns: p.checker, Capture: v.capture,
	}}
	if v.state.Rollout != nil {
		s.version.RolloutID = v.state.Rollout.ID
	}
	return s
}

// Version implements Served.
func (s *served) Version() Version { return s.version }

// Run implements Served.
func (s *served) Run(ctx context.Context, inputs []tensor.Tensor, want []string) ([]tensor.Tensor, func(), error) {
	p := s.placed
	if p.remote == nil && p.session == nil {
		return nil, nil, unavailable(nil, lastPause, "the backend of model %q cannot tell versions apart (identity none) and serves the champion alone", s.version.Model)
	}
	if p.remote == nil {
		return p.session.Run(ctx, inputs, want)
	}
	call := RemoteCall{Inputs: inputs, Want: want, Low: s.low}
	if p.session != nil {
		call.Local = p.session.Run
	}
	outputs, release, ran, err := p.remote.Run(ctx, call)
	if ran.ServedBy == "" {
		ran.ServedBy = s.version.ServedBy
	}
	ran.Backend = true
	s.ran = ran
	return outputs, release, err
}

// Ran implements Served.
func (s *served) Ran() Ran { return s.ran }

// Done implements Served.
func (s *served) Done() {
	if !s.done.Swap(true) {
		s.placed.release()
	}
}

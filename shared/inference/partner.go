package inference

import (
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/routing"
	"github.com/tidegate/tidegate/shared/schema"
)

// Loss is why a version could not score rows that another one has answered.
type Loss string

// The losses that are known without running the version.
const (
	NotLoaded    Loss = "not_loaded"   // it is not in memory, or not any more
	Incompatible Loss = "incompatible" // its contract does not go with that of the champion
)

// Partner is a version that scores the rows of a request after another version
// has answered it: only pairs of predictions for the same rows gate quality.
type Partner struct {
	Served Served // held for the caller, who calls Done; nil when Loss is set
	Fit    *Fit   // makes its inputs of those that were answered
	Loss   Loss
}

// partner is a Partner as a view knows it.
type partner struct {
	placed *placed // nil: not loaded
	slot   registry.Slot
	fit    *Fit // nil: incompatible
}

// pair finds out, once per state, who scores beside whom. The champion and the
// challenger of a rollout are each other's partners, and the shadow is that of
// both: with all three, each request is scored by all of them, the rollout's pair
// first. A version in two slots is one partner. The answer to a request never
// depends on what is found here.
func (f *Fleet) pair(v *view) {
	candidates := [3]struct {
		slot registry.Slot
		ref  *registry.Ref
	}{{registry.Champion, v.state.Slots.Champion}, {registry.Challenger, v.state.Slots.Challenger}, {registry.Shadow, v.state.Slots.Shadow}}
	if v.state.Rollout == nil {
		candidates[1].ref = nil
	}
	if candidates[0].ref == nil || candidates[1].ref == nil && candidates[2].ref == nil {
		return
	}
	v.partners = map[int][]partner{}
	champion, refused := v.versions[candidates[0].ref.Version], map[int]bool{}
	for _, from := range candidates[:2] { // the slots that answer
		if from.ref == nil {
			continue
		}
		answers, known := v.versions[from.ref.Version], []partner(nil)
		for _, to := range candidates {
			if to.ref == nil || *to.ref == *from.ref || to.slot == registry.Shadow && sameRef(to.ref, candidates[1].ref) {
				continue
			}
			p := partner{placed: v.versions[to.ref.Version], slot: to.slot}
			if p.placed != nil {
				p.fit = f.fit(v, champion, answers, p.placed, refused)
			}
			known = append(known, p)
		}
		v.partners[from.ref.Version] = known
	}
}

func sameRef(a, b *registry.Ref) bool { return a != nil && b != nil && *a == *b }

// fit is nil unless both versions stand beside the champion and the rows of one
// can be given to the other. What is in the way is logged once per version.
func (f *Fleet) fit(v *view, champion, from, to *placed, refused map[int]bool) *Fit {
	for _, p := range []*placed{from, to} {
		if p == champion {
			continue
		}
		if found := schema.Compatible(champion.checker.Schema(), p.checker.Schema()); len(found) > 0 {
			if !refused[p.ref.Version] {
				f.opt.Log.Warn("version cannot be paired", "model", v.state.Model, "version", p.ref.Version, "field", found[0].Path, "problem", found[0].Problem, "problems", len(found))
			}
			refused[p.ref.Version] = true
			return nil
		}
	}
	fit, found := NewFit(from.checker, to.checker)
	if len(found) > 0 {
		f.opt.Log.Warn("version cannot be paired", "model", v.state.Model, "version", to.ref.Version, "answered_by", from.ref.Version,
			"field", found[0].Path, "problem", found[0].Problem, "problems", len(found))
	}
	return fit
}

// Partners implements Served.
func (s *served) Partners(key string) []Partner {
	v := s.view
	if v.partners == nil || s.version.Slot != registry.Champion && s.version.Slot != registry.Challenger {
		return nil
	}
	known := v.partners[s.version.Number]
	if p := v.settings.PairRatio; len(known) == 0 || p != nil && !routing.Paired(v.state.Model, key, *p) {
		return nil
	}
	all := make([]Partner, len(known))
	for i, p := range known {
		switch {
		case p.placed == nil:
			all[i].Loss = NotLoaded
		case p.fit == nil:
			all[i].Loss = Incompatible
		case !p.placed.hold(): // unloaded since the request was answered
			all[i].Loss = NotLoaded
		default:
			partner := newServed(v, p.placed, p.slot, s.version.ServedBy)
			partner.low = true
			all[i] = Partner{Served: partner, Fit: p.fit}
		}
	}
	return all
}

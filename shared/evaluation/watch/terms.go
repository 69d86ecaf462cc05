package watch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/tidegate/tidegate/shared/evaluation"
	"github.com/tidegate/tidegate/shared/evaluation/comparison"
	"github.com/tidegate/tidegate/shared/evaluation/frame"
	"github.com/tidegate/tidegate/shared/evaluation/quality"
	"github.com/tidegate/tidegate/shared/evaluation/score"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/outcome"
	"github.com/tidegate/tidegate/shared/period"
	"github.com/tidegate/tidegate/shared/registry"
)

// terms are what the hours of a window are counted on: hours of equal terms add up.
type terms struct {
	win        period.Window
	setup      *evaluation.Setup
	spec       outcome.Spec
	references map[int]evaluation.Reference
	uncompared string
	blank      *evaluation.Tally // without rows
	id         string            // names all of it
}

// terms finds what a window is counted on: the versions that held a slot in it, each
// with the layout of its reference, and the pair of versions to compare.
func (w *Watcher) terms(ctx context.Context, m *watched, win period.Window, mature time.Time, chosen map[string][]string) (*terms, error) {
	states, err := w.inForce(ctx, m, win.Start, win.End)
	if err != nil {
		return nil, err
	}
	champion, err := w.version(ctx, m, *states[0].Slots.Champion)
	if err != nil {
		return nil, err
	}
	t := &terms{win: win, references: map[int]evaluation.Reference{}}
	if t.spec, err = specOf(m, champion); err != nil {
		return nil, err
	}
	t.spec.Key = m.policy.Key
	t.setup = &evaluation.Setup{Task: m.task, Classes: t.spec.Classes, Policy: m.policy, MatureBefore: mature.UTC(), Chosen: chosen, Keyed: m.policy.Key != ""}
	for _, ref := range held(states) {
		v, err := w.version(ctx, m, ref)
		if err != nil {
			return nil, err
		}
		t.add(v)
	}
	if t.setup.Pairing, t.uncompared, err = w.pairing(ctx, m, t, states); err != nil {
		return nil, err
	}
	t.spec.Segments = t.setup.SegmentColumns()
	if t.blank, err = evaluation.NewTally(t.setup); err != nil {
		return nil, err
	}
	return t, t.name()
}

// held are the versions of all slots, by number.
func held(states []registry.State) []registry.Ref {
	found := map[int]registry.Ref{}
	for i := range states {
		s := &states[i].Slots
		for _, ref := range []*registry.Ref{s.Champion, s.Challenger, s.Shadow, s.Previous} {
			if ref != nil {
				found[ref.Version] = *ref
			}
		}
	}
	var out []registry.Ref
	for _, n := range slices.Sorted(maps.Keys(found)) {
		out = append(out, found[n])
	}
	return out
}

// add takes a version in, on the layout of its reference where that fits the classes.
func (t *terms) add(v *version) {
	r := v.reference
	if r.Reference != nil && !slices.Equal(r.Reference.Layout.Classes, names(t.setup)) {
		r = evaluation.Reference{Why: fmt.Sprintf("the reference of version %d is of other classes than those of the champion", v.number)}
	}
	if r.Reference != nil {
		t.setup.Versions = append(t.setup.Versions, evaluation.Version{Version: v.number, Layout: r.Reference.Layout})
	}
	t.references[v.number] = r
}

// names are the classes of a setup as a layout has them.
func names(s *evaluation.Setup) []string {
	if len(s.Classes) == 0 && s.Task == quality.Binary {
		return []string{"0", "1"}
	}
	return s.Classes
}

// specOf says what the outcomes of a model consist of, from what its champion
// answers. The classes are those of the reference; without one they are numbered.
func specOf(m *watched, champion *version) (outcome.Spec, error) {
	var classes []string
	if r := champion.reference.Reference; r != nil {
		classes = r.Layout.Classes
	} else if m.task == quality.Multiclass {
		width := 0
		for _, out := range champion.signature.Outputs {
			width = max(width, out.Width())
		}
		for i := range width {
			classes = append(classes, strconv.Itoa(i))
		}
	}
	spec, err := outcome.SpecOf(m.declare, champion.signature, classes, nil)
	if err != nil {
		return spec, fault.Wrap(err, fault.FailedPrecondition, "the answers of version %d of model %q cannot be evaluated: %s", champion.number, m.name, fault.Public(err).Message)
	}
	return spec, nil
}

// rival finds the last challenger of the states, else their last shadow, and the
// state that it is of.
func rival(states []registry.State) (*registry.Ref, *registry.State) {
	for _, of := range []func(*registry.Slots) *registry.Ref{
		func(s *registry.Slots) *registry.Ref { return s.Challenger },
		func(s *registry.Slots) *registry.Ref { return s.Shadow },
	} {
		for i := range states {
			if ref := of(&states[i].Slots); ref != nil {
				return ref, &states[i]
			}
		}
	}
	return nil, nil
}

// pairing is the comparison of a window's rival with the champion beside it, of a
// rollout by what that has frozen; why says what stands against it.
func (w *Watcher) pairing(ctx context.Context, m *watched, t *terms, states []registry.State) (p *evaluation.Pairing, why string, err error) {
	b, of := rival(states)
	if b == nil {
		return nil, "", nil
	}
	a := of.Slots.Champion
	spec := comparison.Spec{Task: comparison.Task(m.task), Block: m.compare.Block, Probabilities: m.task == quality.Multiclass && t.spec.Score != ""}
	for side, ref := range map[comparison.Side]registry.Ref{comparison.Champion: *a, comparison.Challenger: *b} {
		v, err := w.version(ctx, m, ref)
		if err != nil {
			return nil, "", err
		}
		described := comparison.Version{Name: m.name + "@" + strconv.Itoa(v.number), Digest: v.digest, Dataset: "captures of " + m.name}
		if r := t.references[v.number].Reference; r != nil {
			described.TrainedUntil = r.TrainingEnd
		}
		if m.task == quality.Binary && t.spec.Score != "" {
			described.Bins = t.bins(v.number)
		}
		if side == comparison.Champion {
			spec.Champion = described
		} else {
			spec.Challenger = described
		}
	}
	p = &evaluation.Pairing{Champion: a.Version, Challenger: b.Version}
	if of.Rollout != nil {
		f, err := frame.Read(ctx, w.Data, m.name, of.Rollout.ID)
		if err != nil {
			return nil, "", err
		}
		if f != nil {
			f.Apply(&spec)
			p.Column = f.Column
		}
	}
	if err := spec.Check(); err != nil {
		return nil, fault.Public(err).Message, nil
	}
	p.Spec = spec
	return p, "", nil
}

// bins are those of a version's reference scores, or ones of equal width.
func (t *terms) bins(version int) *score.Bins {
	if r := t.references[version].Reference; r != nil && len(r.Layout.Bins) > 0 {
		return r.Layout.Bins[0]
	}
	return score.Uniform(score.MaxBins)
}

// HourVersion is the format of what is kept of an hour.
const HourVersion = 1

// name makes the id: all that has a say in the counts of an hour, but its sources.
func (t *terms) name() error {
	versions := map[int]string{}
	for n, r := range t.references {
		versions[n] = r.SHA256
	}
	p := &t.setup.Policy
	raw, err := json.Marshal(map[string]any{"hour": HourVersion, "tally": evaluation.TallyVersion, "spec": t.spec, "references": versions,
		"cluster": p.Cluster, "key": p.Key, "segments": p.Segments, "max_segments": p.MaxSegments,
		"mature_before": t.setup.MatureBefore, "chosen": t.setup.Chosen, "pairing": t.setup.Pairing})
	if err != nil {
		return fault.Wrap(err, fault.Internal, "the terms of a window cannot be encoded")
	}
	sum := sha256.Sum256(raw)
	t.id = hex.EncodeToString(sum[:])
	return nil
}

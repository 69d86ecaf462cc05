package rollout_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/evaluation/comparison"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/inference/inferencetest"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/rollout"
	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/shared/tensor"
)

// TestRolloutToTheEnd: shadow, three steps, promotion, and back in one write.
func TestRolloutToTheEnd(t *testing.T) {
	w := newWorld(t, steps)
	w.move(rollout.PromoteIn{Kind: registry.KindShadowStart, Version: 2})
	id := w.start(2)
	s := w.state()
	if s.Slots.Shadow != nil || *s.Slots.Challenger != w.refs[2] || s.Weights.Challenger != 100 || s.Rollout.ID != id || s.Rollout.SettingsDigest != s.SettingsDigest {
		t.Fatalf("%+v", s)
	}
	// Settings that are put in force now count for the next rollout.
	w.move(rollout.PromoteIn{Kind: registry.KindConfigure, Settings: json.RawMessage(`{}`)})
	for from, weight := range []int{2500, 10000} {
		w.clock = w.clock.Add(10 * time.Minute)
		if out := w.advance(id, from); out.State.Weights.Challenger != weight || out.State.Rollout.Step != from+1 {
			t.Fatalf("%+v", out)
		}
	}
	w.clock = w.clock.Add(10 * time.Minute)
	evidence := w.judge(2, string(comparison.Promote), nil)
	out := w.move(rollout.PromoteIn{Kind: registry.KindPromote, RolloutID: id, Evidence: []string{evidence}, Reason: "better"})
	if s := out.State; *s.Slots.Champion != w.refs[2] || *s.Slots.Previous != w.refs[1] || s.Rollout != nil || !slices.Equal(s.Last.Evidence, []string{evidence}) {
		t.Fatalf("%+v", s)
	}
	w.refused(rollout.PromoteIn{Kind: registry.KindStart, Version: 2, Evidence: []string{evidence}}, "version 2 is the champion already")
	out = w.move(rollout.PromoteIn{Kind: registry.KindRollback, Version: 2, Reason: "scores are shifted"})
	if s := out.State; *s.Slots.Champion != w.refs[1] || s.Rejected["2"] == "" || !s.FrozenAt(w.clock) {
		t.Fatalf("%+v", s)
	}
	w.refused(rollout.PromoteIn{Kind: registry.KindStart, Version: 3, Evidence: []string{evidence}}, "the model is frozen until")
	w.move(rollout.PromoteIn{Kind: registry.KindUnfreeze, Reason: "understood"})
	w.refused(rollout.PromoteIn{Kind: registry.KindShadowStart, Version: 2}, "version 2 is rejected (scores are shifted); readmit it first")
	w.move(rollout.PromoteIn{Kind: registry.KindReadmit, Version: 2, Reason: "the data were wrong"})
	w.move(rollout.PromoteIn{Kind: registry.KindShadowStart, Version: 2})
	w.move(rollout.PromoteIn{Kind: registry.KindShadowStop, Version: 2})
}

// TestEvidenceIsOfThisMove: each way in which evidence can be of something else.
func TestEvidenceIsOfThisMove(t *testing.T) {
	zero := 0
	ref := func(v int) registry.Ref { return registry.Ref{Version: v, Digest: "sha256:" + strings.Repeat("a", 64)} }
	both := map[string]struct {
		edit func(*registry.Evidence)
		want string
	}{
		"of another model":       {func(e *registry.Evidence) { e.Model = "trains" }, "it is of another model"},
		"of another champion":    {func(e *registry.Evidence) { e.Champion = ref(3) }, "it measures against version 3, and version 1 is the champion"},
		"of another challenger":  {func(e *registry.Evidence) { e.Challenger = ref(3) }, "it is about version 3, and the move about version 2"},
		"of other content":       {func(e *registry.Evidence) { e.Challenger = ref(2) }, "it is about version 2"},
		"of itself":              {func(e *registry.Evidence) { e.Champion = e.Challenger }, "it compares a version with itself"},
		"that says wait":         {func(e *registry.Evidence) { e.Decision = "wait" }, `it says "wait"`},
		"too old":                {func(e *registry.Evidence) { e.At = e.At.Add(-25 * time.Hour) }, "it is 25h0m0s old, and 24h0m0s is the limit"},
		"from the future":        {func(e *registry.Evidence) { e.At = e.At.Add(6 * time.Minute) }, "it comes from 6m0s in the future"},
		"of a newer format":      {func(e *registry.Evidence) { e.V = 2 }, "deploy the newer release"},
		"of no format":           {func(e *registry.Evidence) { e.V = 0 }, "is not a judgement"},
		"of another kind":        {func(e *registry.Evidence) { e.Kind = "drift" }, "is not a judgement"},
		"a clock of two minutes": {func(e *registry.Evidence) { e.At = e.At.Add(2 * time.Minute) }, ""},
	}
	starts := map[string]struct {
		edit func(*registry.Evidence)
		want string
	}{
		"of no rows":    {func(e *registry.Evidence) { e.Dataset = "" }, "it is of other rows (none)"},
		"of other rows": {func(e *registry.Evidence) { e.Dataset = "sha256:" + strings.Repeat("e", 64) }, "it is of other rows"},
		"to advance":    {func(e *registry.Evidence) { e.Decision = string(comparison.Advance) }, `it says "advance", and this takes start`},
	}
	moves := map[string]struct {
		edit func(*registry.Evidence)
		want string
	}{
		"of another rollout": {func(e *registry.Evidence) { e.RolloutID = "another" }, "it is of another rollout (another)"},
		"of another step":    {func(e *registry.Evidence) { e.Step = 1 }, "it looked at step 1, and the rollout is at step 0"},
		"before the step":    {func(e *registry.Evidence) { e.At = e.At.Add(-16 * time.Minute) }, "it is older than the step"},
		"to start":           {func(e *registry.Evidence) { e.Decision = string(comparison.Start) }, `it says "start"`},
		"to promote":         {func(e *registry.Evidence) { e.Decision = string(comparison.Promote) }, `it says "promote"`},
	}
	for name, tt := range both {
		starts[name], moves[name] = tt, tt
	}
	check := func(t *testing.T, w *world, in rollout.PromoteIn, want string) {
		if want == "" {
			w.move(in)
			return
		}
		w.refused(in, want)
	}
	for name, tt := range starts {
		t.Run("start on evidence "+name, func(t *testing.T) {
			w := newWorld(t, steps)
			check(t, w, rollout.PromoteIn{Kind: registry.KindStart, Version: 2, Dataset: strings.Repeat("d", 64), Evidence: []string{w.judge(2, string(comparison.Start), tt.edit)}}, tt.want)
		})
	}
	for name, tt := range moves {
		t.Run("advance on evidence "+name, func(t *testing.T) {
			w := newWorld(t, steps)
			id := w.start(2)
			w.clock = w.clock.Add(10 * time.Minute)
			check(t, w, rollout.PromoteIn{Kind: registry.KindAdvance, RolloutID: id, FromStep: &zero, Evidence: []string{w.judge(2, string(comparison.Advance), tt.edit)}}, tt.want)
		})
	}
}

func TestEvidenceThatIsNone(t *testing.T) {
	w := newWorld(t, steps)
	start := func(evidence ...string) rollout.PromoteIn {
		return rollout.PromoteIn{Kind: registry.KindStart, Version: 2, Evidence: evidence}
	}
	w.refused(start(), "rollout.start needs evidence")
	w.refused(start(strings.Repeat("0", 64)), "is not among the blobs; store it first")
	w.refused(start(w.blob([]byte("\x00not JSON"))), "is not a judgement of two versions")
	w.refused(start(w.blob([]byte("[]"))), "is not a judgement of two versions")
	damaged := w.judge(2, string(comparison.Start), nil)
	if _, err := w.store.Put(t.Context(), registry.BlobKey(damaged), []byte("other"), blob.Always()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.try(start(damaged)); !fault.Is(err, fault.Internal) {
		t.Errorf("a blob of another digest: %v", err)
	}
	// The first digest is the judgement; what follows is kept.
	page := w.blob([]byte("<html>"))
	out := w.move(start(w.judge(2, string(comparison.Start), func(e *registry.Evidence) { e.Summary = "whole" }), page))
	if out.State.Last.Evidence[1] != page {
		t.Errorf("%+v", out.State.Last)
	}
}

// TestWhatMayNotStart: versions that cannot stand beside the champion.
func TestWhatMayNotStart(t *testing.T) {
	w := newWorld(t, steps)
	other, wider, unchecked := inferencetest.Schema(), inferencetest.Schema(), inferencetest.Schema()
	other.Signature.Outputs = []schema.Spec{{Name: "z", Datatype: tensor.FP32, Shape: []int64{-1, 1}}}
	wider.Signature.Inputs = append(slices.Clone(wider.Signature.Inputs), schema.Spec{Name: "extra", Datatype: tensor.FP32, Shape: []int64{-1, 1}})
	v4, v5, v6 := w.publish(other, registry.Parity{Checked: true}), w.publish(wider, registry.Parity{Checked: true}), w.publish(unchecked, registry.Parity{Reason: "no holdout"})
	claimed, err := w.reg.Claim(t.Context(), model, strings.Repeat("7", 64), "test")
	if err != nil {
		t.Fatal(err)
	}
	for v, want := range map[int]string{v4: `version 4 cannot stand beside version 1: signature.outputs["y"] is missing`, v5: "cannot stand beside"} {
		w.refused(rollout.PromoteIn{Kind: registry.KindShadowStart, Version: v}, want)
		w.refused(rollout.PromoteIn{Kind: registry.KindStart, Version: v, Evidence: []string{w.judge(v, string(comparison.Start), nil)}}, want)
	}
	for _, v := range []int{claimed, 99} {
		for _, kind := range []string{registry.KindShadowStart, registry.KindStart} {
			if _, err := w.try(rollout.PromoteIn{Kind: kind, Version: v, Evidence: []string{w.judge(2, string(comparison.Start), nil)}}); !fault.Is(err, fault.NotFound) {
				t.Errorf("%s of version %d, which is not READY: %v", kind, v, err)
			}
		}
	}
	start := rollout.PromoteIn{Kind: registry.KindStart, Version: v6, Evidence: []string{w.judge(v6, string(comparison.Start), nil)}}
	w.refused(start, "parity of version 6 with its trainer was not checked (no holdout)")
	start.Waive, start.Reason = []string{rollout.WaiveParity}, "compared by hand"
	if out := w.move(start); !slices.Equal(out.State.Last.Waived, []string{rollout.WaiveParity}) || out.State.Last.Reason != "compared by hand" {
		t.Errorf("%+v", out.State.Last)
	}
	// A setting lets the wider version in: it may miss what only it has.
	w = newWorld(t, "")
	v := w.publish(wider, registry.Parity{Checked: true})
	w.move(rollout.PromoteIn{Kind: registry.KindConfigure, Settings: json.RawMessage(`{"contract":{"extra":{"missing":"accept"}}}`)})
	w.move(rollout.PromoteIn{Kind: registry.KindShadowStart, Version: v})
}

// TestParityOnTheBackend: evidence of it stands for the parity that registration did
// not check, if it is of this version, of the backend in force and not too old.
func TestParityOnTheBackend(t *testing.T) {
	const backend = "https://gpu.example.org"
	w := newWorld(t, "")
	w.move(rollout.PromoteIn{Kind: registry.KindConfigure, Settings: json.RawMessage(`{"backend":{"kind":"url","url":"` + backend + `","fallback":false}}`)})
	v := w.publish(inferencetest.Schema(), registry.Parity{Reason: "it does not fit the function"})
	store := func(edit func(*registry.BackendParity)) string {
		p := registry.BackendParity{Model: model, Version: w.refs[v], Backend: backend, Against: "trainer", Parity: registry.Parity{Checked: true, Rows: 10}, At: w.clock}
		if edit != nil {
			edit(&p)
		}
		digest, err := w.reg.PutBackendParity(t.Context(), p)
		w.must(err)
		return digest
	}
	start := func(parity ...string) rollout.PromoteIn {
		return rollout.PromoteIn{Kind: registry.KindStart, Version: v, Evidence: append([]string{w.judge(v, string(comparison.Start), nil)}, parity...)}
	}
	w.refused(start(), "tidegate backend check gives evidence of it")
	w.refused(start(store(func(p *registry.BackendParity) { p.Version = w.refs[1] })), "is of another version")
	w.refused(start(store(func(p *registry.BackendParity) { p.Version.Digest = w.refs[1].Digest })), "is of another version")
	w.refused(start(store(func(p *registry.BackendParity) { p.Backend = "https://other.example.org" })), "is of the backend https://other.example.org, and "+backend+" will serve")
	w.refused(start(store(func(p *registry.BackendParity) { p.At = w.clock.Add(-30 * 24 * time.Hour) })), "check it again")
	good := store(nil)
	if out := w.move(start(good)); out.State.Last.Evidence[1] != good || len(out.State.Last.Waived) != 0 {
		t.Errorf("%+v", out.State.Last)
	}
}

func TestAPersonWaivesTheStartRule(t *testing.T) {
	w := newWorld(t, steps)
	out := w.move(rollout.PromoteIn{Kind: registry.KindStart, Version: 2, Waive: []string{rollout.WaiveEvidence}, Reason: "a fix that cannot wait"})
	if l := out.State.Last; len(l.Evidence) != 0 || !slices.Equal(l.Waived, []string{rollout.WaiveEvidence}) || l.Actor != "ana" || l.Reason == "" {
		t.Errorf("%+v", l)
	}
	w.clock = w.clock.Add(time.Hour)
	zero := 0
	w.refused(rollout.PromoteIn{Kind: registry.KindAdvance, RolloutID: out.TransitionID, FromStep: &zero}, "rollout.advance needs evidence")
}

func TestAbortAndRejection(t *testing.T) {
	for _, tt := range []struct {
		name     string
		in       rollout.PromoteIn
		decision string
		rejects  bool
		want     string
	}{
		{"plain", rollout.PromoteIn{}, "", false, ""},
		{"reject without evidence", rollout.PromoteIn{Reject: true, Reason: "worse"}, "", false, "abort needs evidence"},
		{"reject on evidence", rollout.PromoteIn{Reject: true, Reason: "worse"}, string(comparison.Abort), true, ""},
		{"reject on evidence that only ends it", rollout.PromoteIn{Reject: true, Reason: "no gain"}, string(comparison.Futility), false, "does not say that the version must not serve again"},
		{"reject on evidence to wait", rollout.PromoteIn{Reject: true, Reason: "worse"}, "wait", false, `it says "wait"`},
		{"a person rejects", rollout.PromoteIn{Reject: true, Reason: "inverted scores", Waive: []string{rollout.WaiveEvidence}}, "", true, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, steps)
			tt.in.Kind, tt.in.RolloutID = registry.KindAbort, w.start(2)
			if tt.decision != "" {
				tt.in.Evidence = []string{w.judge(2, tt.decision, nil)}
			}
			w.move(rollout.PromoteIn{Kind: registry.KindFreeze, Until: at(w.clock.Add(time.Hour)), Reason: "audit"})
			if tt.want != "" {
				w.refused(tt.in, tt.want)
				return
			}
			out := w.move(tt.in)
			if _, rejected := out.State.Rejected["2"]; rejected != tt.rejects || out.State.Slots.Challenger != nil {
				t.Errorf("%+v", out.State)
			}
		})
	}
}

func at(t time.Time) *time.Time { return &t }

// TestFreezeBlocksOnlyWhatGivesTraffic on the way through all kinds.
func TestFreezeBlocksOnlyWhatGivesTraffic(t *testing.T) {
	w := newWorld(t, steps)
	freeze := func() {
		w.move(rollout.PromoteIn{Kind: registry.KindFreeze, Until: at(w.clock.Add(24 * time.Hour)), Reason: "audit"})
	}
	id, zero := w.start(2), 0
	w.clock = w.clock.Add(time.Hour)
	freeze()
	w.refused(rollout.PromoteIn{Kind: registry.KindShadowStart, Version: 3}, "frozen until")
	w.refused(rollout.PromoteIn{Kind: registry.KindAdvance, RolloutID: id, FromStep: &zero, Evidence: []string{w.judge(2, string(comparison.Advance), nil)}}, "frozen until")
	w.move(rollout.PromoteIn{Kind: registry.KindPause, RolloutID: id, Reason: "lunch"})
	w.move(rollout.PromoteIn{Kind: registry.KindResume, RolloutID: id, Reason: "back"})
	w.move(rollout.PromoteIn{Kind: registry.KindUnfreeze, Reason: "over"})
	for from := range 2 {
		w.clock = w.clock.Add(time.Hour)
		w.advance(id, from)
	}
	w.clock = w.clock.Add(time.Hour)
	freeze()
	w.refused(rollout.PromoteIn{Kind: registry.KindPromote, RolloutID: id, Evidence: []string{w.judge(2, string(comparison.Promote), nil)}}, "frozen until")
	w.move(rollout.PromoteIn{Kind: registry.KindAbort, RolloutID: id})
}

package rollout_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/evaluation/comparison"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/rollout"
)

// TestARepeatedMoveIsTheSameMove, also when everything it rested on has passed: the
// evidence is old, the rollout has ended, the model is frozen.
func TestARepeatedMoveIsTheSameMove(t *testing.T) {
	w := newWorld(t, steps)
	start := rollout.PromoteIn{Kind: registry.KindStart, Version: 2, TransitionID: "run/start/0", Evidence: []string{w.judge(2, string(comparison.Start), nil)}}
	first := w.move(start)
	w.clock = w.clock.Add(10 * time.Minute)
	zero := 0
	advance := rollout.PromoteIn{Kind: registry.KindAdvance, TransitionID: "run/advance/0", RolloutID: "run/start/0", FromStep: &zero, Evidence: []string{w.judge(2, string(comparison.Advance), nil)}}
	second := w.move(advance)
	late := advance
	late.TransitionID, late.Evidence = "another/advance/0", nil
	if out := w.move(late); !out.Unneeded || out.Repeated || out.State.Generation != second.Generation {
		t.Errorf("an advance from a step that has passed: %+v", out)
	}
	w.move(rollout.PromoteIn{Kind: registry.KindAbort, RolloutID: "run/start/0"})
	w.move(rollout.PromoteIn{Kind: registry.KindFreeze, Until: at(w.clock.Add(1000 * time.Hour)), Reason: "x"})
	w.clock = w.clock.Add(48 * time.Hour)
	generation := w.state().Generation
	for in, want := range map[*rollout.PromoteIn]rollout.PromoteOut{&start: first, &advance: second} {
		out, err := w.try(*in)
		if err != nil || !out.Repeated || out.Generation != want.Generation || out.State.Last.ID != in.TransitionID {
			t.Errorf("%s again: %+v, %v", in.Kind, out, err)
		}
	}
	if w.state().Generation != generation {
		t.Error("a repeated move moved something")
	}
	advance.TransitionID = "run/advance/x"
	w.refused(advance, "there is no rollout; run/start/0 has ended")
}

// TestTwoPromotersAtOnce: of two different moves of one state one is made, and the other is told why not.
func TestTwoPromotersAtOnce(t *testing.T) {
	for range 20 {
		w := newWorld(t, steps)
		evidence := map[int]string{2: w.judge(2, string(comparison.Start), nil), 3: w.judge(3, string(comparison.Start), nil)}
		var wg sync.WaitGroup
		errs := make([]error, 2)
		for i, v := range []int{2, 3} {
			wg.Go(func() {
				_, errs[i] = w.p.Run(t.Context(), rollout.PromoteIn{Model: model, Kind: registry.KindStart, Version: v, Actor: "a",
					TransitionID: []string{"a", "b"}[i], Evidence: []string{evidence[v]}})
			})
		}
		wg.Wait()
		won, lost := errs[0] == nil, fault.Is(errs[0], fault.FailedPrecondition)
		if won == lost || (errs[1] == nil) != lost || !won && errs[1] != nil {
			t.Fatalf("%v", errs)
		}
	}
}

// meddling runs between the reads of a preparation and its write.
type meddling struct {
	blob.Store
	between func()
}

func (m *meddling) Put(ctx context.Context, key string, body []byte, cond blob.Condition) (blob.Info, error) {
	if key == registry.StateKey(model) && m.between != nil {
		run := m.between
		m.between = nil
		run()
	}
	return m.Store.Put(ctx, key, body, cond)
}

// TestAMoveIsPreparedForTheStateItReplaces: settings that come between make the policy another one.
func TestAMoveIsPreparedForTheStateItReplaces(t *testing.T) {
	w := newWorld(t, steps)
	p := rollout.Promoter{Registry: w.on(&meddling{Store: w.store, between: func() {
		w.move(rollout.PromoteIn{Kind: registry.KindConfigure, Settings: json.RawMessage(`{"rollout":{"steps":[{"weight":777,"bake_seconds":1}]}}`)})
	}})}
	out, err := p.Run(t.Context(), rollout.PromoteIn{Model: model, Kind: registry.KindStart, Version: 2, Actor: "a", TransitionID: "s", Evidence: []string{w.judge(2, string(comparison.Start), nil)}})
	if err != nil || out.State.Weights.Challenger != 777 {
		t.Errorf("%+v, %v", out, err)
	}
	// They change for ever: it gives up, and may be repeated.
	w = newWorld(t, steps)
	var always *meddling
	n := 0
	var again func()
	again = func() {
		n++
		w.move(rollout.PromoteIn{Kind: registry.KindConfigure, Settings: json.RawMessage(`{"rollout":{"steps":[{"weight":` + string(rune('0'+n)) + `,"bake_seconds":1}]}}`)})
		always.between = again
	}
	always = &meddling{Store: w.store, between: again}
	p = rollout.Promoter{Registry: w.on(always)}
	_, err = p.Run(t.Context(), rollout.PromoteIn{Model: model, Kind: registry.KindStart, Version: 2, Actor: "a", TransitionID: "s", Evidence: []string{w.judge(2, string(comparison.Start), nil)}})
	if !fault.Is(err, fault.Aborted) || n < 2 {
		t.Errorf("%v after %d changes", err, n)
	}
}

// TestAStateChangedByHand is an alarm for every move, and nothing is written.
func TestAStateChangedByHand(t *testing.T) {
	for name, edit := range map[string]func(*registry.State){
		"a weight without a challenger": func(s *registry.State) { s.Weights.Challenger = 500 },
		"a rejected champion":           func(s *registry.State) { s.Rejected = map[string]string{"1": "x"} },
		"a rollout of nobody":           func(s *registry.State) { s.Rollout = &registry.Rollout{ID: "r", Status: "progressing"} },
		"another model":                 func(s *registry.State) { s.Model = "trains" },
		"a status that is none": func(s *registry.State) {
			s.Slots.Challenger, s.Weights.Challenger, s.Rollout = &registry.Ref{Version: 2, Digest: s.Slots.Champion.Digest}, 1, &registry.Rollout{ID: "r", Status: "dancing"}
		},
	} {
		w := newWorld(t, steps)
		evidence := w.judge(2, string(comparison.Start), nil)
		s := w.state()
		edit(&s)
		body, err := json.Marshal(s)
		w.must(err)
		if _, err := w.store.Put(t.Context(), registry.StateKey(model), body, blob.Always()); err != nil {
			t.Fatal(err)
		}
		for _, in := range []rollout.PromoteIn{
			{Kind: registry.KindStart, Version: 2, Evidence: []string{evidence}}, {Kind: registry.KindAbort, RolloutID: "r"}, {Kind: registry.KindRollback, Version: 1},
			{Kind: registry.KindPause, RolloutID: "r", Reason: "x"}, {Kind: registry.KindPromote, RolloutID: "r", Evidence: []string{evidence}},
		} {
			if _, err := w.try(in); !fault.Is(err, fault.Internal) {
				t.Errorf("%s: %s: %v", name, in.Kind, err)
			}
		}
		obj, err := w.store.Get(t.Context(), registry.StateKey(model))
		if err != nil || string(obj.Body) != string(body) {
			t.Errorf("%s: the state was written", name)
		}
	}
}

// TestInputIsChecked: what belongs to which kind, all faults in one answer.
func TestInputIsChecked(t *testing.T) {
	w := newWorld(t, "")
	one, minus := 1, -1
	for want, in := range map[string]rollout.PromoteIn{
		"version is required by shadow.start":                   {Kind: registry.KindShadowStart},
		"rollout_id is required by promote":                     {Kind: registry.KindPromote},
		"from_step is required by rollout.advance":              {Kind: registry.KindAdvance, RolloutID: "r"},
		"from_step must be at least 0":                          {Kind: registry.KindAdvance, RolloutID: "r", FromStep: &minus},
		"from_step does not belong to promote":                  {Kind: registry.KindPromote, RolloutID: "r", FromStep: &one},
		"rollout_id does not belong to rollout.start":           {Kind: registry.KindStart, Version: 2, RolloutID: "r"},
		"reject does not belong to promote":                     {Kind: registry.KindPromote, RolloutID: "r", Reject: true},
		"reason is required to waive a guard":                   {Kind: registry.KindStart, Version: 2, Waive: []string{"evidence"}},
		"waive cannot be waived by rollout.start":               {Kind: registry.KindStart, Version: 2, Waive: []string{"bake"}, Reason: "x"},
		"waive cannot be waived by abort":                       {Kind: registry.KindAbort, RolloutID: "r", Reject: true, Waive: []string{"parity"}, Reason: "x"},
		"waive is for an abort that rejects":                    {Kind: registry.KindAbort, RolloutID: "r", Waive: []string{"evidence"}, Reason: "x"},
		"waive does not belong to promote":                      {Kind: registry.KindPromote, RolloutID: "r", Waive: []string{"evidence"}, Reason: "x"},
		"approval must be the id of an approval":                {Kind: registry.KindPromote, RolloutID: "r", Approval: "../x"},
		"dataset does not go with waived evidence":              {Kind: registry.KindStart, Version: 2, Waive: []string{"evidence"}, Reason: "x", Dataset: "d"},
		"approval does not belong to rollout.advance":           {Kind: registry.KindAdvance, RolloutID: "r", FromStep: &one, Approval: "x"},
		"settings does not belong to rollout.pause":             {Kind: registry.KindPause, RolloutID: "r", Settings: json.RawMessage(`{}`)},
		"settings.rollout.colour is not a field":                {Kind: registry.KindConfigure, Settings: json.RawMessage(`{"rollout":{"colour":1}}`)},
		"kind is not a transition that can be asked for":        {Kind: "teleport"},
		"evidence[0] must be a sha256 digest in lower-case hex": {Kind: registry.KindAbort, RolloutID: "r", Evidence: []string{"x"}},
	} {
		_, err := w.try(in)
		var f *fault.Error
		found := false
		if errors.As(err, &f) && f.Kind == fault.InvalidArgument {
			for _, v := range f.Violations {
				found = found || len(v.Path+" "+v.Problem) >= len(want) && (v.Path + " " + v.Problem)[:len(want)] == want
			}
		}
		if !found {
			t.Errorf("%s: %v, want %q", in.Kind, err, want)
		}
	}
}

package registry

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
)

// TestRolloutGuards: each move on a state that is right for it, and on those that are not.
func TestRolloutGuards(t *testing.T) {
	now := time.Date(2026, 10, 5, 12, 0, 0, 0, time.UTC)
	v9, v8 := *testRef(9), *testRef(8)
	rolling := func(s *State) {
		s.Slots.Challenger, s.Weights.Challenger = testRef(9), 2500
		s.Rollout = &Rollout{ID: "r", Step: 1, StepStartedAt: now.Add(-time.Hour), Status: Progressing}
	}
	frozen := func(s *State) { s.Frozen = &Freeze{Until: now.Add(time.Hour), By: "bob", Reason: "audit"} }
	paused := func(s *State) { rolling(s); s.Rollout.Status = Paused }
	shadowed := func(s *State) { s.Slots.Shadow = testRef(9) }
	both := func(all ...func(*State)) func(*State) {
		return func(s *State) {
			for _, f := range all {
				f(s)
			}
		}
	}
	const unneeded = "unneeded"
	tests := []struct {
		name    string
		before  func(*State)
		change  Change
		refused string // part of the refusal; empty: accepted
		want    func(s *State) bool
	}{
		{"shadow", nil, StartShadow(v9), "", func(s *State) bool { return *s.Slots.Shadow == v9 && s.Weights.Challenger == 0 }},
		{"shadow again", shadowed, StartShadow(v9), unneeded, nil},
		{"another shadow", shadowed, StartShadow(v8), "version 9 is the shadow; stop it first", nil},
		{"shadow of the champion", nil, StartShadow(*testRef(7)), "version 7 is the champion already", nil},
		{"shadow of the challenger", rolling, StartShadow(v9), "version 9 is the challenger already", nil},
		{"shadow of a rejected version", func(s *State) { s.reject(9, "bad") }, StartShadow(v9), "version 9 is rejected (bad); readmit it", nil},
		{"shadow while frozen", frozen, StartShadow(v9), "frozen until 2026-10-05T13:00:00Z by bob (audit)", nil},
		{"end of a shadow while frozen", both(shadowed, frozen), StopShadow(9), "", func(s *State) bool { return s.Slots.Shadow == nil }},
		{"end of another shadow", shadowed, StopShadow(8), "version 9 is the shadow, not version 8", nil},
		{"end of no shadow", nil, StopShadow(9), unneeded, nil},

		{"start", nil, StartRollout(v9, "r", "o", 100), "", func(s *State) bool {
			return *s.Slots.Challenger == v9 && s.Weights.Challenger == 100 &&
				*s.Rollout == Rollout{ID: "r", Owner: "o", SettingsDigest: s.SettingsDigest, StepStartedAt: now, Status: Progressing}
		}},
		{"start ends its shadow", shadowed, StartRollout(v9, "r", "o", 100), "", func(s *State) bool { return s.Slots.Shadow == nil }},
		{"start keeps another shadow", shadowed, StartRollout(v8, "r", "o", 100), "", func(s *State) bool { return *s.Slots.Shadow == v9 }},
		{"start of the previous champion", nil, StartRollout(*testRef(5), "r", "o", 100), "", func(s *State) bool { return s.Slots.Challenger.Version == 5 }},
		{"two starts", rolling, StartRollout(v8, "q", "o", 100), "a rollout of version 9 is under way (r)", nil},
		{"start of the champion", nil, StartRollout(*testRef(7), "r", "o", 100), "is the champion already", nil},
		{"start of a rejected version", func(s *State) { s.reject(9, "bad") }, StartRollout(v9, "r", "o", 100), "is rejected", nil},
		{"start while frozen", frozen, StartRollout(v9, "r", "o", 100), "frozen until", nil},
		{"start after the freeze", func(s *State) { s.Frozen = &Freeze{Until: now} }, StartRollout(v9, "r", "o", 100), "", func(s *State) bool { return s.Rollout != nil }},
		{"start without a weight", nil, StartRollout(v9, "r", "o", 0), "outside 1..10000", nil},
		{"start with too much", nil, StartRollout(v9, "r", "o", 10001), "outside 1..10000", nil},

		{"advance", rolling, AdvanceRollout("r", 1, time.Hour, 5000), "", func(s *State) bool {
			return s.Weights.Challenger == 5000 && s.Rollout.Step == 2 && s.Rollout.StepStartedAt.Equal(now)
		}},
		{"advance past", rolling, AdvanceRollout("r", 0, time.Hour, 5000), unneeded, nil},
		{"advance past, frozen", both(rolling, frozen), AdvanceRollout("r", 0, time.Hour, 5000), unneeded, nil},
		{"advance ahead", rolling, AdvanceRollout("r", 2, time.Hour, 5000), "is at step 1, not at step 2", nil},
		{"advance early", rolling, AdvanceRollout("r", 1, 2*time.Hour, 5000), "step 1 of rollout r lasts 1h0m0s more", nil},
		{"advance backwards", rolling, AdvanceRollout("r", 1, time.Hour, 2500), "raises the weight, from 2500", nil},
		{"advance too far", rolling, AdvanceRollout("r", 1, time.Hour, 10001), "to at most 10000", nil},
		{"advance while frozen", both(rolling, frozen), AdvanceRollout("r", 1, time.Hour, 5000), "frozen until", nil},
		{"advance while paused", paused, AdvanceRollout("r", 1, time.Hour, 5000), "is paused; resume it first", nil},
		{"advance of an ended rollout", nil, AdvanceRollout("r", 1, time.Hour, 5000), "there is no rollout; r has ended", nil},
		{"advance of another rollout", rolling, AdvanceRollout("q", 1, time.Hour, 5000), "rollout q has ended; r is under way", nil},

		{"pause", both(rolling, frozen), PauseRollout("r", "not enough data"), "", func(s *State) bool { return s.Rollout.Status == Paused && s.Weights.Challenger == 2500 }},
		{"pause twice", paused, PauseRollout("r", "x"), unneeded, nil},
		{"pause without a reason", rolling, PauseRollout("r", ""), "needs a reason", nil},
		{"pause of nothing", nil, PauseRollout("r", "x"), "there is no rollout", nil},
		{"resume", paused, ResumeRollout("r", "labels came", nil), "", func(s *State) bool {
			return s.Rollout.Status == Progressing && s.Rollout.Step == 1 && s.Rollout.StepStartedAt.Equal(now)
		}},
		{"resume twice", rolling, ResumeRollout("r", "x", nil), unneeded, nil},
		{"resume without a reason", paused, ResumeRollout("r", "", nil), "needs a reason", nil},

		{"promote", rolling, Promote("r", 1, time.Hour), "", func(s *State) bool {
			return *s.Slots.Champion == v9 && *s.Slots.Previous == *testRef(7) && s.Slots.Challenger == nil && s.Rollout == nil && s.Weights == Weights{}
		}},
		{"promote before the last step", rolling, Promote("r", 2, time.Hour), "is at step 1, not at step 2", nil},
		{"promote early", rolling, Promote("r", 1, 61*time.Minute), "lasts 1m0s more", nil},
		{"promote while frozen", both(rolling, frozen), Promote("r", 1, time.Hour), "frozen until", nil},
		{"promote while paused", paused, Promote("r", 1, time.Hour), "is paused", nil},
		{"promote of an ended rollout", nil, Promote("r", 1, time.Hour), "there is no rollout", nil},
		{"two promoters", rolling, Promote("q", 1, time.Hour), "rollout q has ended; r is under way", nil},

		{"abort", both(paused, frozen), Abort("r", false, ""), "", func(s *State) bool {
			return s.Slots.Champion.Version == 7 && s.Slots.Challenger == nil && s.Rollout == nil && s.Weights == Weights{} && len(s.Rejected) == 0
		}},
		{"abort and reject", rolling, Abort("r", true, "worse"), "", func(s *State) bool { return s.Rejected["9"] == "worse" }},
		{"abort rejects what was the champion before", func(s *State) { rolling(s); s.Slots.Challenger = testRef(5) }, Abort("r", true, "worse"), "", func(s *State) bool {
			return s.Slots.Previous == nil && s.Rejected["5"] == "worse"
		}},
		{"reject without a reason", rolling, Abort("r", true, ""), "needs a reason", nil},
		{"abort of nothing", nil, Abort("r", false, ""), "there is no rollout", nil},
		{"abort of another", rolling, Abort("q", false, ""), "r is under way", nil},
		{"rollback to the shadow", func(s *State) { s.Slots.Shadow = testRef(5) }, Rollback(7, "ana", ""), "", func(s *State) bool {
			return s.Slots.Champion.Version == 5 && s.Slots.Shadow == nil
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			prev := testState()
			if tt.before != nil {
				tt.before(&prev)
			}
			next := prev.Clone()
			err := tt.change.Apply(&next, now)
			switch {
			case tt.refused == unneeded:
				if !errors.Is(err, errUnneeded) {
					t.Errorf("%v, want that it is not needed", err)
				}
			case tt.refused != "":
				if !fault.Is(err, fault.FailedPrecondition) || !strings.Contains(err.Error(), tt.refused) {
					t.Errorf("%v, want a refusal with %q", err, tt.refused)
				}
			case err != nil:
				t.Error(err)
			default:
				next.Generation, next.Last.Kind, next.Last.At = prev.Generation+1, tt.change.Kind, now
				if err := CheckSuccession(&prev, next); err != nil {
					t.Error(err)
				}
				if !tt.want(&next) {
					t.Errorf("%+v", next)
				}
			}
		})
	}
}

// TestBrokenRolloutsAreFound: each of these steps would be a defect of a transition.
func TestBrokenRolloutsAreFound(t *testing.T) {
	rolling := testState()
	rolling.Slots.Challenger, rolling.Weights.Challenger, rolling.Rollout = testRef(9), 2500, &Rollout{ID: "r", Step: 1, Status: Progressing}
	frozen := rolling.Clone()
	frozen.Frozen = &Freeze{Until: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)}
	for name, tt := range map[string]struct {
		prev State
		kind string
		make func(*State)
	}{
		"a rollout from nowhere":       {testState(), KindConfigure, func(s *State) { *s = rolling.Clone() }},
		"a rollout that begins late":   {testState(), KindStart, func(s *State) { *s = rolling.Clone() }},
		"a rollout that vanishes":      {rolling, KindAdvance, func(s *State) { s.endRollout() }},
		"another challenger":           {rolling, KindAdvance, func(s *State) { s.Slots.Challenger = testRef(8) }},
		"another rollout":              {rolling, KindAdvance, func(s *State) { s.Rollout.ID = "q" }},
		"two steps at once":            {rolling, KindAdvance, func(s *State) { s.Rollout.Step, s.Weights.Challenger = 3, 9000 }},
		"less weight":                  {rolling, KindAdvance, func(s *State) { s.Rollout.Step, s.Weights.Challenger = 2, 100 }},
		"a weight that nobody set":     {rolling, KindConfigure, func(s *State) { s.Weights.Challenger = 9000 }},
		"a promote of something else":  {rolling, KindPromote, func(s *State) { s.endRollout(); s.Slots.Previous, s.Slots.Champion = s.Slots.Champion, testRef(8) }},
		"a promote without a rollout":  {testState(), KindPromote, func(s *State) { s.Slots.Previous, s.Slots.Champion = s.Slots.Champion, testRef(8) }},
		"a promote without a way back": {rolling, KindPromote, func(s *State) { s.Slots.Champion, s.Slots.Previous = s.Slots.Challenger, nil; s.endRollout() }},
		"a promote while frozen": {frozen, KindPromote, func(s *State) {
			s.Slots.Previous, s.Slots.Champion = s.Slots.Champion, s.Slots.Challenger
			s.endRollout()
		}},
		"no id":                {rolling, KindAdvance, func(s *State) { s.Rollout.ID = "" }},
		"no status":            {rolling, KindPause, func(s *State) { s.Rollout.Status = "" }},
		"a rollout of nothing": {rolling, KindAbort, func(s *State) { s.Slots.Challenger, s.Weights = nil, Weights{} }},
	} {
		next := tt.prev.Clone()
		tt.make(&next)
		next.Generation, next.Last.Kind = tt.prev.Generation+1, tt.kind
		if err := CheckSuccession(&tt.prev, next); err == nil {
			t.Errorf("%s passes", name)
		}
	}
}

package registry

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate/tidegate/shared/fault"
)

func testRef(v int) *Ref {
	return &Ref{Version: v, Digest: "sha256:" + fmt.Sprintf("%064x", v)}
}

func testState() State {
	return State{V: 1, Model: "m", Generation: 4, Slots: Slots{Champion: testRef(7), Previous: testRef(5)},
		Last: Transition{ID: "x", Kind: KindPromote, Actor: "a", Evidence: []string{"e"}}}
}

func TestCloneSharesNothing(t *testing.T) {
	s, err := ParseState("flights", golden(t, "state.json"))
	if err != nil {
		t.Fatal(err)
	}
	c := s.Clone()
	if diff := cmp.Diff(s, c); diff != "" {
		t.Fatalf("(-state +clone)\n%s", diff)
	}
	c.Slots.Champion.Version, c.Slots.Challenger.Version, c.Slots.Previous.Version = 99, 99, 99
	c.Rollout.Step, c.Frozen.By, c.Rejected["7"], c.Last.Evidence[0] = 99, "x", "x", "x"
	again, _ := ParseState("flights", golden(t, "state.json"))
	if diff := cmp.Diff(again, s); diff != "" {
		t.Errorf("changing the clone changed the state (-want +got)\n%s", diff)
	}
}

func TestRejectRemembersTheNewest(t *testing.T) {
	var s State
	for v := 100; v < 100+MaxRejected; v++ {
		s.reject(v, "bad")
	}
	s.reject(3, strings.Repeat("ä", 1000)) // older than all, but the one at hand
	if len(s.Rejected) != MaxRejected {
		t.Errorf("%d rejected, want %d", len(s.Rejected), MaxRejected)
	}
	if _, kept := s.Rejected["100"]; kept {
		t.Error("the lowest number is still remembered")
	}
	if reason, ok := s.Rejected["3"]; !ok || len(reason) > 160 || strings.ToValidUTF8(reason, "?") != reason {
		t.Errorf("the version at hand: %v, %d bytes of reason", ok, len(reason))
	}
}

func TestRejectEmptiesSlots(t *testing.T) {
	s := testState()
	s.Slots.Shadow = testRef(5)
	s.reject(5, "bad")
	if s.Slots.Previous != nil || s.Slots.Shadow != nil {
		t.Errorf("a rejected version is still in a slot: %+v", s.Slots)
	}
}

// TestLargestStateFits: whatever requests are accepted, the state stays below its bound.
func TestLargestStateFits(t *testing.T) {
	long := strings.Repeat(`"`, maxReason) // doubles when it is escaped
	s := testState()
	s.Model = strings.Repeat("m", 63)
	s.SettingsDigest = testRef(1).Digest
	for v := range MaxRejected {
		s.reject(MaxVersion-v, long)
	}
	s.Slots = Slots{testRef(1), testRef(2), testRef(3), testRef(4)}
	s.Weights.Challenger = MaxWeight
	s.Rollout = &Rollout{ID: long[:maxID], Owner: long[:maxID], SettingsDigest: s.SettingsDigest, Status: "progressing"}
	s.Frozen = &Freeze{By: long[:maxID], Reason: long}
	s.Last = Transition{ID: long[:maxID], Actor: long[:maxID], Reason: long, Kind: "rollout.advance"}
	for range maxEvidence {
		s.Last.Evidence = append(s.Last.Evidence, testRef(1).Digest)
	}
	body, err := encodeState(&s)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d of %d bytes", len(body), MaxStateBytes)
	s.Rollout.Owner = strings.Repeat("x", MaxStateBytes)
	if _, err := encodeState(&s); !fault.Is(err, fault.FailedPrecondition) {
		t.Errorf("a state over the bound: %v", err)
	}
}

func TestCheckSuccession(t *testing.T) {
	prev := testState()
	tests := []struct {
		name   string
		change func(next *State)
		ok     bool
	}{
		{"configure", func(n *State) { n.Last.Kind = KindConfigure }, true},
		{"champion by configure", func(n *State) { n.Slots.Champion, n.Last.Kind = testRef(8), KindConfigure }, false},
		{"two generations", func(n *State) { n.Generation++ }, false},
		{"same generation", func(n *State) { n.Generation-- }, false},
		{"a rollout starts", func(n *State) {
			n.Slots.Challenger, n.Weights.Challenger, n.Rollout = testRef(8), 100, &Rollout{ID: "r", Status: Progressing}
			n.Last.Kind = KindStart
		}, true},
		{"a rejected champion", func(n *State) { n.Rejected = map[string]string{"7": "bad"} }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			next := prev.Clone()
			next.Generation++
			tt.change(&next)
			if err := CheckSuccession(&prev, next); (err == nil) != tt.ok {
				t.Errorf("%v, want ok = %v", err, tt.ok)
			}
		})
	}
	first := State{V: 1, Model: "m", Generation: 1, Slots: Slots{Champion: testRef(1)}, Last: Transition{ID: "x", Kind: KindBootstrap}}
	if err := CheckSuccession(nil, first); err != nil {
		t.Error(err)
	}
	if err := CheckSuccession(nil, prev); err == nil {
		t.Error("generation 4 passes as the first")
	}
	one, two := prev.Clone(), prev.Clone()
	one.Slots.Challenger, one.Weights.Challenger, one.Rollout = testRef(8), 100, &Rollout{ID: "r", Status: Progressing}
	two = one.Clone()
	two.Generation++
	two.Rollout.ID = "s"
	if err := CheckSuccession(&one, two); err == nil {
		t.Error("a second rollout passes while the first runs")
	}
}

func TestGuards(t *testing.T) {
	now := time.Date(2026, 10, 5, 12, 0, 0, 0, time.UTC)
	day := 24 * time.Hour
	frozen := func(until time.Time) func(*State) {
		return func(s *State) { s.Frozen = &Freeze{Until: until, By: "b", Reason: "r"} }
	}
	rolling := func(s *State) {
		s.Slots.Challenger, s.Weights.Challenger, s.Rollout = testRef(9), 2500, &Rollout{ID: "r", Status: Progressing}
	}
	tests := []struct {
		name    string
		before  func(*State)
		change  Change
		refused string // part of the refusal; empty: accepted
		check   func(t *testing.T, s State)
	}{
		{"bootstrap twice", nil, Bootstrap(*testRef(8)), "version 7 is the champion already", nil},
		{"bootstrap of nothing", func(s *State) { s.Slots = Slots{} }, Bootstrap(*testRef(8)), "", func(t *testing.T, s State) {
			if *s.Slots.Champion != *testRef(8) {
				t.Errorf("champion %+v", s.Slots.Champion)
			}
		}},
		{"configure", nil, Configure("sha256:x"), "", func(t *testing.T, s State) {
			if s.SettingsDigest != "sha256:x" {
				t.Errorf("settings %s", s.SettingsDigest)
			}
		}},
		{"configure during a rollout", rolling, Configure("sha256:x"), "", func(t *testing.T, s State) {
			if s.Rollout.SettingsDigest != "" {
				t.Errorf("the rollout's settings changed to %s", s.Rollout.SettingsDigest)
			}
		}},
		{"rollback", nil, Rollback(7, "ana", "wrong scores"), "", func(t *testing.T, s State) {
			if *s.Slots.Champion != *testRef(5) || s.Slots.Previous != nil || s.Rejected["7"] != "wrong scores" || !s.Frozen.Until.Equal(now.Add(day)) || s.Frozen.By != "ana" {
				t.Errorf("%+v", s)
			}
		}},
		{"rollback without a reason", nil, Rollback(7, "ana", ""), "", func(t *testing.T, s State) {
			if s.Rejected["7"] == "" {
				t.Error("rejected without a reason")
			}
		}},
		{"rollback during a rollout, frozen", func(s *State) { rolling(s); frozen(now.Add(time.Hour))(s) }, Rollback(7, "ana", ""), "", func(t *testing.T, s State) {
			if s.Rollout != nil || s.Slots.Challenger != nil || s.Weights.Challenger != 0 || !s.Frozen.Until.Equal(now.Add(day)) {
				t.Errorf("%+v", s)
			}
		}},
		{"rollback keeps a longer freeze", frozen(now.Add(3 * day)), Rollback(7, "ana", ""), "", func(t *testing.T, s State) {
			if !s.Frozen.Until.Equal(now.Add(3*day)) || s.Frozen.By != "b" {
				t.Errorf("%+v", s.Frozen)
			}
		}},
		{"rollback of another version", nil, Rollback(5, "ana", ""), "version 5 is not the champion, version 7 is", nil},
		{"rollback to nothing", func(s *State) { s.Slots.Previous = nil }, Rollback(7, "ana", ""), "no previous champion", nil},
		{"freeze", nil, FreezeUntil(now.Add(day), "ana", "audit"), "", func(t *testing.T, s State) {
			if !s.FrozenAt(now) || s.FrozenAt(now.Add(day)) {
				t.Errorf("%+v", s.Frozen)
			}
		}},
		{"freeze without a reason", nil, FreezeUntil(now.Add(day), "ana", ""), "needs a reason", nil},
		{"freeze into the past", nil, FreezeUntil(now, "ana", "x"), "in the future", nil},
		{"unfreeze", frozen(now.Add(day)), Unfreeze("done"), "", func(t *testing.T, s State) {
			if s.Frozen != nil {
				t.Error("still frozen")
			}
		}},
		{"unfreeze without a reason", frozen(now.Add(day)), Unfreeze(""), "needs a reason", nil},
		{"unfreeze what is not frozen", nil, Unfreeze("done"), "not frozen", nil},
		{"readmit", func(s *State) { s.reject(3, "bad") }, Readmit(3, "fixed the data"), "", func(t *testing.T, s State) {
			if len(s.Rejected) != 0 {
				t.Errorf("%v", s.Rejected)
			}
		}},
		{"readmit without a reason", func(s *State) { s.reject(3, "bad") }, Readmit(3, ""), "needs a reason", nil},
		{"readmit what is not rejected", nil, Readmit(3, "x"), "not among", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := testState()
			if tt.before != nil {
				tt.before(&s)
			}
			err := tt.change.Apply(&s, now)
			if tt.refused != "" {
				if !fault.Is(err, fault.FailedPrecondition) || !strings.Contains(err.Error(), tt.refused) {
					t.Errorf("%v, want a refusal with %q", err, tt.refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Check(); err != nil {
				t.Error(err)
			}
			tt.check(t, s)
		})
	}
}

func TestHolds(t *testing.T) {
	s := testState()
	held := slices.DeleteFunc([]int{5, 6, 7}, func(v int) bool { return !s.Holds(v) })
	if !slices.Equal(held, []int{5, 7}) {
		t.Errorf("holds %v", held)
	}
}

func TestSettingsFaults(t *testing.T) {
	tests := []struct{ name, body, want string }{
		{"not JSON", `{`, "not valid JSON"},
		{"empty", ``, "not valid JSON"},
		{"two objects", `{}{}`, "one JSON object"},
		{"unknown", `{"colour":"s3cret"}`, "colour is not a setting"},
		{"unknown inside", `{"capture":{"colour":1}}`, "colour is not a setting"},
		{"unknown column rule", `{"contract":{"c":{"colour":1}}}`, "colour is not a setting"},
		{"wrong type", `{"capture":{"sampling":"s3cret"}}`, "capture.sampling has the wrong type"},
		{"mode", `{"capture":{"mode":"s3cret"}}`, "capture.mode must be one of: after, buffered, strict, off"},
		{"sampling", `{"capture":{"sampling":1.5}}`, "capture.sampling must be at most 1"},
		{"negative sampling", `{"capture":{"sampling":-0.1}}`, "capture.sampling must be at least 0"},
		{"pair ratio", `{"pair_ratio":1.01}`, "pair_ratio must be at most 1"},
		{"negative pair ratio", `{"pair_ratio":-1}`, "pair_ratio must be at least 0"},
		{"pair ratio of the wrong type", `{"pair_ratio":"s3cret"}`, "pair_ratio has the wrong type"},
		{"redact", `{"capture":{"redact":{"tail":"s3cret"}}}`, "capture.redact[tail] must be one of: hash, drop"},
		{"max bytes", `{"capture":{"max_bytes":10}}`, "capture.max_bytes must be at least 1024"},
		{"missing", `{"contract":{"c":{"missing":"s3cret"}}}`, "contract[c].missing must be one of: refuse, accept"},
		{"range", `{"contract":{"c":{"min":2,"max":1}}}`, "contract[c] has a min above its max"},
		{"categories", `{"contract":{"c":{"refuse_unknown":true}}}`, "contract[c].categories is required"},
		{"format", `{"v":2}`, "v must be 1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParseSettings([]byte(tt.body))
			if !fault.Is(err, fault.InvalidArgument) || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("%v, want InvalidArgument with %q and without values", err, tt.want)
			}
		})
	}
	if _, err := ParseSettings([]byte(`{"capture":{"mode":"x","sampling":2},"contract":{"c":{"min":2,"max":1}}}`)); err == nil || !strings.HasPrefix(fault.Public(err).Message, strconv.Itoa(3)) {
		t.Errorf("%v, want three faults at once", err)
	}
}

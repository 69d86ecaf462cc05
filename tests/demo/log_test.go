package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/cmd/tidegate/stack"
	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/evaluation/comparison"
	"github.com/tidegate/tidegate/shared/evaluation/score"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/registry/registrytest"
	"github.com/tidegate/tidegate/shared/rollout"
	"github.com/tidegate/tidegate/tests/demo/flights"
)

// world is a registry in memory, whose clock goes on by ten seconds with each move.
type world struct {
	t      *testing.T
	store  *blob.Memory
	reg    *registry.Registry
	demo   *demo
	told   *bytes.Buffer
	clock  time.Time
	refs   []registry.Ref
	writes int
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, store: &blob.Memory{}, told: &bytes.Buffer{}, clock: time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)}
	w.reg = registry.New(w.store, registry.Options{Now: func() time.Time { return w.clock }})
	w.demo = &demo{Stack: &stack.Stack{Registry: w.store}, out: w.told, errs: w.told, patience: time.Millisecond, facts: filepath.Join(t.TempDir(), "demo.json")}
	if _, _, err := w.reg.CreateModel(t.Context(), registry.Model{Name: modelName, Task: "binary_classification"}); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		m, err := registrytest.Register(t.Context(), w.reg, modelName, []byte{byte(i)})
		if err != nil {
			t.Fatal(err)
		}
		w.refs = append(w.refs, registry.Ref{Version: m.Version, Digest: m.Digest})
	}
	w.move(registry.Bootstrap(w.refs[0]))
	return w
}

func (w *world) move(c registry.Change, evidence ...string) {
	w.t.Helper()
	w.writes++
	w.clock = w.clock.Add(10 * time.Second)
	_, err := w.reg.Apply(w.t.Context(), modelName, registry.Request{TransitionID: fmt.Sprint("move-", w.writes), Actor: actor, Reason: "a test", Evidence: evidence}, c)
	if err != nil {
		w.t.Fatal(err)
	}
}

// judged stores evidence of n pairs; gain is what the challenger knows more than the champion.
func (w *world) judged(challenger registry.Ref, n int, gain float64, decision comparison.Action) string {
	w.t.Helper()
	side := func(name string) comparison.Version {
		return comparison.Version{Name: name, Digest: name, Dataset: "rows", Bins: score.Uniform(100)}
	}
	s, err := comparison.New(comparison.Spec{Task: comparison.Binary, Block: comparison.Day, Champion: side("flights@1"), Challenger: side("flights@2")})
	if err != nil {
		w.t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range n {
		label := rng.IntN(2)
		hint := 0.2*float64(label) + 0.5*rng.Float64()
		r := comparison.Row{Time: w.clock, Group: i % 20, Label: label, Champion: comparison.Answer{Score: hint}, Challenger: comparison.Answer{Score: hint + gain*float64(label)}}
		if err := s.Add(&r); err != nil {
			w.t.Fatal(err)
		}
	}
	report, err := comparison.NewReport(s, comparison.DefaultPolicy(), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	raw, err := json.Marshal(report)
	if err != nil {
		w.t.Fatal(err)
	}
	digest, err := w.reg.PutEvidence(w.t.Context(), registry.Evidence{Model: modelName, Champion: w.refs[0], Challenger: challenger, Decision: string(decision), At: w.clock, Report: raw})
	if err != nil {
		w.t.Fatal(err)
	}
	return digest
}

// promoted leads the second version to all of the traffic.
func (w *world) promoted() {
	v := w.refs[1]
	w.move(registry.StartShadow(v))
	w.move(registry.StartRollout(v, "first", actor, weights[0]))
	w.move(registry.AdvanceRollout("first", 0, time.Second, weights[2]), w.judged(v, 400, 0.1, comparison.Advance))
	w.move(registry.Promote("first", 1, time.Second), w.judged(v, 800, 0.1, comparison.Promote))
}

func TestRetellByTheLogAlone(t *testing.T) {
	w := newWorld(t)
	if second, err := w.demo.retell(t.Context(), w.reg, &Facts{}); second != 0 || err != nil || w.told.Len() > 0 {
		t.Fatalf("of a log without a rollout: version %d, %v, %q", second, err, w.told)
	}
	w.promoted()
	w.demo.told = 0
	if _, err := w.demo.retell(t.Context(), w.reg, &Facts{}); err == nil || !strings.Contains(err.Error(), "make down") {
		t.Errorf("of a log that ends in the middle: %v", err)
	}
	w.move(registry.StartRollout(w.refs[2], "second", actor, weights[0]))
	w.move(registry.Abort("second", true, "harm"), w.judged(w.refs[2], 400, -0.2, comparison.Abort))
	w.move(registry.Rollback(2, actor, "a person"))
	w.move(registry.FreezeUntil(w.clock.Add(time.Hour), actor, "something later")) // what comes after is not of this chapter
	if err := writeFacts(w.demo.facts, Facts{Rollback: &Effect{Seconds: 1.5}}); err != nil {
		t.Fatal(err)
	}
	w.demo.told = 0
	var facts Facts
	second, err := w.demo.retell(t.Context(), w.reg, &facts)
	if err != nil || second != 2 || facts.Rollback.Seconds != 1.5 || len(facts.Rollouts) != 2 {
		t.Fatalf("version %d, %v, %+v", second, err, facts)
	}
	good, bad := facts.Rollouts[0], facts.Rollouts[1]
	if good.Outcome != "promote" || len(good.Steps) != 2 || good.Steps[0].Weight != weights[0] || good.Steps[1].Weight != weights[2] || good.Steps[1].Step != 1 ||
		good.Steps[0].Pairs != 400 || good.Steps[1].Pairs != 800 || good.Steps[1].Gain[0] <= 0 || good.Steps[1].Keys != 20 {
		t.Errorf("%+v", good)
	}
	if bad.Outcome != "abort" || bad.Version != 3 || len(bad.Steps) != 1 || bad.Steps[0].Decision != "abort" || bad.Steps[0].Gain[2] >= 0 {
		t.Errorf("%+v", bad)
	}
	if strings.Contains(w.told.String(), "something later") {
		t.Errorf("it goes on after the rollback:\n%s", w.told)
	}
	for _, part := range []string{"shadow.start: version 2 scores", "version 2 answers 20 % of the keys", "version 2 is the champion", "400 pairs", "rollback: version 1 answers everything"} {
		if !strings.Contains(w.told.String(), part) {
			t.Errorf("%q is not told:\n%s", part, w.told)
		}
	}
}

func TestFollowEndsWhereItShould(t *testing.T) {
	w := newWorld(t)
	w.demo.told = 1
	r := &RolledOut{Version: 2}
	days := 0
	feed := func(context.Context) (bool, error) {
		if days++; days == 2 {
			w.promoted()
		}
		return days < 5, nil
	}
	if err := w.demo.follow(t.Context(), w.reg, r, feed, ends); err != nil || days != 2 || len(r.Steps) != 2 {
		t.Errorf("%v after %d days, %+v", err, days, r)
	}
	if err := w.demo.filedUnder(t.Context(), w.reg, r, registry.KindAbort, &Facts{}); err == nil {
		t.Error("a promotion is taken for an abort")
	}
	if err := w.demo.follow(t.Context(), w.reg, r, nil, ends); err == nil || !strings.Contains(err.Error(), "nothing has moved") {
		t.Errorf("nothing moves: %v", err)
	}
}

func TestReadLogFindsGaps(t *testing.T) {
	w := newWorld(t)
	w.promoted()
	var facts Facts
	if err := w.demo.readLog(t.Context(), w.reg, &facts); err != nil || facts.Log != (Logged{Generations: 5}) {
		t.Errorf("%+v, %v", facts.Log, err)
	}
	w.store.Delete(registry.LogKey(modelName, 3))
	if err := w.demo.readLog(t.Context(), w.reg, &facts); err == nil || facts.Log.Gaps != 1 {
		t.Errorf("%+v, %v", facts.Log, err)
	}
}

func TestSettings(t *testing.T) {
	document, err := settings(7)
	if err != nil {
		t.Fatal(err)
	}
	var s registry.Settings
	if err := json.Unmarshal(document, &s); err != nil {
		t.Fatal(err)
	}
	p, err := rollout.ParsePolicy(s.Rollout)
	if err != nil || p.Shadow.Pairs != 7 || len(p.Steps) != len(weights) || p.Steps[0].Weight != weights[0] {
		t.Errorf("%+v, %v", p, err)
	}
	gate, err := comparison.ParsePolicy(s.Comparison)
	if err != nil || !gate.Guardrails.Latency.Off || gate.Guardrails.LogLoss.Off || gate.Primary != comparison.ROCAUC {
		t.Errorf("%+v, %v", gate, err)
	}
}

// Days of flights resemble each other: what is better in all of them is promoted, after ten; what is better in
// some and worse in others is not, though errors by row would have it.
func TestLookDaily(t *testing.T) {
	late, early := 60.0, -5.0
	month := func(effect func(day int) float64) (fs []flights.Flight, scores [2][]float32) {
		rng := rand.New(rand.NewPCG(9, 12))
		for day := 1; day <= 20; day++ {
			for range 400 {
				f := flights.Flight{Month: 12, Day: day, ArrDelay: &early}
				shift := 0.0
				if rng.Float64() < 0.3 {
					f.ArrDelay, shift = &late, 0.15
				}
				hint := 0.2 + 0.4*rng.Float64() + shift
				fs = append(fs, f)
				scores[0] = append(scores[0], float32(hint))
				scores[1] = append(scores[1], float32(hint+effect(day)*shift))
			}
		}
		return fs, scores
	}
	side := func(name string) comparison.Version {
		return comparison.Version{Name: name, Digest: name, Dataset: "2013-12", Bins: score.Uniform(1000)}
	}
	spec := comparison.Spec{Task: comparison.Binary, Block: comparison.Day, Pinned: true, Champion: side("a"), Challenger: side("b")}
	fs, scores := month(func(int) float64 { return 0.3 })
	r, _, err := lookDaily(spec, fs, scores)
	if err != nil || r.Promoted != "2013-12-10" || r.FewDays >= r.Promoted || r.Pairs != uint64(len(fs)) {
		t.Errorf("%+v, %v", r, err)
	}
	fs, scores = month(func(day int) float64 { return []float64{1, -0.5}[day%2] })
	r, _, err = lookDaily(spec, fs, scores)
	if err != nil || r.Promoted != "" || r.ByRow == "" {
		t.Errorf("%+v, %v", r, err)
	}
}

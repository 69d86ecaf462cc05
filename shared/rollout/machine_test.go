package rollout_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/blob/blobtest"
	"github.com/tidegate/tidegate/shared/evaluation/comparison"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/rollout"
)

// errStopped ends an execution in the middle of a task: nobody knows whether it took place.
var errStopped = errors.New("the execution was stopped")

// machine goes the ways of statemachines/rollout.asl.json: which task follows which
// answer, what is tried again, and that whatever fails leaves the rollout paused.
type machine struct {
	w       *world
	p       rollout.Promoter
	id      string
	version int
	start   string // evidence
	// decide looks at the pairs of the step, as the function evaluate does.
	decide func(g *rollout.Progress) (d comparison.Decision, digest string, err error)
	// stop says whether the execution is stopped, asked before and after each task.
	stop func() bool
	// looked is told of each look.
	looked func(g *rollout.Progress)
}

// retries are those of the definition, of what passes.
const retries = 6

func (m *machine) task(in rollout.PromoteIn) (rollout.PromoteOut, error) {
	in.Model, in.Actor = model, "rollout"
	for try := 0; ; try++ {
		if m.stop != nil && m.stop() {
			return rollout.PromoteOut{}, errStopped
		}
		out, err := m.p.Run(m.w.t.Context(), in)
		if m.stop != nil && m.stop() {
			return rollout.PromoteOut{}, errStopped
		}
		passes := fault.Is(err, fault.Unavailable) || fault.Is(err, fault.Aborted) || fault.Is(err, fault.ResourceExhausted)
		if !passes || try == retries {
			return out, err
		}
	}
}

// execute is one execution. ended is how the rollout ended, or paused; an error is
// that the execution was stopped, or failed.
func (m *machine) execute(looks int) (ended string, err error) {
	defer func() {
		if err == nil || errors.Is(err, errStopped) {
			return
		}
		_, paused := m.task(rollout.PromoteIn{Kind: registry.KindPause, RolloutID: m.id, TransitionID: m.id + "/failed/" + fmt.Sprint(m.w.moves), Reason: "the machine failed"})
		m.w.moves++
		if paused == nil {
			ended, err = registry.Paused, nil
		}
	}()
	out, err := m.task(rollout.PromoteIn{Kind: rollout.KindLook, RolloutID: m.id})
	if err != nil {
		return "", err
	}
	if g := out.Progress; g.Status == rollout.Ended && g.EndedBy == "" {
		if _, err := m.task(rollout.PromoteIn{Kind: registry.KindStart, TransitionID: m.id, SeenGeneration: out.Generation, Version: m.version, Evidence: []string{m.start}, Reason: "a test"}); err != nil {
			return "", err
		}
	}
	for range looks {
		out, err := m.task(rollout.PromoteIn{Kind: rollout.KindLook, RolloutID: m.id})
		if err != nil {
			return "", err
		}
		g := out.Progress
		if m.looked != nil {
			m.looked(g)
		}
		switch g.Status {
		case rollout.Ended:
			return g.EndedBy, nil
		case registry.Paused:
			return registry.Paused, nil
		}
		moved, err := m.act(&out)
		if err != nil && !fault.Is(err, fault.FailedPrecondition) {
			return "", err
		}
		if !moved || err != nil {
			m.w.clock = m.w.clock.Add(time.Duration(g.Poll) * time.Second)
		}
	}
	return "", fmt.Errorf("it has not ended after %d looks", looks)
}

// act does what the evidence says.
func (m *machine) act(out *rollout.PromoteOut) (moved bool, err error) {
	g := out.Progress
	d, digest, err := m.decide(g)
	if err != nil {
		return false, err
	}
	in := rollout.PromoteIn{RolloutID: m.id, SeenGeneration: out.Generation, Reason: d.Summary, TransitionID: fmt.Sprintf("%s/%s/%d", m.id, d.Action, g.Step)}
	if digest != "" {
		in.Evidence = []string{digest}
	}
	switch {
	case d.Action == comparison.Abort, d.Action == comparison.Futility:
		in.Kind, in.Reject, in.TransitionID = registry.KindAbort, d.Reject, fmt.Sprintf("%s/abort/%d", m.id, g.Step)
	case g.Frozen:
		return false, nil
	case d.Action == comparison.Advance:
		in.Kind, in.FromStep = registry.KindAdvance, &g.Step
	case d.Action == comparison.Promote:
		in.Kind = registry.KindPromote
	case d.Action == comparison.Pause:
		in.Kind, in.TransitionID = registry.KindPause, fmt.Sprintf("%s/pause/%d", m.id, out.Generation)
	default:
		return false, nil
	}
	_, err = m.task(in)
	return true, err
}

// scripted decides at random, but never before the bake is over, and keeps a
// judgement for each decision that moves something.
func (m *machine) scripted(rng *rand.Rand) func(*rollout.Progress) (comparison.Decision, string, error) {
	return func(g *rollout.Progress) (comparison.Decision, string, error) {
		d := comparison.Decision{Action: comparison.Wait, Summary: "a test"}
		switch p := rng.Float64(); {
		case p < 0.002:
			d.Action, d.Reject = comparison.Abort, true
		case p < 0.004:
			d.Action = comparison.Pause
		case g.Elapsed < g.Bake:
		case g.Last:
			d.Action = comparison.Promote
		default:
			d.Action = comparison.Advance
		}
		if d.Action == comparison.Wait {
			return d, "", nil
		}
		return d, m.w.judge(m.version, string(d.Action), nil), nil
	}
}

// TestMachineUnderFaults: with faults in every storage call, executions stopped in
// the middle of tasks and started again, and a person who acts in between, every run
// ends promoted, aborted or paused, the log has no gap, no move is made twice, and
// the invariants of the state hold at each generation.
func TestMachineUnderFaults(t *testing.T) {
	runs := 1000
	if testing.Short() {
		runs = 50
	}
	ends := map[string]int{}
	for seed := range uint64(runs) {
		rng := rand.New(rand.NewPCG(seed, 2026))
		w := newWorld(t, steps)
		w.precede()
		faulty := blobtest.Faulty(w.store, seed, blobtest.Faults{DropAnswers: 0.15, Conflict409: 0.1, Precondition412: 0.05, Unavailable503: 0.1})
		m := &machine{w: w, p: rollout.Promoter{Registry: w.on(faulty)}, id: "run", version: 2, start: w.judge(2, string(comparison.Start), nil)}
		m.decide = m.scripted(rng)
		m.stop = func() bool { return rng.Float64() < 0.01 }
		m.looked = func(g *rollout.Progress) { w.meddle(rng, g) }
		end := ""
		for range 200 {
			var err error
			if end, err = m.execute(5000); err == nil && end == registry.Paused && rng.Float64() < 0.5 {
				if _, err := w.try(rollout.PromoteIn{Kind: registry.KindResume, RolloutID: "run", Reason: "go on"}); err != nil && !fault.Is(err, fault.FailedPrecondition) { // somebody may have ended it
					t.Fatalf("seed %d: resume: %v", seed, err)
				}
				continue
			}
			if end != "" {
				break
			}
			if !errors.Is(err, errStopped) && !fault.Is(err, fault.Unavailable) && !fault.Is(err, fault.Aborted) {
				t.Fatalf("seed %d: %v", seed, err)
			}
		}
		ends[end]++
		w.sound(seed)
	}
	t.Log(ends)
	for _, end := range []string{registry.KindPromote, registry.KindAbort, registry.Paused, registry.KindRollback} {
		if !testing.Short() && ends[end] == 0 {
			t.Errorf("no run ended by %s", end)
		}
		delete(ends, end)
	}
	if len(ends) > 0 {
		t.Errorf("runs ended otherwise: %v", ends)
	}
}

// precede gives the model a previous champion, so that there is something to roll back to.
func (w *world) precede() {
	w.t.Helper()
	id := w.start(3)
	for from := range 2 {
		w.clock = w.clock.Add(10 * time.Minute)
		w.advance(id, from)
	}
	w.clock = w.clock.Add(10 * time.Minute)
	w.move(rollout.PromoteIn{Kind: registry.KindPromote, RolloutID: id, Evidence: []string{w.judge(3, string(comparison.Promote), nil)}})
}

// meddle is what a person may do at any time.
func (w *world) meddle(rng *rand.Rand, g *rollout.Progress) {
	w.t.Helper()
	in := rollout.PromoteIn{Reason: "a person"}
	switch p := rng.Float64(); {
	case p < 0.001:
		in.Kind, in.RolloutID = registry.KindPause, g.RolloutID
	case p < 0.002:
		in.Kind, in.RolloutID = registry.KindAbort, g.RolloutID
	case p < 0.004:
		in.Kind, in.Until = registry.KindFreeze, at(w.clock.Add(30*time.Minute))
	case p < 0.02 && g.Frozen:
		in.Kind = registry.KindUnfreeze
	case p < 0.006 && w.state().Slots.Previous != nil:
		in.Kind, in.Version = registry.KindRollback, w.state().Slots.Champion.Version
	default:
		return
	}
	if _, err := w.try(in); err != nil && !fault.Is(err, fault.FailedPrecondition) {
		w.t.Fatalf("%s: %v", in.Kind, err)
	}
}

// sound checks the log from the first generation to the newest.
func (w *world) sound(seed uint64) {
	w.t.Helper()
	newest := w.state()
	ids := map[string]bool{}
	var prev *registry.State
	for g := int64(1); g <= newest.Generation; g++ {
		s, err := w.reg.LogEntry(w.t.Context(), model, g)
		if fault.Is(err, fault.NotFound) && g == newest.Generation {
			s, err = newest, nil // the outbox of the last move: the next writer fills it in
		}
		if err != nil {
			w.t.Fatalf("seed %d: generation %d: %v", seed, g, err)
		}
		if err := registry.CheckSuccession(prev, s); err != nil {
			w.t.Fatalf("seed %d: generation %d: %v", seed, g, err)
		}
		if ids[s.Last.ID] {
			w.t.Fatalf("seed %d: %s was made twice", seed, s.Last.ID)
		}
		ids[s.Last.ID] = true
		prev = &s
	}
}

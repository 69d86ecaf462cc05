package local

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tidegate/tidegate/tests/local/stack"
)

// What the demo proves holds on this machine too: nothing lost, nothing doubled, the serving runtime answers as the trainer did.
func TestDemoFacts(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(stack.Root(), ".local", local.Instance, "demo.json"))
	if err != nil {
		t.Skip("the demo has not run on this instance: scripts/demo --instance ", local.Instance)
	}
	var facts struct {
		Holdout struct {
			Rows   int     `json:"rows"`
			ROCAUC float64 `json:"roc_auc"`
		} `json:"holdout"`
		Parity struct {
			Rows       int     `json:"rows"`
			MaxAbsDiff float64 `json:"max_abs_diff"`
		} `json:"parity"`
		Sent     struct{ Requests, Rows int }                        `json:"sent"`
		Errors   int                                                 `json:"errors"`
		Captured struct{ Rows, Missing, Duplicates, Mismatched int } `json:"captured"`
		Drift    []struct {
			Window, Verdict string
			Rows            int
			Columns         []string
		} `json:"drift"`
		Evaluation []evaluated `json:"evaluation"`
		Retraining struct {
			Trigger, Outcome         string
			Debounced, Rows, Version int
		} `json:"retraining"`
		Rollouts []toldRollout `json:"rollouts"`
		Rollback struct {
			Seconds float64 `json:"seconds_to_effect"`
		} `json:"rollback"`
		Log     struct{ Generations, Gaps int } `json:"log"`
		Replays []toldMonth                     `json:"replays"`
	}
	if err := json.Unmarshal(text, &facts); err != nil {
		t.Fatal(err)
	}
	c := facts.Captured
	if facts.Sent.Rows < 27_000 || c.Rows != facts.Sent.Rows || c.Missing+c.Duplicates+c.Mismatched+facts.Errors != 0 {
		t.Errorf("sent and captured: %s", text)
	}
	// What really drifts in these flights: tail numbers of new aircraft, in every month.
	for i, month := range facts.Drift {
		if i < 8 && (month.Window != fmt.Sprintf("2013-%02d", 5+i) || month.Rows < 27_000 || month.Verdict != "drift" || !slices.Contains(month.Columns, "tailnum") ||
			slices.Contains(month.Columns, "distance")) {
			t.Errorf("drift of month %d: %+v", 5+i, month)
		}
	}
	if len(facts.Drift) < 8 {
		t.Errorf("%d windows were judged", len(facts.Drift))
	}
	checkEvaluation(t, facts.Evaluation)
	checkRollouts(t, facts.Rollouts, facts.Log.Generations)
	checkReplays(t, facts.Replays)
	scored := 0 // what starts the training of another version
	for _, month := range facts.Drift[:min(3, len(facts.Drift))] {
		if slices.Contains(month.Columns, "probabilities_1") {
			scored++
		}
	}
	if scored < 2 {
		t.Errorf("the scores drifted in %d of the months before the second version", scored)
	}
	if r := facts.Retraining; !strings.HasPrefix(r.Trigger, "drift ") || r.Debounced < 1 || r.Rows < 180_000 || r.Outcome != "promoted" || len(facts.Rollouts) == 0 || r.Version != facts.Rollouts[0].Version {
		t.Errorf("the retraining: %+v", r)
	}
	// The pointer is seen within five seconds of the write.
	if s := facts.Rollback.Seconds; s <= 0 || s > 8 {
		t.Errorf("the rollback took effect after %g s", s)
	}
	if facts.Log.Gaps != 0 || facts.Log.Generations < 8 {
		t.Errorf("the log: %+v", facts.Log)
	}
	if facts.Parity.Rows != facts.Holdout.Rows || facts.Parity.MaxAbsDiff > 1e-5 || facts.Holdout.ROCAUC < 0.85 || facts.Holdout.ROCAUC > 1 {
		t.Errorf("holdout and parity: %s", text)
	}
}

// evaluated is a report on the quality of April's predictions in one hour: first of the early labels, then of all of them.
type evaluated struct {
	Window, Verdict string
	Version, N      int
	Coverage        float64
	ROCAUC          []float64 `json:"roc_auc"` // lower end, value, upper end
	CBPE            []float64 `json:"cbpe_roc_auc"`
}

// checkEvaluation: early labels give no verdict, since they are no random part, and what they show is not what all labels show.
func checkEvaluation(t *testing.T, all []evaluated) {
	t.Helper()
	if len(all) == 0 || len(all)%2 != 0 { // the requests of a month may lie on both sides of an hour
		t.Fatalf("%d reports on quality; want one of the early labels and one of all of them for each hour", len(all))
	}
	early, late := all[:len(all)/2], all[len(all)/2:]
	known := 0
	largest := 0
	for i := range late {
		known += late[i].N
		if late[i].N > late[largest].N {
			largest = i
		}
		if late[i].Window != "2013-04" || late[i].Version < 1 || early[i].Coverage > late[i].Coverage || late[i].Coverage > 1 {
			t.Errorf("%+v, and then %+v", early[i], late[i])
		}
		for _, e := range []evaluated{early[i], late[i]} {
			if e.Coverage < 0.95 && e.Verdict != "not_enough_data" || !slices.Contains([]string{"fine", "degraded", "not_enough_data"}, e.Verdict) {
				t.Errorf("the verdict on %.1f %% of the labels is %q", 100*e.Coverage, e.Verdict)
			}
		}
	}
	first, last := early[largest], late[largest]
	if known < 27_000 || first.Coverage >= 0.95 || last.Coverage < 0.95 {
		t.Errorf("%d labels, coverage %g and then %g", known, first.Coverage, last.Coverage)
	}
	for _, area := range [][]float64{first.ROCAUC, first.CBPE, last.ROCAUC, last.CBPE} {
		if len(area) != 3 || area[0] >= area[1] || area[1] >= area[2] {
			t.Fatalf("%v is no value inside of its interval", area)
		}
	}
	if truth := last.ROCAUC; truth[1] < 0.85 || truth[1] > 0.95 || truth[2]-truth[0] > 0.1 || first.ROCAUC[1] >= truth[1] || last.CBPE[1] < 0.85 || last.CBPE[1] > 0.97 {
		t.Errorf("ROC AUC of the early labels %v, of all %v, estimated %v", first.ROCAUC, truth, last.CBPE)
	}
}

// toldRollout is a rollout, with the evidence that each of its steps ended on.
type toldRollout struct {
	Version int
	Outcome string
	Steps   []struct {
		Step, Weight, Generation, Pairs, Keys int
		Decision                              string
		Gain                                  []float64 // lower end, value, upper end
		Lower                                 float64   // the bound that holds at every look
	}
}

// checkRollouts: what is better takes all of the traffic by steps, on evidence that grows; what is worse ends in the
// first step, and gets no more of the traffic than that.
func checkRollouts(t *testing.T, all []toldRollout, generations int) {
	t.Helper()
	if len(all) != 2 || all[0].Outcome != "promote" || all[1].Outcome != "abort" || all[0].Version >= all[1].Version {
		t.Fatalf("the rollouts are %+v; want one that is promoted, and then one that is aborted", all)
	}
	generation := 0
	for _, r := range all {
		weight, pairs := 0, 0
		for i, s := range r.Steps {
			if s.Step != i || s.Weight <= weight || s.Pairs <= pairs || s.Generation <= generation || s.Generation > generations || s.Keys < 1 || s.Keys > 200 {
				t.Errorf("step %d of version %d: %+v", i, r.Version, s)
			}
			if s.Keys < 2 && s.Decision != "abort" { // plain harm is taken back on the first day, nothing is promoted on one
				t.Errorf("step %d of version %d is decided on the pairs of one day: %+v", i, r.Version, s)
			}
			if len(s.Gain) != 3 || s.Gain[0] >= s.Gain[1] || s.Gain[1] >= s.Gain[2] || s.Lower >= s.Gain[0] {
				t.Errorf("step %d of version %d: the gain %v and the bound %g, which is wider", i, r.Version, s.Gain, s.Lower)
			}
			if last := i == len(r.Steps)-1; last && s.Decision != r.Outcome || !last && s.Decision != "advance" {
				t.Errorf("step %d of version %d ended by %s", i, r.Version, s.Decision)
			}
			weight, pairs, generation = s.Weight, s.Pairs, s.Generation
		}
	}
	good, bad := all[0].Steps, all[1].Steps
	if len(good) < 2 || good[len(good)-1].Weight != 10_000 || good[len(good)-1].Lower <= 0 {
		t.Errorf("promoted on %+v", good)
	}
	if len(bad) != 1 || bad[0].Weight >= 10_000 || bad[0].Gain[2] >= -0.5 { // inverted scores
		t.Errorf("aborted on %+v", bad)
	}
}

// toldMonth is what the gate says of one month alone.
type toldMonth struct {
	Window, Promoted string
	Pairs            int
	Gain             []float64
	ByRow            string `json:"by_row"`
}

// checkReplays: errors by row promote before days that depend on themselves let the gate, and in December they alone do.
func checkReplays(t *testing.T, all []toldMonth) {
	t.Helper()
	if len(all) != 2 || all[0].Window != "2013-09" || all[1].Window != "2013-12" {
		t.Fatalf("%+v", all)
	}
	for _, r := range all {
		if r.Pairs < 25_000 || len(r.Gain) != 3 || r.Gain[0] >= r.Gain[2] || r.ByRow == "" || r.Promoted != "" && r.Promoted < r.ByRow {
			t.Errorf("%+v", r)
		}
	}
	if december := all[1]; december.Promoted != "" || december.Gain[0] > 0 {
		t.Errorf("the gate lets December's gain pass, which is none: %+v", december)
	}
}

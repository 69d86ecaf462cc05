package watch

import (
	"context"
	"fmt"
	"strings"

	"github.com/tidegate/tidegate/shared/evaluation"
	"github.com/tidegate/tidegate/shared/evaluation/quality"
	"github.com/tidegate/tidegate/shared/gate"
)

// What is emitted (docs/formats/evaluation.md, Events).
const (
	EventSource      = "tidegate.evaluation"
	EventCompleted   = "Evaluation Completed"
	EventStateChange = "Quality State Change"
)

// Completed is the detail of an "Evaluation Completed". Delivery is at least once
// and unordered: model and report id are the identity.
type Completed struct {
	Schema   int             `json:"schema"`
	Model    string          `json:"model"`
	Version  int             `json:"version,omitempty"` // the champion
	Window   string          `json:"window"`
	Verdict  quality.Verdict `json:"verdict"`
	Summary  string          `json:"summary"`
	Rows     uint64          `json:"rows"`
	Judged   uint64          `json:"judged"`
	Coverage float64         `json:"coverage"`
	// Incomplete: some labels are not yet due, and another report may follow.
	Incomplete bool             `json:"incomplete,omitempty"`
	Metric     *Figure          `json:"metric,omitempty"`        // the first one that gates
	Low        string           `json:"estimated_low,omitempty"` // the estimate without labels is low: no verdict
	Better     gate.Answer      `json:"better,omitempty"`        // whether the challenger is
	State      quality.Standing `json:"state"`                   // of the model, over its last windows
	Changes    []string         `json:"changes,omitempty"`       // from the report that it supersedes
	ReportID   string           `json:"report_id"`
	Revision   int              `json:"revision"`
	Report     string           `json:"report"` // s3 URI of the JSON
	Page       string           `json:"page"`
}

// Figure is one metric with its 95 % interval.
type Figure struct {
	Name  string   `json:"name"`
	Value *float64 `json:"value,omitempty"` // nil: not known
	Lo    *float64 `json:"lo,omitempty"`
	Hi    *float64 `json:"hi,omitempty"`
	N     uint64   `json:"n"`
}

// StateChange is the detail of a "Quality State Change".
type StateChange struct {
	Schema   int              `json:"schema"`
	Model    string           `json:"model"`
	Version  int              `json:"version,omitempty"`
	Window   string           `json:"window"`
	Verdict  quality.Verdict  `json:"verdict"` // of the window
	State    quality.Standing `json:"state"`   // of the model, over its last windows
	Before   quality.Standing `json:"before"`
	Rows     uint64           `json:"rows"`
	Summary  string           `json:"summary"`
	ReportID string           `json:"report_id"`
	Revision int              `json:"revision"`
	Report   string           `json:"report"` // s3 URI of the JSON
	Page     string           `json:"page"`
}

func (w *Watcher) completed(r *evaluation.Report) Completed {
	d := w.done(r)
	c := Completed{Schema: 1, Model: r.Model, Version: r.Champion, Window: r.Window.ID, Verdict: r.Verdict, Summary: r.Summary, Rows: d.Rows, Judged: d.Judged,
		Coverage: d.Coverage, Incomplete: r.Incomplete, State: r.Standing.After, ReportID: r.ID, Revision: r.Revision, Report: d.Report, Page: d.Page}
	if v := r.Version(r.Champion); v != nil {
		c.Low, c.Metric = v.EstimatedLow, primary(r, v)
	}
	if r.Better != nil {
		c.Better = r.Better.Answer
	}
	if r.Supersedes != nil {
		c.Changes = r.Supersedes.Changes
	}
	return c
}

// primary is the first metric that gates.
func primary(r *evaluation.Report, v *evaluation.VersionReport) *Figure {
	name := r.Policy.Gates(r.Task)[0]
	m := v.Quality.Metric(name)
	if m == nil {
		return nil
	}
	f := &Figure{Name: name, Value: m.Value, N: m.N}
	if m.Interval != nil {
		f.Lo, f.Hi = &m.Interval.Lo, &m.Interval.Hi
	}
	return f
}

func (w *Watcher) change(r *evaluation.Report) StateChange {
	d := w.done(r)
	return StateChange{Schema: 1, Model: r.Model, Version: r.Champion, Window: r.Window.ID, Verdict: r.Verdict, State: r.Standing.After, Before: r.Standing.Before,
		Rows: d.Rows, Summary: r.Summary, ReportID: r.ID, Revision: r.Revision, Report: d.Report, Page: d.Page}
}

// tell emits the events of a report, each once.
func (w *Watcher) tell(ctx context.Context, r *evaluation.Report) error {
	at := w.Now().UTC()
	if r.Standing.Changed {
		detail := w.change(r)
		err := w.reports().TellOf(ctx, r.Model, r.Window.ID, r.ID, "state", detail, func() error {
			if err := w.Bus.Emit(ctx, EventSource, EventStateChange, at, detail); err != nil || w.Topic == nil {
				return err
			}
			return w.Topic.Publish(ctx, fmt.Sprintf("Quality of %s: %s", detail.Model, detail.State), text(&detail))
		})
		if err != nil {
			return err
		}
	}
	detail := w.completed(r)
	return w.reports().TellOf(ctx, r.Model, r.Window.ID, r.ID, "completed", detail, func() error {
		return w.Bus.Emit(ctx, EventSource, EventCompleted, at, detail)
	})
}

func text(s *StateChange) string {
	var b strings.Builder
	fmt.Fprintf(&b, "The quality of model %s is now in the state %q, it was %q.\n\nWindow %s: %s\n", s.Model, s.State, s.Before, s.Window, s.Summary)
	fmt.Fprintf(&b, "\nReport: %s\n", s.Page)
	return b.String()
}

// figures are the metrics of a report (docs/formats/telemetry.md).
func figures(r *evaluation.Report) map[string]float64 {
	flag := func(is bool) float64 {
		if is {
			return 1
		}
		return 0
	}
	f := map[string]float64{"EvaluationReports": 1, "EvaluationSuperseding": flag(r.Supersedes != nil)}
	v := r.Version(r.Champion)
	if v == nil {
		return f
	}
	c := &v.Quality.Counts
	f["EvaluationRows"], f["EvaluationJudgedRows"] = float64(c.Predictions), float64(c.Judged)
	// What follows is a course in time: only the newest window has a say.
	if n := len(r.History); n == 0 || r.History[n-1].Window != r.Window.ID {
		return f
	}
	f["QualityDegraded"], f["QualityEstimatedLow"] = flag(r.Standing.After == quality.StandingDegraded), flag(v.EstimatedLow != "")
	if c.Mature > 0 {
		f["EvaluationCoverage"] = v.Quality.Coverage
	}
	if m := primary(r, v); m != nil && m.Value != nil {
		f["EvaluationPrimaryMetric"] = *m.Value
	}
	return f
}

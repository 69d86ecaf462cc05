package watch

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/tidegate/tidegate/shared/drift"
)

// StateChange is the detail of a "Drift State Change". Delivery is at least once
// and unordered: model and report are the identity.
type StateChange struct {
	Schema  int           `json:"schema"`
	Model   string        `json:"model"`
	Version int           `json:"version,omitempty"`
	Window  string        `json:"window"`
	Verdict drift.Verdict `json:"verdict"` // of the window
	State   drift.State   `json:"state"`   // of the model, over its last windows
	Before  drift.State   `json:"before"`
	Drifted []string      `json:"drifted,omitempty"` // columns in the state drift
	Ended   []string      `json:"ended,omitempty"`   // columns that were in it before
	// DriftedSegments and EndedSegments are the same of segments ("carrier=UA").
	DriftedSegments []string `json:"drifted_segments,omitempty"`
	EndedSegments   []string `json:"ended_segments,omitempty"`
	Rows            uint64   `json:"rows"`
	Summary         string   `json:"summary"`
	ReportID        string   `json:"report_id"`
	Revision        int      `json:"revision"`
	Report          string   `json:"report"` // s3 URI of the JSON
	Page            string   `json:"page"`
}

func (w *Watcher) change(r *drift.Report) StateChange {
	s := StateChange{Schema: 1, Model: r.Model, Version: r.Version, Window: r.Window.ID, Verdict: r.Verdict, State: r.Standing.After.Model,
		Before: r.Standing.Before.Model, Drifted: r.Standing.After.Drifted(), Rows: r.Rows.Compared, Summary: r.Summary, ReportID: r.ID, Revision: r.Revision,
		Report: w.uri(r, ".json"), Page: w.uri(r, ".html")}
	s.DriftedSegments = r.Standing.After.DriftedSegments()
	s.Ended = gone(r.Standing.Before.Drifted(), s.Drifted)
	s.EndedSegments = gone(r.Standing.Before.DriftedSegments(), s.DriftedSegments)
	return s
}

// gone are the names of before that are not in now.
func gone(before, now []string) []string {
	return slices.DeleteFunc(before, func(name string) bool { return slices.Contains(now, name) })
}

// tell emits the event of a report, once.
func (w *Watcher) tell(ctx context.Context, r *drift.Report) error {
	detail := w.change(r)
	return w.reports().Tell(ctx, r.Model, r.Window.ID, r.ID, detail, func() error {
		if err := w.Bus.Emit(ctx, EventSource, EventStateChange, w.Now().UTC(), detail); err != nil || w.Topic == nil {
			return err
		}
		return w.Topic.Publish(ctx, subject(&detail), text(&detail))
	})
}

func subject(s *StateChange) string {
	return fmt.Sprintf("Drift of %s: %s", s.Model, s.State)
}

func text(s *StateChange) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Model %s is now in the state %q, it was %q.\n\nWindow %s: %s\n", s.Model, s.State, s.Before, s.Window, s.Summary)
	if len(s.Drifted) > 0 {
		fmt.Fprintf(&b, "Columns that have drifted: %s\n", strings.Join(s.Drifted, ", "))
	}
	if len(s.Ended) > 0 {
		fmt.Fprintf(&b, "Columns that no longer do: %s\n", strings.Join(s.Ended, ", "))
	}
	if len(s.DriftedSegments) > 0 {
		fmt.Fprintf(&b, "Segments that have drifted: %s\n", strings.Join(s.DriftedSegments, ", "))
	}
	if len(s.EndedSegments) > 0 {
		fmt.Fprintf(&b, "Segments that no longer do: %s\n", strings.Join(s.EndedSegments, ", "))
	}
	fmt.Fprintf(&b, "\nReport: %s\n", s.Page)
	return b.String()
}

// figures are the metrics of a report (docs/formats/telemetry.md).
func figures(r *drift.Report) map[string]float64 {
	flag := func(is bool) float64 {
		if is {
			return 1
		}
		return 0
	}
	var without uint64
	for _, l := range r.LeftOut {
		if l.Reason == drift.LeftNoProfile {
			without += l.Count
		}
	}
	f := map[string]float64{"DriftReports": 1, "DriftRows": float64(r.Rows.Compared), "DriftRowsLeftOut": float64(r.Rows.In - r.Rows.Compared),
		"DriftColumns": float64(len(r.Drifted)), "DriftUndecidedColumns": float64(len(r.Undecided)), "DriftState": flag(r.Standing.After.Model == drift.StateDrift),
		"CapturesWithoutProfile": float64(without)}
	if !r.Window.End.IsZero() && r.Revision > 1 {
		f["DriftSuperseding"] = 1
	}
	return f
}

// Package watch keeps watch over models: which windows are due, what their
// profiles add up to, what the report says, and whether anybody has to be told. It
// also plans batches: which parts of which objects are to be profiled.
//
// It counts nothing (profile does) and judges nothing (drift does). Reports are
// written once under a digest of what was compared, so a repeated or concurrent
// run writes the same objects and tells nothing twice; a document that arrives
// late makes a report that supersedes the earlier one. What could not be compared
// is in the report, never skipped in silence.
//
//	w := watch.Watcher{Registry: reg, Data: store, Bucket: "data", Bus: bus, Meter: meter, Now: time.Now, Log: log}
//	out, err := w.Run(ctx, watch.In{Tick: true})
package watch

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/drift"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/period"
	"github.com/tidegate/tidegate/shared/profile"
	"github.com/tidegate/tidegate/shared/registry"
)

// What is emitted (docs/formats/drift.md, Events).
const (
	EventSource      = "tidegate.drift"
	EventStateChange = "Drift State Change"
)

// Bus takes events. It returns nil only when the event was taken.
type Bus interface {
	Emit(ctx context.Context, source, detailType string, at time.Time, detail any) error
}

// Topic tells people.
type Topic interface {
	Publish(ctx context.Context, subject, text string) error
}

// Meter takes the figures of one report as metrics of its model.
type Meter interface {
	Measure(msg, model string, values map[string]float64)
}

// Watcher is the function drift. All fields but Topic and Meter are required.
type Watcher struct {
	Registry *registry.Registry
	Data     blob.Store
	Bucket   string // of Data, for the URIs of reports
	Bus      Bus
	Topic    Topic
	Meter    Meter
	Now      func() time.Time
	Log      *slog.Logger
}

// In asks for one thing: {"tick":true}, every window of every model that is due;
// {"model","window"}, that window now; {"model","job"}, the report of a batch
// whose items are profiled; {"plan":{…}}, the items of a batch.
type In struct {
	Tick   bool    `json:"tick,omitempty"`
	Model  string  `json:"model,omitempty"`
	Window string  `json:"window,omitempty"`
	Job    string  `json:"job,omitempty"`
	Plan   *PlanIn `json:"plan,omitempty"`
}

// Out is the answer: reports of windows and batches, or the plan.
type Out struct {
	Reports []Done   `json:"reports,omitempty"`
	Plan    *PlanOut `json:"plan,omitempty"`
}

// Done is one report that was made or found again.
type Done struct {
	Model    string        `json:"model"`
	Window   string        `json:"window"`
	ID       string        `json:"id"`
	Revision int           `json:"revision"`
	Verdict  drift.Verdict `json:"verdict"`
	Rows     uint64        `json:"rows"` // compared
	RowsIn   uint64        `json:"rows_in"`
	Drifted  []string      `json:"drifted,omitempty"`
	Segments []string      `json:"drifted_segments,omitempty"`
	State    drift.State   `json:"state"`
	Changed  bool          `json:"changed"` // the model's state or its set of drifted columns
	Created  bool          `json:"created"` // false: the report was there already
	Report   string        `json:"report"`  // s3 URI of the JSON
	Page     string        `json:"page"`    // and of the HTML
}

// Run does what in asks for. Errors: InvalidArgument, in; NotFound, the model;
// FailedPrecondition, a batch whose rows in are not its rows out, or a model
// without a version; Unavailable; Internal, a damaged object. A tick goes on after
// a model that fails and returns the first error at its end.
func (w *Watcher) Run(ctx context.Context, in In) (Out, error) {
	asked := 0
	for _, is := range []bool{in.Tick, in.Window != "", in.Job != "", in.Plan != nil} {
		if is {
			asked++
		}
	}
	if asked != 1 {
		return Out{}, fault.New(fault.InvalidArgument, "the input must have one of: tick, model and window, model and job, plan")
	}
	switch {
	case in.Tick:
		return w.tick(ctx)
	case in.Plan != nil:
		plan, err := w.plan(ctx, *in.Plan)
		return Out{Plan: &plan}, err
	}
	m, err := w.model(ctx, in.Model)
	if err != nil {
		return Out{}, err
	}
	if in.Job != "" {
		return w.batch(ctx, m, in.Job)
	}
	win, err := period.Parse(m.policy.Window(), in.Window)
	if err != nil {
		return Out{}, err
	}
	if end := win.End.Add(m.policy.Lateness()); w.Now().Before(end) {
		return Out{}, fault.New(fault.FailedPrecondition, "the window is not closed: its captures have until %s to arrive", end.UTC().Format(time.RFC3339))
	}
	done, _, err := w.judge(ctx, m, win, true)
	if err != nil {
		return Out{}, err
	}
	return Out{Reports: []Done{*done}}, nil
}

// watched is a model with what is in force.
type watched struct {
	name     string
	champion int
	policy   drift.Policy
}

func (w *Watcher) model(ctx context.Context, name string) (*watched, error) {
	state, _, err := w.Registry.State(ctx, name)
	if err != nil {
		return nil, err
	}
	m := &watched{name: name, policy: drift.DefaultPolicy()}
	if state.Slots.Champion != nil {
		m.champion = state.Slots.Champion.Version
	}
	if state.SettingsDigest == "" {
		return m, nil
	}
	settings, err := w.Registry.Settings(ctx, name, state.SettingsDigest)
	if err != nil {
		return nil, err
	}
	if m.policy, err = drift.ParsePolicy(settings.Drift); err != nil {
		return nil, fault.Wrap(err, fault.FailedPrecondition, "the drift policy in the settings of %q is not valid: %s", name, fault.Public(err).Message)
	}
	return m, nil
}

// baseline is nil without an error when the version has none; why says so.
func (w *Watcher) baseline(ctx context.Context, model string, version int) (b *profile.Baseline, digest, why string, err error) {
	b, digest, err = profile.LoadBaseline(ctx, w.Registry, model, version)
	if fault.Is(err, fault.NotFound) {
		return nil, "", fault.Public(err).Message, nil
	}
	if err != nil {
		return nil, "", "", fmt.Errorf("watch: baseline of %s@%d: %w", model, version, err)
	}
	return b, registry.Hex(digest), "", nil
}

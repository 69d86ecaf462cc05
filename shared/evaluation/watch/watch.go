// Package watch evaluates models over windows of their predictions: which windows
// are due, what their hours add up to, what the report says, and whether anybody has
// to be told.
//
// It joins nothing (outcome does), counts and judges nothing (evaluation does). The
// unit of work is an hour of predictions: joined with its labels, counted, and kept
// under a name of its sources, so that a run that ends early loses nothing and a
// late label costs one hour. Reports are written once under a digest of what they
// say; a repeated or concurrent run writes the same objects and tells nothing twice.
//
//	w := watch.Watcher{Registry: reg, Data: store, Bucket: "data", Bus: bus, Meter: meter, Now: time.Now, Log: log}
//	out, err := w.Run(ctx, watch.In{Tick: true})
package watch

import (
	"context"
	"log/slog"
	"time"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/evaluation/quality"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
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

// Watcher is the function evaluate. All fields but Topic, Meter and Budget are required.
type Watcher struct {
	Registry *registry.Registry
	Data     blob.Store
	Bucket   string // of Data, for the URIs of reports
	Bus      Bus
	Topic    Topic
	Meter    Meter
	Now      func() time.Time
	Log      *slog.Logger
	Budget   int64 // bytes for the records of the hours that are joined; 0 = outcome.DefaultBudget
}

// In asks for one thing: {"tick":true}, every window of every model that is due;
// {"model","window"}, that window now, closed or not; {"plan":{"model","window"}},
// the hours of a window that have to be joined; {"model","hour","mature_before"},
// one of these.
type In struct {
	Tick   bool    `json:"tick,omitempty"`
	Plan   *PlanIn `json:"plan,omitempty"`
	Model  string  `json:"model,omitempty"`
	Window string  `json:"window,omitempty"`
	Hour   string  `json:"hour,omitempty"` // RFC 3339, a whole hour
	// MatureBefore is what the plan says; left out, it is as the clock has it.
	MatureBefore string `json:"mature_before,omitempty"`
}

// Out is the answer.
type Out struct {
	Reports []Done     `json:"reports"`
	Hours   []HourDone `json:"hours,omitempty"`
	Plan    *PlanOut   `json:"plan,omitempty"`
	// Left is how much had to wait for the next tick, or for the machine: hours, and windows that are joined and not
	// judged. Waiting are the windows.
	Left    int       `json:"left"`
	Waiting []Waiting `json:"waiting,omitempty"`
}

// Done is one report that was made or found again.
type Done struct {
	Model    string           `json:"model"`
	Window   string           `json:"window"`
	Closed   bool             `json:"closed"` // false: predictions of the window, or their captures, are still to come
	ID       string           `json:"id"`
	Revision int              `json:"revision"`
	Version  int              `json:"version,omitempty"` // the champion
	Verdict  quality.Verdict  `json:"verdict"`
	Rows     uint64           `json:"rows"` // predictions
	Judged   uint64           `json:"judged"`
	Coverage float64          `json:"coverage"`
	State    quality.Standing `json:"state"`
	Changed  bool             `json:"changed"` // the model's state
	Created  bool             `json:"created"` // false: the report was there already
	Report   string           `json:"report"`  // s3 URI of the JSON
	Page     string           `json:"page"`    // and of the HTML
}

// HourDone is one hour that was joined or found joined.
type HourDone struct {
	Model   string `json:"model"`
	Hour    string `json:"hour"`
	Key     string `json:"key"`
	Created bool   `json:"created"`
}

// Waiting is a window whose hours are not all joined yet.
type Waiting struct {
	Model  string `json:"model"`
	Window string `json:"window"`
	Hours  int    `json:"hours"` // that are to be joined; 0: all are, and the window is to be judged
	Bytes  int64  `json:"bytes"` // of their sources, as plain text, about
}

// Run does what in asks for. Errors: InvalidArgument, in, or a segment column with
// too many values; NotFound, the model; FailedPrecondition, a model without a
// version or task, or with settings that cannot be; Unavailable; Internal, a damaged
// object. A tick goes on after a window that fails and returns the first error at
// its end.
func (w *Watcher) Run(ctx context.Context, in In) (Out, error) {
	asked := 0
	for _, is := range []bool{in.Tick, in.Plan != nil, in.Model != ""} {
		if is {
			asked++
		}
	}
	if asked != 1 || (in.Model != "") != (in.Window != "" || in.Hour != "") || in.Window != "" && in.Hour != "" || in.MatureBefore != "" && in.Hour == "" {
		return Out{}, fault.New(fault.InvalidArgument, "the input must have one of: tick, model and window, model and hour (with or without mature_before), plan")
	}
	switch {
	case in.Tick:
		return w.tick(ctx)
	case in.Plan != nil:
		return w.plan(ctx, in.Plan)
	case in.Hour != "":
		return w.item(ctx, &in)
	}
	return w.demand(ctx, &in)
}

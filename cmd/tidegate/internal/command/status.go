package command

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/tidegate/tidegate/shared/evaluation/quality"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/schema"
)

// modelStatus is one model as status prints it.
type modelStatus struct {
	Model    string         `json:"model"`
	Task     schema.Task    `json:"task"`
	Target   string         `json:"target,omitempty"`
	Versions int            `json:"versions"`
	Ready    int            `json:"ready"`
	State    registry.State `json:"state"`
	// Reference is how good the champion was when it was registered; of one model only.
	Reference *referenceStatus `json:"reference,omitempty"`
}

// referenceStatus is the primary metric of a version's reference.
type referenceStatus struct {
	Rows   uint64         `json:"rows"`
	Metric quality.Metric `json:"metric"`
}

func (a *app) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status [MODEL]",
		Short: "Say which version serves, of one model or of all",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			_, reg, err := a.open(c.Context())
			if err != nil {
				return err
			}
			if len(args) == 1 {
				m, err := reg.Model(c.Context(), args[0])
				if err != nil {
					return err
				}
				status, err := statusOf(c.Context(), reg, m)
				if err != nil {
					return err
				}
				if status.Reference, err = referenceOf(c.Context(), reg, m.Name, status.State.Slots.Champion); err != nil {
					return err
				}
				return a.print(status, func(w io.Writer) { a.oneStatus(w, status) })
			}
			all := []modelStatus{}
			for m, err := range reg.Models(c.Context()) {
				if err != nil {
					return err
				}
				status, err := statusOf(c.Context(), reg, m)
				if err != nil {
					return err
				}
				all = append(all, status)
			}
			return a.print(all, func(w io.Writer) { allStatus(w, all) })
		},
	}
}

func statusOf(ctx context.Context, reg *registry.Registry, m registry.Model) (modelStatus, error) {
	s := modelStatus{Model: m.Name, Task: m.Task, Target: m.Target}
	for entry, err := range reg.Versions(ctx, m.Name, 0) {
		if err != nil {
			return s, err
		}
		s.Versions++
		if entry.Ready {
			s.Ready++
		}
	}
	var err error
	s.State, err = stateOf(ctx, reg, m.Name)
	return s, err
}

// referenceOf is nil when there is no champion, or it has no reference.
func referenceOf(ctx context.Context, reg *registry.Registry, model string, champion *registry.Ref) (*referenceStatus, error) {
	if champion == nil {
		return nil, nil
	}
	r, _, err := quality.LoadReference(ctx, reg, model, champion.Version)
	if fault.Is(err, fault.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &referenceStatus{Rows: r.Rows, Metric: *r.Metric(quality.Primary(r.Layout.Task))}, nil
}

// String is the metric with its interval, or why there is none.
func (r *referenceStatus) String() string {
	m := &r.Metric
	switch {
	case m.Value == nil:
		return fmt.Sprintf("no %s: %s", m.Name, m.Reason)
	case m.Interval == nil:
		return fmt.Sprintf("%s %.4g on %d rows of the holdout", m.Name, *m.Value, r.Rows)
	}
	return fmt.Sprintf("%s %.4g [%.4g, %.4g] on %d rows of the holdout", m.Name, *m.Value, m.Interval.Lo, m.Interval.Hi, r.Rows)
}

func allStatus(w io.Writer, all []modelStatus) {
	if len(all) == 0 {
		fmt.Fprintln(w, "no models yet; next: tidegate version register model.onnx --model NAME")
		return
	}
	cells := make([][]string, len(all))
	for i, s := range all {
		slots := s.State.Slots
		weight := ""
		if slots.Challenger != nil {
			weight = percent(s.State.Weights.Challenger)
		}
		cells[i] = []string{s.Model, string(s.Task), fmt.Sprint(s.Ready), ref(slots.Champion), ref(slots.Challenger), weight,
			ref(slots.Shadow), fmt.Sprint(s.State.Generation), when(s.State.Last.At)}
	}
	table(w, []string{"MODEL", "TASK", "READY", "CHAMPION", "CHALLENGER", "WEIGHT", "SHADOW", "GENERATION", "MOVED"}, cells)
}

func (a *app) oneStatus(w io.Writer, s modelStatus) {
	target := s.Target
	if target == "" {
		target = "none"
	}
	fmt.Fprintf(w, "model       %s (%s, target %s)\n", s.Model, s.Task, target)
	fmt.Fprintf(w, "versions    %d, %d ready\n", s.Versions, s.Ready)
	if s.State.Generation == 0 {
		fmt.Fprintf(w, "serving     nothing yet; next: tidegate promote %s VERSION\n", s.Model)
		return
	}
	for _, h := range holders(s.State) {
		if h.Ref != nil {
			extra := ""
			if h.Slot == registry.Challenger {
				extra = ", " + percent(s.State.Weights.Challenger) + " of the keys"
			}
			fmt.Fprintf(w, "%-11s version %d (%s%s)\n", h.Slot, h.Ref.Version, short(h.Ref.Digest), extra)
		}
	}
	if s.Reference != nil {
		fmt.Fprintf(w, "reference   %s\n", s.Reference)
	}
	if r := s.State.Rollout; r != nil {
		fmt.Fprintf(w, "rollout     %s, step %d, %s\n", r.ID, r.Step, r.Status)
	}
	if f := s.State.Frozen; s.State.FrozenAt(a.Now()) {
		fmt.Fprintf(w, "frozen      until %s by %s: %s\n", when(f.Until), f.By, f.Reason)
	}
	for _, v := range slices.Sorted(maps.Keys(s.State.Rejected)) {
		fmt.Fprintf(w, "rejected    version %s: %s\n", v, s.State.Rejected[v])
	}
	if s.State.SettingsDigest != "" {
		fmt.Fprintf(w, "settings    %s\n", short(s.State.SettingsDigest))
	}
	last := s.State.Last
	fmt.Fprintf(w, "generation  %d: %s by %s at %s\n", s.State.Generation, last.Kind, last.Actor, when(last.At))
}

// percent writes hundredths of a percent.
func percent(weight int) string {
	return fmt.Sprintf("%g%%", float64(weight)/100)
}

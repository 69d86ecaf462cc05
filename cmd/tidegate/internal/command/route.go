package command

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/routing"
)

// routed is which version a key gets, and why.
type routed struct {
	Model      string        `json:"model"`
	Key        string        `json:"key"`
	Generation int64         `json:"generation"`
	Slot       registry.Slot `json:"slot"`
	Version    int           `json:"version"`
	RolloutID  string        `json:"rollout_id,omitempty"`
	Bucket     *int          `json:"bucket,omitempty"` // of the key in the rollout, 0 to 9999
	Weight     int           `json:"weight"`           // buckets below it go to the challenger
	Reason     string        `json:"reason"`
}

func (a *app) routeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "route MODEL KEY",
		Short: "Say which version a key gets, and why",
		Long: `Says which version answers requests with a key (the header Tidegate-Key, or the request parameter
key; without one the inference id is the key). It asks nobody: the rule is a pure function of the
pointer and the key, the same that predict applies.`,
		Example: "  tidegate route flights customer-17",
		Args:    cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			_, reg, err := a.open(c.Context())
			if err != nil {
				return err
			}
			if _, err := reg.Model(c.Context(), args[0]); err != nil {
				return err
			}
			s, err := stateOf(c.Context(), reg, args[0])
			if err != nil {
				return err
			}
			if s.Slots.Champion == nil {
				return fault.New(fault.FailedPrecondition, "model %q serves nothing yet; next: tidegate promote %s VERSION", args[0], args[0])
			}
			r := route(s, args[1])
			return a.print(r, func(w io.Writer) {
				fmt.Fprintf(w, "version %d (%s)\n%s\n", r.Version, r.Slot, r.Reason)
			})
		},
	}
}

func route(s registry.State, key string) routed {
	r := routed{Model: s.Model, Key: key, Generation: s.Generation, Slot: registry.Champion, Version: s.Slots.Champion.Version, Weight: s.Weights.Challenger,
		Reason: fmt.Sprintf("generation %d has no rollout: every key gets the champion", s.Generation)}
	if s.Rollout == nil || s.Slots.Challenger == nil {
		return r
	}
	bucket := routing.Bucket(s.Rollout.ID, key)
	r.RolloutID, r.Bucket = s.Rollout.ID, &bucket
	side := "not below"
	if (routing.Split{RolloutID: s.Rollout.ID, Weight: r.Weight}).Challenger(key) {
		r.Slot, r.Version, side = registry.Challenger, s.Slots.Challenger.Version, "below"
	}
	r.Reason = fmt.Sprintf("generation %d: the key is in bucket %d of rollout %s, %s the challenger's weight of %d (%s)",
		s.Generation, bucket, s.Rollout.ID, side, r.Weight, percent(r.Weight))
	return r
}

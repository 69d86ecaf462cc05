package command

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/tidegate/tidegate/cmd/tidegate/stack"
	"github.com/tidegate/tidegate/shared/approval"
	"github.com/tidegate/tidegate/shared/evaluation/trial"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/rollout"
	"github.com/tidegate/tidegate/shared/validate"
)

// led is a rollout that the machine leads, as it is printed.
type led struct {
	Model     string `json:"model"`
	Version   int    `json:"version"`
	RolloutID string `json:"rollout_id"`
	Execution string `json:"execution"`
}

// leads says whether a rollout is started by the machine.
func (a *app) leads(ctx context.Context, manual bool) (bool, error) {
	if manual {
		return false, nil
	}
	s, _, err := a.open(ctx)
	return err == nil && s.RolloutMachineArn != "", err
}

// lead hands the rollout t over to the machine.
func (a *app) lead(c *cobra.Command, f *transitionFlags, t *rollout.PromoteIn, pinned string) error {
	if t.Approval != "" || t.Dataset != "" {
		return fault.New(fault.InvalidArgument, "--approval and --dataset go with --manual: the machine asks for its approvals itself")
	}
	if len(t.Waive) > 0 && f.reason == "" {
		return fault.New(fault.InvalidArgument, "waiving a guard takes a --reason")
	}
	s, reg, err := a.open(c.Context())
	if err != nil {
		return err
	}
	// What the machine would find out, and then fail, is better said here.
	if _, err := reg.Manifest(c.Context(), t.Model, t.Version); err != nil {
		return err
	}
	state, err := stateOf(c.Context(), reg, t.Model)
	if err != nil {
		return err
	}
	if state.Slots.Champion == nil {
		return fault.New(fault.FailedPrecondition, "model %q serves nothing yet; tidegate promote %s %d makes the version its first champion", t.Model, t.Model, t.Version)
	}
	if r := state.Rollout; r != nil && r.ID != f.id {
		return fault.New(fault.FailedPrecondition, "a rollout of version %d is under way (%s): wait for its end or abort it", state.Slots.Challenger.Version, r.ID)
	}
	in := stack.RolloutIn{Model: t.Model, Version: t.Version, RolloutID: first(f.id, s.NewID()), Reason: first(f.reason, "rollout of a new version"), Evidence: t.Evidence, Waive: t.Waive}
	// It names the execution and its approvals.
	const longest = 64
	if approval.CheckID(in.RolloutID) != nil || len(in.RolloutID) > longest {
		return fault.New(fault.InvalidArgument, "--transition-id must be 1 to %d letters, digits, \"_\", \"-\" and \".\", beginning with a letter or digit", longest)
	}
	if pinned != "" {
		if in.Start, err = readPinned(pinned, t.Version); err != nil {
			return err
		}
	}
	if len(in.Evidence) == 0 && len(in.Waive) == 0 && in.Start == nil {
		return fault.New(fault.InvalidArgument, "a rollout needs evidence that the version is not worse: give --evidence or --pinned, or --waive evidence with a --reason")
	}
	in.Actor = a.actor(c.Context(), s, f.actor)
	return a.startMachine(c.Context(), s, in.RolloutID, in)
}

// startMachine starts an execution and prints what it leads.
func (a *app) startMachine(ctx context.Context, s *stack.Stack, name string, in stack.RolloutIn) error {
	execution, err := s.LeadRollout(ctx, name, in)
	if err != nil {
		return err
	}
	return a.print(led{in.Model, in.Version, in.RolloutID, execution}, func(w io.Writer) {
		fmt.Fprintf(w, "the rollout machine leads version %d of %s: rollout %s\n%s\nsee tidegate rollout status %s\n", in.Version, in.Model, in.RolloutID, execution, in.Model)
	})
}

// readPinned reads the predictions that the start is judged by.
func readPinned(path string, version int) (*trial.Start, error) {
	body, err := os.ReadFile(path)
	if err != nil {
		return nil, fault.Wrap(err, fault.InvalidArgument, "%s cannot be opened; check the path", path)
	}
	in := &trial.Start{Version: version}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(in); err != nil {
		return nil, fault.Wrap(err, fault.InvalidArgument, "%s must be a JSON object with champion, challenger, label and time", path)
	}
	if in.Version != version {
		return nil, fault.New(fault.InvalidArgument, "%s is about version %d, not about version %d", path, in.Version, version)
	}
	return in, validate.Struct(in)
}

func (a *app) rolloutFollow() *cobra.Command {
	var actor, reason string
	c := &cobra.Command{
		Use:   "follow MODEL",
		Short: "Let the rollout machine lead the rollout that is under way",
		Long: `Starts an execution of the rollout machine for the rollout that is under way: one that was
started by hand, or whose machine failed or was stopped. It goes on where the rollout stands; a
paused rollout stays paused until somebody resumes it.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			s, reg, err := a.open(c.Context())
			if err != nil {
				return err
			}
			state, err := stateOf(c.Context(), reg, args[0])
			if err != nil {
				return err
			}
			var t rollout.PromoteIn
			if t.Model = args[0]; state.Rollout == nil {
				return underWay(state, &t)
			}
			in := stack.RolloutIn{Model: args[0], Version: state.Slots.Challenger.Version, RolloutID: state.Rollout.ID,
				Actor: a.actor(c.Context(), s, actor), Reason: first(reason, "goes on with a rollout that is under way")}
			return a.startMachine(c.Context(), s, s.NewID(), in)
		},
	}
	c.Flags().StringVar(&actor, "actor", "", "who does this, for the log (default: the caller's ARN)")
	c.Flags().StringVar(&reason, "reason", "", "why, for the log")
	return c
}

package command

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/rollout"
)

// transitionFlags are those of every command that moves a pointer.
type transitionFlags struct{ actor, reason, id string }

func (f *transitionFlags) register(c *cobra.Command) {
	c.Flags().StringVar(&f.actor, "actor", "", "who does this, for the log (default: the caller's ARN)")
	c.Flags().StringVar(&f.reason, "reason", "", "why, for the log")
	c.Flags().StringVar(&f.id, "transition-id", "", "id of the transition; repeat the one of a call whose outcome is not known (default: a new ULID)")
}

// move asks for t on the state that is read now and prints what came of it.
func (a *app) move(c *cobra.Command, f *transitionFlags, t rollout.PromoteIn, decide func(registry.State, *rollout.PromoteIn) error) error {
	s, reg, err := a.open(c.Context())
	if err != nil {
		return err
	}
	state, err := stateOf(c.Context(), reg, t.Model)
	if err != nil {
		return err
	}
	if err := decide(state, &t); err != nil {
		return err
	}
	// A repeated id may be in the log already, at any generation: then nothing of what is seen now counts.
	if f.id == "" {
		t.SeenGeneration = state.Generation
	}
	t.TransitionID, t.Reason, t.Actor = first(f.id, s.NewID()), f.reason, a.actor(c.Context(), s, f.actor)
	out, err := s.Move(c.Context(), t)
	if err != nil {
		if fault.Is(err, fault.Unavailable) || fault.Is(err, fault.DeadlineExceeded) || fault.Is(err, fault.Aborted) {
			return fault.Wrap(err, fault.KindOf(err), "it is not known whether the %s took place; run it again with --transition-id %s", t.Kind, t.TransitionID)
		}
		return err
	}
	return a.print(out, func(w io.Writer) {
		if out.Unneeded {
			fmt.Fprintf(w, "%s of %s was not needed: generation %d is there already\n", t.Kind, out.Model, out.Generation)
			return
		}
		fmt.Fprintf(w, "%s of %s: generation %d, champion is version %s\n", t.Kind, out.Model, out.Generation, first(ref(out.State.Slots.Champion), "none"))
		if r := out.State.Rollout; r != nil {
			fmt.Fprintf(w, "rollout of version %s: step %d, %s of the keys, %s\n", ref(out.State.Slots.Challenger), r.Step, percent(out.State.Weights.Challenger), r.Status)
		}
		fmt.Fprintf(w, "warm functions follow within 5 seconds; see tidegate status %s\n", out.Model)
	})
}

func (a *app) promoteCommand() *cobra.Command {
	var f transitionFlags
	c := &cobra.Command{
		Use:     "promote MODEL VERSION",
		Short:   "Make a version the first champion of a model",
		Example: "  tidegate promote flights 1 --reason 'first version'",
		Args:    cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			version, err := versionNumber(args[1])
			if err != nil {
				return err
			}
			t := rollout.PromoteIn{Model: args[0], Kind: registry.KindBootstrap, Version: version}
			return a.move(c, &f, t, asIs)
		},
	}
	f.register(c)
	return c
}

func (a *app) rollbackCommand() *cobra.Command {
	var f transitionFlags
	var from int
	c := &cobra.Command{
		Use:   "rollback MODEL",
		Short: "Put the previous champion back, in one write",
		Long: `Puts the previous champion back and rejects the present one. It asks for no analysis and no
approval, works while the model is frozen, and freezes it for 24 hours afterwards.
--from names the version to remove, so that a rollback that somebody else has already made is
not made again.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			t := rollout.PromoteIn{Model: args[0], Kind: registry.KindRollback, Version: from}
			return a.move(c, &f, t, func(s registry.State, t *rollout.PromoteIn) error {
				switch {
				case s.Slots.Champion == nil:
					return fault.New(fault.FailedPrecondition, "model %q has no champion to roll back", t.Model)
				case s.Slots.Challenger != nil && from == 0:
					return fault.New(fault.FailedPrecondition, "a rollout of version %d is under way: end it with tidegate rollout abort %s, or name the champion to remove with --from %d",
						s.Slots.Challenger.Version, t.Model, s.Slots.Champion.Version)
				case from == 0:
					t.Version = s.Slots.Champion.Version
				}
				return nil
			})
		},
	}
	c.Flags().IntVar(&from, "from", 0, "version to remove (default: the champion)")
	f.register(c)
	return c
}

func (a *app) configureCommand() *cobra.Command {
	var f transitionFlags
	c := &cobra.Command{
		Use:     "configure MODEL SETTINGS.json",
		Short:   "Put settings in force: contract, capture, policies",
		Long:    "Puts the settings of a JSON file (\"-\" reads standard input) in force, as a whole: what the file does not\nname takes its default. docs/formats/registry.md lists the settings.",
		Example: `  echo '{"capture":{"sampling":0.1}}' | tidegate configure flights -`,
		Args:    cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			settings, err := a.readSettings(args[1])
			if err != nil {
				return err
			}
			t := rollout.PromoteIn{Model: args[0], Kind: registry.KindConfigure, Settings: settings}
			return a.move(c, &f, t, asIs)
		},
	}
	f.register(c)
	return c
}

// readSettings checks the settings here too, so that a mistake is told before anything is sent.
func (a *app) readSettings(path string) (json.RawMessage, error) {
	const limit = 1 << 20
	in := a.Stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, fault.Wrap(err, fault.InvalidArgument, "%s cannot be opened; check the path", path)
		}
		defer f.Close()
		in = f
	}
	body, err := io.ReadAll(io.LimitReader(in, limit))
	if err != nil {
		return nil, fault.Wrap(err, fault.InvalidArgument, "%s cannot be read", path)
	}
	settings, err := registry.ParseSettings(body)
	if err != nil {
		return nil, err
	}
	return body, rollout.CheckSettings(&settings)
}

func versionNumber(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0, fault.New(fault.InvalidArgument, "VERSION must be a number; see tidegate version list")
	}
	return n, registry.CheckVersion(n)
}

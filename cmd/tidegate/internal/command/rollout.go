package command

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/rollout"
)

func (a *app) rolloutCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "rollout",
		Short: "Give a new version its traffic step by step, or stop it",
		Long: `A rollout puts a version beside the champion and raises its share of the keys by the steps of
the settings. Each move rests on evidence: the digest of a judgement among the registry's blobs.
pause, resume and abort work at any time; abort also while the model is frozen.`,
	}
	c.AddCommand(a.rolloutStart(), a.rolloutFollow(), a.rolloutStatus(), a.rolloutStep("advance", registry.KindAdvance, "Go to the next step"),
		a.rolloutStep("promote", registry.KindPromote, "Make the challenger the champion, after the last step"),
		a.rolloutPause("pause", registry.KindPause, "Keep the rollout where it is until somebody resumes it"),
		a.rolloutPause("resume", registry.KindResume, "Let a paused rollout go on; what was paused does not count as baked"), a.rolloutAbort())
	return c
}

// evidenceFlags are those of moves that rest on evidence.
type evidenceFlags struct {
	digests  []string
	approval string
}

func (f *evidenceFlags) register(c *cobra.Command) {
	c.Flags().StringSliceVar(&f.digests, "evidence", nil, "sha256 of the judgement, and of other blobs that belong to it")
	c.Flags().StringVar(&f.approval, "approval", "", "id of the approval, where the settings ask for one")
}

func (a *app) rolloutStart() *cobra.Command {
	var f transitionFlags
	var e evidenceFlags
	var waive []string
	var dataset, pinned string
	var manual bool
	c := &cobra.Command{
		Use:   "start MODEL VERSION",
		Short: "Start the rollout of a version",
		Long: `Starts the rollout machine of the stack, which leads the version from its shadow phase to all of
the traffic as the settings say, or takes it back; pause, resume and abort hold for it at once.
With --manual, or where the stack has no machine, the version gets the weight of the first step,
and nothing moves it further but advance, promote and abort.`,
		Example: `  tidegate rollout start flights 2 --evidence sha256:…
  tidegate rollout start flights 2 --pinned predictions.json
  tidegate rollout start flights 2 --waive evidence --reason 'a fix that cannot wait'`,
		Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			version, err := versionNumber(args[1])
			if err != nil {
				return err
			}
			t := rollout.PromoteIn{Model: args[0], Kind: registry.KindStart, Version: version, Evidence: e.digests, Approval: e.approval, Waive: waive, Dataset: dataset}
			lead, err := a.leads(c.Context(), manual)
			if err != nil {
				return err
			}
			if lead {
				return a.lead(c, &f, &t, pinned)
			}
			if pinned != "" {
				return fault.New(fault.InvalidArgument, "--pinned is judged by the rollout machine, and this rollout has none")
			}
			return a.move(c, &f, t, asIs)
		},
	}
	e.register(c)
	c.Flags().BoolVar(&manual, "manual", false, "make the first move only; you lead the rollout")
	c.Flags().StringVar(&pinned, "pinned", "", "JSON file that names predictions of pinned rows by both versions, to be judged first (docs/formats/rollout.md)")
	c.Flags().StringSliceVar(&waive, "waive", nil, "guards that you stand for, with a --reason: evidence, parity")
	c.Flags().StringVar(&dataset, "dataset", "", "digest of the rows that the evidence must have been measured on")
	f.register(c)
	return c
}

// asIs asks for a transition that needs nothing from the state.
func asIs(registry.State, *rollout.PromoteIn) error { return nil }

// underWay fills in the rollout that a move is about.
func underWay(s registry.State, t *rollout.PromoteIn) error {
	if s.Rollout == nil {
		return fault.New(fault.FailedPrecondition, "model %q has no rollout under way", t.Model)
	}
	if t.RolloutID == "" {
		t.RolloutID = s.Rollout.ID
	}
	return nil
}

func (a *app) rolloutStep(use, kind, short string) *cobra.Command {
	var f transitionFlags
	var e evidenceFlags
	c := &cobra.Command{
		Use:   use + " MODEL",
		Short: short,
		Long:  short + ". The rollout machine does so by itself; this is for rollouts that are led\nby hand or by a program of your own.",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			t := rollout.PromoteIn{Model: args[0], Kind: kind, Evidence: e.digests, Approval: e.approval}
			return a.move(c, &f, t, func(s registry.State, t *rollout.PromoteIn) error {
				if err := underWay(s, t); err != nil {
					return err
				}
				if kind == registry.KindAdvance {
					t.FromStep = &s.Rollout.Step
				}
				return nil
			})
		},
	}
	e.register(c)
	f.register(c)
	return c
}

func (a *app) rolloutPause(use, kind, short string) *cobra.Command {
	var f transitionFlags
	c := &cobra.Command{
		Use:     use + " MODEL",
		Short:   short,
		Example: "  tidegate rollout " + use + " flights --reason 'the labels are late'",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.move(c, &f, rollout.PromoteIn{Model: args[0], Kind: kind}, underWay)
		},
	}
	f.register(c)
	return c
}

func (a *app) rolloutAbort() *cobra.Command {
	var f transitionFlags
	var reject bool
	var evidence []string
	c := &cobra.Command{
		Use:   "abort MODEL",
		Short: "End a rollout: the champion answers everything",
		Long: `Ends a rollout. It needs no evidence and works while the model is frozen. With --reject the
version must not serve again until somebody readmits it; that takes a --reason, or --evidence.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			t := rollout.PromoteIn{Model: args[0], Kind: registry.KindAbort, Reject: reject, Evidence: evidence}
			if reject && len(evidence) == 0 {
				t.Waive = []string{rollout.WaiveEvidence}
			}
			return a.move(c, &f, t, underWay)
		},
	}
	c.Flags().BoolVar(&reject, "reject", false, "the version must not serve again")
	c.Flags().StringSliceVar(&evidence, "evidence", nil, "sha256 of the judgement that says so")
	f.register(c)
	return c
}

// rolloutReport is where a rollout stands, as status prints it.
type rolloutReport struct {
	Model      string            `json:"model"`
	Generation int64             `json:"generation"`
	Champion   *registry.Ref     `json:"champion,omitempty"`
	Challenger *registry.Ref     `json:"challenger,omitempty"`
	Weight     int               `json:"weight"` // hundredths of a percent
	Rollout    *registry.Rollout `json:"rollout,omitempty"`
	Policy     *rollout.Policy   `json:"policy,omitempty"` // that of the rollout, else the one in force
}

func (a *app) rolloutStatus() *cobra.Command {
	return &cobra.Command{
		Use:   "status MODEL",
		Short: "Say where the rollout of a model stands",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			_, reg, err := a.open(c.Context())
			if err != nil {
				return err
			}
			if _, err := reg.Model(c.Context(), args[0]); err != nil {
				return err
			}
			r, err := rolloutOf(c.Context(), reg, args[0])
			if err != nil {
				return err
			}
			return a.print(r, func(w io.Writer) { a.rolloutLines(w, r) })
		},
	}
}

func rolloutOf(ctx context.Context, reg *registry.Registry, model string) (rolloutReport, error) {
	s, err := stateOf(ctx, reg, model)
	if err != nil {
		return rolloutReport{}, err
	}
	r := rolloutReport{Model: model, Generation: s.Generation, Champion: s.Slots.Champion, Challenger: s.Slots.Challenger, Weight: s.Weights.Challenger, Rollout: s.Rollout}
	digest := s.SettingsDigest
	if s.Rollout != nil {
		digest = s.Rollout.SettingsDigest
	}
	var settings registry.Settings
	if digest != "" {
		if settings, err = reg.Settings(ctx, model, digest); err != nil {
			return r, err
		}
	}
	policy, err := rollout.ParsePolicy(settings.Rollout)
	r.Policy = &policy
	return r, err
}

func (a *app) rolloutLines(w io.Writer, r rolloutReport) {
	if r.Rollout == nil {
		fmt.Fprintf(w, "no rollout of %s is under way; the next one would take these steps\n", r.Model)
	} else {
		fmt.Fprintf(w, "rollout     %s, %s, by %s\n", r.Rollout.ID, r.Rollout.Status, r.Rollout.Owner)
		fmt.Fprintf(w, "challenger  version %s beside version %s, %s of the keys\n", ref(r.Challenger), ref(r.Champion), percent(r.Weight))
	}
	cells := make([][]string, len(r.Policy.Steps))
	for i, s := range r.Policy.Steps {
		at := ""
		if r.Rollout != nil && r.Rollout.Step == i {
			at = fmt.Sprintf("since %s", when(r.Rollout.StepStartedAt))
			if paused := r.Rollout.PausedAt; !paused.IsZero() {
				at = fmt.Sprintf("paused at %s, %s baked", when(paused), r.Rollout.Baked(paused).Round(time.Second))
			}
		} else if r.Rollout != nil && i < r.Rollout.Step {
			at = "done"
		}
		cells[i] = []string{fmt.Sprint(i), percent(s.Weight), s.Bake().String(), at}
	}
	table(w, []string{"STEP", "WEIGHT", "BAKE", ""}, cells)
	if r.Policy.Approval != "none" {
		fmt.Fprintf(w, "a person must agree to: %s\n", strings.ReplaceAll(r.Policy.Approval, "both", "start and promote"))
	}
}

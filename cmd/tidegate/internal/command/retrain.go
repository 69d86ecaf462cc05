package command

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidegate/tidegate/cmd/tidegate/stack"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/lease"
)

// retrainEvery is how often an execution that is followed is looked at.
const retrainEvery = 2 * time.Second

// retraining is a run of the retrain machine, as it is printed.
type retraining struct {
	Model     string          `json:"model"`
	Trigger   string          `json:"trigger"`
	Execution string          `json:"execution"`
	Steps     []retrainStep   `json:"steps,omitempty"`  // of one that is followed
	Result    *retrainOutcome `json:"result,omitempty"` // the same
}

// retrainStep is a finished step and its evidence.
type retrainStep struct {
	Step string    `json:"step"`
	At   time.Time `json:"at"`
	Says string    `json:"says"`
}

// retrainOutcome is the part of the machine's output that is looked at here (docs/formats/retrain.md).
type retrainOutcome struct {
	Run     string `json:"run,omitempty"`
	Version int    `json:"version,omitempty"`
	Outcome string `json:"outcome"`
	Reason  string `json:"reason"`
}

func (a *app) retrainCommand() *cobra.Command {
	var reason, actor, trigger string
	var follow, force bool
	c := &cobra.Command{
		Use:   "retrain MODEL",
		Short: "Train a model again, and roll the new version out if it is not worse",
		Long: `Starts the retrain machine of the stack: it pins the data that the settings name, trains unless
the same code has been trained on the same data with the same settings, registers, compares the
version with the champion on the same rows, and lets the rollout machine lead it. What a person
starts is never debounced; it waits while another execution works on the model.

With --follow each finished step is printed with its evidence; interrupting that stops nothing.
--trigger takes up a run that failed or was stopped: its finished steps are not repeated.`,
		Example: `  tidegate retrain flights --reason 'new airports' --follow
  tidegate retrain flights --reason 'go on' --trigger 'drift 2026-11-26'`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if reason == "" {
				return fault.New(fault.InvalidArgument, "a retraining needs a --reason, for the log")
			}
			const longestTrigger, longestReason = 500, 1024
			if len(trigger) > longestTrigger || len(reason) > longestReason {
				return fault.New(fault.InvalidArgument, "--trigger must have at most %d bytes, and --reason at most %d", longestTrigger, longestReason)
			}
			s, reg, err := a.open(c.Context())
			if err != nil {
				return err
			}
			if _, err := reg.Model(c.Context(), args[0]); err != nil {
				return err
			}
			in := stack.RetrainIn{Model: args[0], Trigger: first(trigger, "person "+s.NewID()), Source: lease.SourcePerson, Actor: a.actor(c.Context(), s, actor), Reason: reason, Force: force}
			execution, err := s.Retrain(c.Context(), in)
			if err != nil {
				return err
			}
			r := retraining{Model: in.Model, Trigger: in.Trigger, Execution: execution}
			if follow {
				return a.followRetraining(c.Context(), s, &r)
			}
			return a.print(r, func(w io.Writer) {
				fmt.Fprintf(w, "the retrain machine works on %s, for the trigger %q\n%s\n", r.Model, r.Trigger, execution)
			})
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why, for the log")
	c.Flags().StringVar(&actor, "actor", "", "who does this, for the log (default: the caller's ARN)")
	c.Flags().StringVar(&trigger, "trigger", "", "take up the run of this trigger (default: a new one)")
	c.Flags().BoolVar(&follow, "follow", false, "wait for the end, and print each finished step with its evidence")
	c.Flags().BoolVar(&force, "force", false, "train although the same was trained before")
	return c
}

// followRetraining waits for the end of an execution. The error is of one that failed
// or was refused.
func (a *app) followRetraining(ctx context.Context, s *stack.Stack, r *retraining) error {
	if !a.json {
		fmt.Fprintf(a.Stdout, "%-20s  %s\n", "execution", r.Execution)
	}
	end, err := s.Follow(ctx, r.Execution, retrainEvery, func(step stack.Step) error {
		says := retrainEvidence(step)
		if says == "" {
			return nil
		}
		r.Steps = append(r.Steps, retrainStep{Step: step.State, At: step.At, Says: says})
		if !a.json {
			fmt.Fprintf(a.Stdout, "%s  %s\n", when(step.At), says)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if !end.Succeeded {
		return fault.New(fault.FailedPrecondition, "the execution is %s with %s: %s; its finished steps are kept, --trigger %q goes on with them", end.Status, end.Error, end.Cause, r.Trigger)
	}
	r.Result = &retrainOutcome{}
	if err := json.Unmarshal(end.Output, r.Result); err != nil {
		return fault.Wrap(err, fault.Internal, "the output of the machine is not what this version of the command line expects; deploy the same version")
	}
	if r.Result.Outcome == "refused" {
		return fault.New(fault.FailedPrecondition, "the retraining is refused: %s", r.Result.Reason)
	}
	return a.print(r, func(w io.Writer) { fmt.Fprintf(w, "%s: %s\n", r.Result.Outcome, r.Result.Reason) })
}

// retrainData is what the states of the machine leave behind, as far as it is evidence.
type retrainData struct {
	Claim struct {
		Out lease.Out `json:"out"`
	} `json:"claim"`
	Snapshot struct {
		Out struct {
			Action   string   `json:"action"`
			Why      []string `json:"why"`
			Version  int      `json:"version"`
			Standing string   `json:"standing"`
			Trainer  string   `json:"trainer"`
			Dataset  struct {
				Name   string `json:"name"`
				Number int    `json:"number"`
				Digest string `json:"digest"`
				Rows   int64  `json:"rows"`
			} `json:"dataset"`
		} `json:"out"`
	} `json:"snapshot"`
	Trained struct {
		Out struct {
			Ready   bool               `json:"ready"`
			Metrics map[string]float64 `json:"metrics"`
			Rows    map[string]int64   `json:"rows"`
		} `json:"out"`
	} `json:"trained"`
	Registered struct {
		Out struct {
			Version  int    `json:"version"`
			Digest   string `json:"digest"`
			Existing bool   `json:"existing"`
		} `json:"out"`
	} `json:"registered"`
	Holdout struct {
		Out struct {
			Comparable bool   `json:"comparable"`
			Reason     string `json:"reason"`
			Champion   int    `json:"champion"`
			Version    int    `json:"version"`
			Rows       int64  `json:"rows"`
			First      string `json:"first"`
			Last       string `json:"last"`
		} `json:"out"`
	} `json:"holdout"`
	Scored []struct {
		URI     string `json:"uri"`
		Digest  string `json:"digest"`
		Created bool   `json:"created"`
	} `json:"scored"`
	Judged struct {
		Summary  string `json:"summary"`
		Evidence string `json:"evidence"`
		Pairs    int64  `json:"pairs"`
	} `json:"judged"`
	Rollout struct {
		Outcome   string `json:"outcome"`
		Detail    string `json:"detail"`
		Execution string `json:"execution"`
	} `json:"rollout"`
}

// retrainEvidence is what a finished step found, in a line; "" of steps that find nothing, or failed.
func retrainEvidence(step stack.Step) string {
	tell := retrainSteps[step.State]
	var d retrainData
	if tell == nil || json.Unmarshal(step.Output, &d) != nil {
		return ""
	}
	return tell(&d)
}

var retrainSteps = map[string]func(*retrainData) string{
	"ClaimTrigger": (*retrainData).claimed, "ClaimAgain": (*retrainData).claimed,
	"TakeSnapshot": (*retrainData).pinned,
	"AdoptTrained": (*retrainData).trained, "TakeTrained": (*retrainData).trained, "AdoptJob": (*retrainData).trained,
	"RegisterVersion": func(d *retrainData) string {
		r := d.Registered.Out
		if r.Version == 0 {
			return ""
		}
		if r.Existing {
			return fmt.Sprintf("registered: these bytes are version %d already (%s)", r.Version, short(r.Digest))
		}
		return fmt.Sprintf("registered: version %d (%s)", r.Version, short(r.Digest))
	},
	"PinHoldout": func(d *retrainData) string {
		h := d.Holdout.Out
		if !h.Comparable {
			return "holdout: no comparison: " + h.Reason
		}
		return fmt.Sprintf("holdout: %d rows from %s to %s, version %d against champion %d", h.Rows, h.First, h.Last, h.Version, h.Champion)
	},
	"ScoreRows": func(d *retrainData) string {
		says := fmt.Sprintf("scored: %d sets of predictions", len(d.Scored))
		for _, one := range d.Scored {
			says += ", " + short(one.Digest)
		}
		return says
	},
	"JudgeStart": func(d *retrainData) string {
		if d.Judged.Summary == "" {
			return ""
		}
		return fmt.Sprintf("judged: %s (%d rows, evidence %s)", d.Judged.Summary, d.Judged.Pairs, short(d.Judged.Evidence))
	},
	"StartRollout": func(d *retrainData) string {
		if d.Rollout.Outcome == "" {
			return ""
		}
		return fmt.Sprintf("rollout: %s (%s) %s", d.Rollout.Outcome, d.Rollout.Detail, d.Rollout.Execution)
	},
}

func (d *retrainData) claimed() string {
	c := d.Claim.Out
	switch c.Status {
	case lease.Acquired:
		says := fmt.Sprintf("claimed: run %s, epoch %d, attempt %d", short(c.Run), c.Epoch, c.Attempt)
		if c.TakenOver != "" {
			says += ", taken over from " + c.TakenOver
		}
		return says
	case "":
		return ""
	}
	says := "claimed: " + string(c.Status)
	if c.Holder != "" {
		says += ", by " + c.Holder
	}
	return says
}

func (d *retrainData) pinned() string {
	s := d.Snapshot.Out
	var says string
	switch s.Action {
	case "train":
		says = fmt.Sprintf("snapshot: dataset %s/%d, %d rows, %s; trains (%s)", s.Dataset.Name, s.Dataset.Number, s.Dataset.Rows, short(s.Dataset.Digest), s.Trainer)
	case "reuse":
		says = fmt.Sprintf("snapshot: nothing to train, it would be version %d, which is %s", s.Version, s.Standing)
	default:
		return ""
	}
	for _, why := range s.Why {
		says += "; " + why
	}
	return says
}

func (d *retrainData) trained() string {
	t := d.Trained.Out
	if !t.Ready {
		return ""
	}
	says := fmt.Sprintf("trained: %d rows, %d held out", t.Rows["train"], t.Rows["holdout"])
	names := make([]string, 0, len(t.Metrics))
	for name := range t.Metrics {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		says += fmt.Sprintf(", %s %.4g", name, t.Metrics[name])
	}
	return says
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"github.com/tidegate/tidegate/cmd/tidegate/stack"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/pause"
	"github.com/tidegate/tidegate/tests/demo/flights"
)

// Retrained is the training that started by itself, for programs.
type Retrained struct {
	Trigger   string `json:"trigger"`
	Debounced int    `json:"debounced"` // earlier signals that were not enough
	Rows      int64  `json:"rows"`      // of the dataset
	Version   int    `json:"version"`
	Outcome   string `json:"outcome"`
}

// teach leaves months with their labels where the retrain machine finds them.
func (d *demo) teach(ctx context.Context, all []flights.Flight, months ...int) error {
	for _, month := range months {
		data, _, err := flights.TrainingSet(flights.Arrived(flights.Departed(flights.Of(all, month))))
		if err != nil {
			return err
		}
		if _, err := d.once(ctx, fmt.Sprintf("training/%s/2013-%02d.csv", modelName, month), data); err != nil {
			return err
		}
	}
	return nil
}

// errHandedOver ends the telling of a retraining whose rollout begins.
var errHandedOver = errors.New("the rollout machine goes on")

// retrain waits for the retraining that the drift of the last months has started, and
// tells its steps up to the rollout. It returns the execution.
func (d *demo) retrain(ctx context.Context, facts *Facts) (string, error) {
	d.chapter("Train again: it starts by itself")
	d.say("Each change of what has drifted is an event, and each event starts the retrain machine. The settings ask for two; until then it is debounced.")
	machines := sfn.NewFromConfig(d.Config)
	var told []string
	for end := time.Now().Add(d.patience); time.Now().Before(end); {
		executions, err := d.executions(ctx, machines)
		if err != nil {
			return "", err
		}
		for _, execution := range executions {
			if slices.Contains(told, execution) {
				continue
			}
			told = append(told, execution)
			ending, err := d.Follow(ctx, execution, 300*time.Millisecond, func(s stack.Step) error { return d.tellStep(s, &facts.Retraining) })
			if errors.Is(err, errHandedOver) {
				return execution, nil
			}
			if err != nil {
				return "", err
			}
			if err := d.notYet(&ending, &facts.Retraining); err != nil {
				return "", err
			}
		}
		if err := pause.For(ctx, 500*time.Millisecond); err != nil {
			return "", err
		}
	}
	return "", fmt.Errorf("no retraining has begun within %s after %d executions of the retrain machine", d.patience, len(told))
}

// executions are those of the retrain machine for the model, oldest first.
func (d *demo) executions(ctx context.Context, machines *sfn.Client) ([]string, error) {
	var found []string
	pages := sfn.NewListExecutionsPaginator(machines, &sfn.ListExecutionsInput{StateMachineArn: &d.RetrainMachineArn})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("executions of the retrain machine: %w", err)
		}
		slices.SortFunc(page.Executions, func(a, b types.ExecutionListItem) int {
			return aws.ToTime(b.StartDate).Compare(aws.ToTime(a.StartDate))
		})
		for _, e := range page.Executions {
			x, err := machines.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: e.ExecutionArn})
			if err != nil {
				return nil, fmt.Errorf("an execution of the retrain machine: %w", err)
			}
			var in struct {
				Detail struct{ Model string }
			}
			if err := json.Unmarshal([]byte(aws.ToString(x.Input)), &in); err == nil && in.Detail.Model == modelName {
				found = append(found, aws.ToString(e.ExecutionArn))
			}
		}
	}
	slices.Reverse(found)
	return found, nil
}

// named is a trigger with the month that it is about.
func (d *demo) named(trigger string) string {
	for window, month := range d.windows {
		if strings.HasSuffix(trigger, window) {
			return fmt.Sprintf("drift of %s (%s)", month, window)
		}
	}
	return trigger
}

// told is what the output of a retraining says.
type told struct {
	Version                  int
	Trigger, Outcome, Reason string
}

// notYet tells of an execution that has ended without training: debounced, or something is wrong.
func (d *demo) notYet(ending *stack.Ending, r *Retrained) error {
	var out told
	if !ending.Succeeded || json.Unmarshal(ending.Output, &out) != nil {
		return fault.New(fault.FailedPrecondition, "a retraining is %s: %s %s", ending.Status, ending.Error, ending.Cause)
	}
	d.say("%s: %s, %s.", d.named(out.Trigger), out.Outcome, out.Reason)
	if out.Outcome != "debounced" {
		return fault.New(fault.FailedPrecondition, "the retraining for %s has no rollout: %s", out.Trigger, out.Reason)
	}
	r.Debounced++
	return nil
}

// tellStep tells what a step of the retrain machine has found.
func (d *demo) tellStep(s stack.Step, r *Retrained) error {
	var doc struct {
		Trigger string
		Claim   struct {
			Out struct{ Status, Run string }
		}
		Snapshot struct {
			Out struct {
				Action  string
				Why     []string
				Dataset struct {
					Name   string
					Number int
					Rows   int64
				}
			}
		}
		Trained struct {
			Out struct {
				Metrics struct {
					ROCAUC float64 `json:"roc_auc"`
				}
				Rows struct{ Train, Holdout int }
			}
		}
		Registered struct {
			Out struct{ Version int }
		}
		Holdout struct {
			Out struct {
				Champion, Version int
				Rows              int64
				First, Last       string
			}
		}
		Judged struct{ Summary string }
	}
	if err := json.Unmarshal(s.Output, &doc); err != nil {
		return fmt.Errorf("the output of %s: %w", s.State, err)
	}
	switch s.State {
	case "ClaimTrigger", "ClaimAgain":
		if c := doc.Claim.Out; c.Status == "acquired" {
			r.Trigger = doc.Trigger
			d.say("%s: two signals, this one trains (run %.12s).", d.named(doc.Trigger), c.Run)
		}
	case "TakeSnapshot":
		set := doc.Snapshot.Out.Dataset
		r.Rows = set.Rows
		d.say("%s: dataset %s/%d pins %d rows of training/%s/; %s.", s.State, set.Name, set.Number, set.Rows, modelName, list(doc.Snapshot.Out.Why))
	case "TakeTrained":
		d.say("%s: %d rows, the last %d held back; ROC AUC %.4f.", s.State, doc.Trained.Out.Rows.Train, doc.Trained.Out.Rows.Holdout, doc.Trained.Out.Metrics.ROCAUC)
	case "RegisterVersion":
		r.Version = doc.Registered.Out.Version
		d.say("%s: version %d.", s.State, r.Version)
	case "PinHoldout":
		h := doc.Holdout.Out
		d.say("%s: %d rows from %s to %s, later than the training of either, for versions %d and %d.", s.State, h.Rows, h.First, h.Last, h.Champion, h.Version)
	case "JudgeStart":
		d.say("%s: %s", s.State, doc.Judged.Summary)
	case "AskNobody", "AskPerson":
		return errHandedOver
	}
	return nil
}

// retrained waits for the end of the retraining, after that of its rollout.
func (d *demo) retrained(ctx context.Context, execution string, facts *Facts) error {
	ending, err := d.Follow(ctx, execution, 300*time.Millisecond, func(stack.Step) error { return nil })
	if err != nil {
		return err
	}
	var out told
	if !ending.Succeeded || json.Unmarshal(ending.Output, &out) != nil {
		return fault.New(fault.FailedPrecondition, "the retraining is %s: %s %s", ending.Status, ending.Error, ending.Cause)
	}
	facts.Retraining.Outcome = out.Outcome
	d.say("So the retraining for %s ends: %s.", d.named(out.Trigger), out.Outcome)
	return nil
}

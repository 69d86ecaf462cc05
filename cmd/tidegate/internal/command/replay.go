package command

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tidegate/tidegate/cmd/tidegate/stack"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/training"
)

// replayReport is the document that replay prints.
type replayReport struct {
	*training.Replayed
	Source string `json:"source"` // where the repeated training left its files
}

func (a *app) replayCommand() *cobra.Command {
	var tolerance float64
	c := &cobra.Command{
		Use:   "replay MODEL VERSION",
		Short: "Train a version again from its pinned data, and say in what the result differs",
		Long: `Trains once more what a retraining made: the same rows, which the registry has pinned, the same
schema, hyperparameters and seed, by the train function as it is deployed now. Then metrics and, row by
row, predictions on the holdout are compared with those of the version. Nothing is registered; the
files stay under uploads/ for 30 days.

Differences count from the tolerances on that the model's settings have under retrain.replay (metrics
1e-6 and predictions 1e-5 by default), or from --tolerance on. Exit codes: 0 nothing differs, or
not by more than that; 1 it differs; 3 an error.`,
		Example: "  tidegate replay flights 2\n  tidegate replay flights 2 --tolerance 0.001 --json",
		Args:    cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			version, err := versionNumber(args[1])
			if err != nil {
				return err
			}
			var asked *training.Tolerance
			if c.Flags().Changed("tolerance") {
				if asked = (&training.Tolerance{Metric: tolerance, Prediction: tolerance}); !(tolerance >= 0 && tolerance <= 1e9) {
					return fault.New(fault.InvalidArgument, "--tolerance must be a number from 0 on")
				}
			}
			return a.replay(c.Context(), args[0], version, asked)
		},
	}
	c.Flags().Float64Var(&tolerance, "tolerance", 0, "largest absolute difference of a metric, and of a number in the predictions")
	return c
}

func (a *app) replay(ctx context.Context, model string, version int, asked *training.Tolerance) error {
	s, reg, err := a.open(ctx)
	if err != nil {
		return err
	}
	tolerance, err := replayTolerance(ctx, reg, model, asked)
	if err != nil {
		return err
	}
	if _, err := training.FindRecipe(ctx, reg, model, version, ""); err != nil { // before a function is woken
		return err
	}
	var deployed struct{ Code string }
	if err := s.Invoke(ctx, s.TrainFunctionName, map[string]bool{"describe": true}, &deployed); err != nil {
		return err
	}
	recipe, err := training.FindRecipe(ctx, reg, model, version, deployed.Code)
	if err != nil {
		return err
	}
	folder := "uploads/" + s.NewID() + "/"
	source := "s3://" + s.RegistryBucketName + "/" + folder
	payload, err := recipe.Payload(s.RegistryBucketName, source)
	if err != nil {
		return replayMissing(recipe, err)
	}
	bar := a.progress(0, "training", false)
	var trained map[string]any // the comparison reads what is stored
	err = s.Invoke(ctx, s.TrainFunctionName, payload, &trained)
	bar.Finish()
	if err != nil {
		return err
	}
	out, err := recipe.Compare(ctx, reg, trainedFiles(s, folder), tolerance)
	if err != nil {
		return err
	}
	if out.Verdict == training.Differs {
		a.exit = ExitWrong
	}
	return a.print(replayReport{out, source}, func(w io.Writer) { replayLines(w, out, source) })
}

// replayTolerance is what was asked for, else what the settings in force say.
func replayTolerance(ctx context.Context, reg *registry.Registry, model string, asked *training.Tolerance) (training.Tolerance, error) {
	if asked != nil {
		return *asked, nil
	}
	state, err := stateOf(ctx, reg, model)
	if err != nil || state.SettingsDigest == "" {
		return training.DefaultPolicy().Replay, err
	}
	settings, err := reg.Settings(ctx, model, state.SettingsDigest)
	if err != nil {
		return training.Tolerance{}, err
	}
	policy, err := training.ParsePolicy(settings.Retrain)
	return policy.Replay, err
}

// replayMissing names all that is gone, not only the first of it.
func replayMissing(recipe *training.Recipe, err error) error {
	if len(recipe.Missing) < 2 {
		return err
	}
	return fault.Wrap(err, fault.FailedPrecondition, "version %d cannot be trained again; these are no longer there: %s", recipe.Version, strings.Join(recipe.Missing, "; "))
}

func trainedFiles(s *stack.Stack, folder string) training.Files {
	return func(ctx context.Context, name string) (io.ReadCloser, error) {
		body, _, err := s.Registry.Open(ctx, folder+name, 0, -1)
		if fault.Is(err, fault.NotFound) {
			return nil, fault.Wrap(err, fault.FailedPrecondition, "the repeated training left no %s", name)
		}
		return body, err
	}
}

func replayLines(w io.Writer, out *training.Replayed, source string) {
	verdict := map[training.Verdict]string{training.Equal: "nothing differs", training.Within: "differences within the tolerance", training.Differs: "DIFFERS"}[out.Verdict]
	same := "other bytes"
	if out.SameModel {
		same = "the same bytes"
	}
	fmt.Fprintf(w, "%s@%d trained again: %s\n", out.Model, out.Version, verdict)
	fmt.Fprintf(w, "model.onnx   %s\n", same)
	fmt.Fprintf(w, "predictions  %d rows, %d differ by more than %.3g, max |diff| %.2g\n", out.Rows, out.RowsDiffer, out.Tolerance.Prediction, out.MaxAbsDiff)
	value := func(v *float64) string {
		if v == nil {
			return ""
		}
		return fmt.Sprintf("%.10g", *v)
	}
	cells := make([][]string, len(out.Metrics))
	for i, m := range out.Metrics {
		cells[i] = []string{m.Name, value(m.Old), value(m.New), fmt.Sprintf("%.3g", m.Diff)}
	}
	table(w, []string{"METRIC", "VERSION", "AGAIN", "DIFF"}, cells)
	for _, why := range out.Why {
		fmt.Fprintf(w, "differs: %s\n", why)
	}
	for _, change := range out.Changed {
		fmt.Fprintf(w, "note: %s\n", change)
	}
	fmt.Fprintf(w, "its files: %s\n", source)
}

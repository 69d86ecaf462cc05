package command

import (
	"context"
	"encoding/json"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/tidegate/tidegate/cmd/tidegate/internal/scored"
	"github.com/tidegate/tidegate/cmd/tidegate/internal/tables"
	"github.com/tidegate/tidegate/shared/evaluation"
	"github.com/tidegate/tidegate/shared/evaluation/quality"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/outcome"
	"github.com/tidegate/tidegate/shared/schema"
)

// scoredFlags name the columns of tables of predictions and labels.
type scoredFlags struct {
	labels                       []string
	task                         string
	classes, score, segments     []string
	prediction, id, labelID      string
	label, time, labelTime       string
	key, weight                  string
	policy, html, named          string
	workers                      int
	labelled                     bool // --label was given
	scoreNamed, predictionsNamed bool
}

func (f *scoredFlags) register(c *cobra.Command) {
	c.Flags().StringArrayVar(&f.labels, "labels", nil, "file or folder of labels; may be given more than once (default: --label is a column of the predictions)")
	c.Flags().StringVar(&f.task, "task", "", "binary, multiclass or regression (default: binary, or multiclass with several --score)")
	c.Flags().StringSliceVar(&f.classes, "classes", nil, "classes in the order of their scores; of two the last is the positive one (default: 0,1, or the names of the score columns)")
	c.Flags().StringSliceVar(&f.score, "score", []string{"score"}, "column of the score: of the positive class, of each class (separated by commas), or the predicted value")
	c.Flags().StringVar(&f.prediction, "prediction", "", "column of the predicted class (default: that of the scores); alone: there are no scores")
	c.Flags().StringVar(&f.id, "id", "id", "column of the id that joins predictions and labels")
	c.Flags().StringVar(&f.labelID, "label-id", "", "column of the id in the labels (default: --id)")
	c.Flags().StringVar(&f.label, "label", "label", "column of the label")
	c.Flags().StringVar(&f.labelTime, "label-time", "", "column of the time at which a label became known: of several the last one counts")
	c.Flags().StringVar(&f.time, "time", "", "column of the time of the prediction: standard errors by hour")
	c.Flags().StringVar(&f.key, "key", "", "column whose equal values mark rows that depend on each other")
	c.Flags().StringVar(&f.weight, "weight", "", "column of weights: rows that a row stands for")
	c.Flags().StringVar(&f.policy, "policy", "", "what is judged, and how strictly (JSON)")
	c.Flags().StringVar(&f.html, "html", "", "write the report as one HTML page")
	c.Flags().StringVar(&f.named, "name", "files", "what the window is called in the report")
	c.Flags().IntVar(&f.workers, "workers", 0, "parts of files read at once (default: one for each core)")
}

// given notes which flags a person has set.
func (f *scoredFlags) given(c *cobra.Command) {
	f.labelled, f.scoreNamed, f.predictionsNamed = c.Flags().Changed("label"), c.Flags().Changed("score"), f.prediction != ""
}

func (f *scoredFlags) check() error {
	switch {
	case f.workers < 0 || f.workers > 256:
		return fault.New(fault.InvalidArgument, "--workers must be 1 to 256, or 0 for one for each core")
	case f.named == "" || len(f.named) > 128:
		return fault.New(fault.InvalidArgument, "--name must have 1 to 128 bytes")
	case !slices.Contains([]string{"", "binary", "multiclass", "regression"}, f.task):
		return fault.New(fault.InvalidArgument, "--task must be binary, multiclass or regression")
	}
	return nil
}

// input opens the tables.
func (f *scoredFlags) input(predictions [][]string) (*scored.Input, func(), error) {
	in := &scored.Input{Task: f.schemaTask(), Classes: f.classes, Workers: f.workers}
	var opened []*tables.Set
	closeAll := func() {
		for _, s := range opened {
			s.Close()
		}
	}
	open := func(paths []string) (*tables.Set, error) {
		s, err := tables.Open(paths)
		if err == nil {
			opened = append(opened, s)
		}
		return s, err
	}
	for _, paths := range predictions {
		set, err := open(paths)
		if err != nil {
			closeAll()
			return nil, nil, err
		}
		in.Predictions = append(in.Predictions, set)
	}
	if len(f.labels) > 0 {
		set, err := open(f.labels)
		if err != nil {
			closeAll()
			return nil, nil, err
		}
		in.Labels = set
	}
	in.Names = outcome.Names{Time: f.time, Key: f.key, Weight: f.weight, Prediction: f.prediction}
	f.scores(in)
	if in.Labels != nil || len(predictions) > 1 {
		in.Names.ID, in.Names.LabelID = f.id, f.labelID
	}
	if in.Labels != nil || f.labelled {
		in.Names.Label, in.Names.LabelTime = f.label, f.labelTime
	}
	return in, closeAll, nil
}

// scores names the columns of the answers: a prediction without a score is a class
// alone, and of a regression it is the value.
func (f *scoredFlags) scores(in *scored.Input) {
	switch {
	case in.Task == schema.Regression:
		in.Names.Prediction = ""
		switch {
		case f.scoreNamed || !f.predictionsNamed:
			in.Names.Scores = f.score
		default:
			in.Names.Scores = []string{f.prediction}
		}
	case f.scoreNamed || !f.predictionsNamed:
		in.Names.Scores = f.score
	}
}

func (f *scoredFlags) schemaTask() schema.Task {
	switch {
	case f.task == "regression":
		return schema.Regression
	case f.task == "multiclass" || f.task == "" && (f.scoreNamed && len(f.score) > 1 || len(f.classes) > 2):
		return schema.Multiclass
	}
	return schema.Binary
}

// storedReference is a reference.json, nil if the file is something else, such as rows.
func storedReference(path string) (*quality.Reference, string, error) {
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() || info.Size() > quality.MaxReference {
		return nil, "", nil // opening it as a table says what is wrong
	}
	raw, err := readDocument(path)
	if err != nil {
		return nil, "", err
	}
	var doc struct {
		Layout, Counts json.RawMessage
	}
	if json.Unmarshal(raw, &doc) != nil || doc.Layout == nil || doc.Counts == nil {
		return nil, "", nil
	}
	ref, err := quality.ParseReference(raw)
	if err != nil {
		return nil, "", fault.Wrap(err, fault.InvalidArgument, "%s is a damaged reference: %s", path, plainly(err))
	}
	return ref, digest(raw), nil
}

// qualityReference takes a reference.json, or makes one of a labelled table of predictions.
func (a *app) qualityReference(ctx context.Context, f *scoredFlags, paths []string) (evaluation.Reference, error) {
	if len(paths) == 0 {
		return evaluation.Reference{Why: "no --reference was given"}, nil
	}
	if len(paths) == 1 {
		ref, sum, err := storedReference(paths[0])
		if err != nil || ref != nil {
			return evaluation.Reference{Reference: ref, SHA256: sum}, err
		}
	}
	own := *f
	own.labels, own.labelled, own.time, own.key, own.weight, own.labelTime = nil, true, "", "", "", ""
	in, done, err := own.input([][]string{paths})
	if err != nil {
		return evaluation.Reference{}, err
	}
	defer done()
	bar := a.progress(2*in.Size(), "counting the reference", true)
	defer bar.Finish()
	in.Read = func(n int64) { bar.Add64(n) }
	dataset, err := scored.Digest(ctx, in.Predictions[0])
	if err != nil {
		return evaluation.Reference{}, err
	}
	ref, err := in.Reference(ctx, dataset)
	if err != nil {
		return evaluation.Reference{}, err
	}
	raw, err := ref.Encode()
	return evaluation.Reference{Reference: ref, SHA256: digest(raw)}, err
}

package registration

import (
	"fmt"
	"slices"

	"github.com/tidegate/tidegate/shared/evaluation/quality"
	"github.com/tidegate/tidegate/shared/evaluation/score"
	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/shared/tensor"
)

// answers are the columns of predictions.csv that say how good a model is: the first
// output of floats holds the scores, the first of anything else the predicted
// class, as outcome.SpecOf has it for captures.
type answers struct {
	task      schema.Task
	names     []string // of the columns of scores: binary that of the positive class, multiclass by class
	columns   []int    // their fields
	class     string   // of the column of the predicted class, "" for none
	predicted int      // its field, −1 for none
	text      bool     // the classes are texts
}

// answersOf finds them in a signature; why says what is in the way.
func answersOf(sig schema.Signature, task schema.Task) (a *answers, why string) {
	a = &answers{task: task, predicted: -1}
	if task != schema.Binary && task != schema.Multiclass && task != schema.Regression {
		return nil, "the model's task is not known; it is one of binary_classification, multiclass_classification and regression"
	}
	for _, out := range sig.Outputs {
		scores := out.Datatype == tensor.FP16 || out.Datatype == tensor.FP32 || out.Datatype == tensor.FP64
		names, err := columnNames(out, "output", inputWidth(out))
		switch {
		case scores && a.names == nil && err != nil:
			return nil, "output " + quoted(out.Name) + " has no fixed number of columns"
		case scores && a.names == nil:
			a.names = names
		case !scores && a.class == "" && task != schema.Regression && err == nil && len(names) == 1:
			a.class, a.text = names[0], out.Datatype == tensor.Bytes
		}
	}
	n := len(a.names)
	switch {
	case n == 0 && a.class == "":
		return nil, "no output holds predictions"
	case task == schema.Regression && n != 1:
		return nil, fmt.Sprintf("a regression is judged by one value, and the model answers %d", n)
	case task == schema.Binary && n > 2:
		return nil, fmt.Sprintf("the scores of two classes are one or two columns, and these are %d", n)
	case task == schema.Multiclass && (n == 1 || n > quality.MaxClasses):
		return nil, fmt.Sprintf("the scores of several classes are 2 to %d columns, and these are %d", quality.MaxClasses, n)
	case task == schema.Binary && n == 2:
		a.names = a.names[1:]
	}
	return a, ""
}

// bind finds the columns in the header of predictions.csv.
func (a *answers) bind(header []string) string {
	a.columns = a.columns[:0]
	a.columns = slices.Grow(a.columns, len(a.names))
	for _, name := range append(slices.Clip(a.names), a.class) {
		at := index(header, name)
		switch {
		case name == "":
		case at < 0:
			return predictionsFile + " has no column " + quoted(name)
		case name == a.class:
			a.predicted = at
		default:
			a.columns = append(a.columns, at)
		}
	}
	return ""
}

// layout is what the rows are counted on.
func (a *answers) layout(classes []string, scores [][]float64) (*quality.Layout, error) {
	switch {
	case a.task == schema.Regression:
		return quality.NewRegression(), nil
	case a.task == schema.Binary && len(scores) == 0:
		return quality.NewBinary(score.Freeze(nil), classes...)
	case a.task == schema.Binary:
		return quality.NewBinary(score.Freeze(scores[0]), classes...)
	}
	bins := make([]*score.Bins, len(classes))
	for k := range bins {
		bins[k] = score.Freeze(nil)
		if k < len(scores) {
			bins[k] = score.FreezeTo(quality.BinsPerClass(len(classes)), scores[k])
		}
	}
	return quality.NewMulticlass(classes, bins)
}

// fill sets the prediction of a row.
func (a *answers) fill(q *quality.Row, predictions []string, class func(text string) int) {
	switch {
	case a.task == schema.Regression:
		q.Value = number(predictions[a.columns[0]])
		return
	case a.task == schema.Binary && len(a.columns) > 0:
		q.Score = number(predictions[a.columns[0]])
	case a.task == schema.Multiclass && len(a.columns) > 0:
		q.Scores = q.Scores[:0]
		for _, at := range a.columns {
			q.Scores = append(q.Scores, number(predictions[at]))
		}
	}
	if a.predicted >= 0 {
		q.Class = class(predictions[a.predicted])
	}
}

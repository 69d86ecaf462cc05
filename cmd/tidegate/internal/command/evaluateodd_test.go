package command

import (
	"fmt"
	"strings"
	"testing"
)

// TestOddEvaluations gives evaluate what files can hold, and says what has to come of it.
func TestOddEvaluations(t *testing.T) {
	c := newCloud(t)
	stage(t)
	scores := func(n int, of func(i int) string) []byte {
		return numbered("id,score,label", n, func(i int) string { return fmt.Sprintf("%d,%s", i, of(i)) })
	}
	put(t, "oneclass.csv", scores(500, func(i int) string { return fmt.Sprintf("0.%03d,0", i) }))
	put(t, "onelabel.csv", scores(500, func(i int) string {
		if i == 7 {
			return "0.3,1"
		}
		return "0.3,"
	}))
	put(t, "constant.csv", scores(500, func(i int) string { return fmt.Sprintf("0.3,%d", i%2) }))
	put(t, "outside.csv", scores(500, func(i int) string { return fmt.Sprintf("%d,%d", i-100, i%2) }))
	put(t, "gaps.csv", scores(500, func(i int) string { return []string{"0.4,1", "NaN,0", ",1", "inf,0"}[i%4] }))
	put(t, "headless.csv", []byte("1,0.5,0\n2,0.4,0\n"))
	put(t, "empty.csv", []byte("id,score,label\n"))
	put(t, "wrong.csv", scores(300, func(i int) string { return []string{"0.4,late", "0.6,1", "0.2,0"}[i%3] }))
	put(t, "weights.csv", numbered("score,label,w", 400, func(i int) string { return fmt.Sprintf("0.%03d,%d,%d", i, i%2, i%4-1) }))
	put(t, "foreign.csv", []byte("id,label\nabc,1\n019ac000-0000-7000-8000-000000000000,1\n"))
	put(t, "many.csv", numbered("score,label,tail", 40_000, func(i int) string { return fmt.Sprintf("0.%03d,%d,N%d", i%1000, i%2, i%(1+i%10_000)) }))
	put(t, "ids.csv", numbered("score,label,tail", 100_010, func(i int) string { return fmt.Sprintf("0.5,1,N%d", i) }))
	put(t, "untimed.csv", numbered("score,label,time", 400, func(i int) string {
		return fmt.Sprintf("0.%03d,%d,%s", i, i%2, []string{"2026-01-05T10:00:00Z", "soon"}[i%4/3])
	}))
	for name, tt := range map[string]struct {
		code int
		args []string
		want string
	}{
		"one class":         {ExitUnknown, []string{"--predictions", "oneclass.csv", "--label", "label", "--reference", "reference.csv"}, `of class "1"`},
		"one class, auc":    {ExitUnknown, []string{"--predictions", "oneclass.csv", "--label", "label"}, "roc_auc: "},
		"one label":         {ExitUnknown, []string{"--predictions", "onelabel.csv", "--label", "label", "--reference", "reference.csv"}, "1 of 500 mature predictions have a label"},
		"constant":          {ExitUnknown, []string{"--predictions", "constant.csv", "--label", "label"}, "roc_auc                     0.5000"},
		"outside":           {ExitUnknown, []string{"--predictions", "outside.csv", "--label", "label"}, "498 rows, with a score that is missing, not finite, or no probability"},
		"gaps":              {ExitUnknown, []string{"--predictions", "gaps.csv", "--label", "label"}, "375 rows, with a score that is missing, not finite"},
		"no header":         {ExitError, []string{"--predictions", "headless.csv", "--label", "label"}, "it is no header"},
		"empty":             {ExitError, []string{"--predictions", "empty.csv", "--label", "label"}, "empty.csv has no rows"},
		"wrong type":        {ExitUnknown, []string{"--predictions", "wrong.csv", "--label", "label"}, "100 labels, being no class of the model"},
		"weights":           {ExitUnknown, []string{"--predictions", "weights.csv", "--label", "label", "--weight", "w"}, "100 rows, with the weight 0"},
		"negative":          {ExitUnknown, []string{"--predictions", "weights.csv", "--label", "label", "--weight", "w"}, "the weight is missing, negative or no number"},
		"not ours":          {ExitUnknown, []string{"--predictions", "good.csv", "--labels", "foreign.csv", "--reference", "reference.csv"}, "2 labels, without a prediction"},
		"twice":             {ExitUnknown, []string{"--predictions", "good.csv", "--labels", "more.csv"}, "labels that differ; the last one counts"},
		"segment missing":   {ExitError, []string{"--predictions", "good.csv", "--labels", "labels.csv", "--segment", "colour"}, `no column "colour"`},
		"10 k segments":     {ExitUnknown, []string{"--predictions", "many.csv", "--label", "label", "--segment", "tail"}, "(other)"},
		"ids as segments":   {ExitError, []string{"--predictions", "ids.csv", "--label", "label", "--segment", "tail"}, "it is no segment"},
		"no time":           {ExitUnknown, []string{"--predictions", "untimed.csv", "--label", "label", "--time", "time", "--chunk", "month"}, "100 rows, without a time that can be read"},
		"no such column":    {ExitError, []string{"--predictions", "good.csv", "--labels", "labels.csv", "--score", "p"}, `no column "p"`},
		"no such file":      {ExitError, []string{"--predictions", "nowhere.csv", "--labels", "labels.csv"}, "nowhere.csv"},
		"no predictions":    {ExitError, []string{"--labels", "labels.csv"}, "--predictions is missing"},
		"chunk, no time":    {ExitError, []string{"--predictions", "good.csv", "--labels", "labels.csv", "--chunk", "day"}, "--chunk needs --time"},
		"chunk":             {ExitError, []string{"--predictions", "good.csv", "--labels", "labels.csv", "--time", "time", "--chunk", "week"}, "--chunk must be day, month, or a number of rows"},
		"task":              {ExitError, []string{"--predictions", "good.csv", "--task", "ranking"}, "--task must be"},
		"reference, labels": {ExitError, []string{"--predictions", "good.csv", "--labels", "labels.csv", "--reference", "good.csv"}, `no column "label"`},
		"same table twice":  {ExitError, []string{"--predictions", "good.csv", "--predictions", "good.csv", "--labels", "labels.csv"}, "named twice"},
	} {
		code, out, errs := c.run(append([]string{"evaluate"}, tt.args...)...)
		if code != tt.code || !strings.Contains(out+errs, tt.want) {
			t.Errorf("%s: exit code %d, want %d and %q:\n%s%s", name, code, tt.code, tt.want, out, errs)
		}
	}
	if code, _, errs := c.run("compare", "good.csv", "better.csv"); code != ExitError || !strings.Contains(errs, "--labels is missing") {
		t.Errorf("%d: %s", code, errs)
	}
	if code, out, errs := c.run("compare", "good.csv", "better.csv", "--labels", "foreign.csv"); code != ExitUnknown {
		t.Errorf("%d: %s%s", code, out, errs)
	}
}

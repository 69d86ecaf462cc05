package command

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/tidegate/tidegate/shared/evaluation"
	"github.com/tidegate/tidegate/shared/evaluation/quality"
	"github.com/tidegate/tidegate/shared/evaluation/score"
)

// predicted is one row of a made-up table.
type predicted struct {
	ID      int64   `parquet:"id"`
	Score   float64 `parquet:"score"`
	Carrier string  `parquet:"carrier,dict"`
	Time    string  `parquet:"time"`
	label   int
}

// predictions are n rows whose scores are the better the smaller the noise is; from the row broken on they are noise.
func predictions(seed uint64, n int, noise float64, broken int) []predicted {
	rng := rand.New(rand.NewPCG(seed, 5)) // labels and what they depend on
	own := rand.New(rand.NewPCG(seed, uint64(1000*noise)))
	rows := make([]predicted, n)
	for i := range rows {
		x := rng.NormFloat64() - 1
		r := predicted{ID: int64(i), Carrier: []string{"AA", "B6", "UA", ""}[rng.IntN(4)],
			Time: time.Date(2026, 1, 1, 0, 30*i, 0, 0, time.UTC).Format(time.RFC3339)}
		if rng.Float64() < 1/(1+math.Exp(-2*x)) {
			r.label = 1
		}
		if i >= broken {
			x = rng.NormFloat64() - 1
		}
		r.Score = math.Round(1e4/(1+math.Exp(-2*(x+noise*own.NormFloat64())))) / 1e4
		rows[i] = r
	}
	return rows
}

func predictionsCSV(rows []predicted) []byte {
	return numbered("id,score,carrier,time", len(rows), func(i int) string {
		return fmt.Sprintf("%d,%g,%s,%s", rows[i].ID, rows[i].Score, rows[i].Carrier, rows[i].Time)
	})
}

func labelledCSV(rows []predicted) []byte {
	return numbered("score,label", len(rows), func(i int) string { return fmt.Sprintf("%g,%d", rows[i].Score, rows[i].label) })
}

// labelsCSV are the labels of the rows that keep accepts.
func labelsCSV(rows []predicted, keep func(i int) bool) []byte {
	var b bytes.Buffer
	b.WriteString("id,label\n")
	for i, r := range rows {
		if keep(i) {
			fmt.Fprintf(&b, "%d,%d\n", r.ID, r.label)
		}
	}
	return b.Bytes()
}

func always(int) bool { return true }

// stage writes the tables of the stories into a new folder.
func stage(t *testing.T) {
	t.Helper()
	t.Chdir(t.TempDir())
	rows := predictions(1, 6000, 0.3, 6000)
	put(t, "good.csv", predictionsCSV(rows))
	put(t, "labels.csv", labelsCSV(rows, always))
	put(t, "early.csv", labelsCSV(rows, func(i int) bool { return i%10 < 7 }))
	put(t, "more.csv", append(labelsCSV(rows, always), "999999,1\n3,1\n3,0\n5,7\n"...))
	put(t, "reference.csv", labelledCSV(predictions(2, 20_000, 0.3, 20_000)))
	put(t, "broken.csv", predictionsCSV(predictions(1, 6000, 0.3, 2800)))
	put(t, "better.csv", predictionsCSV(predictions(1, 6000, 0.05, 6000)))
	put(t, "worse.csv", predictionsCSV(predictions(1, 6000, 0.8, 6000)))
	put(t, "partly.csv", predictionsCSV(predictions(1, 6000, 0.05, 6000)[:5000]))
	put(t, "copy.csv", predictionsCSV(rows))
	put(t, "tight.json", []byte(`{"metrics":["roc_auc","accuracy"],"tolerances":{"roc_auc":0.05,"accuracy":0.05},"min_rows":100}`))
	put(t, "bad.json", []byte(`{"alpha":2,"metrics":["mae"],"colour":"blue"}`))
}

// TestEvaluateStory compares everything that evaluate and compare print.
func TestEvaluateStory(t *testing.T) {
	c := newCloud(t)
	home, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	stage(t)
	var story strings.Builder
	step := func(want int, args ...string) {
		t.Helper()
		code, out, errs := c.run(args...)
		story.WriteString("$ tidegate " + strings.Join(args, " ") + "\n" + out + errs)
		if code != want {
			t.Errorf("tidegate %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), code, want, out, errs)
		}
	}
	step(ExitOK, "evaluate", "--predictions", "good.csv", "--labels", "labels.csv", "--reference", "reference.csv", "--policy", "tight.json", "--time", "time", "--segment", "carrier", "--html", "good.html")
	step(ExitWrong, "evaluate", "--predictions", "broken.csv", "--labels", "labels.csv", "--reference", "reference.csv")
	step(ExitUnknown, "evaluate", "--predictions", "good.csv", "--labels", "early.csv", "--reference", "reference.csv")
	step(ExitUnknown, "evaluate", "--predictions", "good.csv", "--labels", "more.csv")
	step(ExitUnknown, "evaluate", "--predictions", "good.csv", "--reference", "reference.csv")
	step(ExitWrong, "evaluate", "--predictions", "broken.csv", "--labels", "labels.csv", "--reference", "reference.csv", "--time", "time", "--chunk", "month", "--html", "chunks.html")
	step(ExitWrong, "evaluate", "--predictions", "broken.csv", "--labels", "labels.csv", "--reference", "reference.csv", "--time", "time", "--chunk", "1000")
	step(ExitError, "evaluate", "--predictions", "good.csv", "--labels", "labels.csv", "--policy", "bad.json")
	step(ExitOK, "compare", "good.csv", "better.csv", "--labels", "labels.csv", "--time", "time", "--segment", "carrier", "--html", "compare.html")
	step(ExitWrong, "compare", "good.csv", "worse.csv", "--labels", "labels.csv")
	step(ExitError, "compare", "good.csv", "copy.csv", "--labels", "labels.csv")
	step(ExitError, "compare", "good.csv", "partly.csv", "--labels", "labels.csv")
	step(ExitOK, "compare", "good.csv", "partly.csv", "--labels", "labels.csv", "--common")
	for _, name := range []string{"good.html", "chunks.html", "compare.html"} {
		if page, err := os.ReadFile(name); err != nil || !bytes.Contains(page, []byte("ROC AUC")) {
			t.Errorf("%s: %v", name, err)
		}
	}
	t.Chdir(home)
	golden(t, "evaluate", story.String())
}

// TestEvaluateReportIsTheSame: for any spread of the rows over files and formats, and any number of workers.
func TestEvaluateReportIsTheSame(t *testing.T) {
	c := newCloud(t)
	stage(t)
	rows := predictions(1, 6000, 0.3, 6000)
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	put(t, "one.csv", predictionsCSV(rows[:1000]))
	put(t, "two.csv.gz", packed(predictionsCSV(rows[1000:])))
	var table bytes.Buffer
	w := parquet.NewGenericWriter[predicted](&table, parquet.MaxRowsPerRowGroup(700))
	if _, err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	put(t, "all.parquet", table.Bytes())
	put(t, "shuffled.csv", labelsCSV(rows, always))
	run := func(args ...string) string {
		t.Helper()
		code, out, errs := c.run(append([]string{"evaluate", "--json", "--reference", "reference.csv", "--time", "time", "--segment", "carrier"}, args...)...)
		if code == ExitError {
			t.Fatalf("%v: %s", args, errs)
		}
		return out
	}
	cuts := [][]string{nil, {"--chunk", "month"}, {"--chunk", "800"}}
	if testing.Short() {
		cuts = cuts[:1]
	}
	for _, more := range cuts {
		want := run(append([]string{"--predictions", "good.csv", "--labels", "labels.csv"}, more...)...)
		if _, err := evaluation.ParseReport([]byte(want)); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{
			{"--predictions", "two.csv.gz", "--predictions", "one.csv", "--labels", "shuffled.csv"},
			{"--predictions", "all.parquet", "--labels", "labels.csv", "--workers", "3"},
			{"--predictions", "all.parquet", "--labels", "shuffled.csv", "--workers", "1"},
		} {
			if got := run(append(args, more...)...); got != want {
				t.Errorf("%v %v: another report", args, more)
			}
		}
	}
}

// TestReferenceFiles: a stored reference.json is what a table of the same rows is.
func TestReferenceFiles(t *testing.T) {
	c := newCloud(t)
	stage(t)
	rows := predictions(2, 20_000, 0.3, 20_000)
	scores := make([]float64, len(rows))
	for i := range rows {
		scores[i] = rows[i].Score
	}
	layout, err := quality.NewBinary(score.Freeze(scores))
	if err != nil {
		t.Fatal(err)
	}
	s := quality.NewState(layout)
	for i := range rows {
		s.Add(&quality.Row{Score: rows[i].Score, Class: quality.NoClass, Labelled: true, Label: rows[i].label, Mature: true, Key: quality.HashKey(fmt.Sprint(i))})
	}
	ref, err := quality.NewReference(s, "", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := ref.Encode()
	if err != nil {
		t.Fatal(err)
	}
	put(t, "reference.json", raw)
	put(t, "damaged.json", bytes.Replace(raw, []byte(`"rows":20000`), []byte(`"rows":20001`), 1))
	report := func(path string) *evaluation.Report {
		code, out, errs := c.run("evaluate", "--json", "--predictions", "good.csv", "--labels", "labels.csv", "--reference", path)
		r, err := evaluation.ParseReport([]byte(out))
		if code == ExitError || err != nil {
			t.Fatalf("%s: %v %s", path, err, errs)
		}
		return r
	}
	a, b := report("reference.json"), report("reference.csv")
	if a.Verdict != b.Verdict || *a.Versions[0].Point("roc_auc").Reference != *b.Versions[0].Point("roc_auc").Reference {
		t.Errorf("%s and %s", a.Summary, b.Summary)
	}
	code, _, errs := c.run("evaluate", "--predictions", "good.csv", "--labels", "labels.csv", "--reference", "damaged.json")
	if code != ExitError || !strings.Contains(errs, "damaged.json is a damaged reference") {
		t.Errorf("%d: %s", code, errs)
	}
}

// TestOtherTasks: regression, several classes, classes alone.
func TestOtherTasks(t *testing.T) {
	c := newCloud(t)
	t.Chdir(t.TempDir())
	rng := rand.New(rand.NewPCG(3, 3))
	value := make([]float64, 2000)
	for i := range value {
		value[i] = math.Round(1000 * rng.NormFloat64())
	}
	put(t, "minutes.ndjson", numbered("", len(value), func(i int) string { return fmt.Sprintf(`{"id":"k-%d","minutes":%g}`, i, value[i]+float64(i%7)) })[1:])
	put(t, "truth.ndjson", numbered("", len(value), func(i int) string { return fmt.Sprintf(`{"id":"k-%d","label":%g}`, i, value[i]) })[1:])
	class := func(i int) string { return []string{"cat", "dog", "owl"}[(i/3+i%5/4)%3] }
	put(t, "animals.csv", numbered("id,cat,dog,owl,label,said", 900, func(i int) string {
		p := [3]float64{0.2, 0.2, 0.2}
		p[i/3%3] = 0.6
		return fmt.Sprintf("%d,%g,%g,%g,%s,%s", i, p[0], p[1], p[2], class(i), []string{"cat", "dog", "owl"}[i/3%3])
	}))
	for name, tt := range map[string]struct {
		args   []string
		metric string
	}{
		"regression": {[]string{"--predictions", "minutes.ndjson", "--labels", "truth.ndjson", "--task", "regression", "--prediction", "minutes"}, "mae"},
		"multiclass": {[]string{"--predictions", "animals.csv", "--label", "label", "--score", "cat,dog,owl"}, "log_loss"},
		"classes":    {[]string{"--predictions", "animals.csv", "--label", "label", "--prediction", "said", "--task", "multiclass", "--classes", "cat,dog,owl"}, "accuracy"},
		"reference":  {[]string{"--predictions", "animals.csv", "--label", "label", "--score", "cat,dog,owl", "--reference", "animals.csv"}, "roc_auc"},
	} {
		code, out, errs := c.run(append([]string{"evaluate", "--json"}, tt.args...)...)
		var r evaluation.Report
		if err := json.Unmarshal([]byte(out), &r); err != nil || code == ExitError {
			t.Errorf("%s: %d %s", name, code, errs)
			continue
		}
		if m := r.Versions[0].Quality.Metric(tt.metric); m == nil || m.Value == nil {
			t.Errorf("%s: no %s: %+v", name, tt.metric, m)
		}
	}
	put(t, "other.ndjson", numbered("", len(value), func(i int) string { return fmt.Sprintf(`{"id":"k-%d","minutes":%g}`, i, value[i]+float64(i%3)) })[1:])
	if code, out, errs := c.run("compare", "minutes.ndjson", "other.ndjson", "--labels", "truth.ndjson", "--task", "regression", "--score", "minutes"); code != ExitOK || !strings.Contains(out, "The challenger is better: mae") {
		t.Errorf("%d: %s%s", code, out, errs)
	}
}

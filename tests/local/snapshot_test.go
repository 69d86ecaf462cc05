package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/oklog/ulid/v2"

	tidegates3 "github.com/tidegate/tidegate/shared/blob/s3"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/training"
	"github.com/tidegate/tidegate/tests/local/stack"
)

const lateSchema = `{"v":1,"task":"binary_classification","target":"late","time":"when","columns":[{"name":"delay","type":"number"},{"name":"carrier","type":"category"}]}`

// lateMonth is a table of a month, an hour a row: late when the delay is long.
func lateMonth(m, rows int) string {
	rng := rand.New(rand.NewPCG(uint64(m), 1))
	var b strings.Builder
	b.WriteString("when,delay,carrier,late,flight\n")
	for i := range rows {
		delay, late := rng.NormFloat64()*20, 0
		if delay+rng.NormFloat64()*8 > 8 {
			late = 1
		}
		fmt.Fprintf(&b, "2013-%02d-%02dT%02d:00:00Z,%.2f,%s,%d,UA%d\n", m, 1+i/24, i%24, delay, []string{"UA", "AA", "DL"}[i%3], late, i)
	}
	return b.String()
}

// TestARetrainingsSteps goes through what the retrain machine does, call by call: the data is pinned by real versions,
// the train function trains, its files are adopted and registered, both versions score the holdout, and the training
// is repeated.
func TestARetrainingsSteps(t *testing.T) {
	const months = 5
	model := "steps-" + strings.ToLower(ulid.Make().String())
	schemaURI, err := local.Upload(t.Context(), "uploads/"+ulid.Make().String()+"/schema.json", []byte(lateSchema))
	if err != nil {
		t.Fatal(err)
	}
	// Version 1 is trained by hand on the first two months.
	dataURI, err := local.Upload(t.Context(), "uploads/"+ulid.Make().String()+"/train.csv", []byte(lateMonth(1, 600)+strings.SplitN(lateMonth(2, 600), "\n", 2)[1]))
	if err != nil {
		t.Fatal(err)
	}
	first := "s3://" + local.Outputs["RegistryBucketName"] + "/uploads/" + ulid.Make().String() + "/"
	call(t, "train", map[string]any{"model": model, "task": "binary_classification", "schema_uri": schemaURI, "data_uri": dataURI, "output_uri": first}, nil)
	call(t, "register", map[string]any{"model": model, "source": first, "actor": "test"}, nil)
	call(t, "promote", map[string]any{"model": model, "kind": "bootstrap", "version": 1, "transition_id": ulid.Make().String(), "actor": "test"}, nil)
	for m := range months {
		put(t, fmt.Sprintf("training/%s/%02d.csv", model, m+1), []byte(lateMonth(m+1, 600)))
	}
	configure := func(seed string) {
		call(t, "promote", map[string]any{"model": model, "kind": "configure", "transition_id": ulid.Make().String(), "actor": "test",
			"settings": map[string]any{"retrain": map[string]any{"sources": []any{map[string]any{"prefix": "training/" + model + "/"}}, "hyperparameters": map[string]any{"seed": seed, "max_iter": 40}}}}, nil)
	}
	configure("1")

	var described struct{ Code string }
	call(t, "train", map[string]any{"describe": true}, &described)
	snapshot := takeSnapshot(t, model, "run-1", described.Code)
	if snapshot.Action != "train" || snapshot.Dataset.Rows != 600*months || snapshot.Dataset.Number != 1 {
		t.Fatalf("%+v", snapshot)
	}
	t.Logf("trains because %q", snapshot.Why)
	if a := adopt(t, model, "run-1"); a.Ready {
		t.Fatal("adopted before it was trained")
	}
	call(t, "train", snapshot.Lambda, nil)
	adopted := adopt(t, model, "run-1")
	if !adopted.Ready || adopted.Rows["holdout"] != 600 {
		t.Fatalf("%+v", adopted)
	}
	var registered struct{ Version int }
	call(t, "register", map[string]any{"model": model, "source": adopted.Source, "actor": "test"}, &registered)
	if registered.Version != 2 {
		t.Fatalf("version %d", registered.Version)
	}

	var held struct {
		Comparable bool
		Reason     string
		Rows       int
		Scores     []json.RawMessage
		Start      json.RawMessage
	}
	call(t, "snapshot", map[string]any{"step": "holdout", "model": model, "run": "run-1", "version": 2}, &held)
	if !held.Comparable || held.Rows != 600 || len(held.Scores) != 2 {
		t.Fatalf("%+v", held)
	}
	for _, payload := range held.Scores {
		call(t, "score", payload, nil)
	}
	var judged struct {
		Decide struct{ Action, Summary, Evidence string }
	}
	call(t, "evaluate", map[string]any{"decide": map[string]any{"model": model, "start": held.Start}}, &judged)
	if judged.Decide.Action == "" || judged.Decide.Summary == "" {
		t.Errorf("%+v", judged)
	}
	t.Logf("judged on %d rows: %s", held.Rows, judged.Decide.Summary)

	// The same again is not trained; one file of another version is named.
	if again := takeSnapshot(t, model, "run-2", described.Code); again.Action != "reuse" || again.Version != 2 {
		t.Errorf("%+v", again)
	}
	before := snapshot.versionOf(t, "03.csv")
	put(t, "training/"+model+"/03.csv", []byte(lateMonth(3, 601)))
	changed := takeSnapshot(t, model, "run-3", described.Code)
	want := "training file training/" + model + "/03.csv: version " + before + " -> "
	if changed.Action != "train" || !slices.ContainsFunc(changed.Why, func(line string) bool { return strings.HasPrefix(line, want) }) {
		t.Errorf("trains because %q, want %q", changed.Why, want)
	}
	t.Logf("after a change: %q", changed.Why)

	repeatTraining(t, model, 2, described.Code)
}

// repeatTraining trains a version once more from what is pinned, and holds the result to it.
func repeatTraining(t *testing.T, model string, version int, code string) {
	t.Helper()
	bucket := local.Outputs["RegistryBucketName"]
	store := tidegates3.New(local.S3(), bucket)
	reg := registry.New(store, registry.Options{})
	recipe, err := training.FindRecipe(t.Context(), reg, model, version, code)
	if err != nil {
		t.Fatal(err)
	}
	folder := "uploads/" + ulid.Make().String() + "/"
	payload, err := recipe.Payload(bucket, "s3://"+bucket+"/"+folder)
	if err != nil {
		t.Fatal(err)
	}
	call(t, "train", payload, nil)
	files := func(ctx context.Context, name string) (io.ReadCloser, error) {
		body, _, err := store.Open(ctx, folder+name, 0, -1)
		return body, err
	}
	report, err := recipe.Compare(t.Context(), reg, files, training.DefaultPolicy().Replay)
	if err != nil {
		t.Fatal(err)
	}
	if report.Verdict != training.Equal || !report.SameModel || report.Rows != 600 || len(report.Metrics) == 0 {
		t.Errorf("%+v", report)
	}
	t.Logf("repeated: %s, the same model %v, %d rows, %d metrics", report.Verdict, report.SameModel, report.Rows, len(report.Metrics))
}

type snapshotAnswer struct {
	Action  string
	Why     []string
	Version int
	Dataset struct {
		Number int
		Rows   int
		Name   string
	}
	Lambda json.RawMessage
}

func takeSnapshot(t *testing.T, model, run, code string) (s snapshotAnswer) {
	t.Helper()
	call(t, "snapshot", map[string]any{"step": "snapshot", "model": model, "run": run, "code": code}, &s)
	return s
}

// versionOf is the version of a file as the dataset's document has it.
func (s *snapshotAnswer) versionOf(t *testing.T, file string) string {
	t.Helper()
	var d struct {
		Sources []struct {
			Key       string
			VersionID string `json:"version_id"`
		}
	}
	bucket, key := local.Outputs["RegistryBucketName"], fmt.Sprintf("datasets/%s/%08d.json", s.Dataset.Name, s.Dataset.Number)
	got, err := local.S3().GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	body, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(body, &d); err != nil {
		t.Fatal(err)
	}
	for _, source := range d.Sources {
		if strings.HasSuffix(source.Key, "/"+file) && source.VersionID != "" {
			return source.VersionID
		}
	}
	t.Fatalf("%s has no version in %s", file, body)
	return ""
}

type adoptAnswer struct {
	Ready  bool
	Source string
	Rows   map[string]int
}

func adopt(t *testing.T, model, run string) (a adoptAnswer) {
	t.Helper()
	call(t, "snapshot", map[string]any{"step": "adopt", "model": model, "run": run}, &a)
	return a
}

// call invokes a function, which must answer.
func call(t *testing.T, verb string, in, out any) {
	t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := local.Invoke(t.Context(), verb, body)
	var failure *stack.FunctionError
	if errors.As(err, &failure) {
		t.Fatalf("%s: %v\n%s", verb, failure, body)
	}
	if err == nil && out != nil {
		err = json.Unmarshal(answer, out)
	}
	if err != nil {
		t.Fatal(err)
	}
}

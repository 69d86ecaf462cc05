package training

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tidegate/tidegate/shared/dataset"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
)

const tables = `{"sources":[{"prefix":"training/flights/"}],"hyperparameters":{"seed":"1","max_iter":50}}`

func TestTheFirstTrainingRuns(t *testing.T) {
	w := newWorld(t)
	w.configure(tables)
	s := w.snapshot("run-1")
	if s.Action != ActionTrain || len(s.Why) != 1 || !strings.Contains(s.Why[0], "it is the first training that does") {
		t.Errorf("%s because %q", s.Action, s.Why)
	}
	if s.Dataset.Number != 1 || s.Dataset.Rows != 280 || !s.Dataset.Created || s.Dataset.URI != "s3://reg/"+registry.BlobKey(s.Dataset.Digest) {
		t.Errorf("dataset %+v", s.Dataset)
	}
	again := w.snapshot("run-1")
	p, ok := again.Lambda.(map[string]any)
	if !again.Repeated || !ok {
		t.Fatalf("the second call: %+v", again)
	}
	if p["data_uri"] != s.Dataset.URI || p["output_uri"] != s.Source || p["task"] != "binary_classification" || p["hyperparameters"].(map[string]any)["max_iter"] != "50" {
		t.Errorf("payload %v", p)
	}
	if raw, err := w.registry.ReadBlob(t.Context(), s.Record.SchemaDigest); err != nil || string(raw) != trainingSchema {
		t.Errorf("the schema blob: %s, %v", raw, err)
	}
	if !regexp.MustCompile(`^s3://reg/uploads/flights-[0-9a-f]{12}/model/$`).MatchString(s.Source) {
		t.Errorf("source %s", s.Source)
	}
	if s.Then != ThenRollout || s.Approval != ApproveNothing || s.ApprovalSeconds != 604800 || s.Trainer != Lambda || len(s.Jobs) != 0 {
		t.Errorf("answer %+v", s)
	}
}

func TestTheCacheSaysWhy(t *testing.T) {
	w := newWorld(t)
	w.configure(tables)
	first := w.snapshot("run-1")
	w.registered(2, first)
	reused := w.snapshot("run-2")
	if reused.Action != ActionReuse || reused.Version != 2 || reused.Standing != "none" || !strings.Contains(reused.Why[0], "version 2 was made of the same rows") || reused.Dataset.Created {
		t.Errorf("%+v", reused)
	}
	forced := w.run(In{Step: StepSnapshot, Run: "run-3", Code: code, Force: true}).Snapshot
	if forced.Action != ActionTrain || forced.Version != 0 || !slices.ContainsFunc(forced.Why, func(s string) bool { return strings.Contains(s, "that was asked for") }) || forced.Source == first.Source {
		t.Errorf("forced: %+v", forced)
	}
	stored, err := dataset.Read(t.Context(), w.registry, "flights", 1)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		change func() (version string)
		why    string
	}{
		{"the same bytes again", func() string { w.put("training/flights/03.csv", month(3, 40)); return "" }, ""},
		{"a file's version", func() string { return w.put("training/flights/03.csv", month(3, 41)).VersionID },
			"training file training/flights/03.csv: version " + stored.Sources[2].VersionID + " -> $"},
		{"a new file", func() string { return w.put("training/flights/08.csv", month(8, 40)).VersionID }, "training file training/flights/08.csv is new: version $"},
		{"a file less", func() string { w.data.Delete("training/flights/01.csv"); return "" }, "training file training/flights/01.csv is gone"},
		{"a hyperparameter", func() string { w.configure(strings.Replace(tables, `"seed":"1"`, `"seed":"2"`, 1)); return "" }, "hyperparameter seed: 1 -> 2"},
		{"one more", func() string { w.configure(strings.Replace(tables, `"seed"`, `"max_depth":"4","seed"`, 1)); return "" }, "hyperparameter max_depth: unset -> 4"},
		{"the schema", func() string {
			w.configure(strings.Replace(tables, `{"sources"`, `{"schema":{"task":"binary_classification","target":"late","time":"when","columns":[{"name":"delay","type":"number"}]},"sources"`, 1))
			return ""
		}, "training schema: "},
		{"the code", func() string { code = "sha256:" + strings.Repeat("c1de", 16); return "" }, "training code: c0dec0dec0de -> c1dec1dec1de"},
	}
	defer func() { code = "sha256:" + strings.Repeat("c0de", 16) }()
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			version := tt.change()
			s := w.snapshot("change-" + string(rune('a'+i)))
			if tt.why == "" {
				if s.Action != ActionReuse {
					t.Errorf("the rows are the same, and yet it trains: %q", s.Why)
				}
				return
			}
			want := strings.ReplaceAll(tt.why, "$", version)
			if s.Action != ActionTrain || !slices.ContainsFunc(s.Why, func(line string) bool { return strings.HasPrefix(line, want) }) {
				t.Errorf("%s because %q; want %q", s.Action, s.Why, want)
			}
		})
	}
}

func TestStandings(t *testing.T) {
	w := newWorld(t)
	w.configure(tables)
	v2 := w.registered(2, w.snapshot("run-1"))
	w.apply(registry.StartShadow(registry.Ref{Version: 2, Digest: v2.Digest}))
	if s := w.snapshot("run-2"); s.Standing != "shadow" {
		t.Errorf("standing %s", s.Standing)
	}
	state, _, err := w.registry.State(t.Context(), "flights")
	if err != nil {
		t.Fatal(err)
	}
	state.Rejected = map[string]string{"9": "bad"}
	if got := standing(&state, 9) + standing(&state, 1) + standing(&state, 8); got != "rejectedchampionnone" {
		t.Errorf("standings %s", got)
	}
}

func TestAJobOfSageMaker(t *testing.T) {
	w := newWorld(t)
	image := "111122223333.dkr.ecr.eu-west-1.amazonaws.com/train@sha256:" + strings.Repeat("ab", 32)
	w.configure(`{"sources":[{"bucket":"data","prefix":"training/flights/","suffix":".csv"}],"hyperparameters":{"seed":"1"},"then":"register","approval":"rollout",
 "trainer":{"kind":"sagemaker","image":"` + image + `","role":"arn:aws:iam::111122223333:role/train","instance_type":"ml.c5.xlarge","max_runtime_seconds":600}}`)
	w.planner.TrainMemoryMB = 301 // which bounds the function alone
	s := w.run(In{Step: StepSnapshot, Run: "run-1"}).Snapshot
	r, ok := s.SageMaker.(*Request)
	if !ok || s.Trainer != SageMaker || s.Lambda != (none{}) {
		t.Fatalf("%+v", s)
	}
	channel := r.InputDataConfig[0].DataSource.S3DataSource.S3Uri
	if r.AlgorithmSpecification.TrainingImage != image || r.HyperParameters["model"] != "flights" || r.HyperParameters["task"] != "binary_classification" || r.HyperParameters["seed"] != "1" ||
		r.StoppingCondition.MaxRuntimeInSeconds != 600 || r.ResourceConfig.InstanceType != "ml.c5.xlarge" || !r.EnableNetworkIsolation || !strings.HasPrefix(channel, "s3://reg/uploads/flights-") {
		t.Errorf("request %+v", r)
	}
	if s.Record.Code != "sha256:"+strings.Repeat("ab", 32) || s.Then != ThenRegister || s.Approval != ApproveRollout {
		t.Errorf("answer %+v", s)
	}
	table, err := w.reg.Get(t.Context(), strings.TrimPrefix(channel, "s3://reg/")+"train.csv")
	if err != nil || table.Size == 0 {
		t.Fatal(err)
	}
	if described, err := w.reg.Get(t.Context(), strings.TrimPrefix(channel, "s3://reg/")+"schema.json"); err != nil || string(described.Body) != trainingSchema {
		t.Errorf("schema.json: %s, %v", described.Body, err)
	}
	if len(s.Jobs) != 3 {
		t.Fatalf("jobs %v", s.Jobs)
	}
	for _, name := range append(s.Jobs, jobOf(strings.Repeat("a_b-", 15), "r", "k").names()...) {
		if len(name) > 63 || !regexp.MustCompile(`^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}$`).MatchString(name) {
			t.Errorf("job name %q", name)
		}
	}
}

func TestSnapshotsThatAreRefused(t *testing.T) {
	w := newWorld(t)
	in := In{Step: StepSnapshot, Run: "run-1", Code: code}
	w.refused(in, fault.FailedPrecondition, `model "flights" is not retrained: set retrain.sources`)
	w.configure(`{"sources":[{"prefix":"nowhere/"}]}`)
	w.refused(in, fault.FailedPrecondition, "s3://data/nowhere/ is not read; rows in the data bucket lie under training/ or batches/")
	w.configure(`{"sources":[{"prefix":"training/nowhere/"}]}`)
	w.refused(in, fault.FailedPrecondition, "there are no objects under s3://data/training/nowhere/")
	w.configure(tables)
	w.refused(In{Step: StepSnapshot, Run: "run-1"}, fault.InvalidArgument, "code must be what the train function answers")
	w.refused(In{Step: StepAdopt, Run: "run-1"}, fault.FailedPrecondition, "has no snapshot; take it first")
	w.configure(`{"sources":[{"prefix":"training/"}],"schema":{"task":"regression","target":"late","columns":[{"name":"delay","type":"number"}]}}`)
	w.refused(in, fault.FailedPrecondition, `the training schema is for regression of "late", the model for binary_classification`)
	w.configure(tables)
	w.planner.TrainMemoryMB = 301
	w.put("training/flights/09.csv", month(9, 13000))
	w.refused(in, fault.PayloadTooLarge, "more than 13107 values in input columns (6554 rows of 2 so far), which is what train takes with its 301 MB")
	for name, bad := range map[string]In{
		"step": {Step: "train", Run: "r"}, "run": {Step: StepAdopt, Run: "a/b"}, "force": {Step: StepAdopt, Run: "r", Force: true},
		"artifact": {Step: StepHoldout, Run: "r", Version: 2, Artifact: "s3://x/y"}, "version": {Step: StepHoldout, Run: "r"},
	} {
		w.refused(bad, fault.InvalidArgument, name)
	}
	if _, err := w.planner.Run(t.Context(), In{Step: StepSnapshot, Model: "absent", Run: "r", Code: code}); !fault.Is(err, fault.NotFound) {
		t.Errorf("an unknown model: %v", err)
	}
}

func TestAnotherQuestionUnderOneRun(t *testing.T) {
	w := newWorld(t)
	w.configure(tables)
	w.snapshot("run-1")
	w.refused(In{Step: StepSnapshot, Run: "run-1", Code: code, Force: true}, fault.AlreadyExists, "was asked something else before")
	code2 := w.run(In{Step: StepSnapshot, Run: "run-1", Code: "sha256:" + strings.Repeat("aa", 32), Reason: "again"}).Snapshot
	if !code2.Repeated || code2.Record.Code != code {
		t.Errorf("the code was deployed anew since, and the stored answer does not count: %+v", code2.Record)
	}
}

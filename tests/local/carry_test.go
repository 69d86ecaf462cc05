package local

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidegate/tidegate/tests/local/stack"
)

// registration is what version register and import answer.
type registration struct {
	Model, Digest string
	Version       int
	Existing      bool
	Parity        struct {
		Checked bool
		Rows    int
	}
}

// TestAVersionIsCarried goes out of the registry into a file and in again, as another model: the deployed register takes it over, with its digest.
func TestAVersionIsCarried(t *testing.T) {
	from, to := stack.Name(t.Name()), stack.Name(t.Name()+"-to")
	var first, carried, again registration
	document(t, &first, "version", "register", testdata("registration", "testdata", "binary"), "--model", from)
	path := filepath.Join(t.TempDir(), "version.tar.zst")
	says(t, 0, "version", "export", from, fmt.Sprint(first.Version), "-o", path)
	document(t, &carried, "version", "import", path, "--model", to)
	if carried.Digest != first.Digest || carried.Model != to || carried.Existing || !carried.Parity.Checked || carried.Parity.Rows != first.Parity.Rows {
		t.Errorf("carried %+v, first %+v", carried, first)
	}
	document(t, &again, "version", "import", path, "--model", to)
	if !again.Existing || again.Version != carried.Version {
		t.Errorf("again %+v", again)
	}
	says(t, 0, "promote", to, fmt.Sprint(carried.Version))
	whole := read(t, path)
	if err := os.WriteFile(path, whole[:len(whole)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	if said := says(t, 3, "version", "import", path, "--model", to); !strings.Contains(said, "the archive ") {
		t.Errorf("half of an archive: %s", said)
	}
}

// TestGarbageIsListed searches the stack's own registry: nothing of it is a week old.
func TestGarbageIsListed(t *testing.T) {
	var found struct {
		Looked  int
		Garbage []any
	}
	document(t, &found, "gc")
	if found.Looked == 0 || len(found.Garbage) > 0 {
		t.Errorf("%+v", found)
	}
}

// TestReplay retrains a model as the machine does, task by task, and has the version trained once more.
func TestReplay(t *testing.T) {
	model := stack.Name(t.Name())
	schema, rows := trainingData()
	put(t, "training/"+model+"/rows.csv", []byte(rows))
	onnx := read(t, testdata("inference", "onnx", "testdata", "mixed.onnx"))
	says(t, 0, "model", "create", model, "--task", "binary_classification", "--target", "late")
	if _, err := local.Serve(t.Context(), model, "binary_classification", onnx); err != nil {
		t.Fatal(err)
	}
	settings := filepath.Join(t.TempDir(), "settings.json")
	text := fmt.Sprintf(`{"retrain":{"sources":[{"prefix":"training/%s/"}],"hyperparameters":{"seed":"7","max_iter":"20"},"schema":%s}}`, model, schema)
	if err := os.WriteFile(settings, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	says(t, 0, "configure", model, settings)
	ask := func(verb string, in, out any) {
		t.Helper()
		event, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := local.Invoke(t.Context(), verb, event)
		if err != nil {
			t.Fatalf("%s: %v", verb, err)
		}
		if err := json.Unmarshal(answer, out); err != nil {
			t.Fatal(err)
		}
	}
	var deployed struct{ Code string }
	ask("train", map[string]any{"describe": true}, &deployed)
	var snapshot struct {
		Action, Source string
		Lambda         json.RawMessage
	}
	const run = "6f1c0d6e9a3b54c4b9d5a7a1a4c1f0e2d3b4c5d6e7f8091a2b3c4d5e6f708193"
	ask("snapshot", map[string]any{"step": "snapshot", "model": model, "run": run, "code": deployed.Code}, &snapshot)
	if snapshot.Action != "train" {
		t.Fatalf("snapshot says %+v", snapshot)
	}
	var trained, adopted struct{ Ready bool }
	ask("train", snapshot.Lambda, &trained)
	ask("snapshot", map[string]any{"step": "adopt", "model": model, "run": run}, &adopted)
	var version registration
	ask("register", map[string]any{"model": model, "source": snapshot.Source, "actor": "test"}, &version)

	var replayed struct {
		Verdict      string
		SameModel    bool `json:"same_model"`
		Rows         int
		Changed, Why []string
	}
	document(t, &replayed, "replay", model, fmt.Sprint(version.Version))
	if !adopted.Ready || replayed.Verdict != "equal" || !replayed.SameModel || replayed.Rows == 0 || len(replayed.Changed)+len(replayed.Why) > 0 {
		t.Errorf("adopted %+v, replayed %+v", adopted, replayed)
	}
	if said := says(t, 3, "replay", model, "1"); !strings.Contains(said, "no training record") {
		t.Errorf("a version that nothing is known of: %s", said)
	}
}

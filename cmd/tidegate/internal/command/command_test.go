package command

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/tidegate/tidegate/shared/fault"
)

var update = flag.Bool("update", false, "write testdata/*.golden")

// golden compares got with testdata/<name>.golden; a mismatch leaves a .got file.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) == got {
		os.Remove(path + ".got")
		return
	}
	if err := os.WriteFile(path+".got", []byte(got), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Errorf("output differs from %s; see %s.got, or run the test with -update", path, path)
}

func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestStory runs one model's life and compares everything that is printed.
func TestStory(t *testing.T) {
	c := newCloud(t)
	one := write(t, "first.onnx", "one")
	two := filepath.Dir(write(t, "model.onnx", "two"))
	if err := os.WriteFile(filepath.Join(two, "holdout.csv"), []byte("a,b\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	rows := write(t, "rows.csv", "name,b,a,other\nx,1,2,\n,10,20,\ny,100,200,\n")
	var story strings.Builder
	step := func(want int, args ...string) {
		t.Helper()
		code, out, errs := c.run(args...)
		line := strings.Join(args, " ")
		for _, path := range []string{one, two, rows} {
			line = strings.ReplaceAll(line, path, filepath.Base(path))
		}
		line = regexp.MustCompile(`\b\d{3}\b`).ReplaceAllString(line, "folder") // t.TempDir's numbers
		story.WriteString("$ tidegate " + line + "\n" + out + errs)
		if code != want {
			t.Errorf("tidegate %s: exit code %d, want %d\n%s%s", line, code, want, out, errs)
		}
	}
	as := []string{"--actor", "ada"}
	step(ExitOK, "status")
	step(ExitOK, append(as, "model", "create", "sum", "--task", "regression", "--target", "total")...)
	step(ExitOK, append(as, "model", "create", "sum", "--task", "regression", "--target", "total")...)
	step(ExitError, append(as, "model", "create", "sum", "--task", "binary_classification")...)
	step(ExitOK, "status", "sum")
	step(ExitOK, append(as, "version", "register", one, "--model", "sum", "--task", "regression", "--target", "total")...)
	step(ExitOK, append(as, "version", "register", two, "--model", "sum", "--task", "regression", "--target", "total")...)
	step(ExitOK, append(as, "version", "register", one, "--model", "sum", "--task", "regression", "--target", "total")...)
	step(ExitError, append(as, "rollback", "sum")...)
	step(ExitOK, append(as, "promote", "sum", "1", "--reason", "first")...)
	step(ExitError, append(as, "promote", "sum", "2")...)
	step(ExitError, append(as, "promote", "sum", "9")...)
	step(ExitOK, append(as, "configure", "sum", write(t, "settings.json", `{"capture":{"sampling":0.5}}`))...)
	step(ExitError, append(as, "configure", "sum", write(t, "bad.json", `{"capture":{"sampling":2},"contract":{"a":{"missing":"x"}}}`))...)
	step(ExitOK, "version", "list", "sum")
	step(ExitOK, "status", "sum")
	step(ExitOK, "status")
	step(ExitOK, "log", "sum")
	step(ExitOK, "log", "sum", "--last", "1")
	step(ExitOK, "predict", "sum", rows, "--tensors-json", "--batch", "2")
	step(ExitOK, "predict", "sum", rows, "--tensors-json", "--as", "csv", "--batch", "1", "--concurrency", "3")
	step(ExitOK, "doctor")
	if err := c.advance(t.Context(), "sum", 2); err != nil {
		t.Fatal(err)
	}
	step(ExitError, append(as, "rollback", "sum", "--from", "1", "--reason", "worse")...)
	step(ExitOK, append(as, "rollback", "sum", "--reason", "worse")...)
	step(ExitError, append(as, "rollback", "sum", "--reason", "worse")...)
	step(ExitOK, "status", "sum")
	step(ExitOK, "log", "sum")
	step(ExitError, "log", "nobody")
	step(ExitError, "status", "--stack", "elsewhere")
	golden(t, "story", normal(story.String()))
}

// normal hides what differs between runs: toolchain, latencies, paths.
func normal(s string) string {
	s = regexp.MustCompile(`libraries: .*`).ReplaceAllString(s, "libraries: …")
	s = regexp.MustCompile(`answered in \d+ ms`).ReplaceAllString(s, "answered in N ms")
	s = regexp.MustCompile(`(identity +)\S.*`).ReplaceAllString(s, "${1}…")
	return regexp.MustCompile(`/\S*/(\w+\.\w+)`).ReplaceAllString(s, "$1")
}

func TestJSONIsOneDocument(t *testing.T) {
	c := newCloud(t)
	model := write(t, "m.onnx", "one")
	for _, args := range [][]string{
		{"model", "create", "sum"}, {"version", "register", model, "--model", "sum"}, {"promote", "sum", "1"},
		{"version", "list", "sum"}, {"status"}, {"status", "sum"}, {"log", "sum"}, {"doctor"}, {"version"},
		{"predict", "sum", write(t, "r.ndjson", `{"a":1,"b":2,"name":"x"}`), "--tensors-json", "-o", filepath.Join(t.TempDir(), "out.csv")},
	} {
		code, out, errs := c.run(append(args, "--json")...)
		var doc any
		if err := json.Unmarshal([]byte(out), &doc); err != nil || code != ExitOK {
			t.Errorf("%v: exit code %d, %v\n%s%s", args, code, err, out, errs)
		}
	}
	code, out, errs := c.run("promote", "sum", "x", "--json")
	var doc struct {
		Error struct{ Kind, Message string }
	}
	if err := json.Unmarshal([]byte(errs), &doc); err != nil || code != ExitError || out != "" || doc.Error.Kind != string(fault.InvalidArgument) {
		t.Errorf("an error: exit code %d, %v, %q, %q", code, err, out, errs)
	}
}

func TestUsageErrorsAreOneLine(t *testing.T) {
	c := newCloud(t)
	for _, args := range [][]string{
		{"promote"}, {"promote", "sum", "0"}, {"nonsense"}, {"status", "--nonsense"}, {"version", "register", "x.onnx"},
		{"version", "register", "/does/not/exist", "--model", "m"}, {"version", "register", "s3://nokey", "--model", "m"},
		{"predict", "sum", "r.csv", "--batch", "0"}, {"predict", "sum", "r.csv", "--concurrency", "0"}, {"predict", "sum", "r.csv", "--as", "parquet"}, {"predict", "sum", "r.csv", "--wait", "-1s"}, {"predict", "sum", "r.csv", "--as", "xml"},
		{"predict", "sum", "r.unknown"}, {"predict", "nobody", "r.csv"}, {"predict", "sum", "r.csv", "--auth", "x"}, {"log", "sum", "--last", "-1"},
		{"status", "NOT A NAME"},
	} {
		code, out, errs := c.run(args...)
		if code != ExitError || out != "" || strings.Count(errs, "\n") != 1 || !strings.HasPrefix(errs, "tidegate: ") {
			t.Errorf("%v: exit code %d, output %q, errors %q", args, code, out, errs)
		}
	}
}

func TestALostAnswerIsRepeatedByItsID(t *testing.T) {
	c := newCloud(t)
	c.run("version", "register", write(t, "m.onnx", "one"), "--model", "sum")
	c.fail = func(function string) error {
		if function == "promote" {
			return fault.New(fault.DeadlineExceeded, "too slow")
		}
		return nil
	}
	code, _, errs := c.run("promote", "sum", "1")
	m := regexp.MustCompile(`--transition-id (\S+)`).FindStringSubmatch(errs)
	if code != ExitError || m == nil {
		t.Fatalf("exit code %d, %q", code, errs)
	}
	c.fail = func(string) error { return nil }
	for range 2 {
		if code, out, errs := c.run("promote", "sum", "1", "--transition-id", m[1]); code != ExitOK || !strings.Contains(out, "generation 1,") {
			t.Fatalf("exit code %d, %q, %q", code, out, errs)
		}
	}
}

func TestPredictGoesOn(t *testing.T) {
	c := newCloud(t)
	line := `{"a":1,"b":2,"name":"x"}` + "\n"
	rows := write(t, "rows.ndjson", strings.Repeat(line, 25)+`{"a":1,"b":"two","name":"x"}`+"\n")
	out := filepath.Join(t.TempDir(), "out.csv")
	args := []string{"predict", "sum", rows, "--tensors-json", "--batch", "10", "-o", out}
	c.busy = 1
	code, _, errs := c.run(args...)
	if code != ExitError || !strings.Contains(errs, "the answers of 20 rows are kept") || !strings.Contains(errs, `row 26, column "b" is not a number`) {
		t.Fatal(code, errs)
	}
	if code, _, errs = c.run(args...); code != ExitError || !strings.Contains(errs, "going on behind the 20 rows") {
		t.Fatal(code, errs)
	}
	if err := os.WriteFile(rows, []byte(strings.Repeat(line, 25)), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, errs = c.run(args...); code != ExitError || !strings.Contains(errs, "the input has changed since the first 20 rows") {
		t.Fatal(code, errs)
	}
	code, text, errs := c.run(append(args, "--restart")...)
	if code != ExitOK || !strings.Contains(text, "25 rows") {
		t.Fatal(code, text, errs)
	}
	if code, text, errs = c.run(args...); code != ExitOK || !strings.Contains(text, "has the answers of all 25 rows already") {
		t.Fatal(code, text, errs)
	}
	got, err := os.ReadFile(out)
	if err != nil || strings.Count(string(got), "\n") != 26 || !strings.HasPrefix(string(got), "row,id,version,sum\n1,") {
		t.Errorf("%v\n%s", err, got)
	}
}

// TestPredictThroughABackend needs no stack.
func TestPredictThroughABackend(t *testing.T) {
	c := newCloud(t)
	c.env.Open = nil
	rows := write(t, "rows.csv", "name,b,a\nx,1,2\ny,10,20\n")
	out := filepath.Join(t.TempDir(), "out.parquet")
	if code, text, errs := c.run("predict", "sum", rows, "--tensors-json", "--backend", c.api.URL, "-o", out); code != ExitOK || !strings.Contains(text, "2 rows of sum answered") {
		t.Fatal(code, text, errs)
	}
	if code, text, errs := c.run("predict", "sum", rows, "--tensors-json", "--backend", c.api.URL+"/"); code != ExitOK || strings.Count(text, "\n") != 2 {
		t.Fatal(code, text, errs)
	}
	for url, want := range map[string]string{"nowhere": "is not a URL", "http://127.0.0.1:1": "cannot be reached"} {
		if code, _, errs := c.run("predict", "sum", rows, "--backend", url, "--wait", "0s", "-o", out, "--restart"); code != ExitError || !strings.Contains(errs, want) {
			t.Error(code, errs)
		}
	}
}

func TestPredictNamesWhatTheFileLacks(t *testing.T) {
	c := newCloud(t)
	code, _, errs := c.run("predict", "sum", write(t, "r.csv", "a,B,name\n1,2,x\n"), "--tensors-json")
	if code != ExitError || !strings.Contains(errs, "no column for input b (columns: B, a, name)") {
		t.Errorf("exit code %d, %q", code, errs)
	}
}

func TestDoctorFailsWithOne(t *testing.T) {
	c := newCloud(t)
	c.api.Close()
	if code, out, _ := c.run("doctor"); code != ExitWrong || !strings.Contains(out, "prediction API") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	if code, out, _ := c.run("doctor", "--stack", "elsewhere"); code != ExitWrong || !strings.Contains(out, "1 failed") {
		t.Errorf("exit code %d\n%s", code, out)
	}
}

func TestCompletion(t *testing.T) {
	c := newCloud(t)
	if code, out, _ := c.run("completion", "bash"); code != ExitOK || !strings.Contains(out, "__start_tidegate") {
		t.Errorf("exit code %d, %d bytes", code, len(out))
	}
}

package local

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"github.com/tidegate/tidegate/tests/local/stack"
)

// flight is a row of the trainer's holdout, as the three formats have it.
type flight struct {
	DepDelay *float64 `json:"dep_delay" parquet:"dep_delay,optional"`
	Distance *float64 `json:"distance" parquet:"distance,optional"`
	Carrier  *string  `json:"carrier" parquet:"carrier,optional"`
}

// TestCommandLine is a model's way from nothing to answers, as a person goes it.
func TestCommandLine(t *testing.T) {
	model := stack.Name(t.Name())
	folder := testdata("registration", "testdata", "binary")

	var created struct {
		Model   string
		Created bool
	}
	document(t, &created, "model", "create", model, "--task", "binary_classification", "--target", "late")
	if created.Model != model || !created.Created {
		t.Errorf("created %+v", created)
	}
	if said := says(t, 0, "status", model); !strings.Contains(said, "nothing yet") {
		t.Errorf("status of a model without versions:\n%s", said)
	}

	// A file alone has no holdout to be compared on; the trainer's folder has.
	said := says(t, 0, "version", "register", filepath.Join(folder, "model.onnx"), "--model", model)
	if !strings.Contains(said, "registered "+model+"@1") || !strings.Contains(said, "not checked") {
		t.Errorf("a file:\n%s", said)
	}
	said = says(t, 0, "version", "register", folder, "--model", model)
	if !strings.Contains(said, "registered "+model+"@2") || !strings.Contains(said, "rows, max |diff|") {
		t.Errorf("a folder:\n%s", said)
	}
	if said = says(t, 0, "version", "register", folder, "--model", model); !strings.Contains(said, "already registered as "+model+"@2") {
		t.Errorf("the same folder again:\n%s", said)
	}
	var versions []struct {
		Version int
		Ready   bool
		Parity  struct{ Checked bool }
	}
	document(t, &versions, "version", "list", model)
	if len(versions) != 2 || !versions[0].Ready || versions[0].Parity.Checked == versions[1].Parity.Checked {
		t.Errorf("the list has %+v", versions)
	}

	// The first champion, and what cannot be done with it.
	if said = says(t, 0, "promote", model, "2", "--reason", "first version", "--actor", "ann"); !strings.Contains(said, "champion is version 2") {
		t.Errorf("promote:\n%s", said)
	}
	if said = says(t, 3, "promote", model, "2"); !strings.Contains(said, "tidegate: ") || strings.Count(said, "\n") != 1 {
		t.Errorf("a second first champion:\n%s", said)
	}
	if said = says(t, 3, "rollback", model); !strings.Contains(said, "previous") {
		t.Errorf("rollback without a previous champion:\n%s", said)
	}
	var status struct {
		Versions, Ready int
		State           struct {
			Generation int
			Slots      struct{ Champion struct{ Version int } }
			Last       struct{ Kind, Actor, Reason string }
		}
	}
	document(t, &status, "status", model)
	if status.Ready != 2 || status.State.Generation != 1 || status.State.Slots.Champion.Version != 2 {
		t.Errorf("status: %+v", status)
	}
	type entry struct {
		Generation int
		Last       struct{ Kind, Actor, Reason string }
	}
	var log []entry
	document(t, &log, "log", model)
	if len(log) != 1 || log[0].Last.Kind != "bootstrap" || log[0].Last.Actor != "ann" || log[0].Last.Reason != "first version" {
		t.Errorf("log: %+v", log)
	}

	predictFiles(t, model, folder)

	var examined struct {
		OK     bool
		Checks []struct{ Name, Status, Detail string }
	}
	document(t, &examined, "doctor")
	probed, serving := false, false
	for _, check := range examined.Checks {
		probed = probed || check.Name == "compare and swap" && check.Status == "ok"
		serving = serving || check.Name == "model "+model+": serving" && check.Status == "ok"
		if check.Status == "fail" {
			t.Errorf("doctor: %+v", check)
		}
	}
	if !examined.OK || !probed || !serving {
		t.Errorf("doctor: %+v", examined)
	}
}

// predictFiles sends the holdout from a CSV, an NDJSON and a Parquet file; the answers are the trainer's, whichever it was.
func predictFiles(t *testing.T, model, folder string) {
	rows := flights(t, filepath.Join(folder, "holdout.csv"))
	want := probabilities(t, filepath.Join(folder, "predictions.csv"))
	dir := t.TempDir()
	files := []string{filepath.Join(folder, "holdout.csv"), filepath.Join(dir, "holdout.ndjson"), filepath.Join(dir, "holdout.parquet")}
	var lines bytes.Buffer
	for _, row := range rows {
		if err := json.NewEncoder(&lines).Encode(row); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(files[1], lines.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := parquet.WriteFile(files[2], rows); err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		answers := filepath.Join(dir, filepath.Base(file)+".answers.ndjson")
		var summary struct{ Rows int }
		document(t, &summary, "predict", model, file, "-o", answers, "--batch", "37")
		if summary.Rows != len(want) {
			t.Errorf("%s: %d rows answered, want %d", filepath.Base(file), summary.Rows, len(want))
		}
		compareAnswers(t, answers, want)
	}
}

func compareAnswers(t *testing.T, file string, want [][2]float64) {
	t.Helper()
	scanner := bufio.NewScanner(bytes.NewReader(read(t, file)))
	ids, n := map[string]bool{}, 0
	for ; scanner.Scan(); n++ {
		var answer struct {
			Row           int
			ID            string
			Version       int
			Probabilities [2]float64
		}
		if err := json.Unmarshal(scanner.Bytes(), &answer); err != nil {
			t.Fatalf("%v: %s", err, scanner.Bytes())
		}
		ids[answer.ID] = true
		if n >= len(want) || answer.Version != 2 || math.Abs(answer.Probabilities[0]-want[n][0]) > 1e-5 || math.Abs(answer.Probabilities[1]-want[n][1]) > 1e-5 {
			t.Fatalf("%s: row %d is answered %s", filepath.Base(file), n, scanner.Bytes())
		}
	}
	if n != len(want) || len(ids) != n {
		t.Errorf("%s: %d lines and %d inference ids, want %d", filepath.Base(file), n, len(ids), len(want))
	}
}

// says runs the command line and returns what it printed for people.
func says(t *testing.T, code int, args ...string) string {
	t.Helper()
	ran := tidegate(t, args...)
	if ran.code != code {
		t.Fatalf("tidegate %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), ran.code, code, ran.out, ran.errors)
	}
	if code == 0 {
		return ran.out
	}
	return ran.errors
}

// document runs the command line with --json and reads its one document.
func document(t *testing.T, into any, args ...string) {
	t.Helper()
	out := says(t, 0, append(args, "--json")...)
	decoder := json.NewDecoder(strings.NewReader(out))
	if err := decoder.Decode(into); err != nil || decoder.More() {
		t.Fatalf("tidegate %s --json: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func table(t *testing.T, file string) (records [][]string, column map[string]int) {
	t.Helper()
	records, err := csv.NewReader(bytes.NewReader(read(t, file))).ReadAll()
	if err != nil || len(records) < 2 {
		t.Fatal(file, err)
	}
	column = map[string]int{}
	for i, name := range records[0] {
		column[name] = i
	}
	return records[1:], column
}

func flights(t *testing.T, file string) []flight {
	t.Helper()
	records, column := table(t, file)
	number := func(text string) *float64 {
		if text == "" {
			return nil
		}
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			t.Fatal(err)
		}
		return &v
	}
	rows := make([]flight, len(records))
	for i, r := range records {
		rows[i] = flight{DepDelay: number(r[column["dep_delay"]]), Distance: number(r[column["distance"]])}
		if carrier := r[column["carrier"]]; carrier != "" {
			rows[i].Carrier = &carrier
		}
	}
	return rows
}

func probabilities(t *testing.T, file string) [][2]float64 {
	t.Helper()
	records, column := table(t, file)
	rows := make([][2]float64, len(records))
	for i, r := range records {
		for k, name := range []string{"probabilities_0", "probabilities_1"} {
			v, err := strconv.ParseFloat(r[column[name]], 64)
			if err != nil {
				t.Fatal(err)
			}
			rows[i][k] = v
		}
	}
	return rows
}

package command

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/capture"
	"github.com/tidegate/tidegate/shared/drift"
	"github.com/tidegate/tidegate/shared/monitor"
	"github.com/tidegate/tidegate/shared/profile"
)

// put writes a file of the current folder.
func put(t *testing.T, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// flights are n made-up rows, the delays moved by shift.
func flights(seed uint64, n int, shift float64) []byte {
	rng := rand.New(rand.NewPCG(seed, 9))
	var b bytes.Buffer
	b.WriteString("day,dep_delay,carrier,seats,id\n")
	for i := range n {
		delay := fmt.Sprintf("%.1f", rng.NormFloat64()*20+shift)
		if rng.IntN(50) == 0 {
			delay = "NA"
		}
		fmt.Fprintf(&b, "2026-11-%02d,%s,%s,%d,id-%d-%d\n", 1+i%28, delay, []string{"UA", "AA", "B6"}[rng.IntN(3)], []int{4, 150, 180}[rng.IntN(3)], seed, i)
	}
	return b.Bytes()
}

func packed(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.Write(b)
	w.Close()
	return out.Bytes()
}

// partly takes the rows of one carrier from later, the others from before.
func partly(before []byte, carrier string, later []byte) []byte {
	lines := bytes.Split(before, []byte("\n"))
	for i, line := range bytes.Split(later, []byte("\n")) {
		if is := []byte("," + carrier + ","); i > 0 && bytes.Contains(lines[i], is) {
			cells := bytes.Split(line, []byte(","))
			cells[2] = []byte(carrier)
			lines[i] = bytes.Join(cells, []byte(","))
		}
	}
	return bytes.Join(lines, []byte("\n"))
}

// TestDriftStory compares everything that the commands on files print.
func TestDriftStory(t *testing.T) {
	c := newCloud(t)
	home, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	put(t, "reference.csv", flights(1, 4000, 0))
	put(t, "same.csv.gz", packed(flights(2, 4000, 0)))
	put(t, "moved.csv", append(flights(3, 4000, 15), "1,2,3\n"...))
	put(t, "few.csv", flights(4, 40, 0))
	put(t, "policy.json", []byte(`{"columns":{"dep_delay":{"tolerances":{"numeric":0.6}}}}`))
	put(t, "bad.json", []byte(`{"alpha":2,"columns":{"x":{"gate":"no"}},"segments":["a","a"]}`))
	put(t, "split.json", []byte(`{"segments":["carrier"],"cluster":"id"}`))
	put(t, "none.json", []byte(`{"segments":["captain"]}`))
	put(t, "one.csv", partly(flights(5, 6000, 0), "B6", flights(6, 6000, 30)))
	var story strings.Builder
	step := func(want int, args ...string) {
		t.Helper()
		code, out, errs := c.run(args...)
		story.WriteString("$ tidegate " + strings.Join(args, " ") + "\n" + out + errs)
		if code != want {
			t.Errorf("tidegate %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), code, want, out, errs)
		}
	}
	step(ExitOK, "drift", "--reference", "reference.csv", "--current", "same.csv.gz")
	step(ExitWrong, "drift", "--reference", "reference.csv", "--current", "moved.csv", "--html", "moved.html")
	step(ExitUnknown, "drift", "--reference", "reference.csv", "--current", "few.csv")
	step(ExitOK, "drift", "--reference", "reference.csv", "--current", "moved.csv", "--policy", "policy.json")
	step(ExitError, "drift", "--reference", "reference.csv", "--current", "same.csv.gz", "--policy", "bad.json")
	step(ExitOK, "profile", "reference.csv", "-o", "baseline.json")
	step(ExitOK, "profile", "moved.csv", "--baseline", "baseline.json", "-o", "moved.json")
	step(ExitWrong, "drift", "--reference", "baseline.json", "--current", "moved.json")
	step(ExitOK, "profile", "reference.csv", "-o", "other.json", "--columns", "dep_delay,seats", "--kind", "seats=categorical")
	step(ExitError, "drift", "--reference", "other.json", "--current", "moved.json")
	step(ExitWrong, "drift", "--reference", "reference.csv", "--current", "one.csv", "--policy", "split.json", "--html", "split.html")
	step(ExitError, "drift", "--reference", "reference.csv", "--current", "one.csv", "--policy", "none.json")
	step(ExitError, "drift", "--reference", "baseline.json", "--current", "one.csv", "--policy", "split.json")
	step(ExitOK, "profile", "reference.csv", "--segment", "carrier", "--cluster", "id", "-o", "split.baseline.json")
	step(ExitError, "profile", "one.csv", "--baseline", "split.baseline.json", "--segment", "carrier", "-o", "split.profile.json")
	step(ExitOK, "profile", "one.csv", "--baseline", "split.baseline.json", "-o", "split.profile.json")
	step(ExitWrong, "drift", "--reference", "split.baseline.json", "--current", "split.profile.json", "--policy", "split.json")
	page, err := os.ReadFile("moved.html")
	if err != nil || !bytes.Contains(page, []byte("dep_delay")) {
		t.Errorf("the page: %v", err)
	}
	t.Chdir(home)
	golden(t, "drift", story.String())
}

// TestDriftReportIsTheSame compares files, profiles, and any spread of the rows.
func TestDriftReportIsTheSame(t *testing.T) {
	c := newCloud(t)
	t.Chdir(t.TempDir())
	put(t, "reference.csv", flights(1, 3000, 0))
	whole := flights(2, 3000, 3)
	put(t, "current.csv", whole)
	lines := strings.SplitAfter(string(whole), "\n")
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(lines)-2, func(i, j int) { lines[i+1], lines[j+1] = lines[j+1], lines[i+1] })
	put(t, "a.csv", []byte(lines[0]+strings.Join(lines[1:700], "")))
	put(t, "b.csv.gz", packed([]byte(lines[0]+strings.Join(lines[700:], ""))))
	run := func(args ...string) string {
		t.Helper()
		code, out, errs := c.run(args...)
		if code == ExitError {
			t.Fatalf("%v: %s", args, errs)
		}
		return out
	}
	run("profile", "reference.csv", "-o", "baseline.json")
	run("profile", "b.csv.gz", "a.csv", "--baseline", "baseline.json", "-o", "current.json")
	want := run("drift", "--reference", "reference.csv", "--current", "current.csv", "--json")
	if _, err := drift.ParseReport([]byte(want)); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"--reference", "baseline.json", "--current", "current.csv"}, {"--reference", "reference.csv", "--current", "b.csv.gz", "--current", "a.csv"},
		{"--reference", "baseline.json", "--workers", "1", "--current", "a.csv", "b.csv.gz"}, {"--reference", "baseline.json", "--current", "current.json"},
	} {
		if got := run(append([]string{"drift", "--json"}, args...)...); got != want {
			t.Errorf("%v: another report", args)
		}
	}
}

func TestCalibrateAndExport(t *testing.T) {
	c := newCloud(t)
	t.Chdir(t.TempDir())
	if err := os.Mkdir("windows", 0o755); err != nil {
		t.Fatal(err)
	}
	var all bytes.Buffer
	for i := range 10 {
		shift := 0.0
		if i == 6 {
			shift = 20
		}
		rows := flights(uint64(10+i), 1500, shift)
		put(t, fmt.Sprintf("windows/%d.csv", i), rows)
		header, rest, _ := bytes.Cut(rows, []byte("\n"))
		if i == 0 {
			all.WriteString("at," + string(header) + "\n")
		}
		for _, line := range strings.Split(strings.TrimSpace(string(rest)), "\n") {
			fmt.Fprintf(&all, "2026-%02d-03T10:00:00Z,%s\n", i+1, line)
		}
	}
	put(t, "all.csv", all.Bytes())
	for _, args := range [][]string{{"--windows", "windows"}, {"--windows", "all.csv", "--time", "at", "--chunk", "month"}} {
		code, out, errs := c.run(append([]string{"drift", "calibrate", "--json", "--tolerances", "0.1,0.9"}, args...)...)
		var got drift.Calibration
		if err := json.Unmarshal([]byte(out), &got); err != nil || code != ExitOK || got.Windows != 10 || got.Tolerances[0].Alarms != 1 || got.Tolerances[1].Alarms != 0 {
			t.Errorf("%v: exit code %d, %v\n%s%s", args, code, err, out, errs)
		}
	}
	code, out, _ := c.run("drift", "calibrate", "--windows", "windows")
	if code != ExitOK || !strings.Contains(out, "1/10") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	record := `{"v":1,"id":"u%d","ts":"2026-11-24T%02d:59:00Z","model":"sum","version":1,"digest":"sha256:0","slot":"champion","role":"served","first_row":0,"rows":1,"total_rows":1,"inputs":{"a":[%d]},"outputs":{"sum":[1.5]},"status":200,"sampled":1}` + "\n"
	var captured string
	for hour := range 24 {
		captured += fmt.Sprintf(record, hour, hour, hour)
	}
	put(t, "captures.ndjson", []byte(captured))
	c.run("model", "create", "sum")
	store(t, c.data, "captures/2026-11-24/12/x", captured)
	store(t, c.data, "captures/2026-11-25/00/late", fmt.Sprintf(record, 99, 23, 1)+fmt.Sprintf(record, 1, 1, 1))
	store(t, c.data, "captures/2026-11-26/00/other", fmt.Sprintf(record, 77, 23, 1))
	for want, args := range map[string][]string{
		"24 rows": {"--captures", "captures.ndjson"}, "1 rows": {"--captures", ".", "--window", "2026-11-24T13", "--model", "sum"},
		"25 rows": {"sum", "--window", "2026-11-24"}, "2 rows": {"sum", "--prefix", "2026-11-25/"},
	} {
		os.Remove("all.csv")
		os.RemoveAll("windows")
		code, out, errs := c.run(append([]string{"export", "-o", "../out.parquet"}, args...)...)
		if code != ExitOK || !strings.HasPrefix(out, want) && !strings.Contains(out, "\n"+want) {
			t.Errorf("%v: exit code %d\n%s%s", args, code, out, errs)
		}
	}
	f, err := os.Open("../out.parquet")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parquet.OpenFile(f, info.Size()); err != nil {
		t.Error(err)
	}
}

func store(t *testing.T, s *blob.Memory, key, content string) {
	t.Helper()
	if _, err := s.Put(t.Context(), key, []byte(content), blob.Always()); err != nil {
		t.Fatal(err)
	}
}

// TestPastWindows puts profiles of days and of a batch into a stack and collects them.
func TestPastWindows(t *testing.T) {
	b, err := profile.NewBuilder([]profile.Spec{{Name: "x", Kind: profile.Numeric}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		b.Number(0, float64(i%100), 1)
	}
	base := b.Freeze(1000)
	raw, err := encode(base)
	if err != nil {
		t.Fatal(err)
	}
	sum := digest(raw)
	c := newCloud(t)
	day := c.clock.Truncate(24 * 60 * 60 * 1e9)
	for i := range 3 {
		tally := profile.NewTally(base)
		tally.Number(0, float64(i), 10)
		d := profile.NewDocument("sum", 1, sum, profile.Source{Key: fmt.Sprint(i)}, tally, profile.Report{Rows: 10})
		key := profile.BatchKey("sum", "job", fmt.Sprint(i))
		if i < 2 {
			d.Groups[0].Interval, d.Groups[0].Role = day.AddDate(0, 0, i), capture.Served
			key = profile.CaptureKey("sum", day, &d.Source)
		}
		doc, err := d.Encode()
		if err != nil {
			t.Fatal(err)
		}
		store(t, c.data, key, string(doc))
	}
	store(t, c.data, "profiles/sum/2026-01-02/00/broken.json", "{")
	for _, name := range []string{"plan.json", "items.json", "000001.failed.txt"} { // lie beside the profiles of a batch, and are none
		store(t, c.data, profile.BatchPrefix("sum", "job")+name, "[]")
	}
	a := &app{Env: c.env}
	p := &past{baseline: base, digest: sum, version: 1, length: 24 * 60 * 60 * 1e9, windows: map[string]*profile.Window{}}
	windows, err := a.collect(t.Context(), c.data, "sum", p)
	if err != nil || len(windows) != 3 || p.refused != 1 {
		t.Errorf("%d windows, %d refused, %v", len(windows), p.refused, err)
	}
	if code, _, errs := c.run("drift", "calibrate", "nobody"); code != ExitError || strings.Count(errs, "\n") != 1 {
		t.Errorf("exit code %d, %s", code, errs)
	}
}

func TestModelMonitorFiles(t *testing.T) {
	c := newCloud(t)
	home, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	example := home + "/../../../../shared/monitor/testdata/"
	t.Chdir(t.TempDir())
	var rows strings.Builder
	rows.WriteString("delay,seats,carrier,weather\n")
	for i := range 5000 {
		fmt.Fprintf(&rows, "%d,%d,%s,x\n", 60+i%50, []int{4, 50, 150, 180}[i%4], []string{"UA", "AA", "B6", "DL"}[i%4])
	}
	put(t, "current.csv", []byte(rows.String()))
	code, out, errs := c.run("drift", "--reference", example+"statistics.json", "--constraints", example+"constraints.json", "--current", "current.csv", "--violations", "v.json")
	if code != ExitWrong || !strings.Contains(errs, "note: feature \"delay\"") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
	raw, err := os.ReadFile("v.json")
	if err != nil {
		t.Fatal(err)
	}
	var got monitor.Violations
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	var checks []string
	for _, v := range got.Violations {
		checks = append(checks, v.Feature+":"+v.Check)
	}
	for _, want := range []string{"Missing columns:missing_column_check", "Extra columns:extra_column_check", "delay:baseline_drift_check"} {
		if !strings.Contains(strings.Join(checks, " "), want) {
			t.Errorf("no %s in %v", want, checks)
		}
	}
	for _, args := range [][]string{
		{"--reference", example + "constraints.json", "--current", "current.csv"},
		{"--reference", "current.csv", "--current", example + "statistics.json"},
		{"--reference", "current.csv", "--current", "current.csv", "--constraints", "current.csv"},
	} {
		if code, out, errs := c.run(append([]string{"drift"}, args...)...); code != ExitError || out != "" || strings.Count(errs, "\n") != 1 {
			t.Errorf("%v: exit code %d\n%s%s", args, code, out, errs)
		}
	}
}

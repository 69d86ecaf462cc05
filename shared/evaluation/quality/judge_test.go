package quality

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/gate"
)

func metric(name string, value, se float64) Metric {
	return Metric{Name: name, Value: &value, SE: &se, N: 1000}
}

func TestJudge(t *testing.T) {
	layout := layouts(t)
	good := func() *Quality {
		return &Quality{Task: Binary, Counts: Counts{Mature: 1000, MatureLabel: 960, Judged: 960}, Coverage: 0.96, BaseRates: []float64{0.8, 0.2}}
	}
	ref := &Reference{Layout: layout["binary"], Metrics: []Metric{metric(ROCAUC, 0.80, 0.003), metric(LogLoss, 0.4, 0.004), metric(F1, 0.5, 0.01)}}
	tests := []struct {
		name    string
		change  func(q *Quality)
		metrics []Metric
		gates   []string
		ref     *Reference
		want    Verdict
		why     string
	}{
		{"degraded", nil, []Metric{metric(ROCAUC, 0.76, 0.005)}, nil, ref, Degraded, "worse by more than the tolerance of 0.02"},
		{"fine", nil, []Metric{metric(ROCAUC, 0.80, 0.005)}, nil, ref, Fine, "within the tolerance"},
		{"better", nil, []Metric{metric(ROCAUC, 0.90, 0.05)}, nil, ref, Fine, ""},
		{"undecided", nil, []Metric{metric(ROCAUC, 0.78, 0.005)}, nil, ref, NotEnoughData, "do not decide"},
		{"wide", nil, []Metric{metric(ROCAUC, 0.70, 0.1)}, nil, ref, NotEnoughData, "standard error of 0.1"},
		{"loss degraded", nil, []Metric{metric(LogLoss, 0.48, 0.01)}, []string{LogLoss}, ref, Degraded, "0.48 instead of 0.4"},
		{"loss fine", nil, []Metric{metric(LogLoss, 0.41, 0.005)}, []string{LogLoss}, ref, Fine, ""},
		{"one of two", nil, []Metric{metric(ROCAUC, 0.80, 0.004), metric(LogLoss, 0.6, 0.01)}, []string{ROCAUC, LogLoss}, ref, Degraded, "log_loss"},
		{"half decided", nil, []Metric{metric(ROCAUC, 0.80, 0.004), metric(F1, 0.48, 0.02)}, []string{ROCAUC, F1}, ref, NotEnoughData, "f1"},
		{"undefined", nil, []Metric{{Name: ROCAUC, Reason: oneLabel}}, nil, ref, NotEnoughData, oneLabel},
		{"no such metric", nil, nil, []string{MAE}, ref, NotEnoughData, "no such metric"},
		{"not in the reference", nil, []Metric{metric(Recall, 0.5, 0.01)}, []string{Recall}, ref, NotEnoughData, "the reference does not have"},
		{"no reference", nil, []Metric{metric(ROCAUC, 0.5, 0.01)}, nil, nil, NotEnoughData, "no reference quality"},
		{"other task", nil, []Metric{metric(ROCAUC, 0.5, 0.01)}, nil, &Reference{Layout: layout["regression"]}, NotEnoughData, "of a regression task"},
		{"coverage", func(q *Quality) { q.Counts.MatureLabel, q.Coverage = 900, 0.9 }, []Metric{metric(ROCAUC, 0.5, 0.01)}, nil, ref, NotEnoughData, "900 of 1000 mature predictions have a label (90.0 %), and 95.0 % are needed"},
		{"nothing mature", func(q *Quality) { q.Counts = Counts{Predictions: 5} }, nil, nil, ref, NotEnoughData, "old enough"},
		{"few rows", func(q *Quality) { q.Counts.Judged = 199 }, []Metric{metric(ROCAUC, 0.5, 0.01)}, nil, ref, NotEnoughData, "199 rows are judged"},
		{"few of a class", func(q *Quality) { q.BaseRates = []float64{0.96, 0.04} }, []Metric{metric(ROCAUC, 0.5, 0.01)}, nil, ref, NotEnoughData, `38 rows are of class "yes"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q := good()
			q.Metrics = tt.metrics
			if tt.change != nil {
				tt.change(q)
			}
			p := DefaultPolicy()
			p.Metrics = tt.gates
			got := p.Judge(q, tt.ref)
			if got.Verdict != tt.want || !strings.Contains(got.Summary, tt.why) {
				t.Errorf("%+v, want %s because %q", got, tt.want, tt.why)
			}
			if len(got.Gates) != len(p.Gates(q.Task)) {
				t.Errorf("%d gates", len(got.Gates))
			}
			if _, err := json.Marshal(got); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestMoreGatesAreEachStricter: the error rate is divided by the number of gates.
func TestMoreGatesAreEachStricter(t *testing.T) {
	ref := &Reference{Layout: layouts(t)["binary"], Metrics: []Metric{metric(ROCAUC, 0.8, 0), metric(F1, 0.5, 0), metric(Accuracy, 0.9, 0)}}
	q := &Quality{Task: Binary, Counts: Counts{Mature: 1000, MatureLabel: 1000, Judged: 1000}, Coverage: 1, BaseRates: []float64{0.5, 0.5},
		Metrics: []Metric{metric(ROCAUC, 0.762, 0.01), metric(F1, 0.5, 0.001), metric(Accuracy, 0.9, 0.001)}}
	p := DefaultPolicy()
	if got := p.Judge(q, ref); got.Gates[0].Answer != gate.Yes {
		t.Errorf("alone %+v", got)
	}
	p.Metrics = []string{ROCAUC, F1, Accuracy}
	if got := p.Judge(q, ref); got.Gates[0].Answer != gate.Unknown {
		t.Errorf("as one of three %+v", got)
	}
}

func TestParsePolicy(t *testing.T) {
	for _, raw := range []string{"", " null ", "{}"} {
		p, err := ParsePolicy([]byte(raw))
		if err != nil {
			t.Fatal(err)
		}
		if fmt.Sprintf("%+v", p) != fmt.Sprintf("%+v", DefaultPolicy()) {
			t.Errorf("%q is %+v", raw, p)
		}
	}
	p, err := ParsePolicy([]byte(`{"metrics":["log_loss"],"tolerances":{"log_loss":0.2},"label_delay_minutes":90,"debounce":{"need":3,"of":4},"cluster":"day","segments":["carrier"],"window_minutes":2880}`))
	if err != nil {
		t.Fatal(err)
	}
	if p.Tolerance(LogLoss) != 0.2 || p.Tolerance(MAE) != 0.1 || p.Tolerance(ROCAUC) != 0.02 || *p.LabelDelayMinutes != 90 || p.Debounce != (Debounce{Need: 3, Of: 4}) || p.Coverage != 0.95 {
		t.Errorf("%+v", p)
	}
	if got := DefaultPolicy(); fmt.Sprint(got.Gates(Binary), got.Gates(Multiclass), got.Gates(Regression)) != "[roc_auc] [log_loss] [mae]" {
		t.Errorf("default gates %v %v %v", got.Gates(Binary), got.Gates(Multiclass), got.Gates(Regression))
	}
	if err := p.CheckTask(Binary); err != nil {
		t.Error(err)
	}
	if err := p.CheckTask(Regression); !fault.Is(err, fault.InvalidArgument) {
		t.Errorf("log loss of a regression: %v", err)
	}
}

func TestPolicyTellsEveryFault(t *testing.T) {
	_, err := ParsePolicy([]byte(`{"metrics":["roc_auc","auc","roc_auc"],"tolerances":{"expected_calibration_error":0.1,"f1":2},"alpha":0,"min_rows":"x","min_class":1,
		"coverage":1.5,"label_delay_minutes":-1,"window_minutes":90,"debounce":{"need":1,"of":2,"x":1},"cluster":"week","segments":["a","a"],"max_segments":0,"colour":1}`))
	if !fault.Is(err, fault.InvalidArgument) {
		t.Fatal(err)
	}
	got := fmt.Sprint(fault.Public(err).Violations)
	for _, path := range []string{"metrics[1]", "metrics[2]", "tolerances[expected_calibration_error]", "tolerances[f1]", "alpha", "min_rows", "min_class",
		"coverage", "label_delay_minutes", "window_minutes", "debounce ", "debounce.x", "cluster", "segments", "max_segments", "colour"} {
		if !strings.Contains(got, "{"+path) {
			t.Errorf("nothing about %s in %s", path, got)
		}
	}
	for _, raw := range []string{"[]", "1", "{"} {
		if _, err := ParsePolicy([]byte(raw)); !fault.Is(err, fault.InvalidArgument) {
			t.Errorf("%s: %v", raw, err)
		}
	}
}

// FuzzPolicy: whatever a policy holds, it is refused or valid, and a valid one written and read again is the same.
func FuzzPolicy(f *testing.F) {
	f.Add([]byte(`{"metrics":["log_loss"],"tolerances":{"log_loss":0.2},"label_delay_minutes":90,"debounce":{"need":3,"of":4},"segments":["x"]}`))
	f.Add([]byte(`{"metrics":null,"tolerances":null,"cluster":"day"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := ParsePolicy(raw)
		if err != nil {
			return
		}
		stored, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParsePolicy(stored)
		if err != nil {
			t.Fatalf("%s: %v", stored, err)
		}
		if third, _ := json.Marshal(again); string(third) != string(stored) {
			t.Errorf("%s\n%s", stored, third)
		}
	})
}

func verdicts(text string) []WindowVerdict {
	var out []WindowVerdict
	for i, v := range text {
		w := WindowVerdict{Window: fmt.Sprintf("2013-05-%02d", i+1), Rows: 10, Verdict: NotEnoughData}
		switch v {
		case 'D':
			w.Verdict = Degraded
		case 'f':
			w.Verdict = Fine
		case '.':
			w.Rows = 0
		}
		out = append(out, w)
	}
	return out
}

func TestFold(t *testing.T) {
	for text, want := range map[string]Standing{
		"": StandingUnknown, "D": StandingUnknown, "DD": StandingDegraded, "D.D": StandingDegraded, "D?D": StandingDegraded, "D??D": StandingUnknown,
		"ff": StandingOK, "ffD": StandingOK, "ffDD": StandingDegraded, "DDf": StandingDegraded, "DDff": StandingOK, "DD?f": StandingDegraded,
		"DD???": StandingUnknown, "ff??f": StandingOK,
	} {
		if got := Fold(verdicts(text), DefaultDebounce()); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
	ws := verdicts("fDDfD")
	want := Fold(ws, DefaultDebounce())
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(ws), func(i, j int) { ws[i], ws[j] = ws[j], ws[i] })
	if got := Fold(ws, DefaultDebounce()); got != want {
		t.Errorf("in another order %s, want %s", got, want)
	}
	superseded := append(verdicts("ffDD"), WindowVerdict{Window: "2013-05-04", Rows: 12, Verdict: Fine})
	if got := Fold(superseded, DefaultDebounce()); got != StandingOK {
		t.Errorf("a superseding window that is fine leaves %s", got)
	}
}

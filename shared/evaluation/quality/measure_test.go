package quality

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/tidegate/tidegate/shared/evaluation/score"
	"github.com/tidegate/tidegate/shared/fault"
)

// binaryRows are n rows of a binary task whose scores are calibrated.
func binaryRows(rng *rand.Rand, n int) []Row {
	rows := make([]Row, n)
	for i := range rows {
		p := 1 / (1 + math.Exp(-1.5*rng.NormFloat64()+1))
		rows[i] = Row{Score: p, Class: NoClass, Labelled: true, Mature: true, Key: rng.Uint64(), Block: int64(i * 24 / n)}
		if rng.Float64() < p {
			rows[i].Label = 1
		}
	}
	return rows
}

func counted(l *Layout, rows []Row) *State {
	s := NewState(l)
	for i := range rows {
		s.Add(&rows[i])
	}
	return s
}

func TestUndefinedMetricsSayWhyAndKeepTheRest(t *testing.T) {
	l, err := NewBinary(score.Uniform(100))
	if err != nil {
		t.Fatal(err)
	}
	row := func(score float64, class, label int) Row {
		return Row{Score: score, Class: class, Labelled: true, Label: label, Mature: true}
	}
	repeat := func(n int, rows ...Row) []Row {
		var out []Row
		for range n {
			out = append(out, rows...)
		}
		return out
	}
	tests := map[string]struct {
		rows      []Row
		undefined map[string]string // metric: its reason
		defined   []string
		noRange   []string // defined without an interval
	}{
		"no rows":    {nil, map[string]string{ROCAUC: "no judged row", Accuracy: "no judged row", LogLoss: "no judged row", Precision: noneFlagged}, nil, nil},
		"unlabelled": {[]Row{{Score: 0.4, Class: 0}}, map[string]string{ROCAUC: "no judged row"}, nil, nil},
		"one label": {repeat(1, row(0.9, 1, 1)), map[string]string{ROCAUC: "negative class", BalancedAccuracy: oneLabel, MCC: oneSided},
			[]string{Accuracy, Precision, Recall, F1, LogLoss}, []string{LogLoss}},
		"negatives only": {repeat(30, row(0.2, 0, 0), row(0.7, 1, 0)), map[string]string{ROCAUC: noPositive, AveragePrecision: noPositive, Recall: noPositive},
			[]string{Accuracy, Precision, LogLoss, BrierScore, CalibrationError}, nil},
		"nothing flagged": {repeat(30, row(0.2, 0, 0), row(0.3, 0, 1)), map[string]string{Precision: noneFlagged, MCC: oneSided},
			[]string{ROCAUC, F1, Recall, BalancedAccuracy}, nil},
		"constant scores":  {repeat(30, row(0.5, 1, 0), row(0.5, 1, 1)), nil, []string{ROCAUC, AveragePrecision, LogLoss}, nil},
		"few of one class": {append(repeat(50, row(0.1, 0, 0)), repeat(9, row(0.8, 1, 1))...), nil, []string{ROCAUC}, []string{ROCAUC}},
		"margins":          {repeat(30, row(-2, 0, 0), row(3, 1, 1), row(-1, 0, 1)), map[string]string{LogLoss: notProbabilities, BrierScore: notProbabilities, CalibrationError: notProbabilities}, []string{ROCAUC, Accuracy}, nil},
		"margins without classes": {repeat(30, row(-2, NoClass, 0), row(3, NoClass, 1)), map[string]string{Accuracy: "neither a predicted class", F1: "neither a predicted class"},
			[]string{ROCAUC}, nil},
		"classes only": {repeat(30, row(math.NaN(), 0, 0), row(math.NaN(), 1, 1), row(math.NaN(), 1, 0)), map[string]string{ROCAUC: "no judged row with a score", LogLoss: "no judged row with a score"},
			[]string{Accuracy, F1, MCC}, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			q := measured(t, counted(l, tt.rows))
			for metric, why := range tt.undefined {
				if m := q.Metric(metric); m.Value != nil || m.Interval != nil || !strings.Contains(m.Reason, why) {
					t.Errorf("%s: %+v, want undefined because %q", metric, m, why)
				}
			}
			for _, metric := range tt.defined {
				if m := q.Metric(metric); m.Value == nil {
					t.Errorf("%s is undefined: %s", metric, m.Reason)
				}
			}
			for _, metric := range tt.noRange {
				if m := q.Metric(metric); m.Interval != nil || m.Reason == "" {
					t.Errorf("%s has the interval %v", metric, m.Interval)
				}
			}
		})
	}
}

func TestUndefinedOtherTasks(t *testing.T) {
	r := NewState(NewRegression())
	for _, m := range measured(t, r).Metrics {
		if m.Value != nil || m.Reason == "" {
			t.Errorf("of no rows %+v", m)
		}
	}
	r.Add(&Row{Value: 1, Truth: 0, Labelled: true, Mature: true})
	q := measured(t, r)
	if m := q.Metric(MAE); m.Value == nil || *m.Value != 1 || m.Interval != nil || m.Reason == "" {
		t.Errorf("mae of one row %+v", m)
	}
	if m := q.Metric(R2); m.Value != nil || !strings.Contains(m.Reason, "same") {
		t.Errorf("r2 of one row %+v", m)
	}
	if m := q.Metric(MAPE); m.Value != nil || !strings.Contains(m.Reason, "label is 0") {
		t.Errorf("mape of a label of 0 %+v", m)
	}
	huge := NewState(NewRegression()) // numbers at the end of what is usable, and labels next to 0, can still be written
	for i := range 100 {
		sign := float64(1 - 2*(i%2))
		huge.Add(&Row{Value: 9e139 * sign, Truth: -9e139 * sign, Labelled: true, Mature: true, Key: uint64(i), Block: int64(i)})
	}
	if m := measured(t, huge).Metric(R2); m.Value == nil || m.SE == nil {
		t.Errorf("r2 of huge numbers %+v", m)
	}
	huge.Add(&Row{Value: 1e100, Truth: 1e-100, Labelled: true, Mature: true})
	if m := measured(t, huge).Metric(MAPE); m.Value != nil {
		t.Errorf("mape of a label next to 0 is %g", *m.Value)
	}
	b := score.Uniform(10)
	l, err := NewMulticlass([]string{"a", "b", "c"}, []*score.Bins{b, b, b})
	if err != nil {
		t.Fatal(err)
	}
	m := NewState(l)
	m.Add(&Row{Class: 2, Labelled: true, Label: 1, Mature: true})
	q = measured(t, m)
	if a := q.Metric(ROCAUC); a.Value != nil || a.Reason == "" {
		t.Errorf("area without scores %+v", a)
	}
	if a := q.Metric(Accuracy); a.Value == nil || *a.Value != 0 {
		t.Errorf("accuracy %+v", a)
	}
}

func TestMeasureRefuses(t *testing.T) {
	l := layouts(t)
	a, b := NewState(l["binary"]), NewState(l["few bins"])
	flat := NewState(l["binary"])
	flat.keys, flat.blocks = nil, nil
	for name, strata := range map[string][]Stratum{
		"none": nil, "nil": {{}}, "zero": {{a, 0}}, "tiny": {{a, 1e-300}}, "above": {{a, 1.5}}, "nan": {{a, math.NaN()}}, "layouts": {{a, 1}, {b, 1}}, "flat": {{flat, 1}},
	} {
		if _, err := Measure("w", strata...); !fault.Is(err, fault.InvalidArgument) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestMeasureIsRepeatable: the same states and window give the same bytes, another window other resamples.
func TestMeasureIsRepeatable(t *testing.T) {
	for name, l := range layouts(t) {
		rng := rand.New(rand.NewPCG(6, 6))
		s := NewState(l)
		for range 3000 {
			r := anyRow(rng)
			s.Add(&r)
		}
		text := func(seed string) string {
			q, err := Measure(seed, Stratum{State: s, Sampled: 1})
			if err != nil {
				t.Fatal(err)
			}
			raw, err := json.Marshal(q)
			if err != nil {
				t.Fatal(name, err)
			}
			return string(raw)
		}
		if first, again := text("a"), text("a"); first != again || first == text("b") {
			t.Errorf("%s: resamples do not depend on the window alone", name)
		}
	}
}

// TestRepeatedRows: rows that repeat under one key, or within one hour, tell no more than one of them.
func TestRepeatedRows(t *testing.T) {
	l, err := NewBinary(score.Uniform(200))
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(12, 1))
	once := binaryRows(rng, 4000)
	want := measured(t, counted(l, once))
	var often []Row
	for _, r := range once {
		for range 20 {
			often = append(often, r)
		}
	}
	got := measured(t, counted(l, often))
	for _, name := range []string{ROCAUC, Accuracy, LogLoss, AveragePrecision, F1, MCC} {
		w, g := want.Metric(name), got.Metric(name)
		if r := *g.SE / *w.SE; r < 0.95 || r > 1.05 {
			t.Errorf("%s: 20 times the same rows have %.2f times the standard error", name, r)
		}
		if r := *g.SE / *g.SERow; r < 4 {
			t.Errorf("%s: rows are taken as independent: %g, over rows %g", name, *g.SE, *g.SERow)
		}
		if r := (g.Interval.Hi - g.Interval.Lo) / (w.Interval.Hi - w.Interval.Lo); r < 0.8 || r > 1.3 {
			t.Errorf("%s: the interval is %.2f times as wide: %v, %v", name, r, *g.Interval, *w.Interval)
		}
	}
	if !strings.Contains(fmt.Sprint(got.Warnings), "rows are not independent") {
		t.Errorf("%q", got.Warnings)
	}
}

// TestSampledRows: rows captured with probability ¼ stand for four, and are worth less than as many.
func TestSampledRows(t *testing.T) {
	l, err := NewBinary(score.Uniform(200))
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(13, 1))
	full, part := binaryRows(rng, 6000), binaryRows(rng, 3000)
	var four []Row
	for _, r := range part {
		four = append(four, r, r, r, r)
	}
	a, b := counted(l, full), counted(l, part)
	got, err := Measure("w", Stratum{a, 1}, Stratum{b, 0.25})
	if err != nil {
		t.Fatal(err)
	}
	all := counted(l, append(append([]Row{}, full...), four...))
	want := measured(t, all)
	for _, name := range MetricNames(Binary) {
		near(t, name, got.Metric(name).Value, *want.Metric(name).Value, 1e-9)
		if name == CalibrationError {
			continue
		}
		// Four copies under one key are known to be one row, so they are worth what the weight is.
		g, w := got.Metric(name).Interval, want.Metric(name).Interval
		if r := (g.Hi - g.Lo) / (w.Hi - w.Lo); r < 0.85 || r > 1.18 {
			t.Errorf("%s: the interval %v is %.2f times as wide as %v of the repeated rows", name, *g, r, *w)
		}
	}
	near(t, "effective rows", &got.EffectiveRows, 18000.*18000/(6000+16*3000), 1e-12)
	alone, err := Measure("w", Stratum{b, 0.25})
	if err != nil {
		t.Fatal(err)
	}
	plain := measured(t, b)
	for _, name := range []string{ROCAUC, LogLoss, Accuracy} { // one weight for all changes nothing
		near(t, name, alone.Metric(name).SE, *plain.Metric(name).SE, 1e-9)
		near(t, name, &alone.Metric(name).Interval.Lo, plain.Metric(name).Interval.Lo, 1e-9)
	}
}

func TestThresholds(t *testing.T) {
	var rows []Row
	for i := range 100 {
		rows = append(rows, Row{Score: float64(i) / 100, Class: NoClass, Labelled: true, Mature: true, Label: i % 2, Key: uint64(i)})
	}
	scores := make([]float64, len(rows))
	for i := range rows {
		scores[i] = rows[i].Score
	}
	l, err := NewBinary(score.Freeze(scores))
	if err != nil {
		t.Fatal(err)
	}
	q := measured(t, counted(l, rows))
	at := map[float64]Threshold{}
	for i, th := range q.Thresholds {
		at[th.Score] = th
		if i > 0 && (th.Score <= q.Thresholds[i-1].Score || th.Flagged > q.Thresholds[i-1].Flagged) {
			t.Errorf("threshold %d does not ascend", i)
		}
	}
	half, ok := at[0.5]
	if !ok || half.Flagged != 0.5 || *half.TPR != 0.5 || *half.FPR != 0.5 || *half.Precision != 0.5 {
		t.Errorf("at 0.5: %+v of %d thresholds", half, len(q.Thresholds))
	}
	if last, ok := at[0.95]; !ok || math.Abs(last.Flagged-0.05) > 1e-12 || *last.Precision != 0.6 {
		t.Errorf("at 0.95: %+v", last)
	}
	if len(q.Calibration) != 10 || q.Calibration[0].Rows != 10 || math.Abs(q.Calibration[0].Score-0.045) > 1e-12 || q.Calibration[0].Positive != 0.5 {
		t.Errorf("calibration %+v", q.Calibration)
	}
	if fmt.Sprint(q.Confusion.Rows) != "[[25 25] [25 25]]" || fmt.Sprint(q.BaseRates) != "[0.5 0.5]" {
		t.Errorf("confusion %v of %v", q.Confusion.Rows, q.BaseRates)
	}
}

package quality

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/evaluation/score"
	"github.com/tidegate/tidegate/shared/fault"
)

func frozen(t testing.TB, rows []Row) *Layout {
	t.Helper()
	scores := make([]float64, len(rows))
	for i := range rows {
		scores[i] = rows[i].Score
	}
	l, err := NewBinary(score.Freeze(scores), "on time", "late")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestReferenceIsStoredAndRead(t *testing.T) {
	rows := binaryRows(rand.New(rand.NewPCG(51, 1)), 60_000)
	l := frozen(t, rows)
	end := time.Date(2013, 4, 30, 23, 0, 0, 0, time.UTC)
	ref, err := NewReference(counted(l, rows), "sha256:x", end)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := ref.Encode()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("a reference on %d bins has %d bytes", l.Bins[0].Len(), len(raw))
	back, err := ParseReference(raw)
	if err != nil {
		t.Fatal(err)
	}
	again, err := back.Encode()
	if err != nil || !bytes.Equal(again, raw) {
		t.Errorf("written differently than read: %v", err)
	}
	if !back.Layout.Equal(l) || !back.TrainingEnd.Equal(end) || back.Rows != 60_000 || *back.Metric(ROCAUC).Value != *ref.Metric(ROCAUC).Value || back.Metric("none") != nil {
		t.Errorf("read as %+v", back)
	}
	window := counted(back.Layout, rows[:3000])
	p := DefaultPolicy()
	worse := make([]Row, 3000) // of what the model is unsure about
	for i := range worse {
		worse[i] = Row{Score: 0.3 + float64(i%40)/100, Class: NoClass}
	}
	for _, r := range []*Reference{ref, back} {
		e, err := NewEstimator(r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := e.Estimate(Stratum{window, 1})
		if err != nil || len(got.Metrics) != 6 {
			t.Errorf("%+v, %v", got, err)
		}
		if low := got.Low(&p, r); low != "" {
			t.Errorf("the reference's own rows: %s", low)
		}
		got, err = e.Estimate(Stratum{counted(r.Layout, worse), 1})
		if err != nil {
			t.Fatal(err)
		}
		if low := got.Low(&p, r); !strings.Contains(low, "roc_auc 0.6") {
			t.Errorf("of unsure rows %q, %+v", low, got.Metrics[0])
		}
	}
}

func TestReferencesThatCannotBe(t *testing.T) {
	rows := binaryRows(rand.New(rand.NewPCG(52, 1)), 300)
	l := frozen(t, rows)
	if _, err := NewReference(NewState(l), "", time.Time{}); !fault.Is(err, fault.FailedPrecondition) {
		t.Errorf("without rows: %v", err)
	}
	ref, err := NewReference(counted(l, rows), "", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := ref.Encode()
	if err != nil {
		t.Fatal(err)
	}
	change := func(field string, value any) []byte {
		var m map[string]any
		if err := json.Unmarshal(raw, &m); err != nil {
			t.Fatal(err)
		}
		m[field] = value
		out, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	for name, bad := range map[string][]byte{
		"empty": nil, "text": []byte("x"), "version": change("v", 2), "rows": change("rows", 301), "layout": change("layout", nil),
		"task": change("layout", map[string]any{"task": "ranking"}), "bins": change("layout", NewRegression()), "counts": change("counts", "AAAA"),
	} {
		if _, err := ParseReference(bad); !fault.Is(err, fault.Internal) {
			t.Errorf("%s: %v", name, err)
		}
	}
	many := make([]string, MaxClasses)
	bins := make([]*score.Bins, MaxClasses)
	all := make([]float64, 30_000)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range all {
		all[i] = rng.Float64()
	}
	for _, n := range []int{score.MaxBins, BinsPerClass(MaxClasses)} {
		for i := range many {
			many[i], bins[i] = fmt.Sprint("class ", i), score.FreezeTo(n, all)
		}
		l, err := NewMulticlass(many, bins)
		if err != nil {
			t.Fatal(err)
		}
		s := NewState(l)
		for range 3000 {
			r := Row{Class: NoClass, Labelled: true, Label: rng.IntN(MaxClasses), Mature: true, Key: rng.Uint64()}
			for range many {
				r.Scores = append(r.Scores, rng.Float64())
			}
			s.Add(&r)
		}
		_, err = NewReference(s, "", time.Time{})
		if n == score.MaxBins && !fault.Is(err, fault.PayloadTooLarge) || n < score.MaxBins && err != nil {
			t.Errorf("%d bins for each of %d classes: %v", n, MaxClasses, err)
		}
	}
}

func TestEstimatesThatCannotBe(t *testing.T) {
	rng := rand.New(rand.NewPCG(53, 1))
	enough := binaryRows(rng, leastReference)
	l := frozen(t, enough)
	window := counted(l, enough[:500])
	rare := binaryRows(rng, leastReference)
	for i, left := 0, leastReferenceClass-1; i < len(rare); i++ {
		if left -= rare[i].Label; left < 0 {
			rare[i].Label = 0
		}
	}
	margins := binaryRows(rng, leastReference)
	margins[0].Score = -2
	outside := binaryRows(rng, 10)
	outside[3].Score = 1.25
	for name, tt := range map[string]struct {
		reference []Row
		window    *State
		want      string
	}{
		"few rows":     {enough[:leastReference-1], window, "has 4999 rows with"},
		"few of class": {rare, window, "has 499 rows of one class"},
		"margins":      {margins, window, "of the reference, a score is outside"},
		"outside":      {enough, counted(l, outside), "a score is outside"},
		"no window":    {enough, NewState(l), "no prediction with a score"},
	} {
		s := counted(l, tt.reference)
		e, err := NewEstimator(&Reference{Rows: s.Counts.Judged, Layout: l, state: s})
		if err != nil {
			t.Fatal(name, err)
		}
		got, err := e.Estimate(Stratum{tt.window, 1})
		if err != nil || !strings.Contains(got.Reason, tt.want) || len(got.Metrics) > 0 {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		if _, err := e.Estimate(Stratum{NewState(NewRegression()), 1}); !fault.Is(err, fault.FailedPrecondition) {
			t.Errorf("%s: another layout: %v", name, err)
		}
	}
	r := NewState(NewRegression())
	r.Add(&Row{Value: 1, Truth: 2, Labelled: true, Mature: true})
	ref, err := NewReference(r, "", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	e, err := NewEstimator(ref)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := e.Estimate(Stratum{r, 1}); err != nil || got.Reason == "" {
		t.Errorf("of a regression %+v, %v", got, err)
	}
}

func TestEstimateOfSeveralClasses(t *testing.T) {
	rng := rand.New(rand.NewPCG(54, 1))
	draw := func(n int) []Row {
		rows := make([]Row, n)
		for i := range rows {
			p := []float64{rng.ExpFloat64(), rng.ExpFloat64(), rng.ExpFloat64()}
			sum := p[0] + p[1] + p[2]
			u, label := rng.Float64()*sum, 2
			if u < p[0] {
				label = 0
			} else if u < p[0]+p[1] {
				label = 1
			}
			rows[i] = Row{Scores: []float64{p[0] / sum, p[1] / sum, p[2] / sum}, Class: NoClass, Labelled: true, Label: label, Mature: true, Key: rng.Uint64()}
		}
		return rows
	}
	reference := draw(8000)
	bins := make([]*score.Bins, 3)
	for k := range bins {
		scores := make([]float64, len(reference))
		for i := range reference {
			scores[i] = reference[i].Scores[k]
		}
		bins[k] = score.Freeze(scores)
	}
	l, err := NewMulticlass([]string{"a", "b", "c"}, bins)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := NewReference(counted(l, reference), "", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	e, err := NewEstimator(ref)
	if err != nil {
		t.Fatal(err)
	}
	s := counted(l, draw(4000))
	got, err := e.Estimate(Stratum{s, 1})
	if err != nil {
		t.Fatal(err)
	}
	realised := got.Realised(measured(t, s))
	if len(realised) != 1 || realised[0].Name != ROCAUC || !realised[0].Inside {
		t.Errorf("%+v of %+v", realised, got)
	}
}

// FuzzReference: a stored reference is refused or read, and an estimate on it never ends the program.
func FuzzReference(f *testing.F) {
	rows := binaryRows(rand.New(rand.NewPCG(55, 1)), 200)
	l, err := NewBinary(score.Uniform(5))
	if err != nil {
		f.Fatal(err)
	}
	ref, err := NewReference(counted(l, rows), "x", time.Time{})
	if err != nil {
		f.Fatal(err)
	}
	raw, err := ref.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := ParseReference(raw)
		if err != nil || r.Rows > 1e6 {
			return
		}
		if _, err := r.Encode(); err != nil && !fault.Is(err, fault.PayloadTooLarge) {
			t.Fatal(err)
		}
		if _, err := NewEstimator(r); err != nil {
			t.Fatal(err)
		}
	})
}

package quality

import (
	"encoding/json"
	"math"
	"os"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/evaluation/score"
	"github.com/tidegate/tidegate/shared/stat"
)

type golden struct {
	Binary     []binaryGolden
	Multiclass struct {
		Score       [][]float64
		Label, Pred []int
		Metrics     map[string]float64
		AUCSE       float64 `json:"auc_se"`
	}
	Regression struct {
		Value, Truth []float64
		Key          []uint64
		Block        []int64
		Metrics      map[string]float64
		MAESE        float64    `json:"mae_se"`
		MAECluster   [2]float64 `json:"mae_cluster"`
		RMSECluster  [2]float64 `json:"rmse_cluster"`
		R2Cluster    [2]float64 `json:"r2_cluster"`
	}
	CBPE struct {
		Reference, Window []float64
		Label, Pred       []int
		Bins              int
		Binned, Raw       map[string]float64
		LabelNoise        map[string]float64 `json:"label_noise"`
	}
}

type binaryGolden struct {
	Name        string
	Exact       bool
	Score       []float64
	Label, Pred []int
	Key         []uint64
	Block       []int64
	Metrics     map[string]float64
	DelongSE    float64    `json:"delong_se"`
	AUCInterval [2]float64 `json:"auc_interval"`
	AUCCluster  [2]float64 `json:"auc_cluster"`
	ECE         [2]float64
	LossSE      float64    `json:"loss_se"`
	LossCluster [2]float64 `json:"loss_cluster"`
	Wilson      map[string][2]float64
	Bootstrap   map[string][2]float64
}

func load(t *testing.T) golden {
	t.Helper()
	raw, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	if err := json.Unmarshal(raw, &g); err != nil {
		t.Fatal(err)
	}
	return g
}

func near(t *testing.T, what string, got *float64, want, tolerance float64) {
	t.Helper()
	if got == nil {
		t.Errorf("%s is undefined, want %g", what, want)
	} else if !(math.Abs(*got-want) <= tolerance*math.Max(math.Abs(want), 1e-12)) {
		t.Errorf("%s = %.15g, want %.15g", what, *got, want)
	}
}

func nearInterval(t *testing.T, what string, got *stat.Interval, want [2]float64, tolerance float64) {
	t.Helper()
	if got == nil {
		t.Errorf("%s has no interval", what)
		return
	}
	near(t, what+" lo", &got.Lo, want[0], tolerance)
	near(t, what+" hi", &got.Hi, want[1], tolerance)
}

func measured(t *testing.T, s *State) *Quality {
	t.Helper()
	q, err := Measure("2013-05-01", Stratum{State: s, Sampled: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := json.Marshal(q); err != nil {
		t.Fatal(err)
	}
	return q
}

func (g *binaryGolden) state(t *testing.T, bins *score.Bins) *State {
	t.Helper()
	l, err := NewBinary(bins)
	if err != nil {
		t.Fatal(err)
	}
	s := NewState(l)
	for i := range g.Score {
		s.Add(&Row{Score: g.Score[i], Class: g.Pred[i], Labelled: true, Label: g.Label[i], Mature: true, Key: g.Key[i], Block: g.Block[i]})
	}
	return s
}

// TestBinary: everything but ranks is exact on any bins; ranks are where scores are few, else within the bounds.
func TestBinary(t *testing.T) {
	for _, g := range load(t).Binary {
		t.Run(g.Name, func(t *testing.T) {
			for name, bins := range map[string]*score.Bins{"frozen": score.Freeze(g.Score), "coarse": score.Uniform(30)} {
				q := measured(t, g.state(t, bins))
				ranksExact := name == "frozen" && g.Exact
				for metric, want := range g.Metrics {
					m := q.Metric(metric)
					if m.Bounds != nil && !ranksExact {
						if want < m.Bounds.Lo-1e-12 || want > m.Bounds.Hi+1e-12 {
							t.Errorf("%s: %s of the scores is %g, not in %v", name, metric, want, *m.Bounds)
						}
						continue
					}
					near(t, name+" "+metric, m.Value, want, 1e-9)
					if m.N != uint64(len(g.Score)) {
						t.Errorf("%s of %d rows", metric, m.N)
					}
				}
				auc := q.Metric(ROCAUC)
				tolerance := 0.06 // of the scores, on bins
				if ranksExact {
					tolerance = 1e-9
					near(t, "ece", q.Metric(CalibrationError).Value, g.ECE[0], 1e-9)
					near(t, "expected ece", q.Metric(CalibrationError).Expected, g.ECE[1], 1e-9)
				}
				near(t, "DeLong", auc.SERow, g.DelongSE, tolerance)
				near(t, "area by key", auc.SEKey, g.AUCCluster[0], tolerance)
				near(t, "area by block", auc.SEBlock, g.AUCCluster[1], tolerance)
				largest := math.Max(g.DelongSE, math.Max(g.AUCCluster[0], g.AUCCluster[1]))
				if g.Name != "rare" {
					near(t, "area", auc.SE, largest, tolerance)
				} else if auc.Method != ByScore || *auc.SE < 1.2*largest {
					t.Errorf("few rows are out of order, and the standard error is %g by %s", *auc.SE, auc.Method)
				}
				loss := q.Metric(LogLoss)
				near(t, "log loss", loss.SERow, g.LossSE, 1e-9)
				near(t, "log loss by key", loss.SEKey, g.LossCluster[0], 1e-9)
				near(t, "log loss by block", loss.SEBlock, g.LossCluster[1], 1e-9)
			}
		})
	}
}

// TestIntervals against statsmodels, DeLong's formula and a bootstrap of rows; where rows are not independent they are
// wider than those.
func TestIntervals(t *testing.T) {
	for _, g := range load(t).Binary {
		if !g.Exact {
			continue
		}
		s := g.state(t, score.Freeze(g.Score))
		q := measured(t, s)
		for name, want := range g.Wilson {
			m := q.Metric(name)
			if widened := *m.SE > *m.SERow; widened {
				if m.Interval.Lo > want[0] || m.Interval.Hi < want[1] {
					t.Errorf("%s: %s %v is narrower than %v over independent rows", g.Name, name, *m.Interval, want)
				}
				continue
			}
			nearInterval(t, name, m.Interval, want, 1e-9)
		}
		for name, want := range g.Bootstrap {
			m := q.Metric(name)
			widening := *m.SE / *m.SERow
			if w := (m.Interval.Hi - m.Interval.Lo) / (want[1] - want[0]) / widening; w < 0.85 || w > 1.15 {
				t.Errorf("%s: %s %v is %.2f times as wide as the bootstrap's %v", g.Name, name, *m.Interval, w, want)
			}
		}
		auc := q.Metric(ROCAUC)
		iv := stat.AUCInterval(*auc.Value, *auc.SERow, 100, z95)
		nearInterval(t, "area over rows", &iv, g.AUCInterval, 1e-9)
		want := stat.AUCInterval(*auc.Value, max(*auc.SERow, *auc.SEKey, *auc.SEBlock), 100, z95)
		if auc.Method == ByScore {
			if auc.Interval.Lo >= want.Lo || auc.Interval.Hi < want.Hi {
				t.Errorf("%s: the interval %v is not wider than %v", g.Name, *auc.Interval, want)
			}
		} else if *auc.Interval != want {
			t.Errorf("area %v, want %v", *auc.Interval, want)
		}
	}
}

func TestMulticlass(t *testing.T) {
	g := load(t).Multiclass
	columns := make([][]float64, len(g.Score[0]))
	for _, row := range g.Score {
		for k, p := range row {
			columns[k] = append(columns[k], p)
		}
	}
	var bins []*score.Bins
	for _, c := range columns {
		bins = append(bins, score.Freeze(c))
	}
	l, err := NewMulticlass([]string{"a", "b", "c", "d"}, bins)
	if err != nil {
		t.Fatal(err)
	}
	s := NewState(l)
	for i := range g.Score {
		s.Add(&Row{Scores: g.Score[i], Class: g.Pred[i], Labelled: true, Label: g.Label[i], Mature: true, Key: uint64(i), Block: int64(i / 50)})
	}
	q := measured(t, s)
	for name, want := range g.Metrics {
		near(t, name, q.Metric(name).Value, want, 1e-9)
		if q.Metric(name).Interval == nil {
			t.Errorf("%s has no interval: %s", name, q.Metric(name).Reason)
		}
	}
	near(t, "area", q.Metric(ROCAUC).SE, g.AUCSE, 1e-9)
	if q.Confusion == nil || q.Confusion.Rows[0][0] == 0 {
		t.Error("there is no confusion matrix")
	}
}

func TestRegression(t *testing.T) {
	g := load(t).Regression
	s := NewState(NewRegression())
	for i := range g.Value {
		s.Add(&Row{Value: g.Value[i], Labelled: true, Truth: g.Truth[i], Mature: true, Key: g.Key[i], Block: g.Block[i]})
	}
	q := measured(t, s)
	for name, want := range g.Metrics {
		m := q.Metric(name)
		near(t, name, m.Value, want, 1e-9)
		if m.Interval == nil || *m.Value < m.Interval.Lo || *m.Value > m.Interval.Hi {
			t.Errorf("%s: interval %v", name, m.Interval)
			continue
		}
		if w := (m.Interval.Hi - m.Interval.Lo) / (2 * z95 * *m.SE); w < 0.75 || w > 1.3 {
			t.Errorf("%s: the interval is %.2f times as wide as ±1.96 standard errors", name, w)
		}
	}
	near(t, "mae", q.Metric(MAE).SERow, g.MAESE, 1e-9)
	for name, want := range map[string][2]float64{MAE: g.MAECluster, RMSE: g.RMSECluster, R2: g.R2Cluster} {
		near(t, name+" by key", q.Metric(name).SEKey, want[0], 1e-9)
		near(t, name+" by block", q.Metric(name).SEBlock, want[1], 1e-9)
	}
}

func TestEstimate(t *testing.T) {
	g := load(t).CBPE
	bins := score.Freeze(g.Reference)
	if bins.Len() != g.Bins {
		t.Fatalf("%d bins, the golden has %d", bins.Len(), g.Bins)
	}
	l, err := NewBinary(bins)
	if err != nil {
		t.Fatal(err)
	}
	ref := NewState(l)
	for i, s := range g.Reference {
		ref.Add(&Row{Score: s, Class: NoClass, Labelled: true, Label: g.Label[i], Mature: true, Key: uint64(i)})
	}
	reference, err := NewReference(ref, "", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	e, err := NewEstimator(reference)
	if err != nil {
		t.Fatal(err)
	}
	window := NewState(l)
	for i, s := range g.Window {
		window.Add(&Row{Score: s, Class: g.Pred[i]})
	}
	got, err := e.Estimate(Stratum{State: window, Sampled: 1})
	if err != nil {
		t.Fatal(err)
	}
	if !got.Calibrated || got.Reason != "" || got.Rows != uint64(len(g.Window)) {
		t.Fatalf("%+v", got)
	}
	for name, want := range g.Binned {
		m := got.Metric(name)
		near(t, name, m.Value, want, 1e-9)
		if raw := g.Raw[name]; raw < m.Bounds.Lo || raw > m.Bounds.Hi {
			t.Errorf("%s of the scores themselves is %g, not in %v", name, raw, *m.Bounds)
		}
		if m.Bounds.Hi-m.Bounds.Lo > 0.03 {
			t.Errorf("%s: bounds %v say little", name, *m.Bounds)
		}
		near(t, name+" by label", m.SEWindow, g.LabelNoise[name], 0.06)
		if *m.SECalibration <= 0 {
			t.Errorf("%s: the calibration has no error", name)
		}
		t.Logf("%s %.4f %v bounds %v se %.4f %.4f raw %.5f", name, *m.Value, *m.Interval, *m.Bounds, *m.SEWindow, *m.SECalibration, g.Raw[name])
	}
}

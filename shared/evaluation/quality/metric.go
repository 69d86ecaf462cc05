package quality

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"math/rand/v2"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/stat"
)

// The metrics, under scikit-learn's names.
const (
	ROCAUC           = "roc_auc"
	AveragePrecision = "average_precision"
	LogLoss          = "log_loss"
	BrierScore       = "brier_score"
	Accuracy         = "accuracy"
	BalancedAccuracy = "balanced_accuracy"
	F1               = "f1"
	Precision        = "precision"
	Recall           = "recall"
	MCC              = "matthews_corrcoef"
	CalibrationError = "expected_calibration_error"
	MAE              = "mae"
	RMSE             = "rmse"
	R2               = "r2"
	MAPE             = "mape"
)

// How an interval was made.
const (
	ByDeLong   = "delong_logit"          // standard error of DeLong, on the logit scale
	ByScore    = "delong_logit_newcombe" // the wider of it and Newcombe's score interval
	ByWilson   = "wilson"
	ByResample = "poisson_resamples"
	ByNormal   = "normal"
)

const (
	// z95 is the two-sided normal quantile of 95 %.
	z95 = 1.959963984540054
	// resamples is the number of Poisson resamples behind an interval (docs/statistics.md).
	resamples = 1000
	// leastClass is the number of rows of a class below which an area has no interval: plain DeLong covers
	// 65 to 80 % there.
	leastClass = 10
	// leastClusters is the number of key groups or time blocks from which on their standard error counts.
	leastClusters = 10
)

// Metric is one measure of a window.
type Metric struct {
	Name  string   `json:"name"`
	Value *float64 `json:"value,omitempty"` // none where it is undefined, see Reason
	// Interval is the 95 % interval, Method how it was made.
	Interval *stat.Interval `json:"interval,omitempty"`
	Method   string         `json:"method,omitempty"`
	// SE is the largest of the standard errors over rows, key groups and time blocks that are known.
	SE      *float64 `json:"se,omitempty"`
	SERow   *float64 `json:"se_row,omitempty"`
	SEKey   *float64 `json:"se_key,omitempty"`
	SEBlock *float64 `json:"se_block,omitempty"`
	N       uint64   `json:"n"` // rows it is computed of
	// Bounds hold the value of the scores themselves, where bins with several scores leave it open.
	Bounds *stat.Interval `json:"bounds,omitempty"`
	// Expected is the value of a perfectly calibrated model, of the calibration error.
	Expected *float64 `json:"expected,omitempty"`
	Average  string   `json:"average,omitempty"` // "macro": the mean over the classes
	Reason   string   `json:"reason,omitempty"`  // why there is no value, or no interval
}

// LowerIsBetter says whether less of the metric is better.
func LowerIsBetter(name string) bool {
	switch name {
	case LogLoss, BrierScore, CalibrationError, MAE, RMSE, MAPE:
		return true
	}
	return false
}

// Primary is the metric that gates by default.
func Primary(task Task) string {
	switch task {
	case Binary:
		return ROCAUC
	case Multiclass:
		return LogLoss
	}
	return MAE
}

// MetricNames are the metrics of a task, in the order of a report.
func MetricNames(task Task) []string {
	switch task {
	case Binary:
		return []string{ROCAUC, AveragePrecision, LogLoss, BrierScore, Accuracy, BalancedAccuracy, F1, Precision, Recall, MCC, CalibrationError}
	case Multiclass:
		return []string{ROCAUC, LogLoss, Accuracy, BalancedAccuracy, F1, Precision, Recall, MCC}
	case Regression:
		return []string{MAE, RMSE, R2, MAPE}
	}
	return nil
}

// Quality is how good one version was over a window.
type Quality struct {
	Task     Task    `json:"task"`
	Counts   Counts  `json:"counts"`
	Coverage float64 `json:"coverage"` // labels over mature predictions
	// EffectiveRows are the independent rows that the judged ones are worth after sampling.
	EffectiveRows float64 `json:"effective_rows"`
	Keys          int     `json:"key_groups"`  // with judged rows, of stat.KeyGroups
	Blocks        int     `json:"time_blocks"` // with judged rows
	// BaseRates are the shares of the classes among the judged rows' labels.
	BaseRates []float64 `json:"base_rates,omitempty"`
	Metrics   []Metric  `json:"metrics"`

	Confusion   *Confusion         `json:"confusion,omitempty"`
	Calibration []CalibrationPoint `json:"calibration,omitempty"` // binary
	Thresholds  []Threshold        `json:"thresholds,omitempty"`  // binary
	Warnings    []string           `json:"warnings,omitempty"`
}

// Metric is the metric of that name; nil if the task does not have it.
func (q *Quality) Metric(name string) *Metric {
	for i := range q.Metrics {
		if q.Metrics[i].Name == name {
			return &q.Metrics[i]
		}
	}
	return nil
}

// Measure computes the metrics of strata, states of one layout at different
// sampling probabilities. Resamples are seeded by seed, the window's id: the same
// states and seed give the same bytes. States without their groups, and sampling
// probabilities below 1e-9 or above 1, are InvalidArgument.
func Measure(seed string, strata ...Stratum) (*Quality, error) {
	s, err := newSample(strata)
	if err != nil {
		return nil, err
	}
	if s.withoutGroups {
		return nil, fault.New(fault.InvalidArgument, "the counts lack those by key and by time block, which the standard errors need")
	}
	q := &Quality{Task: s.layout.Task, Counts: s.counts, Coverage: s.counts.Coverage(), EffectiveRows: s.effective(), Keys: s.filledKeys, Blocks: s.filledBlocks}
	switch q.Task {
	case Binary:
		s.measureBinary(q, seed)
	case Multiclass:
		s.measureMulticlass(q, seed)
	default:
		s.measureRegression(q, seed)
	}
	q.warn()
	return q, nil
}

// generator is the source of randomness of one purpose.
func generator(seed, purpose string) *rand.Rand {
	sum := sha256.Sum256([]byte(seed + "\x00" + purpose))
	return rand.New(rand.NewPCG(binary.BigEndian.Uint64(sum[:]), binary.BigEndian.Uint64(sum[8:])))
}

func undefined(name string, n uint64, reason string) Metric {
	return Metric{Name: name, N: n, Reason: reason}
}

// known is a pointer to x, or none for NaN.
func known(x float64) *float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return nil
	}
	return &x
}

// withErrors sets the standard errors; SE is the largest known.
func (m *Metric) withErrors(e stdErrors) {
	m.SERow, m.SEKey, m.SEBlock, m.SE = known(e.row), known(e.key), known(e.block), known(e.largest())
}

// stdErrors are the standard errors of one statistic, NaN where they are not known.
type stdErrors struct{ row, key, block float64 }

func (e stdErrors) largest() float64 {
	most := math.NaN()
	for _, x := range []float64{e.row, e.key, e.block} {
		if !math.IsNaN(x) && !(most >= x) {
			most = x
		}
	}
	return most
}

// widening is how many times wider than over independent rows an interval must be, at least 1.
func (e stdErrors) widening() float64 {
	if w := e.largest() / e.row; w > 1 && !math.IsInf(w, 0) {
		return w
	}
	return 1
}

// normal is value ± 1.96 SE, cut to [lo, hi].
func (m *Metric) normal(lo, hi float64) {
	if m.SE == nil {
		m.Reason = "too few rows for a standard error"
		return
	}
	m.Interval = &stat.Interval{Lo: max(lo, *m.Value-z95**m.SE), Hi: min(hi, *m.Value+z95**m.SE)}
	m.Method = ByNormal
}

// resampled is the middle 95 % of draws around the value, stretched by widening and cut to [lo, hi].
func (m *Metric) resampled(draws []float64, widening, lo, hi float64) {
	if len(draws) < resamples*9/10 {
		m.Reason = "too few rows: undefined in more than one of ten resamples"
		return
	}
	iv := stat.Percentiles(draws, 0.95)
	v := *m.Value
	m.Interval = &stat.Interval{Lo: max(lo, v-widening*max(0, v-iv.Lo)), Hi: min(hi, v+widening*max(0, iv.Hi-v))}
	m.Method = ByResample
}

package stat

import "math"

// MeanError is the standard error of the mean of n values from their sum and sum of
// squares; NaN below two values.
func MeanError(n, sum, squares float64) float64 {
	if n < 2 {
		return math.NaN()
	}
	return math.Sqrt(math.Max(0, squares-sum*sum/n) / (n - 1) / n)
}

// KeyGroups is the number of groups that keys are hashed into where the rows of a key
// may depend on each other (docs/evaluation-quality.md, docs/comparison.md). Stored
// counts are by group: another number is another format of theirs.
const KeyGroups = 200

// Clusters adds up the influence of groups of dependent rows on an estimate. The
// order of the groups must not depend on how rows were counted, or last digits do.
type Clusters struct {
	groups  int
	squares float64
}

// Add adds a group whose rows have the influences of the given sum: for a mean,
// Σ(d − d̄)/n.
func (c *Clusters) Add(influence float64) {
	c.groups++
	c.squares += influence * influence
}

// Groups is the number of groups.
func (c *Clusters) Groups() int { return c.groups }

// Error is the cluster-robust standard error √(G/(G−1)·Σψ²) (Liang and Zeger 1986,
// with the usual correction for few groups), for any dependence within groups; NaN below two groups.
func (c *Clusters) Error() float64 {
	if c.groups < 2 {
		return math.NaN()
	}
	g := float64(c.groups)
	return math.Sqrt(g / (g - 1) * c.squares)
}

// Normal is the two-sided p-value of the normal distribution for an estimate and
// its standard error; 1 for an estimate of exactly 0, 0 for another without error.
func Normal(estimate, err float64) float64 {
	if estimate == 0 {
		return 1
	}
	return math.Erfc(math.Abs(estimate) / err / math.Sqrt2)
}

// Around is the interval of z standard errors around an estimate.
func Around(estimate, err, z float64) Interval {
	return Interval{Lo: estimate - z*err, Hi: estimate + z*err}
}

// Stratum is a difference measured within one stratum, such as an hour.
type Stratum struct {
	Difference float64
	Variance   float64 // of the difference
	First      float64 // rows of the one side, > 0
	Second     float64 // rows of the other side, > 0
}

// Stratified is an average of differences, each within its stratum.
type Stratified struct {
	Strata     int     `json:"strata"`
	Difference float64 `json:"difference"`
	Error      float64 `json:"se"`      // the larger of within strata and between them
	Effective  float64 `json:"n"`       // Σ n₁n₂/(n₁+n₂): what the two sides are worth together
	Within     float64 `json:"se_rows"` // from the variances given
	Between    float64 `json:"se_strata"`
}

// Average weighs the strata by n₁n₂/(n₁+n₂), the weights of Mantel and Haenszel for
// differences: an hour in which one side has few rows counts little, and what moves
// both sides from hour to hour cancels. Differences of the pooled sides would hold
// it (Simpson's paradox). No strata give NaN.
func Average(strata []Stratum) Stratified {
	out := Stratified{Strata: len(strata), Between: math.NaN()}
	for _, s := range strata {
		w := s.First * s.Second / (s.First + s.Second)
		out.Effective += w
		out.Difference += w * s.Difference
		out.Within += w * w * s.Variance
	}
	out.Difference /= out.Effective
	out.Within = math.Sqrt(out.Within) / out.Effective
	var between Clusters
	for _, s := range strata {
		w := s.First * s.Second / (s.First + s.Second) / out.Effective
		between.Add(w * (s.Difference - out.Difference))
	}
	out.Between = between.Error()
	out.Error = out.Within
	if out.Between > out.Within {
		out.Error = out.Between
	}
	return out
}

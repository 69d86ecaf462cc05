package stat

import "math"

// Sequential is a one-sided bound that holds at every number of looks: with
// probability 1 − Alpha, asymptotically, no estimate of a mean is ever more than
// Z(n) of its standard errors above the truth, at any n at all.
//
// It is Robbins' normal mixture (1970), as Waudby-Smith, Arbour, Sinha, Kennedy and
// Ramdas ("Time-uniform central limit theory and asymptotic confidence sequences",
// 2024) give it for estimated variances, with the one-sided bound taken as one side
// of the two-sided one at 2·Alpha. Expected is the n at which the bound is tightest
// in their sense: a number of convenience, fixed before the first look.
type Sequential struct {
	Alpha    float64 // 0 < Alpha < 0.5
	Expected float64 // > 0
}

// Z is the number of standard errors at n observations; +Inf without observations.
func (s Sequential) Z(n float64) float64 {
	if !(n > 0) {
		return math.Inf(1)
	}
	tail := -2 * math.Log(2*s.Alpha)
	r := n * (tail + math.Log1p(tail)) / s.Expected
	return math.Sqrt((1 + 1/r) * (math.Log1p(r) + tail))
}

package drift

import (
	"cmp"
	"fmt"
	"math"

	"github.com/tidegate/tidegate/shared/gate"
	"github.com/tidegate/tidegate/shared/profile"
	"github.com/tidegate/tidegate/shared/stat"
)

// Tolerances are the distances up to which a difference does not matter.
type Tolerances struct {
	Numeric     float64 `json:"numeric" validate:"gt=0,lt=1"`
	Score       float64 `json:"score" validate:"gt=0,lt=1"`
	Categorical float64 `json:"categorical" validate:"gt=0,lt=1"`
	Unseen      float64 `json:"unseen" validate:"gt=0,lt=1"`
	Missing     float64 `json:"missing" validate:"gt=0,lt=1"`
	WrongType   float64 `json:"wrong_type" validate:"gt=0,lt=1"`
}

// DefaultTolerances are those of docs/statistics.md.
func DefaultTolerances() Tolerances {
	return Tolerances{Numeric: 0.10, Score: 0.05, Categorical: 0.10, Unseen: 0.01, Missing: 0.05, WrongType: 0.10}
}

// Names of gates.
const (
	GateNumeric     = "kolmogorov_smirnov"
	GateCategorical = "total_variation"
	GateCell        = "largest_cell"
	GateUnseen      = "unseen"
	GateMissing     = "missing"
	GateWrongType   = "wrong_type"
)

// Gate is one judged distance. Answer is yes for drift, no for no drift.
// Value is the distance, Lo and Hi what chance leaves of it: drift is
// Lo ≥ Tolerance at the job's corrected level, no drift is Hi < Tolerance at the
// uncorrected one, where every gate has to pass anyway.
type Gate struct {
	gate.Result
	Lo float64 `json:"lo"`
	Hi float64 `json:"hi"`
	// RowsNeeded decides if the distance stays as it is; 0 when no window can, or when it is decided.
	RowsNeeded int64 `json:"rows_needed,omitempty"`
}

// level is the error budget of a job: T gates share alpha, or a share of it, on the side of drift.
type level struct {
	alpha float64
	gates int
	share float64 // of alpha; 0 is all of it
}

// each is what one of the gates has.
func (l level) each() float64 { return l.alpha * cmp.Or(l.share, 1) / float64(max(l.gates, 1)) }

func (l level) c() float64  { return math.Sqrt(math.Log(2/l.each()) / 2) }
func (l level) c1() float64 { return math.Sqrt(math.Log(1/l.alpha) / 2) }

// z is the two-sided normal quantile at alpha/T/cells; z1 at alpha.
func (l level) z(cells int) float64 { return stat.Z(1 - l.each()/float64(2*cells)) }
func (l level) z1() float64         { return stat.Z(1 - l.alpha/2) }

// judge makes a gate of an interval. n is the number of rows of the window that bear on it.
func judge(name string, value, lo, hi, tolerance, n float64) Gate {
	g := Gate{Lo: lo, Hi: hi}
	g.Result = gate.Result{Name: name, Value: value, Bound: tolerance, Answer: gate.Unknown, N: int64(math.Round(n))}
	switch {
	case lo >= tolerance:
		g.Answer = gate.Yes
	case hi < tolerance:
		g.Answer = gate.No
	}
	return g
}

// unseenMass is the mass of values that the baseline did not meet, predicted from
// the values it met once and twice (Good 1953), with its bounds at quantile z.
type unseenMass struct{ est, lo, hi float64 }

func goodTuring(c *profile.Column, n, z float64) unseenMass {
	if n == 0 {
		return unseenMass{0, 0, 1}
	}
	n1, n2 := float64(c.N1), float64(c.N2)
	return unseenMass{
		est: n1 / n,
		lo:  math.Max(0, n1-z*math.Sqrt(n1+2*n2+z*z)) / n,
		hi:  (n1 + z*z/2 + z*math.Sqrt(n1+2*n2+z*z/4)) / n,
	}
}

// numericGate compares the distribution functions at the cell borders.
func numericGate(c *profile.Column, ref, cur *Sample, tolerance float64, l level) Gate {
	n, m := ref.N(), cur.N()
	if m == 0 {
		return undecided(GateNumeric, tolerance, "no row of the window holds a value")
	}
	d := stat.KolmogorovSmirnov(ref.Cells, cur.Cells)
	// Within a cell the distribution functions can part further than at its borders.
	var inside float64
	for i := range ref.Cells {
		if !c.Bins.Atom(i) {
			inside = math.Max(inside, math.Min(ref.Cells[i]/n, cur.Cells[i]/m))
		}
	}
	spread := math.Sqrt(harmonic(n, m))
	g := judge(GateNumeric, d, d-l.c()*spread, d+l.c1()*spread+inside, tolerance, m)
	g.Reason = fmt.Sprintf("largest difference of the distribution functions; within a cell it can be %.4f more", inside)
	if g.Answer == gate.Unknown {
		g.RowsNeeded = rowsNeeded(d, tolerance, inside, n, l)
	}
	return g
}

// cells is a categorical comparison: counts of both sides on the same cells, with
// the baseline's discounted for what it could not have seen.
type cells struct {
	ref, cur []float64
	unseen   int // the cell of unseen values
	mass     unseenMass
}

// discounted moves the predicted mass of unseen values from the rarest seen ones
// (absolute discount) to the unseen cell.
func discounted(c *profile.Column, ref, cur *Sample, z float64) cells {
	n := ref.N()
	if c.Kind == profile.Numeric {
		return fewCells(c, ref, cur, z)
	}
	out := cells{ref: append([]float64(nil), ref.Cells...), cur: cur.Cells, unseen: c.Cells.Unseen(), mass: goodTuring(c, float64(c.State.Values()), z)}
	light := 0
	for _, k := range c.HashDistinct {
		light += k
	}
	if light == 0 || n == 0 {
		return out
	}
	lost := out.mass.est * n / float64(light) // in effective rows, for each rare value
	first := out.unseen - profile.HashCells
	for i, k := range c.HashDistinct {
		out.ref[first+i] = math.Max(0, out.ref[first+i]-lost*float64(k))
	}
	out.ref[out.unseen] = out.mass.est * n
	return out
}

// fewCells takes the atoms of a numeric column with few distinct values as named
// cells, and everything between them as unseen.
func fewCells(c *profile.Column, ref, cur *Sample, z float64) cells {
	out := cells{mass: goodTuring(c, float64(c.State.Values()), z)}
	var ru, cu float64
	for i := range ref.Cells {
		if c.Bins.Atom(i) {
			out.ref = append(out.ref, ref.Cells[i])
			out.cur = append(out.cur, cur.Cells[i])
		} else {
			ru, cu = ru+ref.Cells[i], cu+cur.Cells[i]
		}
	}
	out.unseen = len(out.ref)
	out.ref, out.cur = append(out.ref, ru), append(out.cur, cu)
	return out
}

// categoricalGate compares shares of cells: total variation less what chance
// alone gives it, and the largest change of a single cell.
func categoricalGate(c *profile.Column, ref, cur *Sample, tolerance float64, l level) Gate {
	return sharesGate(c, discounted(c, ref, cur, l.z(1)), ref.N(), cur.N(), tolerance, l)
}

// sharesGate is categoricalGate on given cells, of n and m effective rows with a value.
func sharesGate(c *profile.Column, k cells, n, m, tolerance float64, l level) Gate {
	if m == 0 {
		return undecided(GateCategorical, tolerance, "no row of the window holds a value")
	}
	t := stat.TotalVariation(k.ref, k.cur)
	spread := math.Sqrt(harmonic(n, m))
	chance := expectedTotalVariation(k.ref, k.cur)
	slack := k.mass.hi - k.mass.est
	g := judge(GateCategorical, t, t-chance-l.c()*spread-slack, t+l.c1()*spread+slack, tolerance, m)
	g.Reason = fmt.Sprintf("half the sum of the differences of shares; chance alone gives %.4f", chance)
	if cell, lower := largestCell(k, n, m, tolerance, l); g.Answer != gate.Yes && lower >= tolerance {
		g.Answer = gate.Yes
		g.Lo = math.Max(g.Lo, lower)
		g.Reason = fmt.Sprintf("the share of %s alone has changed by at least %.4f", cellName(c, cell), lower)
	}
	if g.Answer == gate.Unknown {
		g.RowsNeeded = rowsNeeded(t, tolerance, slack, n, l)
	}
	return g
}

// expectedTotalVariation bounds the total variation between samples of one distribution: ½ Σ √(p(1−p)(1/n+1/m)).
func expectedTotalVariation(p, q []float64) float64 {
	var n, m, sum float64
	for i := range p {
		n, m = n+p[i], m+q[i]
	}
	for i := range p {
		pooled := (p[i] + q[i]) / (n + m)
		sum += math.Sqrt(pooled * (1 - pooled) * harmonic(n, m))
	}
	return sum / 2
}

// largestCell is the seen cell whose share has surely changed most, and by how
// much at least; 0 where no share differs by the tolerance.
func largestCell(k cells, n, m, tolerance float64, l level) (cell int, lower float64) {
	z := l.z(len(k.ref))
	for i := range k.ref {
		if i == k.unseen || math.Abs(k.cur[i]/m-k.ref[i]/n) < tolerance {
			continue // unseen values have their own gate
		}
		iv := difference(k.cur[i], m, k.ref[i], n, z)
		if least := math.Max(iv.Lo, -iv.Hi); least > lower {
			cell, lower = i, least
		}
	}
	return cell, lower
}

func cellName(c *profile.Column, i int) string {
	switch {
	case c.Kind == profile.Numeric:
		return "one value"
	case i < len(c.Cells.Named):
		return fmt.Sprintf("%q", c.Cells.Named[i])
	}
	return "a group of rare values"
}

// unseenGate compares the share of values that the baseline does not hold with
// the share it predicts. Where many are to be expected, half as many again are
// tolerated: what the baseline predicts is not known more closely than that, and
// with a fixed hundredth a column of many rare values could never be called clean.
func unseenGate(c *profile.Column, ref, cur *Sample, tolerance float64, l level) Gate {
	m := cur.N()
	if m == 0 {
		return undecided(GateUnseen, tolerance, "no row of the window holds a value")
	}
	k := cur.Cells[c.Cells.Unseen()]
	u := k / m
	mass := goodTuring(c, float64(c.State.Values()), l.z(1))
	tolerance = math.Max(tolerance, mass.est/2)
	strict, loose := l.z(1), l.z1()
	lower := func(k, m float64) float64 {
		return k/m - mass.est - math.Hypot(k/m-limits(k, m, strict).Lo, mass.hi-mass.est)
	}
	upper := func(k, m float64) float64 {
		return k/m - mass.est + math.Hypot(stat.Wilson(k, m, loose).Hi-k/m, mass.est-mass.lo)
	}
	g := judge(GateUnseen, u-mass.est, lower(k, m), upper(k, m), tolerance, m)
	g.Reason = fmt.Sprintf("%.4f of the values are new, %.4f were to be expected", u, mass.est)
	if g.Answer == gate.Unknown {
		g.RowsNeeded = sharesNeeded(g.Value, tolerance, u, lower, upper)
	}
	return g
}

// shareGate compares the share of rows of some sort, such as missing ones.
func shareGate(name string, curK, curN, refK, refN, tolerance float64, l level) Gate {
	if curN == 0 {
		return undecided(name, tolerance, "the window has no rows")
	}
	d := share(curK, curN) - share(refK, refN)
	strict, loose := l.z(1), l.z1()
	lower := func(k, m float64) float64 {
		iv := difference(k, m, refK, refN, strict)
		return math.Max(iv.Lo, -iv.Hi)
	}
	upper := func(k, m float64) float64 {
		iv := stat.Newcombe(k, m, refK, refN, loose)
		return math.Max(iv.Hi, -iv.Lo)
	}
	g := judge(name, math.Abs(d), lower(curK, curN), upper(curK, curN), tolerance, curN)
	g.Reason = fmt.Sprintf("%.4f of the rows, %.4f at the baseline", share(curK, curN), share(refK, refN))
	if g.Answer == gate.Unknown {
		g.RowsNeeded = sharesNeeded(g.Value, tolerance, share(curK, curN), lower, upper)
	}
	return g
}

// exactBelow is the number of rows of a side below which its share has exact limits
// on the side of drift. Wilson's are right on average over shares: of a handful of
// rows one is enough for them (its lower limit for 1 of 1 at z = 3 is 0.1), and they
// would call drift what a few per cent of clean rows hold. From here on drift is said
// with at most 1.3 times alpha/T where a share differs by just 0.01.
const exactBelow = 1000

// limits are those of the share k/n on the side of drift.
func limits(k, n, z float64) stat.Interval {
	if n < exactBelow {
		return stat.ClopperPearson(k, n, z)
	}
	return stat.Wilson(k, n, z)
}

// difference is the interval of k1/n1 − k2/n2 on the side of drift: Newcombe's, with the limits of each side.
func difference(k1, n1, k2, n2, z float64) stat.Interval {
	if n1 <= 0 || n2 <= 0 {
		return stat.Interval{Lo: -1, Hi: 1}
	}
	return stat.Hybrid(k1/n1, limits(k1, n1, z), k2/n2, limits(k2, n2, z))
}

func undecided(name string, tolerance float64, reason string) Gate {
	g := judge(name, 0, 0, 1, tolerance, 0)
	g.Reason = reason
	return g
}

// rowsNeeded is the number of rows of a window that would decide, were the
// distance to stay at d: n·k²/(n·a² − k²) with a the way to the tolerance. 0 says
// that no window decides: the baseline is too small or d is at the tolerance.
func rowsNeeded(d, tolerance, slack, n float64, l level) int64 {
	k := l.c1() + marginBelow
	if d >= tolerance {
		k = l.c() + marginAbove
	}
	a := math.Abs(d-tolerance) - slack
	if a <= 0 || n*a*a <= k*k {
		return 0
	}
	return int64(math.Ceil(n * k * k / (n*a*a - k*k)))
}

// sharesNeeded is the number of rows of a window that would decide a gate of a
// share, were the share to stay at u: the fewest with which both counts at the ends
// of its usual range do. lower and upper are the gate's limits for k of m rows, d its
// distance. 0 says that no window decides.
func sharesNeeded(d, tolerance, u float64, lower, upper func(k, m float64) float64) int64 {
	decides := func(m float64) bool {
		usual := marginShare * math.Sqrt(m*u*(1-u))
		for _, k := range []float64{math.Max(0, math.Floor(m*u-usual)), math.Min(m, math.Ceil(m*u+usual))} {
			if d >= tolerance && lower(k, m) < tolerance || d < tolerance && upper(k, m) >= tolerance {
				return false
			}
		}
		return true
	}
	hi := int64(1)
	for !decides(float64(hi)) {
		if hi *= 2; hi > mostNeeded {
			return 0
		}
	}
	lo := hi / 2 // does not decide, or is 0
	for hi-lo > 1 {
		if mid := lo + (hi-lo)/2; decides(float64(mid)) {
			hi = mid
		} else {
			lo = mid
		}
	}
	return hi
}

// mostNeeded is a number of rows beyond which a window might as well be endless.
const mostNeeded = 1 << 40

// The margins make the stated number of rows decide in at least 85 % of windows
// rather than in half of them. Above the tolerance the measured distance falls
// short of d by a normal deviation of at most ½ spread: 0.64 is beyond its 85th
// percentile. Below, it exceeds d by at most a Kolmogorov variable (triangle
// inequality), whose 90th percentile is 1.22: at d = 0 it nearly does, and the
// baseline's own deviation is the same in every window.
const (
	marginAbove = 0.64
	marginBelow = 1.22
	// marginShare leaves 85 % of the counts of a share between both ends.
	marginShare = 1.44
)

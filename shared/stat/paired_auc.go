package stat

import (
	"math"
	"math/bits"
)

// The classes of a binary label.
const (
	Negative = 0
	Positive = 1
)

// Placements are DeLong's placement values (DeLong, DeLong and Clarke-Pearson 1988)
// of one score, from its counts by bin and class. They are whole numbers, twice the
// rows of the other class that a row is in the right order with, so that sums over
// rows are exact and do not depend on their order. Below 2³¹ rows nothing overflows.
type Placements struct {
	n     [2]uint64
	place [2][]int64
	area  int64 // Σ of the positives' placements
}

// NewPlacements ranks bins in ascending order of the score; rows of one bin are ties.
func NewPlacements(negatives, positives []uint64) *Placements {
	p := &Placements{}
	p.place[Negative], p.place[Positive] = make([]int64, len(positives)), make([]int64, len(positives))
	for b := range positives {
		p.n[Negative] += negatives[b]
		p.n[Positive] += positives[b]
	}
	var below [2]uint64
	for b := range positives {
		neg, pos := negatives[b], positives[b]
		p.place[Positive][b] = int64(2*below[Negative] + neg)
		p.place[Negative][b] = int64(2*(p.n[Positive]-below[Positive]-pos) + pos)
		p.area += int64(pos) * p.place[Positive][b]
		below[Negative] += neg
		below[Positive] += pos
	}
	return p
}

// Of is the placement of a row of a class in a bin.
func (p *Placements) Of(class, bin int) int64 { return p.place[class][bin] }

// N is the number of rows of a class.
func (p *Placements) N(class int) uint64 { return p.n[class] }

// pairs is the number of (positive, negative) pairs.
func (p *Placements) pairs() float64 { return float64(p.n[Positive]) * float64(p.n[Negative]) }

// ROCAUC is the area under the ROC curve of the binned score; NaN without both classes.
func (p *Placements) ROCAUC() float64 { return float64(p.area) / (2 * p.pairs()) }

// DeLong adds up rows, by their class and placement, to the area under the ROC curve
// and its standard error. With the difference of a row's two placements it is the
// test of two correlated areas. The zero value is ready for use.
type DeLong struct {
	n       [2]uint64
	sum     [2]int64
	squares [2]struct{ hi, lo uint64 }
}

// Add adds count rows of a class.
func (d *DeLong) Add(class int, placement int64, count uint64) {
	d.n[class] += count
	d.sum[class] += placement * int64(count)
	if placement < 0 {
		placement = -placement
	}
	s := &d.squares[class]
	hi, lo := bits.Mul64(uint64(placement)*uint64(placement), count)
	var carry uint64
	s.lo, carry = bits.Add64(s.lo, lo, 0)
	s.hi, _ = bits.Add64(s.hi, hi, carry)
}

// Estimate is the area, or the difference of two, and its standard error by rows;
// the area is NaN without both classes, the error below two rows of each.
func (d *DeLong) Estimate() (area, err float64) {
	pos, neg := float64(d.n[Positive]), float64(d.n[Negative])
	area = float64(d.sum[Positive]) / (2 * pos * neg)
	if pos < 2 || neg < 2 {
		return area, math.NaN()
	}
	variance := d.spread(Positive)/(4*neg*neg)/pos + d.spread(Negative)/(4*pos*pos)/neg
	return area, math.Sqrt(variance)
}

// spread is the sample variance of a class's placements.
func (d *DeLong) spread(class int) float64 {
	n, sum := float64(d.n[class]), float64(d.sum[class])
	s := d.squares[class]
	return math.Max(0, float64(s.hi)*(1<<64)+float64(s.lo)-sum*sum/n) / (n - 1)
}

// Influence is that of a group of rows on the area (or difference) of all rows, as
// [Clusters] adds it up: group holds the placements of its own rows only.
func (d *DeLong) Influence(group *GroupPlacements) float64 {
	pos, neg := float64(d.n[Positive]), float64(d.n[Negative])
	area := float64(d.sum[Positive]) / (2 * pos * neg)
	return (float64(group.Sum[Positive])/(2*neg)-float64(group.N[Positive])*area)/pos +
		(float64(group.Sum[Negative])/(2*pos)-float64(group.N[Negative])*area)/neg
}

// GroupPlacements are the rows of one group and the sums of their placements, by class.
type GroupPlacements struct {
	N   [2]uint64
	Sum [2]int64
}

// Count adds count rows of a class with one placement.
func (g *GroupPlacements) Count(class int, placement int64, count uint64) {
	g.N[class] += count
	g.Sum[class] += placement * int64(count)
}

package page

import (
	"math"

	"github.com/tidegate/tidegate/shared/stat"
	"github.com/tidegate/tidegate/shared/webpage"
)

// Drawings are made in a box 100 wide that the page stretches; text is HTML beside
// them, so that it is as large on a phone as on a desk.

// axis maps values onto the 100 units of a drawing.
type axis struct{ from, to float64 }

func (a axis) at(x float64) float64 {
	return 100 * math.Min(1, math.Max(0, (x-a.from)/(a.to-a.from)))
}

// on is the coordinate of x, "" where it lies outside of the drawing.
func (a axis) on(x float64) string {
	if x < a.from || x > a.to {
		return ""
	}
	return webpage.Coordinate(a.at(x))
}

// reach is a value with its interval, beside what it is compared with. An empty
// coordinate is not drawn.
type reach struct {
	Label        string // the drawing in words
	From, To     string // ends of the interval
	Dot          string
	Mark         string // the reference, or no difference
	Limit        string // the tolerance
	Worse        string // width of what is worse than the tolerance, from the left
	Near         string // a second value on the same axis
	Estimated    bool   // the value is an estimate
	Below, Above bool   // the interval goes on beyond the drawing
}

// draw puts a value and its interval, nil for none, on the axis.
func (a axis) draw(value float64, iv *stat.Interval) reach {
	r := reach{Dot: a.on(value)}
	if iv != nil {
		r.From, r.To = webpage.Coordinate(a.at(iv.Lo)), webpage.Coordinate(a.at(iv.Hi))
		r.Below, r.Above = iv.Lo < a.from, iv.Hi > a.to
	}
	r.Below, r.Above = r.Below || value < a.from, r.Above || value > a.to
	return r
}

// limit marks the tolerance and what is worse than it.
func (r *reach) limit(a axis, x float64) {
	r.Limit = a.on(x)
	r.Worse = webpage.Coordinate(a.at(x))
}

// around is an axis with 0 in its middle that holds all of xs, at least least and at
// most most to each side.
func around(least, most float64, xs ...float64) axis {
	half := least
	for _, x := range xs {
		half = math.Max(half, 1.08*math.Abs(x))
	}
	half = math.Min(half, most)
	return axis{-half, half}
}

// holding is an axis that holds all of xs with some room.
func holding(xs ...float64) axis {
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, x := range xs {
		lo, hi = math.Min(lo, x), math.Max(hi, x)
	}
	if !(lo <= hi) {
		return axis{0, 1}
	}
	room := 0.06 * (hi - lo)
	if room == 0 {
		room = math.Max(1e-9, 0.1*math.Abs(lo))
	}
	return axis{lo - room, hi + room}
}

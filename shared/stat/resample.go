package stat

import (
	"math"
	"math/rand/v2"
	"slices"
)

// mostTable is the largest mean that a table is made for: it has some 20·√mean entries.
const mostTable = 10_000

// Poisson draws from the Poisson distribution: by inversion in a table, made once
// for many draws, or by transformed rejection for large means (PTRS of Hörmann 1993).
type Poisson struct {
	mean float64

	least      float64   // that the table holds; what is left out has probability below 1e-16
	cumulative []float64 // P(X ≤ least+i), the last one above 1
	guide      []int32   // by u·len(guide): the first entry that can be the one

	a, b, inverseAlpha, vr, logMean float64
}

// NewPoisson prepares draws of the mean; one of 0 or less draws 0.
func NewPoisson(mean float64) Poisson {
	p := Poisson{mean: mean}
	switch {
	case mean <= 0:
	case mean <= mostTable:
		p.tabulate()
	default:
		p.b = 0.931 + 2.53*math.Sqrt(mean)
		p.a = -0.059 + 0.02483*p.b
		p.inverseAlpha = 1.1239 + 1.1328/(p.b-3.4)
		p.vr = 0.9277 - 3.6224/(p.b-2)
		p.logMean = math.Log(mean)
	}
	return p
}

func (p *Poisson) tabulate() {
	root := math.Sqrt(p.mean)
	p.least = math.Max(0, math.Floor(p.mean-9*root-10))
	n := int(p.mean+10*root+25-p.least) + 1
	lg, _ := math.Lgamma(p.least + 1)
	probability := math.Exp(-p.mean + p.least*math.Log(p.mean) - lg)
	p.cumulative, p.guide = make([]float64, n), make([]int32, n)
	var sum float64
	for i := range p.cumulative {
		sum += probability
		p.cumulative[i] = sum
		probability *= p.mean / (p.least + float64(i) + 1)
	}
	p.cumulative[n-1] = 2
	at := int32(0)
	for i := range p.guide {
		for p.cumulative[at] <= float64(i)/float64(n) {
			at++
		}
		p.guide[i] = at
	}
}

// Draw is one draw.
func (p *Poisson) Draw(rng *rand.Rand) float64 {
	if p.cumulative != nil {
		u := rng.Float64()
		i := p.guide[int(u*float64(len(p.guide)))]
		for p.cumulative[i] <= u {
			i++
		}
		return p.least + float64(i)
	}
	if p.mean <= 0 {
		return 0
	}
	return p.reject(rng)
}

func (p *Poisson) reject(rng *rand.Rand) float64 {
	for {
		u, v := rng.Float64()-0.5, rng.Float64()
		us := 0.5 - math.Abs(u)
		k := math.Floor((2*p.a/us+p.b)*u + p.mean + 0.43)
		if us >= 0.07 && v <= p.vr {
			return k
		}
		if k < 0 || us < 0.013 && v > us {
			continue
		}
		lg, _ := math.Lgamma(k + 1)
		if math.Log(v)+math.Log(p.inverseAlpha)-math.Log(p.a/(us*us)+p.b) <= -p.mean+k*p.logMean-lg {
			return k
		}
	}
}

// Percentiles are the ends of the middle share of draws, which it sorts, by linear
// interpolation as numpy.percentile. NaN without a draw.
func Percentiles(draws []float64, share float64) Interval {
	if len(draws) == 0 {
		return Interval{math.NaN(), math.NaN()}
	}
	slices.Sort(draws)
	at := func(q float64) float64 {
		h := q * float64(len(draws)-1)
		i := int(h)
		if i+1 >= len(draws) {
			return draws[len(draws)-1]
		}
		return draws[i] + (h-float64(i))*(draws[i+1]-draws[i])
	}
	return Interval{at((1 - share) / 2), at((1 + share) / 2)}
}

package page

import (
	"fmt"
	"math"
	"strings"

	"github.com/tidegate/tidegate/shared/evaluation"
	"github.com/tidegate/tidegate/shared/evaluation/quality"
	"github.com/tidegate/tidegate/shared/webpage"
)

// countsOf are the counts behind the metrics.
func countsOf(r *evaluation.Report, q *quality.Quality) []fact {
	c := &q.Counts
	facts := []fact{{"Predictions", webpage.Whole(c.Predictions)}, {"Old enough for a label", webpage.OfRows(c.Mature, c.Predictions)}}
	if c.Mature > 0 {
		facts = append(facts, fact{"Of them labelled (coverage)", fmt.Sprintf("%s (%s; %s needed)", webpage.Whole(c.MatureLabel), webpage.Percent(q.Coverage), webpage.Percent(r.Policy.Coverage))})
	}
	facts = append(facts, fact{"Judged (n)", webpage.Whole(c.Judged)})
	if e := q.EffectiveRows; e > 0 && math.Abs(e-float64(c.Judged)) >= 1 {
		facts = append(facts, fact{"Worth, after sampling", webpage.Whole(uint64(math.Round(e)))})
	}
	if rate := baseRate(q, r.Classes); rate != "" && c.Judged > 0 {
		facts = append(facts, fact{"Base rate", rate})
	}
	if c.Judged > 0 {
		facts = append(facts, fact{"Key groups, time blocks", fmt.Sprintf("%d, %d", q.Keys, q.Blocks)})
	}
	for _, bad := range []struct {
		name string
		n    uint64
	}{{"Neither score nor class", c.Unusable}, {"Without a score", c.NoScore}, {"Score outside of 0 to 1", c.OutOfRange}, {"Without a class", c.NoClass},
		{"Label outside of the classes", c.BadLabels}, {"Label of 0", c.ZeroLabels}} {
		if bad.n > 0 {
			facts = append(facts, fact{bad.name, webpage.OfRows(bad.n, c.Predictions)})
		}
	}
	return facts
}

// baseRate is the share of the positive class, or of the most and the least frequent of several.
func baseRate(q *quality.Quality, classes []string) string {
	rates := q.BaseRates
	name := func(k int) string {
		if k < len(classes) {
			return classes[k]
		}
		return fmt.Sprint(k)
	}
	switch len(rates) {
	case 0:
		return ""
	case 2:
		return webpage.Percent(rates[1]) + " of class " + name(1)
	}
	most, least := 0, 0
	for k := range rates {
		if rates[k] > rates[most] {
			most = k
		}
		if rates[k] < rates[least] {
			least = k
		}
	}
	return fmt.Sprintf("%s of class %s to %s of class %s", webpage.Percent(rates[least]), name(least), webpage.Percent(rates[most]), name(most))
}

func coverageOf(c *quality.Counts) *coverage {
	if c.Predictions == 0 || c.Mature > c.Predictions || c.Judged > c.MatureLabel || c.MatureLabel > c.Mature {
		return nil
	}
	out := &coverage{}
	x := 0.0
	for _, p := range []struct {
		class, name string
		n           uint64
	}{{"judged", "judged", c.Judged}, {"unjudged", "labelled, not usable", c.MatureLabel - c.Judged}, {"missing", "label missing", c.Mature - c.MatureLabel},
		{"young", "too young for a label", c.Predictions - c.Mature}} {
		if p.n == 0 {
			continue
		}
		w := 100 * float64(p.n) / float64(c.Predictions)
		out.Parts = append(out.Parts, coveragePart{Class: p.class, Name: p.name, Count: webpage.OfRows(p.n, c.Predictions), X: webpage.Coordinate(x), Width: webpage.Coordinate(math.Max(0.3, w))})
		x += w
		out.Words += fmt.Sprintf("; %s %s", p.name, webpage.OfRows(p.n, c.Predictions))
	}
	out.Words = strings.TrimPrefix(out.Words, "; ")
	return out
}

// coverage is what became of the predictions, as widths of 100.
type coverage struct {
	Parts []coveragePart
	Words string
}

type coveragePart struct {
	Class, Name, Count string
	X, Width           string
}

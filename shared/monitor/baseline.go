package monitor

import (
	"fmt"
	"math"

	"github.com/tidegate/tidegate/shared/profile"
)

// Baseline makes a baseline of the statistics. Features without a distribution
// are left out, with the reason; notes say how the others were read where that is
// not plain.
func (s *Statistics) Baseline() (b *profile.Baseline, leftOut []profile.LeftOut, notes []string) {
	b = &profile.Baseline{V: profile.BaselineVersion, Rows: uint64(s.Dataset.ItemCount)}
	for i := range s.Features {
		f := &s.Features[i]
		c, reason, note := f.column()
		if reason != "" {
			leftOut = append(leftOut, profile.LeftOut{Column: f.Name, Reason: reason})
			continue
		}
		if note != "" {
			notes = append(notes, fmt.Sprintf("feature %q: %s", profile.Cut(f.Name), note))
		}
		b.Rows = max(b.Rows, c.State.Rows)
		b.Columns = append(b.Columns, c)
	}
	return b, leftOut, notes
}

// Types are the inferred types by feature.
func (s *Statistics) Types() map[string]string {
	types := make(map[string]string, len(s.Features))
	for i := range s.Features {
		types[s.Features[i].Name] = s.Features[i].InferredType
	}
	return types
}

// column is the feature's column, or the reason why it has none.
func (f *Feature) column() (c profile.Column, reason, note string) {
	switch {
	case f.Numerical != nil:
		return f.numeric()
	case f.Strings != nil:
		return f.categorical()
	}
	return c, "no statistics: nothing to compare with", ""
}

func (f *Feature) numeric() (c profile.Column, reason, note string) {
	n := f.Numerical
	k := n.Distribution.KLL
	present, missing := n.Common.Present, n.Common.Missing
	switch {
	case present == 0:
		numbers := profile.NewNumbers()
		numbers.Missing(uint64(missing))
		return numbers.Column(f.Name), "", ""
	case k == nil:
		return c, "no distribution: neither sketch data nor buckets", ""
	}
	if weight, ok := k.weight(); ok && weight == present {
		if worth := k.worth(present); worth < 0.9*present {
			note = fmt.Sprintf("its sketch of %.0f rows is as exact as %.0f rows are", present, math.Round(worth))
		}
		return f.sketched(k, uint64(missing)), "", note
	} else if ok {
		note = fmt.Sprintf("the sketch stands for %.0f rows, num_present is %.0f: its buckets are used", weight, present)
	}
	c, reason = f.bucketed(k, present, missing)
	if reason == "" && note == "" {
		note = fmt.Sprintf("no sketch data: the distribution is known on %d buckets only", len(k.Buckets))
	}
	return c, reason, note
}

// sketched freezes cells from the sketch's items.
func (f *Feature) sketched(k *KLL, missing uint64) profile.Column {
	numbers := profile.NewNumbers()
	values, weights := k.items()
	for i, x := range values {
		numbers.Add(x, weights[i])
	}
	c := k.shrunk(numbers.Column(f.Name), values, weights)
	f.addMissing(&c, missing)
	if len(k.Sketch.Data) > 1 {
		// An item of a compacted sketch is no value that was seen once, and a value can be missing from it.
		c.N1, c.N2, c.Few = 0, 0, false
	}
	f.extremes(&c)
	return c
}

// addMissing adds rows without a value, as large a share as it was.
func (f *Feature) addMissing(c *profile.Column, missing uint64) {
	n := math.Round(float64(missing) * float64(c.State.Rows) / f.Numerical.Common.Present)
	c.State.Missing += uint64(n)
	c.State.Rows += uint64(n)
}

// extremes takes over the exact least and largest value, which a sketch may have dropped.
func (f *Feature) extremes(c *profile.Column) {
	lo, hi := f.Numerical.Min, f.Numerical.Max
	if lo == nil || hi == nil || c.State.Min == nil || *lo > *c.State.Min || *hi < *c.State.Max {
		return
	}
	c.State.Min, c.State.Max = lo, hi
}

// bucketed makes a cell of each bucket. Within one, nothing is known: the gates
// widen their intervals by what it holds.
func (f *Feature) bucketed(k *KLL, present, missing float64) (c profile.Column, reason string) {
	buckets := k.Buckets
	var total float64
	var upper []float64
	var counts []uint64
	for i, b := range buckets {
		total += b.Count
		if i > 0 && b.Upper < buckets[i-1].Upper {
			return c, "its buckets do not ascend"
		}
		if len(upper) > 0 && upper[len(upper)-1] == b.Upper { // a bucket without width, as for a constant
			counts[len(counts)-1] += uint64(b.Count)
			continue
		}
		upper, counts = append(upper, b.Upper), append(counts, uint64(b.Count))
	}
	if len(buckets) == 0 || total != present {
		return c, fmt.Sprintf("its buckets count %.0f values, num_present is %.0f", total, present)
	}
	// Values above the last bound are outside of what the baseline saw: a cell of their own.
	bins, err := profile.BinsOf(append(upper, math.Inf(1)))
	if err != nil {
		return c, fmt.Sprintf("%d buckets are more than a column can have", len(buckets))
	}
	c = profile.Column{Name: f.Name, Kind: profile.Numeric, Bins: bins, Distinct: uint64(len(upper)), State: profile.NewState(bins.Len())}
	s := scaler{factor: k.worth(total) / total}
	for i, n := range counts {
		c.State.Cells[i] = s.next(float64(n))
		c.State.Rows += c.State.Cells[i]
	}
	f.addMissing(&c, uint64(missing))
	c.State.Min, c.State.Max = f.Numerical.Min, f.Numerical.Max
	if c.State.Min != nil && c.State.Max != nil && !(*c.State.Min <= *c.State.Max) || (c.State.Min == nil) != (c.State.Max == nil) {
		c.State.Min, c.State.Max = nil, nil
	}
	return c, ""
}

func (f *Feature) categorical() (c profile.Column, reason, note string) {
	s := f.Strings
	present, missing := s.Common.Present, s.Common.Missing
	if s.Distribution.Categorical == nil && present > 0 {
		return c, "no distribution of its values (Model Monitor writes none where there are many)", ""
	}
	counter := profile.NewCounter()
	var total float64
	if d := s.Distribution.Categorical; d != nil {
		for _, b := range d.Buckets {
			if b.Value == "" { // an empty text is missing here
				missing, present = missing+b.Count, present-b.Count
				continue
			}
			counter.Add(b.Value, uint64(b.Count))
			total += b.Count
		}
	}
	if total > present {
		return c, fmt.Sprintf("its categories count %.0f values, num_present is %.0f", total, present), ""
	}
	if total < present {
		return c, fmt.Sprintf("its categories count %.0f of %.0f values only: the rest cannot be told from new values", total, present), ""
	}
	return profile.CategoricalColumn(f.Name, counter, uint64(missing), 0), "", ""
}

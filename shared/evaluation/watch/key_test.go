package watch

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/evaluation"
	"github.com/tidegate/tidegate/shared/label"
)

// byCustomer is the report of a day of 60 customers, each with 20 predictions of one hour that all turn out alike.
func byCustomer(t *testing.T, policy string, captured bool) *evaluation.Report {
	t.Helper()
	w := newWorld(t, policy)
	rng := rand.New(rand.NewPCG(5, 5))
	for h := range 24 {
		f := flow(7, date(0).Add(time.Duration(h)*time.Hour), 50, true)
		for i := range f.records {
			customer := rng.IntN(60)
			p := 0.2 + 0.6*float64(customer%7)/6
			f.records[i].Outputs = map[string]any{"label": []any{0}, "probabilities": []any{[]any{1 - p, p}}}
			f.labels[i].Label = label.NumberOf(float64(customer / 7 % 2))
			if captured {
				f.records[i].Inputs["customer"] = []any{fmt.Sprint("c", customer)}
			}
		}
		w.captures(date(0).Add(time.Duration(h)*time.Hour), f.records)
		w.labelled(date(0).Add(time.Duration(h)*time.Hour), f.labels)
	}
	done := w.tickAt(closed(0))
	if len(done) != 1 || done[0].Judged != 1200 {
		t.Fatalf("%+v", done)
	}
	r, _ := w.report(done[0])
	return r
}

// TestKeyOfThePolicy: rows of a customer are no independent evidence, and the intervals say so.
func TestKeyOfThePolicy(t *testing.T) {
	const keyed = `{"label_delay_minutes":0,"key":"customer",` + wide + `}`
	width := func(r *evaluation.Report) float64 {
		t.Helper()
		m := r.Versions[0].Quality.Metric("accuracy")
		if m == nil || m.Interval == nil {
			t.Fatalf("no interval of the accuracy: %+v", m)
		}
		return m.Interval.Hi - m.Interval.Lo
	}
	about := func(r *evaluation.Report) bool {
		return slices.ContainsFunc(r.Warnings, func(w string) bool { return strings.Contains(w, `key column "customer"`) })
	}
	alone, together := byCustomer(t, quick, true), byCustomer(t, keyed, true)
	if a, b := width(alone), width(together); b < 2*a {
		t.Errorf("20 equal rows of a customer make the interval %.3f, independent ones %.3f", b, a)
	}
	if about(together) {
		t.Errorf("%q", together.Warnings)
	}
	if lost := byCustomer(t, keyed, false); !about(lost) || width(lost) > 1.2*width(alone) {
		t.Errorf("captures without the column: %q", lost.Warnings)
	}
}

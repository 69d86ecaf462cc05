//go:build !race

package drift

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestCleanSegmentedJobs: of 300 clean jobs at most 5 %, and the error of counting them, have a lower bound above 0 in
// a column or a segment, and none is drift.
func TestCleanSegmentedJobs(t *testing.T) {
	const jobs = 300
	rng := rand.New(rand.NewPCG(2013, 11))
	p := bySegment()
	sizes := [][2]int{{1000, 200}, {2000, 2000}, {1000, 5000}, {4000, 500}}
	alarms := 0
	for job := range jobs {
		size := sizes[job%len(sizes)]
		b := shopBaseline(t, &p, shop{rng: rng}.table(size[0]))
		r := mustJudge(t, shopJob(t, p, b, shop{rng: rng}.table(size[1])))
		if r.Verdict == Drifted {
			t.Errorf("clean job %d of %d/%d rows: %s", job, size[0], size[1], r.Summary)
		}
		if lowerAboveZero(r) {
			alarms++
		}
	}
	t.Logf("%d of %d clean jobs have a lower bound above 0", alarms, jobs)
	if limit := binomialLimit(jobs, 0.05); alarms > limit {
		t.Errorf("%d of %d clean jobs have a lower bound above 0; at most %d may", alarms, jobs, limit)
	}
}

// lowerAboveZero says whether chance alone is said not to explain some distance of the report.
func lowerAboveZero(r *Report) bool {
	for i := range r.Columns {
		for _, g := range r.Columns[i].Gates {
			if r.Columns[i].Gating && g.Lo > 0 {
				return true
			}
		}
	}
	for i := range r.Segments {
		for _, s := range r.Segments[i].Values {
			for _, c := range s.Columns {
				if c.Gate.Lo > 0 {
					return true
				}
			}
		}
	}
	return false
}

// TestSegmentShiftsAreFound: one of 0.8 σ in a segment of about 9 % of the rows, in at least 99 %, where the columns
// over all rows see it in none.
func TestSegmentShiftsAreFound(t *testing.T) {
	const jobs = 100
	rng := rand.New(rand.NewPCG(2013, 12))
	p := bySegment()
	b := shopBaseline(t, &p, shop{rng: rng}.table(20000))
	found := 0
	for range jobs {
		r := mustJudge(t, shopJob(t, p, b, shop{rng: rng, shift: 0.8}.table(10000)))
		if len(r.Drifted) > 0 {
			t.Errorf("over all rows: %v", r.Drifted)
		}
		for _, name := range r.DriftedSegments {
			if name != "segment=s3" {
				t.Errorf("drift in %s", name)
			} else {
				found++
			}
		}
	}
	if found < jobs*99/100 {
		t.Errorf("%d of %d are found", found, jobs)
	}
}

// TestClusteredRows: twenty equal rows a customer. With the customer as the cluster the false alarms are what they
// are said to be; as independent rows they are not.
func TestClusteredRows(t *testing.T) {
	const jobs = 60
	for name, c := range map[string]struct {
		cluster     Cluster
		size        int // rows of a customer
		least, most int // jobs with a lower bound above 0
	}{
		"independent rows":           {"customer", 1, 0, binomialLimit(jobs, 0.05)},
		"twenty a customer":          {"customer", 20, 0, binomialLimit(jobs, 0.05)},
		"twenty, and taken for none": {"", 20, jobs / 2, jobs},
		"few customers":              {"customer", 200, 0, binomialLimit(jobs, 0.05)},
	} {
		rng := rand.New(rand.NewPCG(2013, 13))
		p := DefaultPolicy()
		p.Cluster = c.cluster
		alarms, drift := 0, 0
		for range jobs {
			split := p
			split.Cluster = "customer"
			b := shopBaseline(t, &split, shop{rng: rng, cluster: c.size}.table(4000))
			r := mustJudge(t, shopJob(t, p, b, shop{rng: rng, cluster: c.size}.table(3000)))
			if lowerAboveZero(r) {
				alarms++
			}
			if r.Verdict == Drifted {
				drift++
			}
		}
		t.Logf("%s: %d of %d clean jobs have a lower bound above 0, %d are drift", name, alarms, jobs, drift)
		if alarms < c.least || alarms > c.most {
			t.Errorf("%s: %d of %d clean jobs have a lower bound above 0, want %d to %d", name, alarms, jobs, c.least, c.most)
		}
		if c.cluster != "" && drift > 0 {
			t.Errorf("%s: %d clean jobs are drift", name, drift)
		}
	}
}

// TestClusteredShiftsAreFound: dependent rows need more of them, and then decide either way.
func TestClusteredShiftsAreFound(t *testing.T) {
	const jobs = 12
	rng := rand.New(rand.NewPCG(2013, 14))
	p := bySegment()
	p.Cluster = "customer"
	b := shopBaseline(t, &p, shop{rng: rng, cluster: 20}.table(60000))
	found, clean := 0, 0
	for range jobs {
		if r := mustJudge(t, shopJob(t, p, b, shop{rng: rng, cluster: 20, shift: 2}.table(40000))); slices.Equal(r.DriftedSegments, []string{"segment=s3"}) {
			found++
		}
		r := mustJudge(t, shopJob(t, p, b, shop{rng: rng, cluster: 20}.table(40000)))
		for i := range r.Columns {
			c := &r.Columns[i]
			if c.Name == "y" && c.Verdict == NoDrift && c.DesignEffect > 15 && c.DesignEffect < 45 && c.ReferenceEffect > 15 && c.ReferenceEffect < 45 {
				clean++
			}
		}
	}
	if found < jobs || clean < jobs-1 {
		t.Errorf("of %d jobs %d shifts are found, %d are clean with an effect of about 20", jobs, found, clean)
	}
}

package evaluation

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/tidegate/tidegate/shared/evaluation/comparison"
	"github.com/tidegate/tidegate/shared/evaluation/quality"
	"github.com/tidegate/tidegate/shared/registry"
)

// version is the report on one version in one role.
func (job *Job) version(who subject, incomplete bool) (*VersionReport, error) {
	t := job.Tally
	v := &VersionReport{Version: who.version, Role: who.role, Name: job.Names[who.version], Slots: []Slot{}}
	strata := t.strata(func(k cellKey) bool {
		return k.version == who.version && k.role == who.role && k.slot != registry.Pinned
	})
	if len(strata) == 0 {
		strata = []quality.Stratum{{State: quality.NewState(t.plan.layout(who.version)), Sampled: 1}}
	}
	var err error
	if v.Quality, err = quality.Measure(job.Window.ID, strata...); err != nil {
		return nil, err
	}
	if err := v.slots(job, who); err != nil {
		return nil, err
	}
	ref := job.References[who.version]
	v.Judgement = t.plan.Policy.Judge(v.Quality, ref.Reference)
	if ref.Reference == nil {
		if v.NoReference = ref.Why; v.NoReference == "" {
			v.NoReference = "the version has no reference quality"
		}
	} else {
		v.Reference = &ReferenceRef{SHA256: ref.SHA256, Rows: ref.Reference.Rows, TrainingEnd: ref.Reference.TrainingEnd, Metrics: ref.Reference.Metrics}
		if err := v.estimate(&t.plan.Policy, ref, strata, incomplete); err != nil {
			return nil, err
		}
	}
	if v.Quality.Counts.Predictions > 0 {
		v.Segments, err = job.segments(who, v.Quality.Counts.Predictions)
	}
	return v, err
}

func (v *VersionReport) estimate(p *quality.Policy, ref Reference, strata []quality.Stratum, incomplete bool) error {
	e := ref.Estimator
	if e == nil {
		var err error
		if e, err = quality.NewEstimator(ref.Reference); err != nil {
			return err
		}
	}
	var err error
	if v.Estimate, err = e.Estimate(strata...); err != nil {
		return err
	}
	v.EstimatedLow = v.Estimate.Low(p, ref.Reference)
	// Labels that are not all there are of other rows than the estimate.
	if c := &v.Quality.Counts; !incomplete && c.Judged > 0 && v.Quality.Coverage >= p.Coverage {
		v.Realised = v.Estimate.Realised(v.Quality)
	}
	return nil
}

// strata are the states of the cells that take accepts, in one order. Sampling
// probabilities are weights: where a table's are below 1 row for a row, they are
// scaled so that the largest is 1.
func (t *Tally) strata(take func(cellKey) bool) []quality.Stratum {
	var out []quality.Stratum
	for _, k := range slices.SortedFunc(maps.Keys(t.cells), cellKey.compare) {
		if c := t.cells[k]; c.state != nil && take(k) {
			out = append(out, quality.Stratum{State: c.state, Sampled: k.sampled})
		}
	}
	return scaled(out)
}

func scaled(strata []quality.Stratum) []quality.Stratum {
	most := 1.0
	for _, s := range strata {
		most = max(most, s.Sampled)
	}
	for i := range strata {
		strata[i].Sampled = max(1e-9, strata[i].Sampled/most)
	}
	return strata
}

// slots lists what the version did in each slot, pinned rows among them.
func (v *VersionReport) slots(job *Job, who subject) error {
	by := map[registry.Slot][]*cell{}
	for _, k := range slices.SortedFunc(maps.Keys(job.Tally.cells), cellKey.compare) {
		if k.version == who.version && k.role == who.role {
			by[k.slot] = append(by[k.slot], job.Tally.cells[k])
		}
	}
	for _, slot := range slices.SortedFunc(maps.Keys(by), cmp.Compare[registry.Slot]) {
		s := Slot{Slot: slot}
		var latencies comparison.Latencies
		for _, c := range by[slot] {
			s.Requests += c.requests
			s.Errors += c.errors
			latencies.Merge(&c.latencies)
		}
		s.P50, s.P95 = quantile(&latencies, 0.5), latencies.SlowMicros(1)
		strata := job.Tally.strata(func(k cellKey) bool { return k.version == who.version && k.role == who.role && k.slot == slot })
		switch {
		case len(by) == 1 && slot != registry.Pinned:
			s.Counts, s.Coverage = v.Quality.Counts, v.Quality.Coverage
		case len(strata) > 0:
			q, err := quality.Measure(job.Window.ID, strata...)
			if err != nil {
				return err
			}
			s.Counts, s.Coverage = q.Counts, q.Coverage
			s.Primary = q.Metric(job.Tally.plan.Policy.Gates(q.Task)[0])
		}
		v.Slots = append(v.Slots, s)
	}
	return nil
}

// quantile is a quantile of latencies, in microseconds.
func quantile(l *comparison.Latencies, p float64) int64 {
	var total, below uint64
	for _, n := range l.Cells {
		total += n
	}
	for _, cell := range slices.Sorted(maps.Keys(l.Cells)) {
		if below += l.Cells[cell]; float64(below) >= p*float64(total) {
			one := comparison.Latencies{Cells: map[int]uint64{cell: 1}}
			return one.SlowMicros(1)
		}
	}
	return 0
}

// segments are the segments of a version with so many predictions.
func (job *Job) segments(who subject, predictions uint64) ([]SegmentColumn, error) {
	var out []SegmentColumn
	for _, c := range job.Tally.columns {
		sc := SegmentColumn{Column: c.name}
		switch {
		case c.full:
			sc.Note = fmt.Sprintf("the column has more than %d values: it is no segment, but an id", maxValues)
		default:
			sc.Values = uint64(len(c.largest()))
		}
		if !c.cut {
			if !c.full {
				sc.Note = fmt.Sprintf("the column has %d values, more than the %d that are kept apart; name the ones to look at", sc.Values, c.limit)
			}
			out = append(out, sc)
			continue
		}
		if err := job.cut(&sc, c, who, predictions); err != nil {
			return nil, err
		}
		out = append(out, sc)
	}
	return out, nil
}

// cut measures the largest values of a column, and the others together.
func (job *Job) cut(sc *SegmentColumn, c *column, who subject, predictions uint64) error {
	rest := value{states: slices.Clone(c.other.states)}
	for i, st := range rest.states {
		if st != nil { // it is added to
			rest.states[i] = quality.NewState(st.Layout())
			if err := rest.states[i].Merge(st); err != nil {
				return err
			}
		}
	}
	shown := 0
	for _, v := range c.largest() {
		if c.chosen && !v.kept {
			continue
		}
		if shown++; shown > job.Tally.plan.Policy.MaxSegments {
			if err := rest.merge(job.Tally, v, job.Tally); err != nil {
				return err
			}
			continue
		}
		s, err := job.segment(v, who, predictions)
		if err != nil {
			return err
		}
		if s != nil {
			s.Value, s.Missing = v.name, v.name == ""
			sc.Segments = append(sc.Segments, *s)
		}
	}
	var err error
	sc.Other, err = job.segment(&rest, who, predictions)
	return err
}

// segment measures the rows of a value; nil if there are none.
func (job *Job) segment(v *value, who subject, predictions uint64) (*Segment, error) {
	var strata []quality.Stratum
	order := make([]int, 0, len(v.states))
	for g := range v.states {
		k := job.Tally.groups[g]
		if v.states[g] != nil && k.version == who.version && k.role == who.role {
			order = append(order, g)
		}
	}
	slices.SortFunc(order, func(a, b int) int { return job.Tally.groups[a].compare(job.Tally.groups[b]) })
	for _, g := range order {
		strata = append(strata, quality.Stratum{State: v.states[g], Sampled: job.Tally.groups[g].sampled})
	}
	if len(strata) == 0 {
		return nil, nil
	}
	q, err := quality.Measure(job.Window.ID, scaled(strata)...)
	if err != nil {
		return nil, err
	}
	return &Segment{Share: float64(q.Counts.Predictions) / float64(predictions), Counts: q.Counts, Coverage: q.Coverage, BaseRates: q.BaseRates, Metrics: q.Metrics}, nil
}

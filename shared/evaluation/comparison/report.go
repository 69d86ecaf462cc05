package comparison

import (
	"fmt"
	"time"

	"github.com/tidegate/tidegate/shared/stat"
)

// ReportVersion is the format of a comparison that this package writes.
const ReportVersion = 1

// Report is a comparison as one JSON document: what a page shows and a log keeps.
// Its bytes depend on the pairs, the policy and the decision, not on how the rows
// were divided.
type Report struct {
	V          int       `json:"v"`
	Task       Task      `json:"task"`
	Champion   SideInfo  `json:"champion"`
	Challenger SideInfo  `json:"challenger"`
	Pinned     bool      `json:"pinned,omitempty"`
	First      time.Time `json:"first,omitzero"` // time of the first and the last pair
	Last       time.Time `json:"last,omitzero"`

	Pairs     Counts `json:"pairs"`
	Identical uint64 `json:"identical"`         // pairs with the same answer
	Refused   uint64 `json:"refused,omitempty"` // rows and requests that could not be counted
	Block     Block  `json:"block"`
	Blocks    int    `json:"blocks"`     // time blocks with pairs
	KeyGroups int    `json:"key_groups"` // hash groups with pairs, of stat.KeyGroups

	Primary    string          `json:"primary"`
	Metrics    []Difference    `json:"metrics"` // over all pairs, the primary one first
	Alpha      float64         `json:"alpha"`
	Checks     int             `json:"checks"` // harms looked for: the bound of harm is at alpha over them
	Bounds     []Bound         `json:"bounds"` // of the primary metric and of each guardrail
	Agreement  *Agreement      `json:"agreement,omitempty"`
	McNemar    *stat.McNemar   `json:"mcnemar,omitempty"` // first: the champion alone is right
	Segments   []SegmentReport `json:"segments,omitempty"`
	Unchecked  float64         `json:"unchecked_share"` // of pairs in no segment that could be looked at; 0 where none is asked for
	Unpaired   []Unpaired      `json:"unpaired,omitempty"`
	Warnings   []string        `json:"warnings,omitempty"`
	Decision   *Decision       `json:"decision,omitempty"`
	Policy     Policy          `json:"policy"`
	SlowMicros int64           `json:"slow_us,omitempty"`
}

// SideInfo is one version of a report.
type SideInfo struct {
	Name         string    `json:"name"`
	Digest       string    `json:"digest"`
	Dataset      string    `json:"dataset"`
	TrainedUntil time.Time `json:"trained_until,omitzero"`
	Unmatched    uint64    `json:"unmatched"` // labelled rows that only this side answered
	Traffic      Traffic   `json:"traffic"`
}

// SegmentReport is the primary metric in one segment.
type SegmentReport struct {
	Segment    string     `json:"segment"`
	Missing    bool       `json:"missing,omitempty"` // the rows without a value
	Difference Difference `json:"difference"`
	Bound      Bound      `json:"bound"`
}

// NewReport measures everything that pairs show and adds the decision, where there
// is one. The errors are those of [Decide].
func NewReport(s *State, p Policy, d *Decision) (*Report, error) {
	l, err := examine(s, &p)
	if err != nil {
		return nil, err
	}
	r := &Report{V: ReportVersion, Task: s.spec.Task, Pinned: s.spec.Pinned, Pairs: l.all.Counts, Identical: s.Identical(), Refused: s.refused,
		Block: s.spec.Block, Blocks: s.Blocks(), KeyGroups: len(s.keys.ids), Primary: l.all.Metric, Alpha: p.Alpha, Checks: l.checks,
		Bounds: l.bounds(), Decision: d, Policy: p, SlowMicros: s.spec.SlowMicros}
	r.First, r.Last = s.Span()
	r.Champion, r.Challenger = s.info(Champion), s.info(Challenger)
	r.Metrics = []Difference{l.all}
	for _, m := range s.spec.Metrics() {
		if m != l.all.Metric {
			r.Metrics = append(r.Metrics, s.Difference(m))
		}
		if len(s.served.ids) > 0 {
			r.Unpaired = append(r.Unpaired, s.Unpaired(m))
		}
	}
	if s.spec.Task != Regression {
		a := s.Agreement()
		m := stat.NewMcNemar(a.ChampionOnly, a.ChallengerOnly)
		r.Agreement, r.McNemar = &a, &m
	}
	l.segmentsOf(r)
	r.warn(s)
	return r, nil
}

func (s *State) info(side Side) SideInfo {
	v := &s.spec.Champion
	if side == Challenger {
		v = &s.spec.Challenger
	}
	i := SideInfo{Name: v.Name, Digest: v.Digest, Dataset: v.Dataset, TrainedUntil: v.TrainedUntil.UTC(), Unmatched: s.unmatched[side]}
	for _, t := range s.traffic {
		i.Traffic.add(t[side])
	}
	return i
}

func (l *look) segmentsOf(r *Report) {
	if len(l.segments) == 0 {
		if l.p.Segments.Column != "" {
			r.Unchecked = 1
		}
		return
	}
	unchecked := l.parts[l.s.rest()].Pairs
	for i, b := range l.segments {
		d := l.parts[i]
		if b.Unknown != "" {
			unchecked += d.Pairs
		}
		r.Segments = append(r.Segments, SegmentReport{Segment: *b.Segment, Missing: *b.Segment == "", Difference: d, Bound: b})
	}
	if l.s.pairs > 0 {
		r.Unchecked = float64(unchecked) / float64(l.s.pairs)
	}
}

// warn says what a reader of the numbers must know.
func (r *Report) warn(s *State) {
	say := func(format string, args ...any) { r.Warnings = append(r.Warnings, fmt.Sprintf(format, args...)) }
	for _, side := range []*SideInfo{&r.Champion, &r.Challenger} {
		if side.TrainedUntil.IsZero() {
			say("when the training of %s ended is not known: whether these rows are later was not checked", side.Name)
		}
	}
	if u := r.Champion.Unmatched + r.Challenger.Unmatched; u > 0 && s.pairs > 0 && float64(u) > 0.05*float64(s.pairs) {
		say("%d labelled rows have an answer of one version only, beside %d pairs: what is lost may not be like the rest", u, s.pairs)
	}
	if r.Blocks == 1 && r.Block != NoTime {
		say("all pairs are from one %s: another one may be different", r.Block)
	}
	if column := r.Policy.Segments.Column; column != "" && len(r.Segments) == 0 {
		say("no segment of %q is looked at apart: none had enough labelled rows when that was settled, or there is none to settle it by", column)
	}
	if r.Block == NoTime {
		say("the rows have no time: dependence between rows of the same time is not in the errors")
	}
	if d := &r.Metrics[0]; d.Metric == ROCAUC && d.Unknown == "" && d.Resolution > max(d.SE.Largest(), 1e-4) {
		say("the bins hide an order of scores worth %.4f of roc_auc: more distinct reference scores would show it", d.Resolution)
	}
}

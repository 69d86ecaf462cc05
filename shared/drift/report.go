package drift

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/period"
	"github.com/tidegate/tidegate/shared/profile"
)

// ReportVersion is the format of a report that this package writes.
const ReportVersion = 1

// Report is reports/drift/<m>/<window>/<id>.json (docs/formats/drift.md). Its
// bytes depend on the rows, the baseline, the policy and the history, not on how
// rows were split or in which order they came.
type Report struct {
	V        int           `json:"v"`
	ID       string        `json:"id"`       // digest of what was compared and how
	Revision int           `json:"revision"` // 1, and one more than the report that it supersedes
	Model    string        `json:"model"`
	Window   period.Window `json:"window"`
	Verdict  Verdict       `json:"verdict"`
	Summary  string        `json:"summary"` // the verdict as a sentence
	// Drifted are the gating columns with the verdict drift, Undecided those without enough data.
	Drifted   []string `json:"drifted,omitempty"`
	Undecided []string `json:"undecided,omitempty"`
	// DriftedSegments are the segments with the verdict drift ("carrier=UA"). Others decide nothing.
	DriftedSegments []string `json:"drifted_segments,omitempty"`
	// RowsNeeded is the number of rows of a window that would decide every undecided column whose
	// distance stays as it is; 0 when nothing is undecided or no window decides.
	RowsNeeded int64 `json:"rows_needed,omitempty"`

	Rows     Rows      `json:"rows"`
	LeftOut  []LeftOut `json:"left_out,omitempty"`
	Warnings []string  `json:"warnings,omitempty"`

	Standing   StandingChange `json:"standing"`
	History    []Past         `json:"history"` // the last windows, oldest first, this one among them
	Supersedes *Superseded    `json:"supersedes,omitempty"`

	Version  int         `json:"version,omitempty"` // whose baseline the rows were compared with
	Baseline BaselineRef `json:"baseline"`
	Alpha    float64     `json:"alpha"`
	Gates    int         `json:"gates"` // over which alpha was divided
	// SegmentGates are those of the segments: then half of alpha was divided over Gates, half over these.
	SegmentGates int             `json:"segment_gates,omitempty"`
	Columns      []Column        `json:"columns"`
	Segments     []SegmentColumn `json:"segments,omitempty"`
	New          []string        `json:"new_columns,omitempty"`    // of the window, unknown to the baseline
	Absent       []string        `json:"absent_columns,omitempty"` // of the baseline, in some source of the window not there
	Policy       Policy          `json:"policy"`
}

// Rows counts what went in. In is Compared and all that was left out in the unit "rows".
type Rows struct {
	In        uint64  `json:"in"`
	Compared  uint64  `json:"compared"`
	Effective float64 `json:"effective"` // independent rows that they are worth, after sampling
	Requests  uint64  `json:"requests,omitempty"`
	Errors    uint64  `json:"errors,omitempty"` // failed requests have no rows
}

// Reasons to leave something out.
const (
	LeftNoProfile     = "capture_without_profile"
	LeftNoBaseline    = "version_without_baseline"
	LeftOtherBaseline = "profile_of_another_baseline"
	LeftOtherVersion  = "other_version"
	LeftPaired        = "paired"
	LeftPinned        = "pinned"
	LeftMalformed     = "malformed"
	LeftUncounted     = "uncounted"
	LeftColumn        = "column"
	LeftDuplicate     = "duplicate"
	LeftUnreadable    = "unreadable_profile"
	LeftSkipped       = "skipped"
	LeftEmpty         = "empty"
)

// Units of what is left out.
const (
	UnitRows    = "rows"
	UnitObjects = "objects"
	UnitRecords = "records"
	UnitColumns = "columns"
)

// LeftOut is something that the comparison does not hold, and why.
type LeftOut struct {
	Reason   string   `json:"reason"`
	Count    uint64   `json:"count"`
	Unit     string   `json:"unit"`
	Detail   string   `json:"detail"`             // a sentence
	Examples []string `json:"examples,omitempty"` // keys, at most maxExamples
}

const maxExamples = 5

// BaselineRef names what the window was compared with.
type BaselineRef struct {
	SHA256 string `json:"sha256,omitempty"`
	Rows   uint64 `json:"rows"`
}

// Column is the comparison of one column and what it needs to be drawn.
type Column struct {
	ColumnResult
	Off          string       `json:"off,omitempty"` // why it does not gate
	Reference    Side         `json:"reference"`
	Current      Side         `json:"current"`
	Distribution Distribution `json:"distribution"`
	DesignEffect float64      `json:"design_effect,omitempty"` // when it is not 1
	// ReferenceEffect is that of the baseline's rows, where it is another.
	ReferenceEffect float64 `json:"reference_design_effect,omitempty"`
}

// Side counts one side of a column. Rows are as they came, not weighted.
type Side struct {
	Rows      uint64   `json:"rows"`
	Missing   uint64   `json:"missing"` // NaN included
	WrongType uint64   `json:"wrong_type"`
	Infinite  uint64   `json:"infinite,omitempty"`
	Unseen    uint64   `json:"unseen,omitempty"` // values that the baseline does not hold
	Min       *float64 `json:"min,omitempty"`
	Max       *float64 `json:"max,omitempty"`
	Mean      *float64 `json:"mean,omitempty"`
}

// Past is what an earlier report said.
type Past struct {
	Window   string             `json:"window"`
	Report   string             `json:"report"` // id
	Revision int                `json:"revision"`
	Rows     uint64             `json:"rows"`
	Verdict  Verdict            `json:"verdict"`
	Columns  map[string]Verdict `json:"columns"` // gating ones
	// Unscored are the scores that no row of the window had: they keep their standing.
	Unscored []string           `json:"unscored,omitempty"`
	Segments map[string]Verdict `json:"segments,omitempty"`
}

// StandingChange is the standing of the model without and with this report.
type StandingChange struct {
	Before  Standing `json:"before"`
	After   Standing `json:"after"`
	Changed bool     `json:"changed"` // worth an event
}

// Superseded is the earlier report of the same window, and what is different now.
type Superseded struct {
	Report   string   `json:"report"`
	Revision int      `json:"revision"`
	Changes  []string `json:"changes"` // sentences
}

// Past is what later reports keep of r.
func (r *Report) Past() Past {
	p := Past{Window: r.Window.ID, Report: r.ID, Revision: r.Revision, Rows: r.Rows.Compared, Verdict: r.Verdict, Columns: map[string]Verdict{}}
	for i := range r.Columns {
		switch c := &r.Columns[i]; {
		case c.Gating:
			p.Columns[c.Name] = c.Verdict
		case c.Off == offNoScores:
			p.Unscored = append(p.Unscored, c.Name)
		}
	}
	for i := range r.Segments {
		for k := range r.Segments[i].Values {
			if p.Segments == nil {
				p.Segments = map[string]Verdict{}
			}
			s := &r.Segments[i].Values[k]
			p.Segments[SegmentName(r.Segments[i].Column, s.Name)] = s.Verdict
		}
	}
	return p
}

// Encode is the stored form, which ends with a newline.
func (r *Report) Encode() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	if err := enc.Encode(r); err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the drift report cannot be encoded")
	}
	return b.Bytes(), nil
}

// ParseReport reads a stored report of any version. The error is Internal: nobody
// but this program writes reports.
func ParseReport(raw []byte) (*Report, error) {
	var r Report
	if err := json.Unmarshal(raw, &r); err != nil {
		return nil, fault.Wrap(err, fault.Internal, "a stored drift report is damaged")
	}
	if r.V < 1 || r.V > ReportVersion {
		return nil, fault.New(fault.Internal, "a stored drift report has format %d; this program reads up to %d", r.V, ReportVersion)
	}
	if r.ID == "" || r.Window.ID == "" {
		return nil, fault.New(fault.Internal, "a stored drift report has no id or window")
	}
	return &r, nil
}

// sideOf adds up the states of a column.
func sideOf(c *profile.Column, states ...*profile.State) Side {
	var s Side
	sum := profile.NewState(c.CellCount())
	for _, st := range states {
		if err := sum.Merge(st); err != nil {
			return Side{} // NewSample has told
		}
	}
	s.Rows, s.Missing, s.WrongType = sum.Rows, sum.Missing+sum.NaN, sum.WrongType
	s.Infinite = sum.PosInf + sum.NegInf
	if c.Kind == profile.Categorical {
		if !c.Identifier {
			s.Unseen = sum.Cells[c.Cells.Unseen()]
		}
		return s
	}
	s.Min, s.Max = sum.Min, sum.Max
	if n := sum.Values() - s.Infinite; n > 0 {
		s.Mean = ptr(sum.Sum.Float64() / float64(n))
	}
	if c.Few {
		for i, n := range sum.Cells {
			if !c.Bins.Atom(i) {
				s.Unseen += n
			}
		}
	}
	return s
}

// count writes "1 row", "12 rows".
func count(n uint64, unit string) string {
	if n == 1 {
		unit = unit[:len(unit)-1]
	}
	return fmt.Sprintf("%d %s", n, unit)
}

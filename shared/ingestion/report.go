package ingestion

import (
	"encoding/json"
	"math/rand/v2"
	"time"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/label"
	"github.com/tidegate/tidegate/shared/profile"
	"github.com/tidegate/tidegate/shared/schema"
)

// ReportVersion is the format of an ingest report that this package writes.
const ReportVersion = 1

// Bounds of what a report lists.
const (
	maxFirst   = 20
	maxUnknown = 20
)

// Report says what became of every line of a source (docs/formats/label.md):
// lines = filed + duplicates + conflicts + left_out.
type Report struct {
	V          int                      `json:"v"`
	ID         string                   `json:"source_id"` // in the keys of report and filed objects
	Source     profile.Source           `json:"source"`
	Size       int64                    `json:"size_bytes"`
	LandedAt   time.Time                `json:"landed_at"` // when the object was written: what lies after it is the future
	Format     string                   `json:"format,omitempty"`
	Lines      uint64                   `json:"lines"`
	Filed      uint64                   `json:"filed"`
	Duplicates uint64                   `json:"duplicates"` // the same row with the same label, beyond the first
	Conflicts  uint64                   `json:"conflicts"`  // the same row with another label, which does not count
	LeftOut    map[label.Problem]uint64 `json:"left_out,omitempty"`
	First      []FirstLine              `json:"first_left_out,omitempty"` // at most 20
	Unknown    []string                 `json:"unknown_models,omitempty"` // at most 20 names
	Models     []ModelReport            `json:"models,omitempty"`         // by name
	Refused    *Refusal                 `json:"refused,omitempty"`        // nothing was filed
}

// FirstLine is a line that is no label.
type FirstLine struct {
	Line    uint64        `json:"line"` // from 1
	Problem label.Problem `json:"problem"`
	Text    string        `json:"text"`
}

// ModelReport is what a source holds of one model.
type ModelReport struct {
	Model      string                   `json:"model"`
	Task       schema.Task              `json:"task"`
	Filed      uint64                   `json:"filed"`
	Duplicates uint64                   `json:"duplicates"`
	Conflicts  uint64                   `json:"conflicts"`
	LeftOut    map[label.Problem]uint64 `json:"left_out,omitempty"`
	Hours      []Hour                   `json:"hours,omitempty"` // by time
}

// Hour is one filed object.
type Hour struct {
	Hour  time.Time `json:"hour"`
	Filed uint64    `json:"filed"`
}

// Refusal says why nothing of a source was filed.
type Refusal struct {
	Kind    fault.Kind `json:"kind"`
	Message string     `json:"message"`
}

func newReport(src profile.Source, info blob.Info) *Report {
	return &Report{V: ReportVersion, ID: src.ID(), Source: src, Size: info.Size, LandedAt: info.Modified.UTC().Truncate(time.Second), LeftOut: map[label.Problem]uint64{}}
}

func (r *Report) key() string {
	return label.Reports + r.LandedAt.Format("2006-01-02") + "/" + r.ID + ".json"
}

// leave counts a line that is no label of the i-th model, or of none (-1).
func (r *Report) leave(i int, line uint64, p label.Problem) {
	r.LeftOut[p]++
	if i >= 0 {
		m := &r.Models[i]
		if m.LeftOut == nil {
			m.LeftOut = map[label.Problem]uint64{}
		}
		m.LeftOut[p]++
	}
	if len(r.First) < maxFirst {
		f := FirstLine{Line: line, Problem: p, Text: p.Text()}
		if p == label.WrongType && i >= 0 {
			f.Text = "has a label that " + label.Wanted(r.Models[i].Task)
		}
		r.First = append(r.First, f)
	}
}

func sum(left map[label.Problem]uint64) (n uint64) {
	for _, k := range left {
		n += k
	}
	return n
}

func (r *Report) leftOut() uint64 { return sum(r.LeftOut) }

func (m *ModelReport) leftOut() uint64 { return sum(m.LeftOut) }

// refuse makes the report one of a source of which nothing was filed.
func (r *Report) refuse(err error) {
	public := fault.Public(err)
	*r = Report{V: r.V, ID: r.ID, Source: r.Source, Size: r.Size, LandedAt: r.LandedAt, Format: r.Format,
		Refused: &Refusal{Kind: public.Kind, Message: public.Message}}
}

func (r *Report) encode() ([]byte, error) {
	body, err := json.Marshal(r)
	return append(body, '\n'), fault.Wrap(err, fault.Internal, "the ingest report cannot be encoded")
}

// ParseReport reads a stored report. Internal: it is damaged, or of a format that
// is newer than this program.
func ParseReport(body []byte) (*Report, error) {
	var r Report
	if err := json.Unmarshal(body, &r); err != nil {
		return nil, fault.Wrap(err, fault.Internal, "a stored ingest report is damaged")
	}
	if r.V < 1 || r.V > ReportVersion {
		return nil, fault.New(fault.Internal, "an ingest report has format %d; this program reads up to %d", r.V, ReportVersion)
	}
	return &r, nil
}

// jitter is the wait before the next try: full jitter over a doubling range.
func jitter(try int) time.Duration {
	return rand.N(min(maxWait, 50*time.Millisecond<<try))
}

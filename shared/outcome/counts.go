package outcome

import (
	"cmp"
	"slices"
)

// Counts is what a join found. Counts of hours and files add up.
type Counts struct {
	// Of predictions. Rows are those of served records unless it says otherwise.
	Predictions uint64 `json:"predictions"`        // rows handed out
	Labelled    uint64 `json:"labelled"`           // of these with a label
	Unlabelled  uint64 `json:"unlabelled"`         // and without
	Paired      uint64 `json:"paired,omitempty"`   // rows of paired records handed out
	Pairs       uint64 `json:"pairs,omitempty"`    // rows that two versions predicted
	Unpaired    uint64 `json:"unpaired,omitempty"` // rows of paired records whose served row is not there
	// Strata are served rows by sampling share, ascending: what the rows stand for is Σ Rows/Sampled.
	Strata []Stratum `json:"strata,omitempty"`

	Requests  uint64 `json:"requests"`             // records whose request succeeded, of any role
	Failed    uint64 `json:"failed,omitempty"`     // records of failed requests
	Late      uint64 `json:"late,omitempty"`       // records that arrived in a later hour than that of their id
	Repeated  uint64 `json:"duplicates,omitempty"` // predictions that were there before, and are left out
	Differing uint64 `json:"differing_duplicates,omitempty"`
	// Rows that are not handed out, and lines that are no rows.
	BadScores uint64 `json:"bad_scores,omitempty"`          // NaN, infinite, missing, or no probability
	Unscored  uint64 `json:"unscored,omitempty"`            // whose record does not hold the outputs
	BadClass  uint64 `json:"unknown_predictions,omitempty"` // handed out, but the predicted class is none of the classes
	// SegmentAbsent are rows by segment column whose record does not hold it.
	SegmentAbsent map[string]uint64 `json:"segment_absent,omitempty"`
	Unkeyed       uint64            `json:"unkeyed,omitempty"` // rows without a value of the key column: they depend as their request does
	Malformed     uint64            `json:"malformed,omitempty"`
	OutOfHour     uint64            `json:"out_of_hour,omitempty"` // records in the hour's own folder whose id is of an hour that does not look there
	Unreadable    uint64            `json:"unreadable,omitempty"`  // objects that are damaged, of which the lines before the damage count

	// Of labels.
	Labels            uint64 `json:"labels"`                        // lines
	LabelDuplicates   uint64 `json:"label_duplicates,omitempty"`    // further labels of a row that has one
	LabelConflicts    uint64 `json:"label_conflicts,omitempty"`     // rows with labels that differ; the last one counts
	LabelsUnmatched   uint64 `json:"labels_unmatched,omitempty"`    // without a prediction
	LabelsUnusable    uint64 `json:"labels_unusable,omitempty"`     // no class, or no number
	LabelsWithoutRows uint64 `json:"labels_without_rows,omitempty"` // of rows that are not handed out

	// First is where to look for the first problem of a kind.
	First Problems `json:"first,omitzero"`
}

// Stratum is the rows of one sampling share.
type Stratum struct {
	Sampled float64 `json:"sampled"`
	Rows    uint64  `json:"rows"`
}

// Problems are places, each with what is wrong there.
type Problems struct {
	Malformed  string `json:"malformed,omitempty"`
	Score      string `json:"score,omitempty"` // of files
	Label      string `json:"label,omitempty"`
	Unreadable string `json:"unreadable,omitempty"`
}

// Merge adds the counts of another part.
func (c *Counts) Merge(o *Counts) {
	for _, f := range []struct {
		into *uint64
		n    uint64
	}{
		{&c.Predictions, o.Predictions}, {&c.Labelled, o.Labelled}, {&c.Unlabelled, o.Unlabelled}, {&c.Paired, o.Paired}, {&c.Pairs, o.Pairs},
		{&c.Unpaired, o.Unpaired}, {&c.Requests, o.Requests}, {&c.Failed, o.Failed}, {&c.Late, o.Late}, {&c.Repeated, o.Repeated},
		{&c.Differing, o.Differing}, {&c.BadScores, o.BadScores}, {&c.Unscored, o.Unscored}, {&c.BadClass, o.BadClass},
		{&c.Unkeyed, o.Unkeyed}, {&c.Malformed, o.Malformed}, {&c.OutOfHour, o.OutOfHour}, {&c.Unreadable, o.Unreadable}, {&c.Labels, o.Labels},
		{&c.LabelDuplicates, o.LabelDuplicates}, {&c.LabelConflicts, o.LabelConflicts}, {&c.LabelsUnmatched, o.LabelsUnmatched},
		{&c.LabelsUnusable, o.LabelsUnusable}, {&c.LabelsWithoutRows, o.LabelsWithoutRows},
	} {
		*f.into += f.n
	}
	for _, s := range o.Strata {
		c.stratum(s.Sampled, s.Rows)
	}
	for name, n := range o.SegmentAbsent {
		c.absent(name, n)
	}
	least(&c.First.Malformed, o.First.Malformed)
	least(&c.First.Score, o.First.Score)
	least(&c.First.Label, o.First.Label)
	least(&c.First.Unreadable, o.First.Unreadable)
}

// stratum adds rows of a sampling share.
func (c *Counts) stratum(sampled float64, rows uint64) {
	i, found := slices.BinarySearchFunc(c.Strata, sampled, func(s Stratum, p float64) int { return cmp.Compare(s.Sampled, p) })
	if !found {
		c.Strata = slices.Insert(c.Strata, i, Stratum{Sampled: sampled})
	}
	c.Strata[i].Rows += rows
}

// absent adds rows whose record does not hold a segment column.
func (c *Counts) absent(segment string, rows uint64) {
	if c.SegmentAbsent == nil {
		c.SegmentAbsent = map[string]uint64{}
	}
	c.SegmentAbsent[segment] += rows
}

// least keeps one text, whatever the order: the shorter one, as lines of one file differ in a number only, or the one
// that sorts first.
func least(into *string, text string) {
	if text != "" && (*into == "" || len(text) < len(*into) || len(text) == len(*into) && text < *into) {
		*into = text
	}
}

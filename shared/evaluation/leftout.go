package evaluation

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/tidegate/tidegate/shared/capture"
	"github.com/tidegate/tidegate/shared/registry"
)

// Reasons to leave something out.
const (
	LeftMalformed      = "malformed"
	LeftUnreadable     = "unreadable"
	LeftOutOfHour      = "out_of_hour"
	LeftDuplicate      = "duplicate"
	LeftBadScore       = "bad_score"
	LeftUnscored       = "without_outputs"
	LeftBadClass       = "unknown_prediction"
	LeftUnpaired       = "unpaired"
	LeftPinned         = "pinned"
	LeftZeroWeight     = "zero_weight"
	LeftBadWeight      = "bad_weight"
	LeftUnmatched      = "label_without_prediction"
	LeftUnusable       = "unusable_label"
	LeftWithoutRow     = "label_of_a_left_out_row"
	LeftLabelDuplicate = "repeated_label"
	LeftYoungPair      = "pair_without_due_label"
	LeftOtherPair      = "pair_of_other_versions"
)

// Units of what is left out.
const (
	UnitRows    = "rows"
	UnitLines   = "lines"
	UnitObjects = "objects"
	UnitRecords = "records"
	UnitLabels  = "labels"
	UnitPairs   = "pairs"
)

// LeftOut is something that the metrics do not hold, and why.
type LeftOut struct {
	Reason string `json:"reason"`
	Count  uint64 `json:"count"`
	Unit   string `json:"unit"`
	Detail string `json:"detail"`          // what they are: "with the weight 0"
	First  string `json:"first,omitempty"` // where to look
}

// leaveOut lists the caller's findings and those of the join and the count, sorted.
func (r *Report) leaveOut(job *Job) {
	j, n := &job.Tally.Join, &job.Tally.notes
	var pinned uint64
	for k, c := range job.Tally.cells {
		if k.slot == registry.Pinned && c.state != nil {
			pinned += c.state.Counts.Predictions
		}
	}
	all := append(slices.Clone(job.LeftOut), []LeftOut{
		{LeftMalformed, j.Malformed, UnitLines, "not of the form of a record or a row", j.First.Malformed},
		{LeftUnreadable, j.Unreadable, UnitObjects, "damaged; what stands before the damage counts", j.First.Unreadable},
		{LeftOutOfHour, j.OutOfHour, UnitRecords, "with an id of an hour that does not look there", ""},
		{LeftDuplicate, j.Repeated, UnitRecords, "there before, and counted once", ""},
		{LeftBadScore, j.BadScores, UnitRows, "with a score that is missing, not finite, or no probability", j.First.Score},
		{LeftUnscored, j.Unscored, UnitRows, "of records without the model's outputs", ""},
		{LeftBadClass, j.BadClass, UnitRows, "predicting none of the classes; scores count", ""},
		{LeftUnpaired, j.Unpaired, UnitRows, "predicted beside an answer that is not there", ""},
		{LeftPinned, pinned, UnitRows, "of clients that asked for a version by number", ""},
		{LeftZeroWeight, n.ZeroWeights, UnitRows, "with the weight 0", ""},
		{LeftBadWeight, n.BadWeights, UnitRows, "with a weight that is negative, not finite, or beyond a billion", ""},
		{LeftUnmatched, j.LabelsUnmatched, UnitLabels, "without a prediction in the window", ""},
		{LeftUnusable, j.LabelsUnusable, UnitLabels, "being no class of the model, or no number", j.First.Label},
		{LeftWithoutRow, j.LabelsWithoutRows, UnitLabels, "of rows that were left out", ""},
		{LeftLabelDuplicate, j.LabelDuplicates, UnitLabels, "for a row that has another; the last one counts", ""},
		{LeftYoungPair, n.YoungPairs, UnitPairs, "with a label that was not yet due: early labels are no random part", ""},
		{LeftOtherPair, n.OtherPairs, UnitPairs, "of versions that are not compared", ""},
	}...)
	for _, l := range all {
		if l.Count > 0 {
			r.LeftOut = append(r.LeftOut, l)
		}
	}
	slices.SortFunc(r.LeftOut, func(a, b LeftOut) int {
		return cmp.Or(cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Detail, b.Detail), cmp.Compare(a.Count, b.Count))
	})
}

// warn says what a reader of the verdict should know.
func (r *Report) warn(job *Job) {
	warn := func(format string, args ...any) { r.Warnings = append(r.Warnings, fmt.Sprintf(format, args...)) }
	j := &job.Tally.Join
	if w := job.Window; !w.Batch && !w.Start.IsZero() && w.End.Sub(w.Start)%(24*time.Hour) != 0 {
		warn("the window does not cover whole days: what changes with the hour of the day can look like a change of the model")
	}
	if r.Incomplete {
		warn("labels of predictions from %s on are not yet due: a later report of the window may follow", job.Tally.Setup().MatureBefore.UTC().Format(time.RFC3339))
	}
	if j.LabelConflicts > 0 {
		warn("%s labels that differ; the last one counts", count(j.LabelConflicts, "rows")+" have")
	}
	if j.Differing > 0 {
		warn("%s were delivered again with other values", count(j.Differing, "predictions"))
	}
	for _, name := range slices.Sorted(maps.Keys(j.SegmentAbsent)) {
		warn("segment column %q is not in %s: they are in the segment without a value", name, count(j.SegmentAbsent[name], "rows"))
	}
	switch p := &r.Policy; {
	case p.Key != "" && !job.Tally.Setup().Keyed:
		warn("rows are taken as independent, not as dependent by the policy's key column %q", p.Key)
	case j.Unkeyed > 0:
		warn("%s no value of the key column %q, or their captures do not hold it: they are taken as dependent by the routing key", count(j.Unkeyed, "rows")+" have", p.Key)
	}
	for i := range r.Versions {
		v := &r.Versions[i]
		if start := job.Window.Start; v.Reference != nil && !start.IsZero() && start.Before(v.Reference.TrainingEnd) {
			warn("the window begins before the end of the training of %s, at %s: rows that it was trained on say nothing of it", v.title(), v.Reference.TrainingEnd.UTC().Format(time.RFC3339))
		}
		for _, text := range v.Quality.Warnings {
			warn("%s: %s", v.title(), text)
		}
	}
	r.warnServed(job, warn)
}

// warnServed warns of what the requests show.
func (r *Report) warnServed(job *Job, warn func(string, ...any)) {
	var requests, errors uint64
	champions := map[int]bool{}
	for k, c := range job.Tally.cells {
		if k.role != capture.Served || k.slot == registry.Pinned {
			continue
		}
		requests, errors = requests+c.requests, errors+c.errors
		if k.slot == registry.Champion && c.state != nil {
			champions[k.version] = true
		}
	}
	if len(champions) > 1 {
		warn("%d versions were champion in the window; the verdict is of version %d", len(champions), r.Champion)
	}
	if rate := float64(errors) / math.Max(1, float64(requests)); rate > 0.05 {
		warn("%.0f %% of the requests failed; their rows are not known", 100*rate)
	}
}

// title names a version for a sentence.
func (v *VersionReport) title() string {
	name := v.Name
	if name == "" {
		name = fmt.Sprintf("version %d", v.Version)
	}
	if v.Role == capture.Paired {
		name += " (not served)"
	}
	return name
}

package evaluation

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/tidegate/tidegate/shared/evaluation/comparison"
	"github.com/tidegate/tidegate/shared/evaluation/quality"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/gate"
	"github.com/tidegate/tidegate/shared/period"
)

// Judge measures, judges and writes the report. Errors: InvalidArgument, the policy;
// FailedPrecondition, a reference is of another layout than the counts, or the
// comparison proves nothing.
//
// It is pure: the same job gives the same bytes.
func Judge(job Job) (*Report, error) {
	s := job.Tally.Setup()
	if err := s.Policy.CheckTask(s.Task); err != nil {
		return nil, err
	}
	if job.Comparison == (comparison.Policy{}) {
		job.Comparison = comparison.DefaultPolicy()
	}
	r := &Report{V: ReportVersion, Revision: 1, Model: job.Model, Window: job.Window, Task: s.Task, Classes: job.Tally.plan.classes,
		Verdict: quality.NotEnoughData, Versions: []VersionReport{}, Join: job.Tally.Join, Policy: s.Policy, Chunks: job.Chunks}
	r.Champion = job.champion()
	r.Incomplete = !s.MatureBefore.IsZero() && !job.Window.End.IsZero() && s.MatureBefore.Before(job.Window.End)
	r.delay(&job)
	for _, who := range job.subjects(r.Champion) {
		v, err := job.version(who, r.Incomplete)
		if err != nil {
			return nil, err
		}
		r.Versions = append(r.Versions, *v)
	}
	if err := r.compare(&job); err != nil {
		return nil, err
	}
	r.leaveOut(&job)
	r.warn(&job)
	if v := r.Version(r.Champion); v != nil {
		r.Verdict = v.Verdict
	}
	r.Summary = r.sentence()
	var err error
	if r.ID, err = r.digest(&job); err != nil {
		return nil, err
	}
	if job.Supersedes != nil {
		r.supersede(job.Supersedes)
	}
	r.stand(&job)
	return r, nil
}

// delay says which label delay is in force and what the window's own labels took.
func (r *Report) delay(job *Job) {
	p := &r.Policy
	r.Delay = LabelDelay{Seconds: int64(p.LabelDelay(job.Measured) / time.Second), Source: "default"}
	switch {
	case job.Tally.Setup().MatureBefore.IsZero():
		r.Delay = LabelDelay{Source: "none"}
	case p.LabelDelayMinutes != nil:
		r.Delay.Source = "policy"
	case job.Measured > 0:
		r.Delay.Source = "measured"
	}
	measured, n := job.Tally.LabelDelay()
	r.Delay.Measured, r.Delay.Labels = int64((measured+time.Second-1)/time.Second), n
}

// MeasuredDelay is the label delay that earlier windows show: the longest of those
// whose labels are complete; 0 where there is none.
func MeasuredDelay(history []Past) time.Duration {
	var most int64
	for _, p := range history {
		most = max(most, p.Delay)
	}
	return time.Duration(most) * time.Second
}

// compare adds the comparison, or why there is none.
func (r *Report) compare(job *Job) error {
	pairing := job.Tally.Setup().Pairing
	if pairing == nil {
		r.Uncompared = job.Uncompared
		return nil
	}
	if job.Tally.pairs.Pairs() == 0 {
		r.Uncompared = "no row with a label was predicted by both versions"
		return nil
	}
	c, err := comparison.NewReport(job.Tally.pairs, job.Comparison, job.Decision)
	if fault.Is(err, fault.FailedPrecondition) && !pairing.Spec.Pinned { // a result: these rows prove nothing
		r.Uncompared = fault.Public(err).Message
		return nil
	}
	if err != nil {
		return err
	}
	better, err := comparison.Better(job.Tally.pairs, job.Comparison)
	if err != nil {
		return err
	}
	r.Comparison, r.Better = c, &better
	return nil
}

func (r *Report) sentence() string {
	v := r.Version(r.Champion)
	switch {
	case v == nil || v.Quality.Counts.Predictions == 0:
		return "Not enough data: there are no predictions."
	case v.Reference == nil && r.Better != nil: // of tables that are compared
		return r.better()
	case v.EstimatedLow != "" && v.Verdict == quality.NotEnoughData:
		return v.Summary + " " + v.EstimatedLow
	}
	return v.Summary
}

// better says whether the challenger is better, as a sentence.
func (r *Report) better() string {
	d := &r.Comparison.Metrics[0]
	by := fmt.Sprintf("%s differs by %.4g [%.4g, %.4g] over %s", d.Metric, d.Delta, d.Lo, d.Hi, count(d.Pairs, "pairs"))
	switch {
	case r.Comparison.Identical == r.Comparison.Pairs.Pairs:
		return "The same answers: no row tells the two apart."
	case d.Unknown != "":
		return fmt.Sprintf("Not enough data: %s, %s.", d.Metric, d.Unknown)
	case r.Better.Answer == gate.Yes:
		return "The challenger is better: " + by + "."
	case r.Better.Answer == gate.No && d.Hi < 0:
		return "The challenger is worse: " + by + "."
	case r.Better.Answer == gate.No:
		return "The challenger is not better: " + by + "."
	}
	return "Not enough data to say which is better: " + by + "."
}

// digest is of what was counted and how it was judged; not of the history.
func (r *Report) digest(job *Job) (string, error) {
	counts, err := job.Tally.Encode()
	if err != nil {
		return "", err
	}
	references := map[int]string{}
	for n, ref := range job.References {
		references[n] = ref.SHA256 + ref.Why
	}
	raw, err := json.Marshal(struct {
		V          int
		Model      string
		Window     period.Window
		Champion   int
		Policy     quality.Policy
		Comparison comparison.Policy
		Decision   *comparison.Decision
		Uncompared string
		References map[int]string
		Names      map[int]string
		Measured   time.Duration
		Counts     [sha256.Size]byte
		LeftOut    []LeftOut
		Chunks     []Past
	}{ReportVersion, job.Model, job.Window, r.Champion, r.Policy, job.Comparison, job.Decision, r.Uncompared, references, job.Names,
		job.Measured, sha256.Sum256(counts), r.LeftOut, job.Chunks})
	if err != nil {
		return "", fault.Wrap(err, fault.Internal, "what was evaluated cannot be encoded")
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:16]), nil
}

// count writes "1 row", "12 rows".
func count(n uint64, unit string) string {
	if n == 1 {
		unit = unit[:len(unit)-1]
	}
	return fmt.Sprintf("%d %s", n, unit)
}

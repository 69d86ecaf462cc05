package evaluation

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/tidegate/tidegate/shared/evaluation/comparison"
	"github.com/tidegate/tidegate/shared/evaluation/quality"
	"github.com/tidegate/tidegate/shared/evaluation/score"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/schema"
)

// Setup is what is fixed before the first row is counted: tallies of equal setups
// add up. It is not changed once a tally was made of it.
type Setup struct {
	Task quality.Task
	// Classes are those of the join ([outcome.Spec]), in its order; of a binary task none stands for "0" and "1".
	Classes []string
	// Versions are those with a layout. Any other version of the rows is counted on a layout that needs no
	// reference: score bins of equal width.
	Versions []Version
	Policy   quality.Policy
	// MatureBefore is the time of prediction from which on labels are not yet expected.
	// All is mature when it is zero, and so is a row without a time.
	MatureBefore time.Time
	// Keyed says that the rows' clusters are of Policy.Key, and not of the routing key.
	Keyed bool
	// Chosen are the values that segment columns are cut into, by column. A column that is not there is cut into
	// its own values as long as there are at most Policy.MaxSegments twice; see [Tally.Choose].
	Chosen map[string][]string
	// Pairing says which pairs are compared; nil for none.
	Pairing *Pairing
}

// Version is a version whose rows are counted on the layout of its reference.
type Version struct {
	Version int
	Layout  *quality.Layout
}

// Pairing is the comparison of two versions.
type Pairing struct {
	Champion, Challenger int // versions
	Spec                 comparison.Spec
	// Column holds the values of Spec.Segments; "" without segments.
	Column string
}

// TaskOf is a model's task as evaluations call it; "" of one that they do not know.
func TaskOf(t schema.Task) quality.Task {
	switch t {
	case schema.Binary:
		return quality.Binary
	case schema.Multiclass:
		return quality.Multiclass
	case schema.Regression:
		return quality.Regression
	}
	return ""
}

// SegmentColumns are the columns whose values a join must hand out, in the order of
// [outcome.Batch].Segments: those of the policy, and that of the pairing.
func (s *Setup) SegmentColumns() []string {
	columns := slices.Clone(s.Policy.Segments)
	if s.Pairing != nil && s.Pairing.Column != "" && !slices.Contains(columns, s.Pairing.Column) {
		columns = append(columns, s.Pairing.Column)
	}
	return columns
}

// plan is a setup as counting needs it.
type plan struct {
	*Setup
	digest  string // of all that counts depend on
	classes []string
	layouts map[int]*quality.Layout
	uniform *quality.Layout // of versions without one
	pairs   int             // place of the pairing's column among the segments, −1 without
	reading reading
}

func newPlan(s *Setup) (*plan, error) {
	if err := s.Policy.Check(); err != nil {
		return nil, err
	}
	p := &plan{Setup: s, layouts: map[int]*quality.Layout{}, pairs: -1, classes: s.Classes}
	var err error
	if p.uniform, err = UniformLayout(s.Task, s.Classes); err != nil {
		return nil, err
	}
	p.classes = p.uniform.Classes
	p.reading = newReading(p.uniform, s.Policy.Cluster, s.MatureBefore)
	for _, v := range s.Versions {
		switch {
		case v.Layout == nil:
			return nil, fault.New(fault.InvalidArgument, "version %d is listed without a layout; leave it out, and it has one that needs no reference", v.Version)
		case v.Layout.Task != s.Task:
			return nil, fault.New(fault.FailedPrecondition, "the reference of version %d is of a %s task, and the model's is %s", v.Version, v.Layout.Task, s.Task)
		case !slices.Equal(v.Layout.Classes, p.classes):
			return nil, fault.New(fault.FailedPrecondition, "the reference of version %d has other classes than its rows: %d and %d, or in another order", v.Version, len(v.Layout.Classes), len(p.classes))
		case p.layouts[v.Version] != nil:
			return nil, fault.New(fault.InvalidArgument, "version %d is listed twice", v.Version)
		}
		p.layouts[v.Version] = v.Layout
	}
	if s.Pairing != nil {
		if s.Pairing.Champion == s.Pairing.Challenger {
			return nil, fault.New(fault.FailedPrecondition, "the challenger is the champion: compare two versions")
		}
		if s.Pairing.Column != "" {
			p.pairs = slices.Index(s.SegmentColumns(), s.Pairing.Column)
		}
	}
	p.digest, err = p.sum()
	return p, err
}

// UniformLayout is the layout of a version without a reference: scores in bins of
// equal width, whose areas are known to within the bounds that are printed.
func UniformLayout(task quality.Task, classes []string) (*quality.Layout, error) {
	switch task {
	case quality.Binary:
		return quality.NewBinary(score.Uniform(score.MaxBins), classes...)
	case quality.Multiclass:
		bins := make([]*score.Bins, len(classes))
		for i := range bins {
			bins[i] = score.Uniform(quality.BinsPerClass(len(classes)))
		}
		return quality.NewMulticlass(classes, bins)
	case quality.Regression:
		return quality.NewRegression(), nil
	}
	return nil, fault.New(fault.InvalidArgument, "task must be one of: binary, multiclass, regression")
}

// sum is the digest of what counts depend on: not of how they are judged.
func (p *plan) sum() (string, error) {
	var pairing *comparison.Spec
	if p.Pairing != nil {
		spec := p.Pairing.Spec
		spec.Champion.TrainedUntil, spec.Challenger.TrainedUntil = spec.Champion.TrainedUntil.UTC(), spec.Challenger.TrainedUntil.UTC()
		pairing = &spec
	}
	versions := slices.Clone(p.Versions)
	slices.SortFunc(versions, func(a, b Version) int { return a.Version - b.Version })
	raw, err := json.Marshal(struct {
		V           int
		Task        quality.Task
		Classes     []string
		Versions    []Version
		Cluster     quality.Cluster
		Key         string
		Keyed       bool
		Segments    []string
		MaxSegments int
		Mature      time.Time
		Chosen      map[string][]string
		Pairing     *comparison.Spec
		Sides       string
	}{TallyVersion, p.Task, p.classes, versions, p.Policy.Cluster, p.Policy.Key, p.Keyed, p.Policy.Segments, p.Policy.MaxSegments, p.MatureBefore.UTC(), p.Chosen, pairing, p.sides()})
	if err != nil {
		return "", fault.Wrap(err, fault.Internal, "the setup of an evaluation cannot be encoded")
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:16]), nil
}

func (p *plan) sides() string {
	if p.Pairing == nil {
		return ""
	}
	return fmt.Sprintf("%d %d %s", p.Pairing.Champion, p.Pairing.Challenger, p.Pairing.Column)
}

func (p *plan) layout(version int) *quality.Layout {
	if l := p.layouts[version]; l != nil {
		return l
	}
	return p.uniform
}

package quality

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/validate"
)

const (
	dayMinutes = 24 * 60
	// HistoryLength is the number of windows that a standing looks back on at most.
	HistoryLength = 30
)

// Cluster is what makes the blocks of time of a window's standard errors.
type Cluster string

// The clusters.
const (
	ClusterHour Cluster = "hour"
	ClusterDay  Cluster = "day"
)

// Block is the number of the block of time that t is in.
func (c Cluster) Block(t time.Time) int64 {
	if c == ClusterDay {
		return floor(t.Unix(), 24*60*60)
	}
	return floor(t.Unix(), 60*60)
}

func floor(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// what a policy is, in messages.
const what = "quality policy"

// Policy is the field "quality" of a model's evaluation settings
// (docs/evaluation-quality.md): what is judged, how strictly, and over which windows.
type Policy struct {
	// Metrics gate; none stands for the primary metric of the task.
	Metrics []string `json:"metrics,omitempty" validate:"max=8"`
	// Tolerances by metric: how much worse than the reference is still fine. Shares of the reference's value
	// of metrics of which less is better, differences of the others. See Tolerance for what is not set.
	Tolerances map[string]float64 `json:"tolerances,omitempty"`
	Alpha      float64            `json:"alpha" validate:"gt=0,lte=0.5"` // one-sided, divided by the number of gates
	MinRows    uint64             `json:"min_rows" validate:"gte=10"`
	MinClass   uint64             `json:"min_class" validate:"gte=10"` // rows of each class of a binary task
	Coverage   float64            `json:"coverage" validate:"gt=0,lte=1"`
	// LabelDelayMinutes is the age from which on a prediction's label is expected; nil is measured from past
	// delays, and a day before any are known.
	LabelDelayMinutes *int     `json:"label_delay_minutes,omitempty" validate:"omitempty,gte=0,lte=525600"`
	WindowMinutes     int      `json:"window_minutes" validate:"gte=60,lte=44640"` // at most 31 days
	Debounce          Debounce `json:"debounce"`
	// Cluster makes the blocks of time: hours, or days for windows of ten days and more.
	Cluster Cluster `json:"cluster" validate:"oneof=hour day"`
	// Key is the input column whose rows depend on each other; none, or a row without a value, stands for the
	// routing key, else the id.
	Key string `json:"key,omitempty" validate:"max=128"`
	// Segments are input columns; each of their values is measured apart, the largest MaxSegments of each
	// and the others together.
	Segments    []string `json:"segments,omitempty" validate:"max=8,unique,dive,required,max=128"`
	MaxSegments int      `json:"max_segments" validate:"gte=1,lte=100"`
}

// DefaultPolicy holds where nothing is set (docs/statistics.md).
func DefaultPolicy() Policy {
	return Policy{Alpha: 0.05, MinRows: 200, MinClass: 50, Coverage: 0.95, WindowMinutes: dayMinutes,
		Debounce: DefaultDebounce(), Cluster: ClusterHour, MaxSegments: 20}
}

// DefaultLabelDelay holds where neither the policy nor past labels say more.
const DefaultLabelDelay = 24 * time.Hour

// LabelDelay is the age from which on labels are expected; measured is the 99th
// percentile of past delays, 0 where none is known.
func (p *Policy) LabelDelay(measured time.Duration) time.Duration {
	switch {
	case p.LabelDelayMinutes != nil:
		return time.Duration(*p.LabelDelayMinutes) * time.Minute
	case measured > 0:
		return measured
	}
	return DefaultLabelDelay
}

// Window is the length of a window.
func (p *Policy) Window() time.Duration { return time.Duration(p.WindowMinutes) * time.Minute }

// Gates are the metrics that gate a task.
func (p *Policy) Gates(task Task) []string {
	if len(p.Metrics) == 0 {
		return []string{Primary(task)}
	}
	return p.Metrics
}

// Tolerance is that of a metric: 0.02, or a tenth of the reference where less is better.
func (p *Policy) Tolerance(metric string) float64 {
	if t, ok := p.Tolerances[metric]; ok {
		return t
	}
	if LowerIsBetter(metric) {
		return 0.1
	}
	return 0.02
}

// ParsePolicy reads a policy as a person wrote it; empty or null is the default
// one. The error is InvalidArgument and names every fault at once.
func ParsePolicy(raw []byte) (Policy, error) {
	p := DefaultPolicy()
	if raw = bytes.TrimSpace(raw); len(raw) == 0 || bytes.Equal(raw, []byte("null")) {
		return p, nil
	}
	var debounce json.RawMessage
	bad := validate.Object(what, raw, "", validate.Fields{
		"metrics": &p.Metrics, "tolerances": &p.Tolerances, "alpha": &p.Alpha, "min_rows": &p.MinRows, "min_class": &p.MinClass,
		"coverage": &p.Coverage, "label_delay_minutes": &p.LabelDelayMinutes, "window_minutes": &p.WindowMinutes,
		"debounce": &debounce, "cluster": &p.Cluster, "key": &p.Key, "segments": &p.Segments, "max_segments": &p.MaxSegments,
	})
	if debounce != nil {
		bad = append(bad, validate.Object(what, debounce, "debounce", validate.Fields{"need": &p.Debounce.Need, "of": &p.Debounce.Of})...)
	}
	if len(bad) > 0 {
		return Policy{}, fault.Invalid(append(bad, validate.Violations(p.Check())...)...)
	}
	if err := p.Check(); err != nil {
		return Policy{}, err
	}
	return p, nil
}

// Check reports every value that cannot be. The error is InvalidArgument.
func (p *Policy) Check() error {
	bad := validate.Violations(validate.Struct(p))
	add := func(path, format string, args ...any) {
		bad = append(bad, fault.Violation{Path: path, Problem: fmt.Sprintf(format, args...)})
	}
	for i, name := range p.Metrics {
		if !gateable(name) {
			add(fmt.Sprintf("metrics[%d]", i), "is no metric that can gate")
		} else if slices.Index(p.Metrics, name) < i {
			add(fmt.Sprintf("metrics[%d]", i), "is there twice")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.Tolerances)) {
		if !gateable(name) {
			add("tolerances["+validate.Cut(name)+"]", "is no metric that can gate")
		} else if t := p.Tolerances[name]; !(t >= 0 && t <= 1) {
			add("tolerances["+name+"]", "must be at least 0 and at most 1")
		}
	}
	if m := p.WindowMinutes; m >= 60 && (m < dayMinutes && (dayMinutes%m != 0 || m%60 != 0) || m > dayMinutes && m%dayMinutes != 0) {
		add("window_minutes", "must be a number of hours that divides a day, or a number of days (1440 each)")
	}
	if d := p.Debounce; d.Of > HistoryLength || d.Need >= 1 && d.Of >= 1 && !d.Valid() {
		add("debounce", "must need more than half of its windows, and look back on %d at most", HistoryLength)
	}
	if len(bad) > 0 {
		return fault.Invalid(bad...)
	}
	return nil
}

// gateable says whether some task has the metric and a verdict may rest on it: the
// calibration error never gates.
func gateable(name string) bool {
	if name == CalibrationError {
		return false
	}
	for _, t := range []Task{Binary, Multiclass, Regression} {
		if slices.Contains(MetricNames(t), name) {
			return true
		}
	}
	return false
}

// CheckTask reports gates that the task does not have, InvalidArgument.
func (p *Policy) CheckTask(task Task) error {
	var bad []fault.Violation
	for i, name := range p.Metrics {
		if !slices.Contains(MetricNames(task), name) {
			bad = append(bad, fault.Violation{Path: fmt.Sprintf("metrics[%d]", i), Problem: "is no metric of a " + string(task) + " task"})
		}
	}
	if len(bad) > 0 {
		return fault.Invalid(bad...)
	}
	return nil
}

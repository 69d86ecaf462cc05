package drift

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/profile"
	"github.com/tidegate/tidegate/shared/validate"
)

const (
	dayMinutes = 24 * 60
	// HistoryLength is the number of windows that a standing looks back on and a report shows.
	HistoryLength = 30
)

// what a policy is, in messages.
const what = "drift policy"

// Policy is the field "drift" of a model's settings (docs/formats/drift.md): what
// is compared, how strictly, and over which windows.
type Policy struct {
	Alpha           float64                 `json:"alpha" validate:"gt=0,lt=1"`
	Tolerances      Tolerances              `json:"tolerances"`
	Columns         map[string]ColumnPolicy `json:"columns,omitempty" validate:"dive"`
	WindowMinutes   int                     `json:"window_minutes" validate:"gte=5,lte=44640"`   // at most 31 days
	LatenessMinutes int                     `json:"lateness_minutes" validate:"gte=0,lte=10080"` // after the end of a window, until it is judged
	Debounce        Debounce                `json:"debounce"`
	DesignEffect    float64                 `json:"design_effect" validate:"gte=1"`
	// Cluster names the rows that may depend on one another: those of an hour or a day of the record's ts, or those
	// with one value of a column. The design effect is measured between them.
	Cluster Cluster `json:"cluster,omitempty" validate:"max=200"`
	// Segments are columns; the rows with each of their frequent values are compared apart, at most MaxSegments of them.
	Segments    []string `json:"segments,omitempty" validate:"max=3,unique,dive,required,max=200"`
	MaxSegments int      `json:"max_segments,omitempty" validate:"gte=0,lte=50"`
}

// By is what a baseline has to be split by for the policy.
func (p *Policy) By() profile.By {
	by := profile.By{Segments: p.Segments, Values: p.MaxSegments}
	if p.Cluster.Column() {
		by.Cluster = string(p.Cluster)
	}
	return by
}

// ColumnPolicy is what a policy says of one column. Tolerances are complete: what
// was not set is that of the policy.
type ColumnPolicy struct {
	Gate       *bool      `json:"gate,omitempty"` // nil: by default, see [Policy.Rules]
	Tolerances Tolerances `json:"tolerances"`
}

// DefaultPolicy holds where nothing is set: days by UTC, an hour of lateness, two
// windows of three.
func DefaultPolicy() Policy {
	return Policy{Alpha: 0.05, Tolerances: DefaultTolerances(), WindowMinutes: dayMinutes, LatenessMinutes: 60,
		Debounce: DefaultDebounce(), DesignEffect: 1}
}

// Window is the length of a window.
func (p *Policy) Window() time.Duration { return time.Duration(p.WindowMinutes) * time.Minute }

// Lateness is the time that captures have to arrive after the end of a window.
func (p *Policy) Lateness() time.Duration { return time.Duration(p.LatenessMinutes) * time.Minute }

// ParsePolicy reads a policy as a person wrote it; empty or null is the default
// one. The error is InvalidArgument and names every fault at once.
func ParsePolicy(raw []byte) (Policy, error) {
	p := DefaultPolicy()
	if raw = bytes.TrimSpace(raw); len(raw) == 0 || bytes.Equal(raw, []byte("null")) {
		return p, nil
	}
	columns := map[string]json.RawMessage{}
	var tolerances, debounce json.RawMessage
	bad := validate.Object(what, raw, "", validate.Fields{
		"alpha": &p.Alpha, "tolerances": &tolerances, "columns": &columns, "window_minutes": &p.WindowMinutes,
		"lateness_minutes": &p.LatenessMinutes, "debounce": &debounce, "design_effect": &p.DesignEffect,
		"cluster": &p.Cluster, "segments": &p.Segments, "max_segments": &p.MaxSegments,
	})
	bad = append(bad, p.Tolerances.read(tolerances, "tolerances")...)
	bad = append(bad, readDebounce(&p.Debounce, debounce)...)
	for _, name := range slices.Sorted(maps.Keys(columns)) {
		c, faults := p.column(columns[name], "columns["+validate.Cut(name)+"]")
		bad = append(bad, faults...)
		if p.Columns == nil {
			p.Columns = map[string]ColumnPolicy{}
		}
		p.Columns[name] = c
	}
	if len(bad) > 0 {
		return Policy{}, fault.Invalid(append(bad, validate.Violations(p.Check())...)...)
	}
	return p, p.Check()
}

// Check reports every value that cannot be. The error is InvalidArgument.
func (p *Policy) Check() error {
	bad := validate.Violations(validate.Struct(p))
	if m := p.WindowMinutes; m >= 5 && (m < dayMinutes && (dayMinutes%m != 0 || m%5 != 0) || m > dayMinutes && m%dayMinutes != 0) {
		bad = append(bad, fault.Violation{Path: "window_minutes", Problem: "must be a multiple of 5 that divides a day, or a number of days (1440 each)"})
	}
	if d := p.Debounce; d.Of > HistoryLength || d.Need >= 1 && d.Of >= 1 && !d.Valid() {
		bad = append(bad, fault.Violation{Path: "debounce", Problem: fmt.Sprintf("must need more than half of its windows, and look back on %d at most", HistoryLength)})
	}
	if p.Cluster == ClusterDay && p.WindowMinutes < leastBlocks*dayMinutes {
		bad = append(bad, fault.Violation{Path: "cluster", Problem: fmt.Sprintf("by day needs windows of at least %d days", leastBlocks)})
	}
	if p.Cluster == ClusterHour && p.WindowMinutes < leastBlocks*60 {
		bad = append(bad, fault.Violation{Path: "cluster", Problem: fmt.Sprintf("by hour needs windows of at least %d hours", leastBlocks)})
	}
	if p.MaxSegments != 0 && len(p.Segments) == 0 {
		bad = append(bad, fault.Violation{Path: "max_segments", Problem: "has no effect without segments, the columns whose values are compared apart"})
	}
	if p.Cluster != "" && p.DesignEffect != 1 {
		bad = append(bad, fault.Violation{Path: "design_effect", Problem: "must not be set together with cluster, which measures it"})
	}
	if len(bad) > 0 {
		return fault.Invalid(bad...)
	}
	return nil
}

func (p *Policy) column(raw json.RawMessage, path string) (ColumnPolicy, []fault.Violation) {
	c := ColumnPolicy{Tolerances: p.Tolerances}
	var tolerances json.RawMessage
	bad := validate.Object(what, raw, path, validate.Fields{"gate": &c.Gate, "tolerances": &tolerances})
	return c, append(bad, c.Tolerances.read(tolerances, path+".tolerances")...)
}

// read sets what raw sets and keeps the rest.
func (t *Tolerances) read(raw json.RawMessage, path string) []fault.Violation {
	if raw == nil {
		return nil
	}
	return validate.Object(what, raw, path, validate.Fields{"numeric": &t.Numeric, "score": &t.Score, "categorical": &t.Categorical,
		"unseen": &t.Unseen, "missing": &t.Missing, "wrong_type": &t.WrongType})
}

func readDebounce(d *Debounce, raw json.RawMessage) []fault.Violation {
	if raw == nil {
		return nil
	}
	return validate.Object(what, raw, "debounce", validate.Fields{"need": &d.Need, "of": &d.Of})
}

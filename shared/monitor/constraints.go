package monitor

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/tidegate/tidegate/shared/drift"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/profile"
)

// leastTolerance stands in for the tolerance 0 that constraints ask for ("100 % of
// the values are integers"): no number of rows proves that nothing has changed at all.
const leastTolerance = 0.01

// offTolerance is a distance that is not reached: the comparison is disabled.
const offTolerance = 1 - 1e-9

// Constraints is constraints.json.
type Constraints struct {
	Version  float64      `json:"version"`
	Features []Constraint `json:"features"`
	Config   Config       `json:"monitoring_config"`
}

// Constraint is what one feature has to satisfy.
type Constraint struct {
	Name         string   `json:"name"`
	InferredType string   `json:"inferred_type"`
	Completeness *float64 `json:"completeness"` // share of rows with a value
	Numbers      *struct {
		NonNegative bool `json:"is_non_negative"`
	} `json:"num_constraints"`
	Strings *struct {
		Domains   []string `json:"domains"`
		Overrides *Config  `json:"monitoring_config_overrides"` // where the SDK's set_monitoring writes them
	} `json:"string_constraints"`
	Overrides *Config `json:"monitoringConfigOverrides"` // as documented
	Snake     *Config `json:"monitoring_config_overrides"`
}

// Config is monitoring_config, for all features or for one.
type Config struct {
	Evaluate     string   `json:"evaluate_constraints"` // Enabled or Disabled
	Datatype     *float64 `json:"datatype_check_threshold"`
	Domain       *float64 `json:"domain_content_threshold"`
	Distribution struct {
		Perform              string   `json:"perform_comparison"` // Enabled or Disabled
		Threshold            *float64 `json:"comparison_threshold"`
		CategoricalThreshold *float64 `json:"categorical_comparison_threshold"`
	} `json:"distribution_constraints"`
}

// ParseConstraints reads constraints.json. Errors: InvalidArgument.
func ParseConstraints(raw []byte) (*Constraints, error) {
	var c Constraints
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, fault.Wrap(err, fault.InvalidArgument, "constraints.json of Model Monitor: not the JSON that is expected: %v", shape(err))
	}
	if len(c.Features) > maxFeatures {
		return nil, fault.New(fault.InvalidArgument, "constraints.json of Model Monitor: %d features, at most %d are read", len(c.Features), maxFeatures)
	}
	if problem := c.Config.check(); problem != "" {
		return nil, fault.New(fault.InvalidArgument, "constraints.json of Model Monitor: monitoring_config.%s", problem)
	}
	seen := map[string]bool{}
	for i := range c.Features {
		f := &c.Features[i]
		if f.Name == "" || seen[f.Name] {
			return nil, fault.New(fault.InvalidArgument, "constraints.json of Model Monitor: features[%d] has no name of its own", i)
		}
		seen[f.Name] = true
		if f.Completeness != nil && !share(*f.Completeness) {
			return nil, fault.New(fault.InvalidArgument, "constraints.json of Model Monitor: feature %q: completeness must be 0 to 1", profile.Cut(f.Name))
		}
		for _, o := range f.overrides() {
			if problem := o.check(); problem != "" {
				return nil, fault.New(fault.InvalidArgument, "constraints.json of Model Monitor: feature %q: %s", profile.Cut(f.Name), problem)
			}
		}
	}
	return &c, nil
}

func share(x float64) bool { return x >= 0 && x <= 1 }

func (c *Config) check() string {
	for _, f := range []struct {
		name  string
		value *float64
	}{
		{"datatype_check_threshold", c.Datatype}, {"domain_content_threshold", c.Domain},
		{"distribution_constraints.comparison_threshold", c.Distribution.Threshold},
		{"distribution_constraints.categorical_comparison_threshold", c.Distribution.CategoricalThreshold},
	} {
		if f.value != nil && !share(*f.value) {
			return f.name + " must be 0 to 1"
		}
	}
	for _, f := range []struct{ name, value string }{{"evaluate_constraints", c.Evaluate}, {"distribution_constraints.perform_comparison", c.Distribution.Perform}} {
		if !slices.Contains([]string{"", "Enabled", "Disabled"}, f.value) {
			return f.name + " must be Enabled or Disabled"
		}
	}
	return ""
}

func (f *Constraint) overrides() []*Config {
	all := []*Config{f.Overrides, f.Snake}
	if f.Strings != nil {
		all = append(all, f.Strings.Overrides)
	}
	return slices.DeleteFunc(all, func(c *Config) bool { return c == nil })
}

// config is the configuration of one feature: its overrides on top of the file's.
func (c *Constraints) config(f *Constraint) Config {
	out := c.Config
	for _, o := range f.overrides() {
		if o.Evaluate != "" {
			out.Evaluate = o.Evaluate
		}
		if o.Datatype != nil {
			out.Datatype = o.Datatype
		}
		if o.Domain != nil {
			out.Domain = o.Domain
		}
		if o.Distribution.Perform != "" {
			out.Distribution.Perform = o.Distribution.Perform
		}
		if o.Distribution.Threshold != nil {
			out.Distribution.Threshold = o.Distribution.Threshold
		}
		if o.Distribution.CategoricalThreshold != nil {
			out.Distribution.CategoricalThreshold = o.Distribution.CategoricalThreshold
		}
	}
	return out
}

// Policy is base with the tolerances that the constraints set for b's columns.
// Features that b does not hold are in the notes.
func (c *Constraints) Policy(b *profile.Baseline, base drift.Policy) (drift.Policy, []string) {
	out := base
	out.Columns = map[string]drift.ColumnPolicy{}
	maps.Copy(out.Columns, base.Columns)
	var notes []string
	for i := range c.Features {
		f := &c.Features[i]
		column, ok := b.Column(f.Name)
		if !ok {
			notes = append(notes, fmt.Sprintf("feature %q has constraints and no distribution: it is not compared", profile.Cut(f.Name)))
			continue
		}
		conf := c.config(f)
		p, ok := out.Columns[f.Name]
		if !ok {
			p.Tolerances = base.Tolerances
		}
		if conf.Evaluate == "Disabled" {
			off := false
			p.Gate = &off
		} else {
			p.Tolerances = conf.tolerances(p.Tolerances, f.Completeness, &column.State)
			notes = append(notes, f.notes(column)...)
		}
		out.Columns[f.Name] = p
	}
	return out, notes
}

// tolerances translates thresholds: a share that has to match leaves one minus itself.
func (c *Config) tolerances(t drift.Tolerances, completeness *float64, s *profile.State) drift.Tolerances {
	d := &c.Distribution
	if d.Threshold != nil {
		t.Numeric, t.Categorical = least(*d.Threshold), least(*d.Threshold)
	}
	if d.CategoricalThreshold != nil {
		t.Categorical = least(*d.CategoricalThreshold)
	}
	if c.Datatype != nil {
		t.WrongType = least(1 - *c.Datatype)
	}
	if c.Domain != nil {
		t.Unseen = least(1 - *c.Domain)
	}
	if completeness != nil && s.Rows > 0 {
		missing := float64(s.Missing+s.NaN) / float64(s.Rows)
		t.Missing = least(1 - *completeness - missing)
	}
	if d.Perform == "Disabled" {
		t.Numeric, t.Categorical, t.Unseen = offTolerance, offTolerance, offTolerance
	}
	return t
}

func least(x float64) float64 { return math.Min(math.Max(x, leastTolerance), offTolerance) }

// notes are what a comparison of counts does not check.
func (f *Constraint) notes(column *profile.Column) []string {
	var notes []string
	if f.Strings != nil && column.Kind == profile.Categorical && !column.Identifier {
		extra := 0
		for _, v := range f.Strings.Domains {
			if v != "" && column.Cells.Index(v) == column.Cells.Unseen() {
				extra++
			}
		}
		if extra > 0 {
			notes = append(notes, fmt.Sprintf("feature %q: %d values of its domain are not in the statistics: they count as new", profile.Cut(f.Name), extra))
		}
	}
	if f.InferredType == String && column.Kind == profile.Numeric {
		notes = append(notes, fmt.Sprintf("feature %q: String in the constraints, numbers in the statistics: compared as numbers", profile.Cut(f.Name)))
	}
	return notes
}

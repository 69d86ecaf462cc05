package lease

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/gate"
	"github.com/tidegate/tidegate/shared/validate"
)

// SourcePerson is the source of what a person starts: it is never debounced.
const SourcePerson = "person"

// Debounce is the field "debounce" of the settings' field "retrain": how many
// signals it takes, and how often at most a run may start. The zero value of a
// machine without settings is one signal and no pause.
type Debounce struct {
	CoolDownSeconds int64 `json:"cool_down_seconds" validate:"gte=0,lte=31536000"` // after a run has begun, none of the same machine begins
	Need            int   `json:"need" validate:"gte=1,lte=50"`                    // signals
	WithinSeconds   int64 `json:"within_seconds" validate:"gte=0,lte=31536000"`    // in which they must fall; 0: need is 1
}

// DefaultDebounce starts on the first signal, once a day at most.
func DefaultDebounce() Debounce { return Debounce{CoolDownSeconds: 24 * 3600, Need: 1} }

// ParseDebounce reads the debounce of retrain settings; other fields there are not
// its business. Nothing set is the default. The error is InvalidArgument and names
// every fault at once.
func ParseDebounce(retrain []byte) (Debounce, error) {
	d := DefaultDebounce()
	if retrain = bytes.TrimSpace(retrain); len(retrain) == 0 || bytes.Equal(retrain, []byte("null")) {
		return d, nil
	}
	var outer struct {
		Debounce json.RawMessage `json:"debounce"`
	}
	if err := json.Unmarshal(retrain, &outer); err != nil {
		return d, fault.Invalid(fault.Violation{Path: "retrain", Problem: "must be a JSON object"})
	}
	if len(outer.Debounce) == 0 || string(outer.Debounce) == "null" {
		return d, nil
	}
	dec := json.NewDecoder(bytes.NewReader(outer.Debounce))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&d); err != nil {
		return Debounce{}, fault.Invalid(fault.Violation{Path: "debounce", Problem: "must be an object of cool_down_seconds, need and within_seconds, all whole numbers"})
	}
	if err := d.Check(); err != nil {
		return Debounce{}, err
	}
	return d, nil
}

// Check reports every value that cannot be. The error is InvalidArgument.
func (d *Debounce) Check() error {
	var bad []fault.Violation
	if err := validate.Struct(d); err != nil {
		for _, v := range fault.Public(err).Violations {
			bad = append(bad, fault.Violation{Path: "debounce." + v.Path, Problem: v.Problem})
		}
	}
	if d.Need > 1 && d.WithinSeconds == 0 {
		bad = append(bad, fault.Violation{Path: "debounce.within_seconds", Problem: "is required where need is more than 1"})
	}
	if len(bad) > 0 {
		return fault.Invalid(bad...)
	}
	return nil
}

// decide says whether a run of a machine may begin at now, with the signals that the
// lease has seen, the present one among them. A run uses up the signals before it,
// unless it failed.
func (d *Debounce) decide(l *Lease, machine string, now time.Time) []gate.Result {
	var used time.Time
	cool := gate.Result{Name: "cool_down", Bound: float64(d.CoolDownSeconds), Answer: gate.Yes}
	for _, r := range l.Runs {
		if r.Machine != machine || r.Outcome == Failed {
			continue
		}
		used = r.At
		if since := now.Sub(r.At); since < time.Duration(d.CoolDownSeconds)*time.Second {
			cool.Value, cool.Answer = since.Seconds(), gate.No
			cool.Reason = fmt.Sprintf("a run began %s ago, and the next may begin %s after it", since.Round(time.Second), time.Duration(d.CoolDownSeconds)*time.Second)
		}
	}
	need := gate.Result{Name: "signals", Bound: float64(d.Need), Answer: gate.Yes}
	seen := map[string]bool{}
	for _, s := range l.Signals {
		if s.Machine == machine && s.At.After(used) && (d.WithinSeconds == 0 || now.Sub(s.At) <= time.Duration(d.WithinSeconds)*time.Second) {
			seen[s.Trigger] = true
		}
	}
	need.N, need.Value = int64(len(seen)), float64(len(seen))
	if len(seen) < d.Need {
		need.Answer = gate.No
		need.Reason = fmt.Sprintf("%d of the %d signals that it takes within %s", len(seen), d.Need, time.Duration(d.WithinSeconds)*time.Second)
	}
	return []gate.Result{cool, need}
}

// Package proof says whether captures hold each row that was sent exactly once, with
// the inputs that were sent and the answer that was given.
//
// Rows are matched by inference id and position, so captures of other runs, of other
// models and of other clients do not count. It reads captures as any reader would;
// it trusts nothing of the functions that wrote them.
package proof

import (
	"fmt"
	"math"

	"github.com/tidegate/tidegate/shared/capture"
	"github.com/tidegate/tidegate/tests/demo/flights"
	"github.com/tidegate/tidegate/tests/demo/traffic"
)

// Finding is what the comparison found, in rows.
type Finding struct {
	Rows       int // captured rows of this run, repeats included
	Missing    int // sent and answered, not captured
	Duplicates int // captured more than once
	Mismatched int // captured with other inputs, outputs or version than were sent and answered
	First      string
}

// OK says whether captured rows are sent rows.
func (f Finding) OK() bool { return f.Missing == 0 && f.Duplicates == 0 && f.Mismatched == 0 }

// Ledger holds what was sent and takes captures as they come.
type Ledger struct {
	sent    map[string]*traffic.Sent
	seen    map[string][]int // times captured, per row
	flights []flights.Flight
	finding Finding
	left    int // rows not yet captured
}

// NewLedger expects the rows of every request that was answered.
func NewLedger(sent []traffic.Sent, fs []flights.Flight) *Ledger {
	l := &Ledger{sent: map[string]*traffic.Sent{}, seen: map[string][]int{}, flights: fs}
	for i := range sent {
		if s := &sent[i]; s.Err == nil {
			l.sent[s.ID] = s
			l.seen[s.ID] = make([]int, s.Rows)
			l.left += s.Rows
		}
	}
	return l
}

// Left is how many rows have not been captured yet.
func (l *Ledger) Left() int { return l.left }

// Add takes one capture.
func (l *Ledger) Add(r *capture.Record) {
	s, mine := l.sent[r.ID]
	if !mine || r.Role != capture.Served {
		return
	}
	l.finding.Rows += r.Rows
	if r.TotalRows != s.Rows || r.FirstRow < 0 || r.Rows < 0 || r.FirstRow+r.Rows > s.Rows {
		l.mismatch(r.Rows, "%s: rows %d+%d of %d, where %d were sent", r.ID, r.FirstRow, r.Rows, r.TotalRows, s.Rows)
		return
	}
	for i := range r.Rows {
		row := r.FirstRow + i
		if l.seen[r.ID][row]++; l.seen[r.ID][row] == 1 {
			l.left--
		} else {
			l.finding.Duplicates++
		}
		if why := l.compare(r, s, i); why != "" {
			l.mismatch(1, "%s#%d (%s): %s", r.ID, row, s.Form, why)
		}
	}
}

func (l *Ledger) mismatch(rows int, format string, args ...any) {
	l.finding.Mismatched += rows
	if l.finding.First == "" {
		l.finding.First = fmt.Sprintf(format, args...)
	}
}

// compare returns what differs in row i of r, or "".
func (l *Ledger) compare(r *capture.Record, s *traffic.Sent, i int) string {
	if r.Version != s.Version || r.Status != 200 {
		return fmt.Sprintf("version %d and status %d, where version %d answered", r.Version, r.Status, s.Version)
	}
	f := &l.flights[s.First+r.FirstRow+i]
	for _, in := range flights.Inputs() {
		v, ok := cell(r.Inputs[in.Name], i)
		if !ok {
			return "no input " + in.Name
		}
		if in.Number != nil && !sameNumber(v, float32(in.Number(f))) {
			return "another " + in.Name
		}
		if in.Text != nil && !sameText(v, in.Text(f)) {
			return "another " + in.Name
		}
	}
	answer := s.Answers[r.FirstRow+i]
	if v, ok := cell(r.Outputs["label"], i); !ok || !sameNumber(v, float32(answer.Label)) {
		return "another label"
	}
	v, ok := cell(r.Outputs["probabilities"], i)
	list, isList := v.([]any)
	if !ok || !isList || len(list) != len(answer.Probabilities) {
		return "other probabilities"
	}
	for k, p := range answer.Probabilities {
		if !sameNumber(list[k], p) {
			return "other probabilities"
		}
	}
	return ""
}

// cell is row i of a captured column, an array of row values.
func cell(column any, i int) (any, bool) {
	list, ok := column.([]any)
	if !ok || i >= len(list) {
		return nil, false
	}
	return list[i], true
}

// sameNumber compares as float32, which is what the model was given and gave; a
// captured null is a missing number.
func sameNumber(captured any, want float32) bool {
	if captured == nil {
		return math.IsNaN(float64(want))
	}
	v, ok := captured.(float64)
	return ok && float32(v) == want
}

func sameText(captured any, want string) bool {
	if captured == nil {
		return want == ""
	}
	v, ok := captured.(string)
	return ok && v == want
}

// Finding closes the account: what has not come by now is missing.
func (l *Ledger) Finding() Finding {
	f := l.finding
	f.Missing = l.left
	if f.First == "" && f.Missing > 0 {
		f.First = fmt.Sprintf("%d rows were answered and not captured", f.Missing)
	}
	return f
}

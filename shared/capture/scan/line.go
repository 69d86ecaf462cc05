// Package scan reads captured lines by hand: the envelope of a record into fields,
// its columns through a function of the caller, without an allocation a line.
//
// It is what profile and outcome read captures with; encoding/json costs several
// times as much. It knows the format (docs/formats/capture.md) and nothing of what
// is done with it: it neither removes repeated records nor picks columns.
//
// Invariant: a record that Read accepts is one that encoding/json reads into a
// capture.Record with the same values, and a message names a field, never its value.
//
//	l := scan.Line{Columns: func(key string, i int) (int, wire.Code) { … }}
//	if problem := l.Read(text); problem != "" { … the line is no record … }
package scan

import (
	"math"

	"github.com/tidegate/tidegate/shared/capture"
	"github.com/tidegate/tidegate/shared/oip/wire"
	"github.com/tidegate/tidegate/shared/registry"
)

// Record is the envelope of a record. Its texts share memory with the line.
type Record struct {
	V          int64
	ID         string
	RequestID  string
	Model      string
	Version    int64
	Slot       registry.Slot
	Role       capture.Role
	Generation int64
	Rollout    string
	Key        string
	First      int64 // row of the request, −1 when it is not given
	Rows       int64 // −1 when they are not given
	Total      int64
	Status     int64
	ErrorKind  string
	LatencyUS  int64
	Sampled    float64 // NaN when it is not given
	TS         Stamp
}

// Failed says whether the request failed: then there are no columns.
func (r *Record) Failed() bool { return r.ErrorKind != "" || r.Status >= 400 }

// Line reads lines, one after the other. Its clock and its functions stay.
type Line struct {
	Record
	B []byte // the line

	// Columns is called at the value of inputs and of outputs (key) with its position in B, and returns the
	// position behind it, as the functions of wire do. nil skips both.
	Columns func(key string, i int) (int, wire.Code)
	// Done, when not nil, is called once model and id are both known: true ends the reading of this line,
	// whose remainder is not looked at, and Read returns "" with Ended set.
	Done  func() bool
	Ended bool

	problem string // that was found in a member
	member  func(key string, i int) (int, wire.Code)
	clock   clock
}

// Read reads one line. problem says why it is no record.
func (l *Line) Read(line []byte) (problem string) {
	if l.member == nil {
		l.member = l.readMember
	}
	l.B, l.problem, l.Ended = line, "", false
	l.Record = Record{First: -1, Rows: -1, Sampled: math.NaN()}
	end, code := wire.Members(line, 0, l.member)
	switch {
	case l.Ended:
		return ""
	case l.problem != "":
		return l.problem
	case code == wire.WrongKind:
		return "not a JSON object"
	case code != wire.OK:
		return "the line " + code.Problem("a record")
	case wire.Space(line, end) != len(line):
		return "text behind the object"
	}
	return l.check()
}

// Bad notes what is wrong with a member and ends the walk: what Columns returns then.
func (l *Line) Bad(i int, problem string) (int, wire.Code) {
	l.problem = problem
	return i, wire.Stop
}

// Problem is what Bad noted.
func (l *Line) Problem() string { return l.problem }

func (l *Line) readMember(key string, i int) (int, wire.Code) {
	r := &l.Record
	switch key {
	case "id":
		next, code := l.text(key, i, &r.ID)
		if l.Done != nil && code == wire.OK {
			return l.identified(next)
		}
		return next, code
	case "model":
		next, code := l.text(key, i, &r.Model)
		if l.Done != nil && code == wire.OK {
			return l.identified(next)
		}
		return next, code
	case "request_id":
		return l.text(key, i, &r.RequestID)
	case "version":
		return l.integer(key, i, &r.Version)
	case "v":
		return l.integer(key, i, &r.V)
	case "generation":
		return l.integer(key, i, &r.Generation)
	case "rollout_id":
		return l.text(key, i, &r.Rollout)
	case "key":
		return l.text(key, i, &r.Key)
	case "first_row":
		return l.integer(key, i, &r.First)
	case "rows":
		return l.integer(key, i, &r.Rows)
	case "total_rows":
		return l.integer(key, i, &r.Total)
	case "status":
		return l.integer(key, i, &r.Status)
	case "latency_us":
		return l.integer(key, i, &r.LatencyUS)
	case "error_kind":
		return l.text(key, i, &r.ErrorKind)
	case "ts":
		return l.moment(i)
	case "slot":
		return l.slot(i)
	case "role":
		return l.role(i)
	case "sampled":
		return l.share(i)
	case "inputs", "outputs":
		if l.Columns != nil {
			return l.Columns(key, i)
		}
	}
	return wire.Skip(l.B, i, 1)
}

// identified asks Done as soon as model and id are known.
func (l *Line) identified(i int) (int, wire.Code) {
	if l.ID != "" && l.Model != "" && l.Done() {
		l.Ended = true
		return i, wire.Stop
	}
	return i, wire.OK
}

func (l *Line) moment(i int) (int, wire.Code) {
	var text string
	next, code := l.text("ts", i, &text)
	if code == wire.OK && !l.clock.parse(text, &l.TS) {
		return l.Bad(i, "ts is not a time of RFC 3339")
	}
	return next, code
}

func (l *Line) slot(i int) (int, wire.Code) {
	var text string
	next, code := l.text("slot", i, &text)
	if l.Slot = slotOf(text); code == wire.OK && l.Slot == "" {
		return l.Bad(i, "slot is none of champion, challenger, shadow, previous, pinned")
	}
	return next, code
}

func (l *Line) role(i int) (int, wire.Code) {
	var text string
	next, code := l.text("role", i, &text)
	if l.Role = roleOf(text); code == wire.OK && l.Role == "" {
		return l.Bad(i, "role is neither served nor paired")
	}
	return next, code
}

func (l *Line) share(i int) (int, wire.Code) {
	v, next, code := wire.Float64(l.B, i)
	if code != wire.OK {
		return l.Bad(i, "sampled "+code.Problem("a number"))
	}
	l.Sampled = v
	return next, wire.OK
}

func (l *Line) text(key string, i int, into *string) (int, wire.Code) {
	v, next, code := wire.String(l.B, i)
	if code != wire.OK {
		return l.Bad(i, key+" "+code.Problem("a string"))
	}
	*into = v
	return next, wire.OK
}

func (l *Line) integer(key string, i int, into *int64) (int, wire.Code) {
	v, next, code := wire.Int[int64](l.B, i)
	if code != wire.OK {
		return l.Bad(i, key+" "+code.Problem("a whole number"))
	}
	*into = v
	return next, wire.OK
}

// check looks at a line that has been read to its end.
func (l *Line) check() (problem string) {
	r := &l.Record
	switch {
	case r.V < 1 || r.V > capture.Version:
		return "v is not a format of the record that this program reads"
	case r.ID == "":
		return "there is no id"
	case r.Slot == "" || r.Role == "":
		return "slot or role is missing"
	case !(r.Sampled > 0 && r.Sampled <= 1):
		return "sampled is not above 0 and at most 1"
	case r.First < 0 || r.Rows < 0 || r.Rows > math.MaxInt32:
		return "first_row or rows is missing or no count"
	case !r.TS.OK:
		return "there is no ts"
	}
	return ""
}

package feedback

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/httpapi"
	"github.com/tidegate/tidegate/shared/label"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/schema"
)

const id = "019d6334-73b3-7a44-9d0b-3f2f5a6b7c8d" // 2026-04-06T14:31:15.123Z

var now = time.Date(2026, 4, 7, 9, 0, 0, 0, time.UTC)

// world is a handler with two models, and a stream that keeps what it takes.
type world struct {
	api     *API
	records [][]byte
	fail    func() ([]int, error)
	asked   int // for identities
	lost    error
	counts  map[string]int64
	seen    []httpapi.Observation
}

func (w *world) Send(_ context.Context, records [][]byte) ([]int, error) {
	if w.fail != nil {
		return w.fail()
	}
	for _, r := range records {
		w.records = append(w.records, bytes.Clone(r))
	}
	return nil, nil
}

func (w *world) Model(_ context.Context, name string) (registry.Model, error) {
	w.asked++
	if w.lost != nil {
		return registry.Model{}, w.lost
	}
	task, ok := map[string]schema.Task{"flights": schema.Binary, "price": schema.Regression}[name]
	if !ok {
		return registry.Model{}, fault.New(fault.NotFound, "there is no model %q", name)
	}
	return registry.Model{Name: name, Task: task}, nil
}

func (w *world) Observe(_ context.Context, o *httpapi.Observation) { w.seen = append(w.seen, *o) }

func newWorld() *world {
	w := &world{counts: map[string]int64{}}
	w.api = New(Options{Stream: w, Models: w, Now: func() time.Time { return now }, Observer: w, Count: func(name string, n int64) { w.counts[name] += n }})
	return w
}

type answer struct {
	status   int
	header   httpapi.Header
	Accepted *int
	Rejected []struct {
		Index     int
		ID, Error string
	}
	Error      string
	RequestID  string `json:"request_id"`
	Violations []fault.Violation
}

func (w *world) post(t *testing.T, model, body string) answer {
	t.Helper()
	return w.send(t, &httpapi.Request{Method: "POST", Path: "/v1/feedback/" + model, Body: []byte(body), ID: "request-1", Header: httpapi.Header{}})
}

func (w *world) send(t *testing.T, req *httpapi.Request) answer {
	t.Helper()
	resp := w.api.Serve(t.Context(), req)
	a := answer{status: resp.Status, header: maps.Clone(resp.Header)}
	if err := json.Unmarshal(resp.Body, &a); err != nil || resp.Binary || resp.Header["Content-Type"] != "application/json" {
		t.Fatalf("%v: %s", err, resp.Body)
	}
	resp.After(t.Context())
	return a
}

func (w *world) lines() string { return string(bytes.Join(w.records, nil)) }

func TestOneLabel(t *testing.T) {
	w := newWorld()
	for _, body := range []string{`{"id":"` + id + `","label":1}`, "\ufeff \n{\n \"id\": \"" + id + "\",\n \"label\": 1.0\n}\n", `{"labels":[{"id":"` + strings.ToUpper(id) + `","label":1}]}`, `{"x":1,"labels":[{"id":"` + id + `","label":1,"model":"price","received":"x"}]}`} {
		w.records = nil
		if a := w.post(t, "flights", body); a.status != 200 || *a.Accepted != 1 || len(a.Rejected) != 0 || a.Error != "" {
			t.Errorf("%s: %+v", body, a)
		}
		if got := w.lines(); got != `{"model":"flights","id":"`+id+`","label":1,"ts":"2026-04-07T09:00:00.000Z","received":"2026-04-07T09:00:00.000Z"}`+"\n" {
			t.Errorf("%s: %s", body, got)
		}
	}
	if w.asked != 1 {
		t.Errorf("the identity of a model was asked for %d times", w.asked)
	}
	o := w.seen[0]
	if o.Route != "feedback" || o.Model != "flights" || o.Status != 200 || o.Rows != 1 || o.ErrorKind != "" || len(o.Stages) != 4 || w.counts[LabelsAccepted] != 4 || w.counts[LabelsRejected] != 0 {
		t.Errorf("observed %+v, counted %v", o, w.counts)
	}
}

func TestSomeAreRejected(t *testing.T) {
	w := newWorld()
	a := w.post(t, "flights", `{"labels":[
		{"id":"`+id+`#3","label":"late","ts":"2026-04-07T08:00:00+02:00"},
		{"id":"secret-4711-`+strings.Repeat("ü", 100)+`","label":1},
		{"request_id":"order-17","predicted_at":"2026-04-06T14Z","label":true},
		17, null, [],
		{"id":"`+id+`","label":0.5},
		{"id":"`+id+`","label":{"secret":1},"ts":"yesterday"}]}`)
	if a.status != 200 || *a.Accepted != 2 || len(a.Rejected) != 6 || a.Error != "" {
		t.Fatalf("%+v", a)
	}
	for i, want := range []struct {
		index    int
		id, text string
	}{
		{1, "secret-4711-" + strings.Repeat("ü", 26) + "…", "no inference id"}, {3, "", "not one label"}, {4, "", "not one label"}, {5, "", "not one label"},
		{6, id, "must be a class"}, {7, id, "must be a class, as a whole number, a text of 1 to 256 bytes, true or false: the model's task is binary_classification; has a ts"},
	} {
		if r := a.Rejected[i]; r.Index != want.index || r.ID != want.id || !strings.Contains(r.Error, want.text) || strings.Contains(r.Error, "secret") || strings.Contains(r.Error, "yesterday") {
			t.Errorf("%+v, want %+v", r, want)
		}
	}
	want := `{"model":"flights","id":"` + id + `#3","label":"late","ts":"2026-04-07T06:00:00.000Z","received":"2026-04-07T09:00:00.000Z"}` + "\n" +
		`{"model":"flights","request_id":"order-17","predicted_at":"2026-04-06T14Z","label":true,"ts":"2026-04-07T09:00:00.000Z","received":"2026-04-07T09:00:00.000Z"}` + "\n"
	if w.lines() != want {
		t.Errorf("%s", w.lines())
	}
	if w.counts[LabelsAccepted] != 2 || w.counts[LabelsRejected] != 6 {
		t.Errorf("counted %v", w.counts)
	}
}

func TestLines(t *testing.T) {
	w := newWorld()
	a := w.post(t, "price", `{"id":"`+id+`#0","label":1.5}`+"\r\n\r\n"+`{"id":"`+id+`#1","label":"late"}`+"\nnonsense\n"+`{"id":"`+id+`#2","label":-2}`)
	if a.status != 200 || *a.Accepted != 2 || len(a.Rejected) != 2 || a.Rejected[0].Index != 1 || a.Rejected[1].Index != 2 || !strings.Contains(a.Rejected[0].Error, "regression") {
		t.Errorf("%+v", a)
	}
}

func TestNothingIsAccepted(t *testing.T) {
	for name, c := range map[string]struct {
		model, body string
		status      int
		want        string // in error, a violation or a rejection
	}{
		"empty":             {"flights", "", 400, "empty"},
		"white space":       {"flights", " \n\t\f", 400, "empty"},
		"an empty list":     {"flights", `{"labels":[]}`, 400, "is empty"},
		"no list":           {"flights", `{"labels":1}`, 400, "is not a list of labels"},
		"null":              {"flights", `{"labels":null}`, 400, "is not a list of labels"},
		"cut off":           {"flights", `{"labels":[{"id":"` + id + `","label":1}`, 400, "not valid JSON"},
		"more behind":       {"flights", `{"labels":[{"id":"` + id + `","label":1}]} x`, 400, "not valid JSON"},
		"NaN":               {"price", `{"labels":[{"id":"` + id + `","label":NaN}]}`, 400, "not JSON: NaN"},
		"a list":            {"flights", `[{"id":"` + id + `","label":1}]`, 400, "not one label"},
		"text":              {"flights", `late`, 400, "not one label"},
		"deep":              {"flights", `{"id":"` + id + `","label":` + strings.Repeat("[", 100) + `}`, 400, "not one label"},
		"no label":          {"flights", `{"id":"` + id + `"}`, 400, "has no label"},
		"an empty object":   {"flights", `{}`, 400, "has no id"},
		"of the future":     {"flights", `{"id":"01a00000-0000-7a44-9d0b-3f2f5a6b7c8d","label":1}`, 400, "in the future"},
		"a number for text": {"price", `{"id":"` + id + `","label":"1"}`, 400, "finite number"},
		"out of range":      {"price", `{"id":"` + id + `","label":1e999}`, 400, "finite number"},
		"unknown model":     {"nobody", `{"id":"` + id + `","label":1}`, 404, "there is no model"},
		"no model name":     {"A%20b", `{"id":"` + id + `","label":1}`, 404, "no such model"},
		"no encoding":       {"%zz", `{}`, 400, "percent sign"},
		"a longer path":     {"flights/x", `{}`, 404, "nothing at this path"},
		"no model":          {"", `{}`, 404, "nothing at this path"},
	} {
		w := newWorld()
		a := w.post(t, c.model, c.body)
		all := a.Error
		for _, v := range a.Violations {
			all += v.Path + v.Problem
		}
		for _, r := range a.Rejected {
			all += r.Error
		}
		if a.status != c.status || a.Error == "" || a.RequestID != "request-1" || !strings.Contains(all, c.want) || a.Accepted != nil && *a.Accepted != 0 {
			t.Errorf("%s: %+v, want %q", name, a, c.want)
		}
		if len(w.records) > 0 || w.counts[LabelsAccepted] != 0 {
			t.Errorf("%s: %s was sent", name, w.lines())
		}
		if o := w.seen[0]; o.Status != c.status || o.ErrorKind == "" {
			t.Errorf("%s: observed %+v", name, o)
		}
	}
}

func TestLimits(t *testing.T) {
	item := `{"id":"` + id + `","label":1}`
	many := func(n int) string { return `{"labels":[` + strings.Repeat(item+",", n-1) + item + `]}` }
	w := newWorld()
	if a := w.post(t, "flights", many(MaxLabels)); a.status != 200 || *a.Accepted != MaxLabels {
		t.Errorf("%+v", a)
	}
	for _, body := range []string{many(MaxLabels + 1), strings.Repeat(item+"\n", MaxLabels+1), item + strings.Repeat(" ", MaxBody)} {
		w := newWorld()
		if a := w.post(t, "flights", body); a.status != 413 || len(w.records) > 0 {
			t.Errorf("%d bytes: %+v", len(body), a)
		}
	}
}

// TestAnswerFits: an error for each label of the largest request fits into a Lambda's result.
func TestAnswerFits(t *testing.T) {
	w := newWorld()
	bad := `{"id":"` + strings.Repeat(`\u0001`, 64) + `","label":[],"ts":1}`
	resp := w.api.Serve(t.Context(), &httpapi.Request{Method: "POST", Path: "/v1/feedback/flights", Body: []byte(`{"labels":[` + strings.Repeat(bad+",", MaxLabels-1) + bad + `]}`)})
	quoted, err := json.Marshal(string(resp.Body))
	if err != nil || resp.Status != 400 || len(quoted) > httpapi.DefaultMaxAnswer {
		t.Errorf("status %d, %d bytes, %v", resp.Status, len(quoted), err)
	}
}

// TestRecordsAreFull: lines are put together into records of at most MaxRecord bytes, without tearing one.
func TestRecordsAreFull(t *testing.T) {
	w := newWorld()
	text := strings.Repeat("x", 256)
	var items []string
	for i := range 4500 {
		items = append(items, fmt.Sprintf(`{"id":"%s#%d","label":"%s"}`, id, i, text))
	}
	if a := w.post(t, "flights", strings.Join(items, "\n")); a.status != 200 || *a.Accepted != 4500 {
		t.Fatalf("%+v", a)
	}
	n := 0
	for i, r := range w.records {
		if len(r) > MaxRecord || r[len(r)-1] != '\n' || i < len(w.records)-1 && len(r) < MaxRecord-1000 {
			t.Errorf("record %d has %d bytes", i, len(r))
		}
		n += bytes.Count(r, []byte("\n"))
	}
	if n != 4500 || len(w.records) != 2 {
		t.Errorf("%d lines in %d records", n, len(w.records))
	}
}

// TestStreamThatDoesNotTake: nothing is claimed to be accepted, and the client is told when to come again.
func TestStreamThatDoesNotTake(t *testing.T) {
	for name, c := range map[string]struct {
		failed []int
		err    error
		status int
	}{
		"throttled":      {[]int{0}, fault.New(fault.Unavailable, "the stream labels-1 does not take all records now"), 503},
		"some":           {[]int{0}, nil, 503},
		"all":            {nil, errors.New("connection lost"), 500},
		"no permission":  {[]int{0}, fault.New(fault.Internal, "the stream labels-1 refused the records"), 500},
		"the time is up": {[]int{0}, context.DeadlineExceeded, 503},
	} {
		w := newWorld()
		w.fail = func() ([]int, error) { return c.failed, c.err }
		a := w.post(t, "flights", `{"labels":[{"id":"`+id+`","label":1},{"id":"x","label":1}]}`)
		if a.status != c.status || a.Accepted != nil || strings.Contains(a.Error, "labels-1") || a.status == 503 && a.header["Retry-After"] != "1" {
			t.Errorf("%s: %+v", name, a)
		}
		if w.counts[LabelsAccepted] != 0 || w.counts[LabelsRefused] != 1 || w.seen[0].Cause == nil {
			t.Errorf("%s: counted %v, observed %+v", name, w.counts, w.seen)
		}
	}
	w := newWorld()
	w.lost = fault.New(fault.Unavailable, "the registry cannot be read")
	if a := w.post(t, "flights", `{"id":"`+id+`","label":1}`); a.status != 503 || a.header["Retry-After"] == "" {
		t.Errorf("%+v", a)
	}
	w.fail, w.lost = func() ([]int, error) { panic("oh") }, nil
	if a := w.post(t, "flights", `{"id":"`+id+`","label":1}`); a.status != 500 || strings.Contains(a.Error, "oh") {
		t.Errorf("%+v", a)
	}
}

func TestMethodsAndSlash(t *testing.T) {
	w := newWorld()
	for _, method := range []string{"GET", "PUT", "DELETE", "HEAD"} {
		a := w.send(t, &httpapi.Request{Method: method, Path: "/v1/feedback/flights", Header: httpapi.Header{}})
		if a.status != 405 || a.header["Allow"] != "POST" {
			t.Errorf("%s: %+v", method, a)
		}
	}
	if a := w.post(t, "flights/", `{"id":"`+id+`","label":1}`); a.status != 200 {
		t.Errorf("%+v", a)
	}
}

// FuzzBatch: every label is accepted or rejected, and what is accepted can be filed.
func FuzzBatch(f *testing.F) {
	for _, s := range []string{`{"id":"` + id + `","label":1}`, `{"labels":[{"id":"` + id + `","label":"a"},{}]}`, `{"id":1}` + "\n{", `{"labels":[{"request_id":"\u0000","predicted_at":"2026-04-06T14","label":true}]}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		b := batch{model: "flights", task: schema.Multiclass, now: now}
		if err := b.read([]byte(body)); err != nil {
			if k := fault.KindOf(err); k != fault.InvalidArgument && k != fault.PayloadTooLarge {
				t.Error(err)
			}
			return
		}
		if b.accepted+len(b.rejected) != b.items || b.items == 0 || !json.Valid(b.answer("x")) {
			t.Errorf("%d accepted and %d rejected of %d: %s", b.accepted, len(b.rejected), b.items, b.answer("x"))
		}
		text := slices.Concat(b.records()...)
		if len(text) == 0 {
			return
		}
		lines, err := label.NewReader(bytes.NewReader(text))
		for n := 0; err == nil && n < b.accepted; n++ {
			in, problem, lost := lines.Next()
			if lost != nil || problem != label.Fine || in.Model != "flights" {
				t.Fatalf("line %d cannot be read: %s, %v", n, problem, lost)
			}
			if _, _, problems := in.Record(schema.Multiclass, now, now); problems.First() != label.Fine {
				t.Errorf("line %d is %s", n, problems.First())
			}
		}
		if err != nil {
			t.Error(err)
		}
	})
}

package telemetry

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/httpapi"
	"github.com/tidegate/tidegate/shared/inference"
)

var update = flag.Bool("update", false, "write the golden files")

var testNow = time.Date(2026, 11, 24, 12, 0, 0, 7_250_000, time.UTC)

// TestGolden pins the lines.
func TestGolden(t *testing.T) {
	change := func(f func(o *httpapi.Observation)) *httpapi.Observation {
		o := testObservation()
		f(o)
		return o
	}
	refused := func(o *httpapi.Observation) {
		o.Status, o.ErrorKind, o.Rows, o.Stages = 400, string(fault.InvalidArgument), 0, o.Stages[:3]
		o.Cause = fault.Invalid(fault.Violation{Path: `inputs["dep_delay"].data[3]`, Problem: "is not a number"})
	}
	tests := []struct {
		name   string
		header string
		count  map[string]int64
		o      *httpapi.Observation
	}{
		{name: "infer", o: testObservation()},
		{name: "infer_traced", o: testObservation(), header: sampled},
		{name: "infer_counts", o: testObservation(), count: map[string]int64{"CaptureLost": 2}},
		{name: "rejected", o: change(refused)},
		{name: "capture_lost", o: change(func(o *httpapi.Observation) {
			o.Cause = fault.Wrap(errors.New("dial tcp: connection refused"), fault.Unavailable, "the record could not be sent")
		})},
		{name: "internal", o: change(func(o *httpapi.Observation) {
			o.Status, o.ErrorKind, o.Cause = 500, string(fault.Internal), errors.New("httpapi: panic: runtime error\n\tat \"here\"")
		})},
		{name: "unknown_model", o: &httpapi.Observation{RequestID: "r-2", InferenceID: "0193-i", Route: "infer", Model: "nonsense", Status: 404, ErrorKind: string(fault.NotFound),
			Cause: fault.New(fault.NotFound, "there is no model %q", "nonsense"), BytesIn: 12, BytesOut: 60, Duration: 300 * time.Microsecond,
			Stages: []httpapi.Stage{{Name: "decode", Duration: 20 * time.Microsecond}, {Name: "pick", Duration: 270 * time.Microsecond}}}},
		{name: "unknown_model_counts", count: map[string]int64{"StateErrors": 1},
			o: &httpapi.Observation{RequestID: "r-3", InferenceID: "0193-j", Route: "infer", Model: "nonsense", Status: 503, ErrorKind: string(fault.Unavailable)}},
		{name: "remote", o: change(func(o *httpapi.Observation) {
			o.Ran = inference.Ran{ServedBy: "endpoint", Backend: true, Remote: 700 * time.Microsecond}
		})},
		{name: "fallback", count: map[string]int64{"BackendLostCapacity": 1}, o: change(func(o *httpapi.Observation) {
			o.Ran = inference.Ran{ServedBy: "lambda", Backend: true, Remote: 5 * time.Millisecond, Fallback: "capacity"}
		})},
		{name: "breaker_open", o: change(func(o *httpapi.Observation) {
			o.Ran = inference.Ran{ServedBy: "lambda", Backend: true, Fallback: "open", Open: true}
		})},
		{name: "live", o: &httpapi.Observation{RequestID: "r-4", Route: "live", Status: 200, BytesOut: 13, Duration: 2 * time.Microsecond}},
		{name: "metadata", o: &httpapi.Observation{RequestID: "r-5", Route: "metadata", Model: "flights", Version: 7, Slot: "champion", Status: 200, BytesOut: 800, Duration: time.Millisecond}},
		{name: "flush", count: map[string]int64{"Loads": 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			tel := newTelemetry(t, Options{Out: &out})
			for name, n := range tt.count {
				tel.Count(name, n)
			}
			if tt.o == nil {
				tel.Flush()
			} else {
				tel.Observe(withHeader(tt.header), tt.o)
			}
			checkLine(t, out.Bytes())
			golden(t, tt.name, out.String())
		})
	}
}

func TestFlushOfNothingWritesNothing(t *testing.T) {
	var out bytes.Buffer
	tel := newTelemetry(t, Options{Out: &out})
	tel.Flush()
	tel.Count("Loads", 0)
	tel.Flush()
	if out.Len() > 0 {
		t.Errorf("wrote %s", &out)
	}
}

// TestTextIsBounded gives every field of an observation far too much text, as a
// client or an error may, and looks at the line's size and validity.
func TestTextIsBounded(t *testing.T) {
	long := strings.Repeat("\x01ä\"\xff\n", 100_000)
	o := testObservation()
	o.RequestID, o.InferenceID, o.Route, o.Model, o.Slot, o.ErrorKind = long, long, long, long, long, long
	o.Cause, o.Status = errors.New(long), 500
	o.Stages = []httpapi.Stage{{Name: long, Duration: 1}}
	for i := range 200 {
		o.Stages = append(o.Stages, httpapi.Stage{Name: "s" + strconv.Itoa(i), Duration: 1})
	}
	for _, version := range []int{0, 7} {
		o.Version = version
		var out bytes.Buffer
		newTelemetry(t, Options{Out: &out}).Observe(withHeader("Root="+long+";Sampled=1"), o)
		checkLine(t, out.Bytes())
		if out.Len() > 16<<10 {
			t.Errorf("a line of %d bytes", out.Len())
		}
	}
}

func TestTruncate(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"", ""}, {"short", "short"}, {"12345678", "12345678"}, {"123456789", "12345…"}, {"1234ää789", "1234…"}, {"\xff\xff\xff\xff\xff\xff\xff\xff\xff", "\xff\xff\xff\xff\xff…"},
		{"\x80\x80\x80\x80\x80\x80\x80\x80\x80", "…"},
	} {
		if got := truncate(tt.in, 8); got != tt.want {
			t.Errorf("truncate(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

type panicking struct{}

func (panicking) Error() string { panic("no text") }

func TestErrorThatPanicsIsLogged(t *testing.T) {
	var out bytes.Buffer
	o := testObservation()
	o.Cause = panicking{}
	newTelemetry(t, Options{Out: &out}).Observe(context.Background(), o)
	if line := checkLine(t, out.Bytes()); line["cause"] == "" {
		t.Errorf("no cause in %s", &out)
	}
}

// TestStages: a stage that never ended has no time, stages of one name are one metric.
func TestStages(t *testing.T) {
	var out bytes.Buffer
	o := testObservation()
	o.Stages = []httpapi.Stage{{Name: "run", Duration: 1500}, {Name: "decode", Duration: -1}, {Name: "run", Duration: 2000}}
	newTelemetry(t, Options{Out: &out}).Observe(context.Background(), o)
	line := checkLine(t, out.Bytes())
	if line["RunTime"] != 4.0 || line["DecodeTime"] != 0.0 {
		t.Errorf("RunTime %v, DecodeTime %v; want 4, 0", line["RunTime"], line["DecodeTime"])
	}
}

func TestObservationIsNotKept(t *testing.T) {
	var out bytes.Buffer
	tel := newTelemetry(t, Options{Out: &out})
	o := testObservation()
	tel.Observe(context.Background(), o)
	before := out.String()
	*o = httpapi.Observation{}
	out.Reset()
	tel.Observe(context.Background(), testObservation())
	if diff := cmp.Diff(before, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestNewRefuses(t *testing.T) {
	for name, o := range map[string]Options{
		"no Out":        {},
		"address":       {Out: io.Discard, Getenv: env("AWS_XRAY_DAEMON_ADDRESS", "nonsense")},
		"address parts": {Out: io.Discard, Getenv: env("AWS_XRAY_DAEMON_ADDRESS", "a:1 b:2 c:3")},
	} {
		if _, err := New(o); !fault.Is(err, fault.InvalidArgument) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := New(Options{Out: io.Discard}); err != nil {
		t.Error(err)
	}
}

func newTelemetry(t testing.TB, o Options) *Telemetry {
	t.Helper()
	if o.Now == nil {
		o.Now = func() time.Time { return testNow }
	}
	tel, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return tel
}

// testObservation is a request of three rows that took 6 ms, and its capture 1 ms more.
func testObservation() *httpapi.Observation {
	start := testNow.Add(-7250 * time.Microsecond)
	o := &httpapi.Observation{
		RequestID: "9a2e0c0e-7c1c-4c5e-8f3a-0d8d6a1b2c3d", InferenceID: "01936b0e-5e1c-7a44-9d0b-3f2f5a6b7c8d", Route: "infer",
		Model: "flights", Version: 7, Slot: "champion", Status: 200, Rows: 3, BytesIn: 812, BytesOut: 164,
		Digest: "sha256:bd782a11", Ran: inference.Ran{ServedBy: "lambda"}, Start: start, Duration: 6 * time.Millisecond,
	}
	for i, name := range []string{"decode", "pick", "check", "run", "encode", "capture"} {
		o.Stages = append(o.Stages, httpapi.Stage{Name: name, Start: start.Add(time.Duration(i) * time.Millisecond), Duration: time.Millisecond})
	}
	o.Stages[5].Start = start.Add(6 * time.Millisecond)
	return o
}

func env(key, value string) func(string) string {
	return func(name string) string {
		if name == key {
			return value
		}
		return ""
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		_ = os.WriteFile(strings.TrimSuffix(file, ".golden")+".got", []byte(got), 0o644)
		t.Errorf("%s (-want +got; run with -update to accept):\n%s", file, diff)
	}
}

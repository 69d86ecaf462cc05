package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tidegate/tidegate/shared/httpapi"
)

const (
	traceID  = "1-5759e988-bd862e3fe1be46a994272793"
	parentID = "53995c3f42cd8ad8"
	sampled  = "Root=" + traceID + ";Parent=" + parentID + ";Sampled=1;Lineage=1:a87bd80c:0"
)

// helper makes this test binary the process that TestStdoutHasOnlyLines looks at.
const helper = "TELEMETRY_TEST_HELPER"

// TestMain takes the SDK's variable away: its parser prefers it to the address it is given.
func TestMain(m *testing.M) {
	if os.Getenv(helper) != "" {
		help()
		return
	}
	_ = os.Unsetenv("AWS_XRAY_DAEMON_ADDRESS")
	os.Exit(m.Run())
}

func help() {
	tel, err := New(Options{Out: os.Stdout, Getenv: os.Getenv, Now: func() time.Time { return testNow }})
	if err != nil {
		panic(err)
	}
	for range 100 {
		tel.Observe(withHeader(sampled), testObservation())
	}
}

func withHeader(header string) context.Context {
	if header == "" {
		return context.Background()
	}
	//lint:ignore SA1029 the SDK's key is a string
	return context.WithValue(context.Background(), "x-amzn-trace-id", header)
}

// document is a segment as the daemon gets it; its fields are X-Ray's.
type document struct {
	TraceID     string                    `json:"trace_id"`
	ParentID    string                    `json:"parent_id"`
	ID          string                    `json:"id"`
	Type        string                    `json:"type"`
	Name        string                    `json:"name"`
	Start       float64                   `json:"start_time"`
	End         float64                   `json:"end_time"`
	InProgress  bool                      `json:"in_progress"`
	Fault       bool                      `json:"fault"`
	Error       bool                      `json:"error"`
	Throttle    bool                      `json:"throttle"`
	Annotations map[string]any            `json:"annotations"`
	Metadata    map[string]map[string]any `json:"metadata"`
	HTTP        struct {
		Response struct {
			Status        int `json:"status"`
			ContentLength int `json:"content_length"`
		} `json:"response"`
	} `json:"http"`
	Subsegments []document `json:"subsegments"`
}

// daemon is a stand-in for X-Ray's.
type daemon struct{ net.PacketConn }

func newDaemon(t testing.TB) daemon {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return daemon{conn}
}

func (d daemon) env() func(string) string {
	return env("AWS_XRAY_DAEMON_ADDRESS", d.LocalAddr().String())
}

func (d daemon) receive(t *testing.T) []byte {
	t.Helper()
	buf := make([]byte, 64<<10)
	if err := d.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	n, _, err := d.ReadFrom(buf)
	if err != nil {
		t.Fatal(err)
	}
	return buf[:n]
}

func (d daemon) document(t *testing.T) document {
	t.Helper()
	header, body, _ := bytes.Cut(d.receive(t), []byte("\n"))
	if string(header) != `{"format": "json", "version": 1}` {
		t.Errorf("header %q", header)
	}
	var doc document
	if err := json.Unmarshal(body, &doc); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	return doc
}

// nothing fails unless a packet sent now is the next to arrive.
func (d daemon) nothing(t *testing.T) {
	t.Helper()
	conn, err := net.Dial("udp", d.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("mark")); err != nil {
		t.Fatal(err)
	}
	if got := d.receive(t); string(got) != "mark" {
		t.Errorf("received %s", got)
	}
}

func TestSegments(t *testing.T) {
	d := newDaemon(t)
	ids := 0
	tel := newTelemetry(t, Options{Out: &sink{}, Getenv: d.env(), NewSegmentID: func() string { ids++; return fmt.Sprintf("%016x", ids) }})
	o := testObservation()
	tel.Observe(withHeader(sampled), o)
	got := d.document(t)

	want := document{
		TraceID: traceID, ParentID: parentID, ID: "0000000000000001", Type: "subsegment", Name: "infer",
		Start: 1795521600, End: 1795521600.007, // of the capture, which comes after the answer
		Annotations: map[string]any{"model": "flights", "version": 7.0, "slot": "champion"},
		Metadata:    map[string]map[string]any{"tidegate": {"request_id": o.RequestID, "inference_id": o.InferenceID, "latency_us": 6000.0}},
	}
	want.HTTP.Response.Status, want.HTTP.Response.ContentLength = 200, 164
	for i, s := range o.Stages {
		start := 1795521600 + float64(s.Start.Sub(o.Start).Milliseconds())/1000
		want.Subsegments = append(want.Subsegments, document{ID: fmt.Sprintf("%016x", i+2), Name: s.Name, Start: start, End: start + 0.001})
	}
	// A float64 of today's seconds tells a quarter of a microsecond.
	near := cmp.Comparer(func(a, b float64) bool { return a-b < 1e-6 && b-a < 1e-6 })
	if diff := cmp.Diff(want, got, near); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	d.nothing(t) // one packet a request
}

func TestSegmentIDsDiffer(t *testing.T) {
	d := newDaemon(t)
	tel := newTelemetry(t, Options{Out: &sink{}, Getenv: d.env()})
	tel.Observe(withHeader(sampled), testObservation())
	doc := d.document(t)
	seen := map[string]bool{}
	for _, s := range append(doc.Subsegments, doc) {
		if seen[s.ID] || len(s.ID) != 16 || strings.Trim(s.ID, "0123456789abcdef") != "" {
			t.Errorf("id %q", s.ID)
		}
		seen[s.ID] = true
	}
}

func TestSegmentFlags(t *testing.T) {
	d := newDaemon(t)
	tel := newTelemetry(t, Options{Out: &sink{}, Getenv: d.env()})
	for status, want := range map[int][3]bool{200: {}, 400: {1: true}, 429: {1: true, 2: true}, 500: {true}, 503: {true}} {
		tel.Observe(withHeader(sampled), &httpapi.Observation{Route: "infer", Model: "nonsense", Status: status, Start: testNow})
		doc := d.document(t)
		if got := [3]bool{doc.Fault, doc.Error, doc.Throttle}; got != want {
			t.Errorf("%d: fault, error, throttle = %v, want %v", status, got, want)
		}
		if len(doc.Annotations) > 0 || len(doc.Subsegments) > 0 {
			t.Errorf("%d: %+v", status, doc)
		}
	}
}

// TestNotSampled: no decision to trace is no trace, and neither is half a header.
func TestNotSampled(t *testing.T) {
	d := newDaemon(t)
	out := &sink{}
	tel := newTelemetry(t, Options{Out: out, Getenv: d.env(), NewSegmentID: func() string { t.Error("a segment was built"); return "" }})
	headers := []string{
		"", "Root=" + traceID, "Root=" + traceID + ";Parent=" + parentID, strings.Replace(sampled, "Sampled=1", "Sampled=0", 1),
		strings.Replace(sampled, "Sampled=1", "Sampled=?", 1), "Root=" + traceID + ";Sampled=1", "Parent=" + parentID + ";Sampled=1", ";;=;Sampled", traceID,
	}
	for _, h := range headers {
		tel.Observe(withHeader(h), testObservation())
	}
	d.nothing(t)
	if len(out.lines) != len(headers) {
		t.Errorf("%d lines", len(out.lines))
	}
	for i, h := range headers {
		if id, want := checkLine(t, out.lines[i])["trace_id"], strings.Contains(h, traceID); (id == traceID) != want {
			t.Errorf("header %q: trace_id %v", h, id)
		}
	}
}

// TestNoDaemon: without an address nothing is sent, and the trace's id is in the line.
func TestNoDaemon(t *testing.T) {
	d := newDaemon(t)
	off := func(name string) string {
		return map[string]string{"AWS_XRAY_DAEMON_ADDRESS": d.LocalAddr().String(), "AWS_XRAY_SDK_DISABLED": "TRUE"}[name]
	}
	for name, getenv := range map[string]func(string) string{"nil": nil, "empty": env("", ""), "disabled": off} {
		out := &sink{}
		tel := newTelemetry(t, Options{Out: out, Getenv: getenv})
		tel.Observe(withHeader(sampled), testObservation())
		if tel.tracer != nil || len(out.lines) != 1 || checkLine(t, out.lines[0])["trace_id"] != traceID {
			t.Errorf("%s: %s", name, out.lines)
		}
	}
	d.nothing(t)
}

func TestTracingNeverPanics(t *testing.T) {
	d := newDaemon(t)
	out := &sink{}
	tel := newTelemetry(t, Options{Out: out, Getenv: d.env(), NewSegmentID: func() string { panic("no entropy") }})
	tel.Observe(withHeader(sampled), testObservation())
	if len(out.lines) != 1 {
		t.Error("no line")
	}
	d.nothing(t)
}

// TestStdoutHasOnlyLines runs a process whose daemon is dead, which the SDK would
// report on stdout, and looks at what it wrote.
func TestStdoutHasOnlyLines(t *testing.T) {
	d := newDaemon(t)
	address := d.LocalAddr().String()
	_ = d.Close() // the kernel answers "port unreachable" now
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), helper+"=1", "AWS_XRAY_DAEMON_ADDRESS="+address)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.Output()
	if err != nil || stderr.Len() > 0 {
		t.Fatalf("%v: %s", err, &stderr)
	}
	lines := bytes.SplitAfter(stdout, []byte("\n"))
	if len(lines) != 101 || len(lines[100]) > 0 {
		t.Fatalf("%d lines: %s", len(lines), stdout)
	}
	for _, line := range lines[:100] {
		checkLine(t, line)
	}
}

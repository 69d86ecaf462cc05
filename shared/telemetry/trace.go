package telemetry

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-xray-sdk-go/v2/daemoncfg"
	"github.com/aws/aws-xray-sdk-go/v2/xray"
	"github.com/aws/aws-xray-sdk-go/v2/xraylog"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/httpapi"
	"github.com/tidegate/tidegate/shared/oip/wire"
)

// trace is what a trace header says.
type trace struct {
	id      string // of the trace
	parent  string // id of the segment that the request belongs to
	sampled bool
}

// traceOf reads the header that the Lambda loop put into ctx. It is
// "Root=1-…;Parent=…;Sampled=1", possibly with more; a header without any "=" is
// a bare trace id, as other hosts pass it. Only Sampled=1 is a decision to trace:
// "?" and a missing one leave it to somebody else.
func traceOf(ctx context.Context) trace {
	header, _ := ctx.Value(xray.LambdaTraceHeaderKey).(string)
	var t trace
	if header != "" && strings.IndexByte(header, '=') < 0 {
		t.id = header
		return t
	}
	for header != "" {
		var part string
		part, header, _ = strings.Cut(header, ";")
		key, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch key {
		case "Root":
			t.id = value
		case "Parent":
			t.parent = value
		case "Sampled":
			t.sampled = value == "1"
		}
	}
	return t
}

// tracer sends subsegments to the X-Ray daemon.
//
// The SDK is meant to be told of each part when it begins and ends, which would
// put its work (ids, locks, a goroutine) into the time before the answer. Here a
// request is over when its segment is made, so Begin and Close, which take the
// time of the call, are of no use: the SDK's Segment is filled in and given to
// its emitter, both of which are its public API.
type tracer struct {
	emitter *xray.DefaultEmitter
	newID   func() string
}

// silence keeps the SDK from writing lines of its own to stdout, among ours. Its
// logger is one for the process and not safe to set twice at a time.
var silence = sync.OnceFunc(func() { xray.SetLogger(xraylog.NullLogger) })

// newTracer returns nil when there is no daemon, or the SDK's own switch is off.
//
// The SDK reads the same variable from the process when the program starts, before
// main, and panics when it finds no address there, or a host that has none. Its
// parser also prefers the process's variable to its argument. So the error below
// is for a Getenv that is not os.Getenv.
func newTracer(o Options) (*tracer, error) {
	if o.Getenv == nil {
		return nil, nil
	}
	address := o.Getenv("AWS_XRAY_DAEMON_ADDRESS")
	if address == "" || strings.EqualFold(o.Getenv("AWS_XRAY_SDK_DISABLED"), "true") {
		return nil, nil
	}
	silence()
	endpoints, err := daemoncfg.GetDaemonEndpointsFromString(address)
	if err != nil {
		return nil, fault.Wrap(err, fault.InvalidArgument, "telemetry: AWS_XRAY_DAEMON_ADDRESS is no address of a daemon (host:port, or tcp:host:port udp:host:port)")
	}
	emitter, err := xray.NewDefaultEmitter(endpoints.UDPAddr)
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "telemetry: the X-Ray emitter cannot be made")
	}
	if o.NewSegmentID == nil {
		o.NewSegmentID = xray.NewSegmentID
	}
	return &tracer{emitter: emitter, newID: o.NewSegmentID}, nil
}

// send sends o as a subsegment of t.parent, in one UDP packet: a daemon that is
// not there costs the same. What goes wrong is dropped, as UDP does.
func (r *tracer) send(t trace, o *httpapi.Observation) {
	if t.id == "" || t.parent == "" || len(t.id) > maxText || len(t.parent) > maxText {
		return
	}
	defer func() { _ = recover() }() // a trace is never worth a request
	r.emitter.Emit(r.segment(t, o))
}

// segment is the document of o. Its root is itself and sampled, which is what the
// emitter asks for.
func (r *tracer) segment(t trace, o *httpapi.Observation) *xray.Segment {
	s := &xray.Segment{
		TraceID: t.id, ParentID: t.parent, ID: r.newID(), Type: "subsegment", Name: name(o), Sampled: true,
		StartTime: seconds(o.Start), EndTime: seconds(end(o)),
		Fault: o.Status >= 500, Error: o.Status >= 400 && o.Status < 500, Throttle: o.Status == 429,
		HTTP:        &xray.HTTPData{Response: &xray.ResponseData{Status: o.Status, ContentLength: o.BytesOut}},
		Subsegments: r.stages(o),
	}
	s.ParentSegment = s
	if answered(o) {
		s.Annotations = map[string]any{"model": o.Model, "version": o.Version, "slot": o.Slot}
	}
	ids := map[string]any{"latency_us": micros(o.Duration)}
	if o.RequestID != "" {
		ids["request_id"] = truncate(o.RequestID, maxText)
	}
	if o.InferenceID != "" {
		ids["inference_id"] = truncate(o.InferenceID, maxText)
	}
	s.Metadata = map[string]map[string]any{"tidegate": ids}
	return s
}

// stages are the subsegments of the stages. They are written here, into one
// buffer, because the SDK's own way from Segment to JSON encodes each twice.
func (r *tracer) stages(o *httpapi.Observation) []json.RawMessage {
	stages := stagesOf(o)
	if len(stages) == 0 {
		return nil
	}
	all := make([]json.RawMessage, len(stages))
	b := make([]byte, 0, 128*len(stages))
	for i := range stages {
		s := &stages[i]
		from := len(b)
		b = wire.AppendString(append(b, `{"id":`...), r.newID())
		b = wire.AppendString(append(b, `,"name":`...), truncate(s.Name, maxText))
		b = wire.AppendFloat64(append(b, `,"start_time":`...), seconds(s.Start))
		b = wire.AppendFloat64(append(b, `,"end_time":`...), seconds(s.Start.Add(max(0, s.Duration))))
		b = append(b, '}')
		all[i] = b[from:len(b):len(b)]
	}
	return all
}

// name of the request's subsegment: its route, of which there is a closed list.
func name(o *httpapi.Observation) string {
	if o.Route == "" {
		return "request"
	}
	return truncate(o.Route, maxText)
}

// end is when the last stage ended: the capture comes after the answer, and a
// subsegment has to contain its own.
func end(o *httpapi.Observation) time.Time {
	last := o.Start.Add(o.Duration)
	for i := range o.Stages {
		if e := o.Stages[i].Start.Add(max(0, o.Stages[i].Duration)); e.After(last) {
			last = e
		}
	}
	return last
}

// seconds since 1970, as X-Ray wants times; a float64 tells a quarter of a microsecond.
func seconds(t time.Time) float64 { return float64(t.UnixNano()) / 1e9 }

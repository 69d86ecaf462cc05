package telemetry

import (
	"time"

	"github.com/tidegate/tidegate/shared/httpapi"
	"github.com/tidegate/tidegate/shared/inference"
	"github.com/tidegate/tidegate/shared/oip/wire"
)

// Units of CloudWatch.
const (
	unitCount = "Count"
	unitTime  = "Microseconds"
	unitBytes = "Bytes"
)

const (
	// stageSuffix makes a metric's name of a stage's: "decode" is "DecodeTime".
	stageSuffix = "Time"
	// maxStages bounds the metrics of a directive, which takes 100. There are six stages.
	maxStages = 32
)

// dimensions of the metrics of a request that a version answered.
var dimensions = [...]string{"Model", "Version", "Slot"}

// requestMetrics in the order in which they are written; behind them one for each stage.
var requestMetrics = [...]struct {
	name, unit string
	value      func(o *httpapi.Observation) int64
	answered   bool // only when a version answered
}{
	{name: "Requests", unit: unitCount, value: func(*httpapi.Observation) int64 { return 1 }},
	{name: "Errors", unit: unitCount, value: func(o *httpapi.Observation) int64 { return oneIf(o.Status >= 500) }},
	{name: "Rejected", unit: unitCount, value: func(o *httpapi.Observation) int64 { return oneIf(o.Status >= 400 && o.Status < 500) }},
	{name: "Rows", unit: unitCount, value: func(o *httpapi.Observation) int64 { return int64(o.Rows) }, answered: true},
	{name: "Latency", unit: unitTime, value: func(o *httpapi.Observation) int64 { return micros(o.Duration) }},
	{name: "BytesIn", unit: unitBytes, value: func(o *httpapi.Observation) int64 { return int64(o.BytesIn) }},
	{name: "BytesOut", unit: unitBytes, value: func(o *httpapi.Observation) int64 { return int64(o.BytesOut) }},
}

// backendMetrics are those of a request whose version has a backend. A version that
// falls back for every second request has an average of Fallbacks of one half.
var backendMetrics = [...]struct {
	name, unit string
	value      func(r *inference.Ran) int64
}{
	{"Fallbacks", unitCount, func(r *inference.Ran) int64 { return oneIf(r.Fallback != "") }},
	{"BreakerState", unitCount, func(r *inference.Ran) int64 { return oneIf(r.Open) }},
}

// remoteLatency is only there when the backend was asked, so that its percentiles are the backend's.
const remoteLatency = "RemoteLatency"

func oneIf(is bool) int64 {
	if is {
		return 1
	}
	return 0
}

// micros rounds to microseconds; a stage that never ended has none.
func micros(d time.Duration) int64 { return max(0, int64((d+500)/time.Microsecond)) }

// answered says whether a version answered a prediction. Metadata routes name a
// version too, but predict nothing: they have no inference id.
func answered(o *httpapi.Observation) bool {
	return o.InferenceID != "" && o.Version > 0 && o.Model != "" && o.Slot != ""
}

// directives are the parts of the metadata that are the same in every line, each
// from its opening brace to the comma behind its last metric.
type directives struct {
	answered   []byte // of a request that a version answered
	backend    []byte // more, if that version has a backend
	unanswered []byte // of any other
	process    []byte // of the counts, without any metric
}

func newDirectives(namespace string) *directives {
	process := append(wire.AppendString([]byte(`{"Namespace":`), namespace), `,"Dimensions":[[]],"Metrics":[`...)
	d := &directives{process: process, unanswered: append([]byte(nil), process...)}
	d.answered = append(wire.AppendString([]byte(`{"Namespace":`), namespace), `,"Dimensions":[[`...)
	for i, name := range dimensions {
		if i > 0 {
			d.answered = append(d.answered, ',')
		}
		d.answered = wire.AppendString(d.answered, name)
	}
	d.answered = append(d.answered, `]],"Metrics":[`...)
	for _, m := range requestMetrics {
		d.answered = appendMetric(d.answered, m.name, m.unit)
		if !m.answered {
			d.unanswered = appendMetric(d.unanswered, m.name, m.unit)
		}
	}
	for _, m := range backendMetrics {
		d.backend = appendMetric(d.backend, m.name, m.unit)
	}
	return d
}

// appendMetric appends a metric's definition and a comma. Its name needs no escaping.
func appendMetric(b []byte, name, unit string) []byte {
	b = append(append(append(b, `{"Name":"`...), name...), `","Unit":"`...)
	return append(append(b, unit...), `"},`...)
}

// appendStageMetric is appendMetric for a stage.
func appendStageMetric(b []byte, stage string) []byte {
	b = appendStage(append(b, `{"Name":`...), stage)
	return append(b, `,"Unit":"`+unitTime+`"},`...)
}

// appendStage appends the name of a stage's metric as a JSON string.
func appendStage(b []byte, stage string) []byte {
	at := len(b) + 1
	b = wire.AppendString(b, truncate(stage, maxText))
	if c := b[at]; c >= 'a' && c <= 'z' {
		b[at] = c - 'a' + 'A'
	}
	return append(b[:len(b)-1], stageSuffix+`"`...)
}

// stagesOf bounds what a line and a trace tell.
func stagesOf(o *httpapi.Observation) []httpapi.Stage {
	return o.Stages[:min(len(o.Stages), maxStages)]
}

// first says whether no stage before the i-th has its name: a key stands once in a line.
func first(stages []httpapi.Stage, i int) bool {
	for k := range i {
		if stages[k].Name == stages[i].Name {
			return false
		}
	}
	return true
}

// total is the time of all stages that have the name of the i-th.
func total(stages []httpapi.Stage, i int) time.Duration {
	var d time.Duration
	for k := i; k < len(stages); k++ {
		if stages[k].Name == stages[i].Name {
			d += max(0, stages[k].Duration)
		}
	}
	return d
}

package telemetry

import (
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/tidegate/tidegate/shared/httpapi"
	"github.com/tidegate/tidegate/shared/oip/wire"
)

// Bounds of the text in a line, in bytes. A log event may have a megabyte; nobody
// reads more than this of an error, and every byte is paid for.
const (
	maxCause = 1024
	maxText  = 128 // ids, names
)

// line is one line in the making. It is used again and again, so that a line
// costs no allocation.
type line struct {
	b      []byte
	counts []count // of the process, on their way out with this line
}

// request makes the line of o.
func (l *line) request(d *directives, now time.Time, o *httpapi.Observation, traceID string) {
	l.begin(level(o), now, "request")
	l.properties(o, traceID)
	versioned := answered(o)
	if versioned {
		l.text("Model", o.Model, maxText)
		l.key("Version")
		l.b = append(strconv.AppendInt(append(l.b, '"'), int64(o.Version), 10), '"')
		l.text("Slot", o.Slot, maxText)
		l.text("digest", o.Digest, maxText)
		l.text("served_by", o.Ran.ServedBy, maxText)
		l.text("fallback", o.Ran.Fallback, maxText)
	} else {
		l.text("requested_model", o.Model, maxText)
	}
	for i := range requestMetrics {
		if m := &requestMetrics[i]; versioned || !m.answered {
			l.number(m.name, m.value(o))
		}
	}
	if versioned && o.Ran.Backend {
		for i := range backendMetrics {
			l.number(backendMetrics[i].name, backendMetrics[i].value(&o.Ran))
		}
		if o.Ran.Remote > 0 {
			l.number(remoteLatency, micros(o.Ran.Remote))
		}
	}
	stages := stagesOf(o)
	for i := range stages {
		if first(stages, i) {
			l.b = appendStage(append(l.b, ','), stages[i].Name)
			l.b = strconv.AppendInt(append(l.b, ':'), micros(total(stages, i)), 10)
		}
	}
	l.process()

	l.metadata(now)
	if versioned {
		l.b = append(l.b, d.answered...)
		if o.Ran.Backend {
			l.b = append(l.b, d.backend...)
			if o.Ran.Remote > 0 {
				l.b = appendMetric(l.b, remoteLatency, unitTime)
			}
		}
	} else {
		l.b = append(l.b, d.unanswered...)
	}
	for i := range stages {
		if first(stages, i) {
			l.b = appendStageMetric(l.b, stages[i].Name)
		}
	}
	l.endDirective()
	if len(l.counts) > 0 {
		l.b = append(l.b, ',')
		l.processDirective(d)
	}
	l.end()
}

// flush makes a line of nothing but the counts.
func (l *line) flush(d *directives, now time.Time) {
	l.begin("INFO", now, "counts")
	l.process()
	l.metadata(now)
	l.processDirective(d)
	l.end()
}

// begin writes the fields that log/slog's lines begin with, so that one query reads both.
func (l *line) begin(level string, now time.Time, msg string) {
	l.b = now.UTC().AppendFormat(append(l.b[:0], `{"time":"`...), time.RFC3339Nano)
	l.b = append(append(l.b, `","level":"`...), level...)
	l.b = append(append(append(l.b, `","msg":"`...), msg...), '"')
}

func (l *line) properties(o *httpapi.Observation, traceID string) {
	l.text("request_id", o.RequestID, maxText)
	l.text("inference_id", o.InferenceID, maxText)
	l.text("trace_id", traceID, maxText)
	l.text("route", o.Route, maxText)
	l.number("status", int64(o.Status))
	l.text("error_kind", o.ErrorKind, maxText)
	if o.Cause != nil {
		l.text("cause", errorText(o.Cause), maxCause)
	}
}

// process appends the values of the counts.
func (l *line) process() {
	for _, c := range l.counts {
		l.number(c.name, c.n)
	}
}

// metadata opens what makes a log line a metrics document.
func (l *line) metadata(now time.Time) {
	l.b = append(l.b, `,"_aws":{"Timestamp":`...)
	l.b = strconv.AppendInt(l.b, now.UnixMilli(), 10)
	l.b = append(l.b, `,"CloudWatchMetrics":[`...)
}

func (l *line) processDirective(d *directives) {
	l.b = append(l.b, d.process...)
	for _, c := range l.counts {
		l.b = appendMetric(l.b, c.name, unitCount)
	}
	l.endDirective()
}

// endDirective closes a directive, whose last metric has left a comma.
func (l *line) endDirective() { l.b = append(l.b[:len(l.b)-1], "]}"...) }

func (l *line) end() { l.b = append(l.b, "]}}\n"...) }

// key appends a key that needs no escaping.
func (l *line) key(name string) { l.b = append(append(append(l.b, `,"`...), name...), `":`...) }

func (l *line) number(name string, v int64) {
	l.key(name)
	l.b = strconv.AppendInt(l.b, v, 10)
}

// text appends a string of at most bound bytes, unless it is empty.
func (l *line) text(name, s string, bound int) {
	if s != "" {
		l.key(name)
		l.b = wire.AppendString(l.b, truncate(s, bound))
	}
}

// level is ERROR for what is our fault and WARN for what an operator may want to
// see: a refusal, or something that failed behind a good answer.
func level(o *httpapi.Observation) string {
	switch {
	case o.Status >= 500:
		return "ERROR"
	case o.Status >= 400 || o.Cause != nil:
		return "WARN"
	}
	return "INFO"
}

// truncate cuts s to at most bound bytes, not within a character.
func truncate(s string, bound int) string {
	const mark = "…"
	if len(s) <= bound {
		return s
	}
	end := bound - len(mark)
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + mark
}

// errorText is the text of err, whose Error method may be foreign code.
func errorText(err error) (text string) {
	defer func() {
		if recover() != nil {
			text = "the error panicked when it was asked for its text"
		}
	}()
	return err.Error()
}

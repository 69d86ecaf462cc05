package telemetry

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// properties that a line may have beside dimensions and metrics.
var knownProperties = []string{"time", "level", "msg", "request_id", "inference_id", "trace_id", "route", "status", "error_kind", "cause", "requested_model", "digest", "served_by", "fallback"}

type directive struct {
	Namespace  string
	Dimensions [][]string
	Metrics    []struct{ Name, Unit string }
}

// checkLine holds a line against the embedded metric format's specification and
// our own, and returns its members.
func checkLine(t testing.TB, line []byte) map[string]any {
	t.Helper()
	if bytes.Count(line, []byte{'\n'}) != 1 || line[len(line)-1] != '\n' {
		t.Fatalf("not one line: %q", line)
	}
	members := uniqueMembers(t, line)
	var meta struct {
		Timestamp         int64
		CloudWatchMetrics []directive
	}
	decoder := json.NewDecoder(bytes.NewReader(members["_aws"]))
	decoder.DisallowUnknownFields() // the specification: no additional members
	if err := decoder.Decode(&meta); err != nil {
		t.Fatalf("_aws: %v in %s", err, line)
	}
	if meta.Timestamp != testNow.UnixMilli() {
		t.Errorf("Timestamp %d", meta.Timestamp)
	}
	named := []string{"_aws"}
	for _, d := range meta.CloudWatchMetrics {
		named = append(named, checkDirective(t, d, members)...)
	}
	values := map[string]any{}
	for name, raw := range members {
		if !slices.Contains(named, name) && !slices.Contains(knownProperties, name) {
			t.Errorf("%s is neither a metric nor a dimension nor a known property", name)
		}
		var v any
		if err := json.Unmarshal(raw, &v); err != nil {
			t.Fatal(err)
		}
		values[name] = v
	}
	return values
}

// checkDirective returns the members that d names.
func checkDirective(t testing.TB, d directive, members map[string]json.RawMessage) []string {
	t.Helper()
	if d.Namespace != DefaultNamespace || len(d.Dimensions) != 1 {
		t.Errorf("namespace %q, dimensions %v", d.Namespace, d.Dimensions)
	}
	if n := len(d.Metrics); n == 0 || n > 100 {
		t.Errorf("%d metrics in a directive, want 1 to 100", n)
	}
	var named []string
	for _, dimension := range d.Dimensions[0] {
		var value string
		if err := json.Unmarshal(members[dimension], &value); err != nil || value == "" || len(value) > 250 {
			t.Errorf("dimension %s is %s", dimension, members[dimension])
		}
		named = append(named, dimension)
	}
	if n := len(d.Dimensions[0]); n != 0 && !slices.Equal(d.Dimensions[0], dimensions[:]) {
		t.Errorf("dimensions %v", d.Dimensions[0])
	}
	for _, m := range d.Metrics {
		var value float64
		if err := json.Unmarshal(members[m.Name], &value); err != nil {
			t.Errorf("metric %s is %s, want a number", m.Name, members[m.Name])
		}
		if !slices.Contains([]string{"Count", "Microseconds", "Bytes"}, m.Unit) {
			t.Errorf("metric %s has the unit %q", m.Name, m.Unit)
		}
		if slices.Contains(named, m.Name) {
			t.Errorf("%s is named twice", m.Name)
		}
		named = append(named, m.Name)
	}
	return named
}

// uniqueMembers decodes an object and refuses a key that stands in it twice,
// which encoding/json would accept and CloudWatch may not.
func uniqueMembers(t testing.TB, text []byte) map[string]json.RawMessage {
	t.Helper()
	members := map[string]json.RawMessage{}
	decoder := json.NewDecoder(bytes.NewReader(text))
	if _, err := decoder.Token(); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			t.Fatalf("%v in %q", err, text)
		}
		name := key.(string)
		if _, twice := members[name]; twice {
			t.Errorf("%s stands twice in %s", name, text)
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			t.Fatalf("%s: %v in %q", name, err, text)
		}
		members[name] = value
	}
	return members
}

// TestUnansweredRequestsMakeNoSeries: what a client asks for is never a dimension.
func TestUnansweredRequestsMakeNoSeries(t *testing.T) {
	var out bytes.Buffer
	tel := newTelemetry(t, Options{Out: &out})
	o := testObservation()
	o.Version, o.Slot = 0, ""
	tel.Observe(withHeader(""), o)
	line := out.String()
	if strings.Contains(line, `"Model"`) || !strings.Contains(line, `"Dimensions":[[]]`) || strings.Contains(line, `"Rows"`) || !strings.Contains(line, `"requested_model":"flights"`) {
		t.Error(line)
	}
}

package telemetry

import (
	"bytes"
	"encoding/json"
	"math"
	"testing"
	"time"
)

// TestMeasure: one line that CloudWatch makes metrics of, with the dimension Model.
func TestMeasure(t *testing.T) {
	var out bytes.Buffer
	tell, err := New(Options{Out: &out, Namespace: "Tidegate/x", Now: func() time.Time { return time.Date(2026, 11, 24, 12, 0, 0, 5e6, time.UTC) }})
	if err != nil {
		t.Fatal(err)
	}
	tell.Measure("drift report", "flights", map[string]float64{"DriftRows": 2400, "DriftState": 0, "Requests": 1, "lower": 1, "Bad": math.NaN(), "Slot": 1})
	want := `{"time":"2026-11-24T12:00:00.005Z","level":"INFO","msg":"drift report","Model":"flights","DriftRows":2400,"DriftState":0,` +
		`"_aws":{"Timestamp":1795521600005,"CloudWatchMetrics":[{"Namespace":"Tidegate/x","Dimensions":[["Model"]],"Metrics":[{"Name":"DriftRows","Unit":"Count"},{"Name":"DriftState","Unit":"Count"}]}]}}` + "\n"
	if got := out.String(); got != want || !json.Valid([]byte(got)) {
		t.Errorf("got  %swant %s", got, want)
	}
	out.Reset()
	tell.Measure("drift report", "flights", map[string]float64{"Errors": 1})
	tell.Measure("drift report", "", map[string]float64{"DriftRows": 1})
	if out.Len() > 0 {
		t.Errorf("a line without a figure or a model: %s", out.String())
	}
}

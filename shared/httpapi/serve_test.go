package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/inference"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/tensor"
)

var update = flag.Bool("update", false, "write the golden files")

// TestGolden pins the wire: status, headers and body of one exchange a file.
func TestGolden(t *testing.T) {
	flights2 := flightsBody(2)
	rawOut := strings.Replace(flights2, `"id":"client-1"`, `"id":"client-1","parameters":{"binary_data_output":true}`, 1)
	mixed := strings.Replace(flights2, `"id":"client-1"`, `"outputs":[{"name":"probabilities","parameters":{"binary_data":true}},{"name":"label"}]`, 1)
	head := `{"inputs":[{"name":"x","shape":[1,30],"datatype":"FP32","parameters":{"binary_data_size":120}}],"parameters":{"binary_data_output":true}}`
	tests := []struct {
		name, method, path string
		header             Header
		body               string
	}{
		{"server_metadata", "GET", "/v2", nil, ""},
		{"server_metadata_slash", "GET", "/v2/", nil, ""},
		{"live", "GET", "/v2/health/live", nil, ""},
		{"ready", "GET", "/v2/health/ready", nil, ""},
		{"model_metadata", "GET", "/v2/models/flights", nil, ""},
		{"model_metadata_version", "GET", "/v2/models/wide/versions/7", nil, ""},
		{"model_ready", "GET", "/v2/models/flights/ready", nil, ""},
		{"model_version_ready", "GET", "/v2/models/flights/versions/7/ready", nil, ""},
		{"model_version_loading", "GET", "/v2/models/flights/versions/6/ready", nil, ""},
		{"head", "HEAD", "/v2/models/flights", nil, ""},
		{"infer", "POST", inferFlights, nil, flights2},
		{"infer_version", "POST", "/v2/models/flights/versions/7/infer", nil, flights2},
		{"infer_binary_output", "POST", inferFlights, nil, rawOut},
		{"infer_mixed_output", "POST", inferFlights, nil, mixed},
		{"infer_sagemaker", "POST", inferWide, Header{"content-type": fmt.Sprintf("application/vnd.sagemaker-triton.binary+json;json-header-size=%d", len(head))}, head + strings.Repeat("\x00\x00\x80\x3f", 30)},
		{"rows_objects", "POST", rowsFlights, nil, `{"instances":[{"n0":1,"n1":2,"n2":0,"n3":0,"n4":0,"n5":0,"n6":0,"c0":"UA"}]}`},
		{"rows_scalar", "POST", "/v1/models/wide:predict", nil, `{"instances":[[` + strings.Repeat("1,", 29) + `1]]}`},
		{"rows_columns", "POST", "/v1/models/flights/labels/champion:predict", nil, `{"inputs":{"n0":[1,2],"n1":[0,0],"n2":[0,0],"n3":[0,0],"n4":[0,0],"n5":[0,0],"n6":[0,0],"c0":["UA","DL"]}}`},
		{"rows_escaped_colon", "POST", "/v1/models/wide/versions/7%3Apredict", nil, `{"instances":[[` + strings.Repeat("1,", 29) + `1]]}`},
		{"tf_status", "GET", "/v1/models/flights", nil, ""},
		{"tf_status_version", "GET", "/v1/models/flights/versions/6", nil, ""},
		{"tf_metadata", "GET", "/v1/models/wide/metadata", nil, ""},
		{"not_found", "GET", "/v3", nil, ""},
		{"not_found_repository", "POST", "/v2/repository/index", nil, ""},
		{"wrong_method", "GET", inferFlights, nil, ""},
		{"wrong_method_metadata", "DELETE", "/v2/models/flights", nil, ""},
		{"violations", "POST", rowsFlights, nil, `{"instances":[{"n0":9999,"c0":"ZZ"}]}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, fleet, _ := newAPI(t, Options{})
			resp, text := call(t, a, tt.method, tt.path, tt.header, tt.body)
			if fleet.held != 0 {
				t.Errorf("%d versions still held", fleet.held)
			}
			golden(t, tt.name, exchanged(tt.method, tt.path, resp, text))
		})
	}
}

func exchanged(method, path string, resp Response, text string) string {
	lines := []string{}
	for k, v := range resp.Header {
		lines = append(lines, k+": "+v)
	}
	sort.Strings(lines)
	if resp.Binary {
		text = fmt.Sprintf("%q", text)
	}
	return fmt.Sprintf("%s %s\n%d\n%s\n\n%s\n", method, path, resp.Status, strings.Join(lines, "\n"), text)
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

func TestRecordsAndObservesOnce(t *testing.T) {
	a, _, rec := newAPI(t, Options{})
	call(t, a, "POST", inferFlights, Header{"tidegate-key": "customer"}, flightsBody(3))
	if len(rec.records) != 1 || len(rec.observations) != 1 {
		t.Fatalf("%d records, %d observations", len(rec.records), len(rec.observations))
	}
	p, o := rec.records[0], rec.observations[0]
	if p.ID != testID || p.RequestID != "client-1" || p.Key != "customer" || p.Rows != 3 || p.Status != 200 || p.Version.Number != 7 || p.Latency != 6*time.Millisecond ||
		len(p.Inputs) != 11 || len(p.Outputs) != 2 || p.Role != "served" || p.At.IsZero() {
		t.Errorf("recorded %+v", p)
	}
	if o.Route != "infer" || o.Model != "flights" || o.Version != 7 || o.Slot != "champion" || o.Rows != 3 || o.BytesIn == 0 || o.BytesOut == 0 || o.Status != 200 || o.Cause != nil {
		t.Errorf("observed %+v", o)
	}
	if diff := cmp.Diff([]string{"decode", "pick", "check", "run", "encode", "capture"}, rec.stages); diff != "" {
		t.Error(diff)
	}
	call(t, a, "GET", "/v2/health/live", nil, "")
	if len(rec.records) != 1 || len(rec.observations) != 2 || rec.observations[1].Route != "live" {
		t.Errorf("health: %d records, observed %+v", len(rec.records), rec.observations[1])
	}
}

func TestStickyKey(t *testing.T) {
	tests := []struct {
		name, body, want string
		header           Header
	}{
		{"inference id", flightsBody(1), testID, nil},
		{"header", flightsBody(1), "customer", Header{"tidegate-key": "customer"}},
		{"parameter", strings.Replace(flightsBody(1), `"id":"client-1"`, `"parameters":{"key":"param"}`, 1), "param", nil},
		{"header before parameter", strings.Replace(flightsBody(1), `"id":"client-1"`, `"parameters":{"key":"param"}`, 1), "customer", Header{"tidegate-key": "customer"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, fleet, _ := newAPI(t, Options{})
			if call(t, a, "POST", inferFlights, tt.header, tt.body); fleet.lastKey != tt.want {
				t.Errorf("picked by key %q, want %q", fleet.lastKey, tt.want)
			}
		})
	}
}

func TestSelection(t *testing.T) {
	var got inference.Selection
	a, fleet, _ := newAPI(t, Options{})
	fleet.pick = func(s inference.Selection) error { got = s; return nil }
	call(t, a, "POST", "/v1/models/wide/versions/7:predict", nil, "{}")
	if got.Model != "wide" || got.Version != 7 || got.Slot != "" {
		t.Errorf("selected %+v", got)
	}
	call(t, a, "POST", "/v1/models/wide/labels/challenger:predict", nil, "{}")
	if got.Version != 0 || got.Slot != registry.Challenger {
		t.Errorf("selected %+v", got)
	}
	call(t, a, "GET", "/v2/models/wide", nil, "")
	if got.Slot != registry.Champion {
		t.Errorf("metadata selected %+v", got)
	}
}

func TestStrictCapture(t *testing.T) {
	a, fleet, rec := newAPI(t, Options{})
	fleet.models["flights"].version.Capture.Mode = registry.CaptureStrict
	resp := a.Serve(context.Background(), &Request{Method: "POST", Path: inferFlights, Header: Header{}, Body: []byte(flightsBody(1))})
	if resp.Status != 200 || len(rec.records) != 1 {
		t.Fatalf("status %d, %d records before the answer", resp.Status, len(rec.records))
	}
	if resp.After(context.Background()); len(rec.records) != 1 {
		t.Errorf("recorded again after the answer")
	}
	rec.err = errors.New("the stream is down")
	got, text := call(t, a, "POST", inferFlights, nil, flightsBody(1))
	if got.Status != 503 || got.Header["Retry-After"] != "1" || strings.Contains(text, "outputs") || strings.Contains(text, "stream") || fleet.held != 0 {
		t.Errorf("status %d %v %s", got.Status, got.Header, text)
	}
}

func TestLostCaptureIsSeen(t *testing.T) {
	a, _, rec := newAPI(t, Options{})
	rec.err = errors.New("the stream is down")
	if resp, _ := call(t, a, "POST", inferFlights, nil, flightsBody(1)); resp.Status != 200 || rec.observations[0].Cause == nil {
		t.Errorf("status %d, cause %v", resp.Status, rec.observations[0].Cause)
	}
}

func TestFaultsOfTheFleet(t *testing.T) {
	tests := []struct {
		name   string
		set    func(*fleet)
		status int
		want   string
		header string
	}{
		{"loading", func(f *fleet) {
			f.pick = func(inference.Selection) error {
				return fault.New(fault.Unavailable, "the model is loading").After(1500 * time.Millisecond)
			}
		}, 503, "the model is loading", "2"},
		{"internal", func(f *fleet) {
			f.pick = func(inference.Selection) error { return errors.New("S3NT1NEL in a stack trace") }
		}, 500, "internal error; quote the request id", ""},
		{"deadline", func(f *fleet) {
			f.run = func(context.Context, []tensor.Tensor) error { return context.DeadlineExceeded }
		}, 504, `passed in stage "run" (decode 1 ms, pick 1 ms, check 1 ms, run 1 ms)`, ""},
		{"throttled", func(f *fleet) {
			f.run = func(context.Context, []tensor.Tensor) error {
				return fault.New(fault.ResourceExhausted, "full").After(time.Second)
			}
		}, 429, "full", "1"},
		{"panic in run", func(f *fleet) {
			f.run = func(_ context.Context, in []tensor.Tensor) error { panic("S3NT1NEL") }
		}, 500, "internal error", ""},
		{"runtime panic in run", func(f *fleet) {
			f.run = func(_ context.Context, in []tensor.Tensor) error { _ = in[len(in)]; return nil }
		}, 500, "internal error", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, fleet, rec := newAPI(t, Options{})
			tt.set(fleet)
			resp, text := call(t, a, "POST", inferFlights, nil, flightsBody(1))
			if resp.Status != tt.status || !strings.Contains(unquoted(text), tt.want) || resp.Header["Retry-After"] != tt.header || strings.Contains(text, sentinel) {
				t.Errorf("status %d %v %s\nwant %d %q", resp.Status, resp.Header, text, tt.status, tt.want)
			}
			if fleet.held != 0 || rec.observations[0].Cause == nil {
				t.Errorf("%d held, cause %v", fleet.held, rec.observations[0].Cause)
			}
			if cause := rec.observations[0].Cause.Error(); strings.HasPrefix(tt.name, "panic") && strings.Contains(cause, sentinel) {
				t.Errorf("the panic's value is in the log: %s", cause)
			}
		})
	}
}

func TestDeadlineBeforeRun(t *testing.T) {
	a, fleet, _ := newAPI(t, Options{})
	fleet.run = func(context.Context, []tensor.Tensor) error { t.Error("the model ran"); return nil }
	ctx, cancel := context.WithDeadline(context.Background(), time.Unix(1, 0))
	defer cancel()
	resp := a.Serve(ctx, &Request{Method: "POST", Path: inferFlights, Header: Header{}, Body: []byte(flightsBody(1))})
	if resp.Status != 504 || !strings.Contains(string(resp.Body), `\"check\"`) {
		t.Errorf("status %d %s", resp.Status, resp.Body)
	}
	resp.After(ctx)
}

// faulty panics wherever it is called.
type faulty struct{ fleet }

func (*faulty) AfterRequest(context.Context)              { panic("AfterRequest") }
func (*faulty) Record(context.Context, *Prediction) error { panic("Record") }
func (*faulty) Observe(_ context.Context, _ *Observation) { panic("Observe") }
func (*faulty) Ready(context.Context) error               { panic("Ready") }

func TestPanicsAfterTheAnswer(t *testing.T) {
	f := &faulty{*newFleet(t)}
	a := New(f, f, f, Options{})
	for range 3 { // the exchange is good for another request
		if resp, _ := call(t, a, "POST", inferFlights, nil, flightsBody(1)); resp.Status != 200 || f.held != 0 {
			t.Errorf("status %d, %d held", resp.Status, f.held)
		}
	}
	if resp, _ := call(t, a, "GET", "/v2/health/ready", nil, ""); resp.Status != 500 {
		t.Errorf("status %d", resp.Status)
	}
}

func TestReadiness(t *testing.T) {
	a, fleet, _ := newAPI(t, Options{})
	fleet.ready = errBoom
	if resp, text := call(t, a, "GET", "/v2/health/ready", nil, ""); resp.Status != 503 || text != `{"ready":false}` || resp.Header["Retry-After"] == "" {
		t.Errorf("status %d %s", resp.Status, text)
	}
	if resp, _ := call(t, a, "GET", "/v2/health/live", nil, ""); resp.Status != 200 {
		t.Errorf("live: status %d", resp.Status)
	}
	if resp, _ := call(t, a, "GET", "/v2/models/none/ready", nil, ""); resp.Status != 404 {
		t.Errorf("unknown model: status %d", resp.Status)
	}
}

func TestAnswerLimit(t *testing.T) {
	word := func(rows int) string {
		return fmt.Sprintf(`{"inputs":[{"name":"s","shape":[%d],"datatype":"BYTES","data":[%s]}]}`, rows, strings.TrimSuffix(strings.Repeat(`"ab",`, rows), ","))
	}
	binary := func(rows int) string {
		return strings.TrimSuffix(word(rows), "}") + `,"parameters":{"binary_data_output":true}}`
	}
	tests := []struct {
		name, path, body string
		enveloped, runs  bool
		status           int
		want             string
	}{
		{"fits", inferWord, word(10), true, true, 200, ""},
		{"sure before the run", inferWord, word(1000), true, false, 413, "send at most"},
		{"seen after the run", inferWord, word(230), true, true, 413, "send at most"},
		{"binary is known exactly", inferWord, binary(50), false, true, 200, ""},
		{"binary over the limit", inferWord, binary(70), false, false, 413, "send at most"},
		{"binary is larger as base64", inferWord, binary(50), true, false, 413, "send at most"},
		{"one row that does not fit", inferWord, `{"inputs":[{"name":"s","shape":[1],"datatype":"BYTES","data":["` + strings.Repeat("a", 30000) + `"]}]}`, true, true, 413, "fewer outputs"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, fleet, _ := newAPI(t, Options{MaxAnswer: 20000, Enveloped: tt.enveloped})
			ran := false
			fleet.run = func(context.Context, []tensor.Tensor) error { ran = true; return nil }
			resp, text := call(t, a, "POST", tt.path, nil, tt.body)
			if resp.Status != tt.status || !strings.Contains(text, tt.want) || ran != tt.runs || fleet.held != 0 {
				t.Errorf("status %d %.200s, ran %v; want %d %q, ran %v", resp.Status, text, ran, tt.status, tt.want, tt.runs)
			}
		})
	}
}

// TestAdviceHolds sends as many rows as the advice says, which must then fit.
func TestAdviceHolds(t *testing.T) {
	a, _, _ := newAPI(t, Options{MaxAnswer: 20000, Enveloped: true})
	body := func(rows int) string {
		return `{"instances":[` + strings.TrimSuffix(strings.Repeat(`{"n0":1.5,"n1":0.1,"n2":0,"n3":0,"n4":0,"n5":0,"n6":0,"c0":"UA"},`, rows), ",") + `]}`
	}
	_, text := call(t, a, "POST", rowsFlights, nil, body(3000))
	var n int
	if _, err := fmt.Sscanf(text[strings.Index(text, "at most"):], "at most %d rows", &n); err != nil || n < 100 {
		t.Fatalf("advice %s", text)
	}
	if resp, text := call(t, a, "POST", rowsFlights, nil, body(n)); resp.Status != 200 {
		t.Errorf("%d rows: status %d %s", n, resp.Status, text)
	}
}

// TestIndentedRequests: what json.dumps(…, indent=2) writes is answered as what it writes without.
func TestIndentedRequests(t *testing.T) {
	values := "[" + strings.Repeat("0.5,0.25,-0.125,", 10)
	values = strings.TrimSuffix(values, ",") + "]"
	for name, request := range map[string][2]string{
		"tensor":        {inferWide, wideJSON("[1,30]", values)},
		"nested tensor": {inferWide, wideJSON("[2,30]", "["+values+","+values+"]")},
		"columns":       {inferFlights, flightsBody(2)},
		"rows":          {"/v1/models/wide:predict", `{"instances":[` + values + "," + values + `]}`},
		"row objects":   {"/v1/models/wide:predict", `{"instances":[{"x":` + values + `}]}`},
		"plain inputs":  {"/v1/models/wide:predict", `{"inputs":[` + values + `]}`},
	} {
		a, _, _ := newAPI(t, Options{})
		compact, want := call(t, a, "POST", request[0], nil, request[1])
		var indented bytes.Buffer
		if err := json.Indent(&indented, []byte(request[1]), "", "  "); err != nil {
			t.Fatal(err)
		}
		if resp, got := call(t, a, "POST", request[0], nil, indented.String()); compact.Status != 200 || resp.Status != 200 || got != want {
			t.Errorf("%s: status %d %s\nwant %d %s", name, resp.Status, got, compact.Status, want)
		}
	}
}

// TestOutputsAreNotRemembered: exchanges are used again, and what one request asked for is nothing to the next.
func TestOutputsAreNotRemembered(t *testing.T) {
	a, _, _ := newAPI(t, Options{})
	named := strings.Replace(flightsBody(1), `"id":"client-1"`, `"outputs":[{"name":"label"}]`, 1)
	for range 8 { // the pool may drop an exchange
		if _, text := call(t, a, "POST", inferFlights, nil, named); strings.Contains(text, "probabilities") {
			t.Errorf("asked for the label alone: %s", text)
		}
		for path, body := range map[string]string{inferFlights: flightsBody(1), rowsFlights: `{"instances":[{"n0":1,"c0":"UA"}]}`} {
			if _, text := call(t, a, "POST", path, nil, body); !strings.Contains(text, "label") || !strings.Contains(text, "probabilities") {
				t.Errorf("%s asked for nothing in particular: %s", path, text)
			}
		}
	}
}

func TestIDsAreUUIDv7(t *testing.T) {
	a := New(newFleet(t), nil, nil, Options{})
	last := ""
	for range 100 {
		resp, _ := call(t, a, "POST", inferFlights, nil, flightsBody(1))
		id := resp.Header["Tidegate-Inference-Id"]
		if len(id) != 36 || id[14] != '7' || id <= last {
			t.Fatalf("id %q after %q", id, last)
		}
		last = id
	}
}

// FuzzServe: no request makes the handlers panic, leak a version or answer without a body.
func FuzzServe(f *testing.F) {
	f.Add("POST", inferFlights, "", "", []byte(flightsBody(1)))
	f.Add("POST", rowsFlights, "", "", []byte(`{"instances":[{"n0":1,"c0":"UA"}]}`))
	f.Add("POST", inferWide, "10", "", []byte(`{"inputs":[]}`))
	f.Add("POST", "/v1/models/flights/labels/champion%3Apredict", "", "gzip", []byte(packed(f, "gzip", `{"inputs":{"n0":[1]}}`)))
	f.Add("GET", "/v2/models/flights/versions/7/ready", "", "", []byte{})
	f.Fuzz(func(t *testing.T, method, path, length, encoding string, body []byte) {
		fleet, rec := newFleet(t), &tape{}
		a := New(fleet, rec, rec, Options{MaxBody: 1 << 16, MaxAnswer: 1 << 16, Enveloped: true})
		resp, text := call(t, a, method, path, Header{"inference-header-content-length": length, "content-encoding": encoding}, string(body))
		if resp.Status == 500 || fleet.held != 0 || len(rec.observations) != 1 || (text == "" && method != "HEAD") {
			t.Fatalf("status %d, %d held, %d observations: %v", resp.Status, fleet.held, len(rec.observations), rec.observations)
		}
	})
}

// TestConcurrentRequests sends different requests at the same time: none may see
// memory of another. The race detector looks on in `make check`.
func TestConcurrentRequests(t *testing.T) {
	a := New(newFleet(t), nil, nil, Options{})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range 50 {
				word := strings.Repeat(string(rune('a'+g)), i%20+1)
				resp := a.Serve(context.Background(), &Request{Method: "POST", Path: inferWord, Header: Header{}, Body: []byte(word1(`["` + word + `"]`))})
				if !strings.Contains(string(resp.Body), `"data":["`+word+`"]`) || resp.Status != 200 {
					t.Errorf("asked for %q, got %s", word, resp.Body)
				}
				resp.After(context.Background())
			}
		}()
	}
	wg.Wait()
}

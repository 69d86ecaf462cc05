package main

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/inference/onnx/onnxtest"
	"github.com/tidegate/tidegate/shared/modelfile"
	"github.com/tidegate/tidegate/shared/oip"
	"github.com/tidegate/tidegate/shared/tensor"
	"github.com/tidegate/tidegate/tests/bench/workload"
)

func TestTheHeavyModelIsAModel(t *testing.T) {
	body := heavyModel(2, 8)
	parsed, err := modelfile.Parse(body)
	if err != nil {
		t.Fatal(err)
	}
	if len(parsed.Inputs) != 1 || parsed.Inputs[0].Datatype != tensor.FP32 || !slices.Equal(parsed.Inputs[0].Shape, []int64{-1, heavyInput}) || !slices.Equal(parsed.Outputs[0].Shape, []int64{-1, 1}) {
		t.Errorf("%+v", parsed)
	}
	r, err := openRaw(onnxtest.Library(t), body, 1)
	if err != nil {
		t.Fatal(err)
	}
	both, err := r.run(append(heavyRow(1), heavyRow(2)...), 2)
	if err != nil {
		t.Fatal(err)
	}
	for i, y := range both {
		alone, err := r.run(heavyRow(i+1), 1)
		if err != nil || math.Abs(float64(alone[0]-y)) > 1e-5 {
			t.Errorf("row %d: %v in a batch, %v alone, %v", i, y, alone, err)
		}
	}
	if both[0] == both[1] || !slices.Equal(heavyModel(2, 8), body) {
		t.Error("rows do not matter, or the weights change")
	}
	if best, err := r.best([]int{1, 4}, time.Millisecond); err != nil || best.Rows <= 0 {
		t.Errorf("%+v, %v", best, err)
	}
}

func TestAllFormsSayTheSame(t *testing.T) {
	m := &workload.Model{Name: "m", Rows: 1, Columns: []workload.Column{{Name: "a", Width: 2, Floats: []float32{1.5, -2}}, {Name: "b", Width: 1, Strings: []string{"x\"y"}}}}
	r := repeat(m, 3)
	text, err := new(oip.Decoder).Decode(r.json(), oip.AllJSON)
	if err != nil {
		t.Fatal(err)
	}
	body, length := r.binary()
	raw, err := new(oip.Decoder).Decode(body, length)
	if err != nil {
		t.Fatal(err)
	}
	for i := range text.Inputs {
		a, b := text.Inputs[i], raw.Inputs[i]
		if a.Name != b.Name || !slices.Equal(a.Shape, b.Shape) || !slices.Equal(a.FP32s, b.FP32s) || !slices.Equal(a.Strings, b.Strings) || a.Shape[0] != 3 {
			t.Errorf("%+v and %+v", a, b)
		}
	}
	message := r.message()
	if len(message.RawInputContents) != 2 || len(message.RawInputContents[0]) != 24 || message.Inputs[1].Datatype != "BYTES" {
		t.Errorf("%v", message)
	}
}

// TestDrive counts calls, and does not hide one that fails.
func TestDrive(t *testing.T) {
	var served atomic.Int64
	var broken atomic.Bool
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		served.Add(1)
		if broken.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_, _ = w.Write([]byte("same"))
	}))
	defer s.Close()
	port := s.URL[strings.LastIndexByte(s.URL, ':')+1:]
	make := func(int) (caller, error) {
		return newWebCaller(port, "/", map[string]string{"X-Test": "1"}, []byte("body"), func(body []byte) error {
			if string(body) != "same" {
				return errors.New("another answer")
			}
			return nil
		})
	}
	l, err := drive(2, 50*time.Millisecond, make)
	if err != nil || l.Requests == 0 || int64(l.Requests) > served.Load() || l.P50 <= 0 || l.P99 < l.P50 {
		t.Errorf("%+v of %d, %v", l, served.Load(), err)
	}
	broken.Store(true)
	if _, err := drive(2, 50*time.Millisecond, make); err == nil {
		t.Error("answers of 503 are counted as good")
	}
}

func TestReport(t *testing.T) {
	r := newReport(2)
	for i, name := range []string{"heavy/binary/rows=1", "heavy/binary/rows=1"} {
		r.add(name, load{Callers: 64, Requests: 10, Rate: float64(800 + 100*i), P50: 1, P99: 2})
		r.Raw = append(r.Raw, rawRate{64, 1000})
	}
	r.RSS = memory{1000, 100, 105}
	path := filepath.Join(t.TempDir(), "endpoint.json")
	if err := r.write(path); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	var read report
	if err != nil || json.Unmarshal(text, &read) != nil {
		t.Fatalf("%s, %v", text, err)
	}
	if got := read.Ratios["heavy_64callers_vs_raw_batched"]; math.Abs(got-0.85) > 1e-9 {
		t.Errorf("ratio %v, want 0.85", got)
	}
	if _, there := read.Ratios["single_caller_p50_batching_on_vs_off"]; there || math.Abs(read.Ratios["rss_growth_soak_ratio"]-1.05) > 1e-9 || read.Loads["heavy/binary/rows=1"][0].Requests != 20 {
		t.Errorf("%s", text)
	}
}

func TestAServerThatDoesNotStart(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if _, err := startServer(ctx, "/does/not/exist", "", t.TempDir()); err == nil {
		t.Error("started")
	}
}

func TestTensorsByName(t *testing.T) {
	m := &workload.Model{Name: "m", Rows: 1, Columns: []workload.Column{{Name: "a", Width: 2, Floats: []float32{15, 0.5}}, {Name: "b", Width: 1, Strings: []string{"x\"y"}}}}
	if got, want := string(repeat(m, 2).byName()), `{"inputs":{"a":[[15.0,0.5],[15.0,0.5]],"b":[["x\"y"],["x\"y"]]}}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestPeersAnswerWithTheSameModel, in whatever form.
func TestPeersAnswerWithTheSameModel(t *testing.T) {
	want := workload.Expected{Probabilities: []float32{0.25, 0.75}}
	for body, ok := range map[string]bool{`{"p":[[0.25,0.75000003]]}`: true, `{"predictions":{"p":[{"0":0.25},0.75]}}`: true, `{"p":[0.25]}`: false, `no JSON`: false} {
		if err := holds([]byte(body), want); (err == nil) != ok {
			t.Errorf("%s: %v", body, err)
		}
	}
}

// TestTwoProgramsWriteOneReport: each keeps what the other has found.
func TestTwoProgramsWriteOneReport(t *testing.T) {
	path := filepath.Join(t.TempDir(), "endpoint.json")
	peers := func(rate float64) *peerReport {
		return &peerReport{Loads: map[string]load{}, Versions: map[string]map[string]string{}, rounds: map[string][]load{
			"fastapi": {{Rate: rate, P50: 1, P99: 40}}, "tidegate beside fastapi": {{Rate: 1000, P50: 1, P99: 10}}}}
	}
	own := newReport(1)
	own.RSS = memory{1000, 100, 105}
	for _, write := range []func(string) error{peers(500).write, own.write, peers(100).write} {
		if err := write(path); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	var read report
	if err != nil || json.Unmarshal(text, &read) != nil {
		t.Fatalf("%s, %v", text, err)
	}
	want := map[string]float64{"rps16_vs_fastapi": 10, "p99_16_vs_fastapi": 0.25, "rss_growth_soak_ratio": 1.05}
	for name, ratio := range want {
		if math.Abs(read.Ratios[name]-ratio) > 1e-9 {
			t.Errorf("%s is %v, want %v", name, read.Ratios[name], ratio)
		}
	}
	if read.Peers == nil || read.Peers.Loads["fastapi"].Rate != 100 || len(read.Ratios) != len(want) {
		t.Errorf("%s", text)
	}
}

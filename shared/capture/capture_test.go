package capture

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate/tidegate/shared/inference"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/shared/tensor"
)

const id = "0199a000-0000-7000-8000-000000000001"

var at = time.Date(2026, 3, 4, 5, 6, 7, 891234567, time.UTC)

// version is one whose inputs have every layout: a column each, named entries of
// one tensor, a wide input, and one of rank 3.
func version(t testing.TB) inference.Version {
	s := &schema.Schema{V: 1, Task: schema.Binary}
	s.Signature.Inputs = []schema.Spec{
		{Name: "delay", Datatype: tensor.FP32, Shape: []int64{-1, 1}},
		{Name: "carrier", Datatype: tensor.Bytes, Shape: []int64{-1, 1}},
		{Name: "x", Datatype: tensor.FP64, Shape: []int64{-1, 2}, Columns: []string{"temp", "wind"}},
		{Name: "embedding", Datatype: tensor.FP16, Shape: []int64{-1, 2}},
		{Name: "image", Datatype: tensor.Uint8, Shape: []int64{-1, 2, 2}},
	}
	s.Signature.Outputs = []schema.Spec{{Name: "label", Datatype: tensor.Int64, Shape: []int64{-1}}, {Name: "probabilities", Datatype: tensor.FP32, Shape: []int64{-1, 2}}}
	checker, err := schema.Compile(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	return inference.Version{Model: "flights", Number: 7, Digest: "sha256:ab", Slot: registry.Champion, Generation: 3, ServedBy: "lambda", Schema: s, Columns: checker}
}

func prediction(t testing.TB, rows int) *Prediction {
	n := int64(rows)
	p := &Prediction{ID: id, RequestID: "client-1", Key: "customer \"4711\"", At: at, Version: version(t), Role: Served, Rows: rows, Status: 200, Latency: 1234 * time.Microsecond}
	p.Inputs = []tensor.Tensor{
		{Name: "delay", Datatype: tensor.FP32, Shape: []int64{n, 1}},
		{Name: "carrier", Datatype: tensor.Bytes, Shape: []int64{n, 1}, Missing: []int{1}},
		{Name: "x", Datatype: tensor.FP64, Shape: []int64{n, 2}},
		{Name: "embedding", Datatype: tensor.FP16, Shape: []int64{n, 2}},
		{Name: "image", Datatype: tensor.Uint8, Shape: []int64{n, 2, 2}},
	}
	p.Outputs = []tensor.Tensor{{Name: "label", Datatype: tensor.Int64, Shape: []int64{n}}, {Name: "probabilities", Datatype: tensor.FP32, Shape: []int64{n, 2}}}
	for r := range rows {
		p.Inputs[0].FP32s = append(p.Inputs[0].FP32s, float32(r)+0.1)
		p.Inputs[1].Strings = append(p.Inputs[1].Strings, fmt.Sprintf("C%d", r%3))
		p.Inputs[2].FP64s = append(p.Inputs[2].FP64s, float64(r)+0.5, -float64(r))
		p.Inputs[3].U16s = append(p.Inputs[3].U16s, 0x3c00, 0xc000) // 1, -2
		p.Inputs[4].U8s = append(p.Inputs[4].U8s, byte(r), 1, 2, 3)
		p.Outputs[0].I64s = append(p.Outputs[0].I64s, int64(r%2))
		p.Outputs[1].FP32s = append(p.Outputs[1].FP32s, 0.25, 0.75)
	}
	p.Inputs[0].FP32s[0] = float32(math.NaN())
	return p
}

// tape keeps what is sent, and refuses what it is told to.
type tape struct {
	lines   []Record
	raw     []string
	records int
	failed  []int
	err     error
}

func (s *tape) Send(_ context.Context, records [][]byte) ([]int, error) {
	for _, r := range records {
		s.records++
		if len(r) > MaxRecord || len(r) == 0 || r[len(r)-1] != '\n' {
			return nil, fmt.Errorf("a record of %d bytes", len(r))
		}
		for line := range bytes.Lines(r) {
			var rec Record
			dec := json.NewDecoder(bytes.NewReader(line))
			dec.DisallowUnknownFields()
			if err := dec.Decode(&rec); err != nil {
				return nil, err
			}
			s.lines, s.raw = append(s.lines, rec), append(s.raw, string(line))
		}
	}
	return s.failed, s.err
}

type counts map[string]int64

func (c counts) add(name string, n int64) { c[name] += n }

func record(t *testing.T, p *Prediction) (*tape, counts) {
	t.Helper()
	s, c := &tape{}, counts{}
	if err := NewRecorder(Options{Stream: s, Count: c.add}).Record(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	return s, c
}

// What is written is what encoding/json reads back, column by column.
func TestRecord(t *testing.T) {
	s, c := record(t, prediction(t, 3))
	var p map[string]any
	want := `{"v":1,"id":"` + id + `","request_id":"client-1","ts":"2026-03-04T05:06:07.891234Z","model":"flights","version":7,"digest":"sha256:ab",
	"slot":"champion","role":"served","generation":3,"key":"customer \"4711\"","first_row":0,"rows":3,"total_rows":3,
	"inputs":{"delay":[null,1.1,2.1],"carrier":["C0",null,"C2"],"temp":[0.5,1.5,2.5],"wind":[0,-1,-2],"embedding":[[1,-2],[1,-2],[1,-2]],
	"image":{"shape":[3,2,2],"data":[0,1,2,3,1,1,2,3,2,1,2,3]}},
	"outputs":{"label":[0,1,0],"probabilities":[[0.25,0.75],[0.25,0.75],[0.25,0.75]]},"status":200,"latency_us":1234,"served_by":"lambda","sampled":1}`
	var got map[string]any
	if json.Unmarshal([]byte(want), &p) != nil || json.Unmarshal([]byte(s.raw[0]), &got) != nil {
		t.Fatal(s.raw)
	}
	if diff := cmp.Diff(p, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(counts{CaptureRows: 3}, c); diff != "" {
		t.Error(diff)
	}
}

func TestFailedRequest(t *testing.T) {
	p := prediction(t, 3)
	p.Inputs, p.Outputs, p.Status, p.ErrorKind = nil, nil, 503, "Unavailable"
	p.Version.RolloutID = "01JB"
	s, _ := record(t, p)
	if len(s.lines) != 1 || s.lines[0].Inputs != nil || s.lines[0].Outputs != nil || s.lines[0].ErrorKind != "Unavailable" || s.lines[0].Status != 503 || s.lines[0].RolloutID != "01JB" {
		t.Errorf("%+v", s.lines)
	}
}

// A request over a record's limit is split by rows, and every row is in exactly one line.
func TestLargeRequestsAreSplit(t *testing.T) {
	p := prediction(t, 40_000)
	long := strings.Repeat("x", 5000)
	for _, r := range []int{7, 8, 20_000, 39_999} { // rows that are far larger than the others
		p.Inputs[1].Strings[r] = long
	}
	s, c := record(t, p)
	next := 0
	for _, r := range s.lines {
		if r.FirstRow != next || r.TotalRows != 40_000 {
			t.Fatalf("line begins at row %d of %d, want %d", r.FirstRow, r.TotalRows, next)
		}
		for name, column := range r.Inputs {
			if list, ok := column.([]any); ok && len(list) != r.Rows {
				t.Fatalf("%s has %d values for %d rows", name, len(list), r.Rows)
			}
		}
		if got, want := r.Inputs["delay"].([]any), float64(float32(r.FirstRow+r.Rows-1)+0.1); math.Abs(got[r.Rows-1].(float64)-want) > 1e-2 {
			t.Fatalf("row %d holds %v", r.FirstRow+r.Rows-1, got[r.Rows-1])
		}
		next += r.Rows
	}
	if next != 40_000 || c[CaptureRows] != 40_000 || len(s.lines) < 3 {
		t.Errorf("%d rows in %d lines, counted %d", next, len(s.lines), c[CaptureRows])
	}
}

func TestRowTooLargeForARecord(t *testing.T) {
	p := prediction(t, 3)
	p.Inputs[1].Strings[2] = strings.Repeat("long ", 400_000)
	s, c := record(t, p)
	if len(s.lines) != 3 && len(s.lines) != 2 {
		t.Fatalf("%d lines", len(s.lines))
	}
	last := s.lines[len(s.lines)-1]
	carrier, ok := last.Inputs["carrier"].(map[string]any)
	if !ok || last.FirstRow != 2 || last.Rows != 1 {
		t.Fatalf("%+v", last)
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "\x80\x84\x1e\x00%s", p.Inputs[1].Strings[2])
	if carrier["sha256"] != hex.EncodeToString(sum.Sum(nil)) {
		t.Errorf("the digest is %v", carrier)
	}
	if s.lines[0].Inputs["carrier"].([]any)[0] != "C0" || c[CaptureReduced] != 1 || c[CaptureRows] != 3 {
		t.Errorf("%+v, %v", s.lines[0], c)
	}
}

func TestLargeTensorsOfRank3(t *testing.T) {
	p := prediction(t, 3)
	p.Version.Capture.MaxBytes = 1024
	p.Inputs[4].Shape, p.Inputs[4].U8s = []int64{3, 32, 32}, bytes.Repeat([]byte{9}, 3*1024)
	s, _ := record(t, p)
	image := s.lines[0].Inputs["image"].(map[string]any)
	sum := sha256.Sum256(p.Inputs[4].U8s)
	if image["data"] != nil || image["sha256"] != hex.EncodeToString(sum[:]) {
		t.Errorf("%v", image)
	}
}

func TestRedaction(t *testing.T) {
	p := prediction(t, 4)
	p.Version.Capture.Redact = map[string]string{"delay": "drop", "carrier": "hash", "wind": "hash", "embedding": "hash", "image": "hash", "probabilities": "drop"}
	s, _ := record(t, p)
	in := s.lines[0].Inputs
	if in["delay"] != nil || s.lines[0].Outputs["probabilities"] != nil {
		t.Error("dropped columns are there")
	}
	carrier := in["carrier"].([]any)
	if carrier[0] != carrier[3] || carrier[0] == carrier[2] || carrier[1] != nil || len(carrier[0].(string)) != 32 {
		t.Errorf("carrier is %v: equal values must have equal pseudonyms, and a missing one none", carrier)
	}
	if in["wind"].([]any)[0] == in["temp"].([]any)[0] || in["embedding"].([]any)[0].([]any)[0] == in["embedding"].([]any)[0].([]any)[1] {
		t.Error("hashes of other columns or values are equal")
	}
	if image := in["image"].(map[string]any); image["data"] != nil || image["sha256"] != nil {
		t.Errorf("image is %v", image)
	}
	for _, value := range []string{`"C0"`, "1.1"} {
		if strings.Contains(s.raw[0], value) {
			t.Errorf("the value %s left the process: %s", value, s.raw[0])
		}
	}
}

func TestSampling(t *testing.T) {
	s, c := &tape{}, counts{}
	r := NewRecorder(Options{Stream: s, Count: c.add})
	share := 0.25
	for i := range 2000 {
		p := prediction(t, 1)
		p.ID, p.Key, p.Version.Capture.Sampling = fmt.Sprint("id", i), "", &share
		if err := r.Record(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(s.lines); n < 420 || n > 580 { // four standard deviations
		t.Errorf("%d of 2000 at 0.25", n)
	}
	if s.lines[0].Sampled != 0.25 || int(c[CaptureSkipped])+len(s.lines) != 2000 {
		t.Errorf("sampled is %v, %d skipped", s.lines[0].Sampled, c[CaptureSkipped])
	}
	// Both records of a pair, or none: the decision is the key's.
	p := prediction(t, 1)
	p.Version.Capture.Sampling = &share
	before := len(s.lines)
	for range 2 {
		if err := r.Record(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		p.Role = Paired
	}
	if n := len(s.lines) - before; n == 1 {
		t.Error("one record of a pair")
	}
}

func TestModes(t *testing.T) {
	p := prediction(t, 2)
	p.Version.Capture.Mode = registry.CaptureOff
	if s, c := record(t, p); len(s.lines) != 0 || len(c) != 0 {
		t.Error("captured when off")
	}

	now := at
	s, c := &tape{}, counts{}
	r := NewRecorder(Options{Stream: s, Count: c.add, Now: func() time.Time { return now }, FlushRequests: 3, FlushAfter: time.Minute})
	p.Version.Capture.Mode = registry.CaptureBuffered
	hold := func(want int) {
		t.Helper()
		if err := r.Record(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		if len(s.lines) != want {
			t.Fatalf("%d lines sent, want %d", len(s.lines), want)
		}
	}
	hold(0)
	hold(0)
	hold(3)
	if s.records != 1 {
		t.Errorf("%d records for three small requests", s.records)
	}
	hold(3)
	now = now.Add(time.Minute)
	hold(5)
	hold(5)
	if err := r.Flush(t.Context()); err != nil || len(s.lines) != 6 {
		t.Errorf("%d lines after the flush, %v", len(s.lines), err)
	}
	if err := r.Flush(t.Context()); err != nil || len(s.lines) != 6 || c[CaptureRows] != 12 {
		t.Errorf("%d lines after another, %v, %v", len(s.lines), err, c)
	}
}

func TestLossIsCounted(t *testing.T) {
	s, c := &tape{err: errors.New("gone")}, counts{}
	r := NewRecorder(Options{Stream: s, Count: c.add})
	if err := r.Record(t.Context(), prediction(t, 5)); err == nil {
		t.Error("no error")
	}
	if diff := cmp.Diff(counts{CaptureLost: 1, CaptureRowsLost: 5}, c); diff != "" {
		t.Error(diff)
	}

	s, c = &tape{err: errors.New("busy"), failed: []int{1}}, counts{}
	r = NewRecorder(Options{Stream: s, Count: c.add})
	p := prediction(t, 40_000)
	if err := r.Record(t.Context(), p); err == nil {
		t.Error("no error")
	}
	if c[CaptureLost] != 1 || c[CaptureRowsLost] == 0 || c[CaptureRows]+c[CaptureRowsLost] != 40_000 {
		t.Errorf("%v", c)
	}

	// The failed request has no rows, and its loss is still seen.
	c = counts{}
	r = NewRecorder(Options{Stream: &tape{err: errors.New("gone")}, Count: c.add})
	p.Inputs, p.Outputs, p.Rows = nil, nil, 0
	if err := r.Record(t.Context(), p); err == nil || c[CaptureLost] != 1 {
		t.Errorf("%v", c)
	}
}

// A model without a batch dimension has no rows to split by.
func TestTensorsWithoutRows(t *testing.T) {
	p := prediction(t, 1)
	s := &schema.Schema{V: 1, Task: schema.Regression}
	s.Signature.Inputs = []schema.Spec{{Name: "series", Datatype: tensor.FP32, Shape: []int64{3}}}
	s.Signature.Outputs = []schema.Spec{{Name: "y", Datatype: tensor.FP32, Shape: []int64{}}}
	checker, err := schema.Compile(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	p.Version.Schema, p.Version.Columns = s, checker
	p.Inputs = []tensor.Tensor{{Name: "series", Datatype: tensor.FP32, Shape: []int64{3}, FP32s: []float32{1, 2, 3}}}
	p.Outputs = []tensor.Tensor{{Name: "y", Datatype: tensor.FP32, Shape: []int64{}, FP32s: []float32{6}}}
	tape, _ := record(t, p)
	if diff := cmp.Diff(map[string]any{"series": map[string]any{"shape": []any{3.}, "data": []any{1., 2., 3.}}}, tape.lines[0].Inputs); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]any{"y": map[string]any{"shape": []any{}, "data": []any{6.}}}, tape.lines[0].Outputs); diff != "" {
		t.Error(diff)
	}
}

type sink struct{}

func (sink) Send(context.Context, [][]byte) ([]int, error) { return nil, nil }

func BenchmarkRecord1Row(b *testing.B)    { benchmark(b, prediction(b, 1)) }
func BenchmarkRecord1000x30(b *testing.B) { benchmark(b, wide(b)) }

// BenchmarkEncodingJSON1000x30 is the yardstick: the same record through encoding/json.
func BenchmarkEncodingJSON1000x30(b *testing.B) {
	p := wide(b)
	rows := make([][]float32, 1000)
	for i := range rows {
		rows[i] = p.Inputs[0].FP32s[i*30 : i*30+30]
	}
	r := Record{V: 1, ID: p.ID, Inputs: map[string]any{"x": rows}, Outputs: map[string]any{"y": p.Outputs[0].FP32s}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := json.Marshal(&r); err != nil {
			b.Fatal(err)
		}
	}
}

func benchmark(b *testing.B, p *Prediction) {
	r := NewRecorder(Options{Stream: sink{}})
	b.ReportAllocs()
	for b.Loop() {
		if err := r.Record(b.Context(), p); err != nil {
			b.Fatal(err)
		}
	}
}

func wide(b *testing.B) *Prediction {
	p := prediction(b, 1000)
	s := &schema.Schema{V: 1, Task: schema.Regression}
	s.Signature.Inputs = []schema.Spec{{Name: "x", Datatype: tensor.FP32, Shape: []int64{-1, 30}}}
	s.Signature.Outputs = []schema.Spec{{Name: "y", Datatype: tensor.FP32, Shape: []int64{-1}}}
	checker, err := schema.Compile(s, nil)
	if err != nil {
		b.Fatal(err)
	}
	p.Version.Schema, p.Version.Columns = s, checker
	p.Inputs = []tensor.Tensor{{Name: "x", Datatype: tensor.FP32, Shape: []int64{1000, 30}}}
	p.Outputs = []tensor.Tensor{{Name: "y", Datatype: tensor.FP32, Shape: []int64{1000}, FP32s: make([]float32, 1000)}}
	for i := range 30_000 {
		p.Inputs[0].FP32s = append(p.Inputs[0].FP32s, float32(math.Sin(float64(i))))
	}
	return p
}

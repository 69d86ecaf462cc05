package httpapi

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/inference"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/shared/tensor"
)

// fleet is a predictor over models whose "prediction" can be told from the
// inputs: the first output holds the sum of a row's numbers.
type fleet struct {
	models  map[string]*model
	held    int // versions picked and not given back
	refresh int
	ready   error
	pick    func(inference.Selection) error
	run     func(ctx context.Context, inputs []tensor.Tensor) error
	mu      sync.Mutex
	lastKey string
}

type model struct {
	partners func() []inference.Partner
	version  inference.Version
	status   inference.ModelStatus
	outputs  []tensor.Tensor
}

func newFleet(t testing.TB) *fleet {
	f := &fleet{models: map[string]*model{}}
	for name, s := range map[string]*schema.Schema{"flights": flights(), "wide": wide(30), "word": word()} {
		checker, err := schema.Compile(s, nil)
		if err != nil {
			t.Fatal(err)
		}
		v := inference.Version{Model: name, Number: 7, Digest: "sha256:00", Slot: registry.Champion, Generation: 3, ServedBy: "lambda", Schema: s, Columns: checker}
		f.models[name] = &model{version: v, status: inference.ModelStatus{Model: name, Generation: 3, Versions: []inference.VersionStatus{
			{Number: 7, Slots: []registry.Slot{registry.Champion}, Ready: true}, {Number: 6, Slots: []registry.Slot{registry.Previous}}}}}
	}
	return f
}

func spec(name string, d tensor.Datatype, shape ...int64) schema.Spec {
	return schema.Spec{Name: name, Datatype: d, Shape: shape}
}

func number(v float64) *float64 { return &v }

// flights has seven numbers and four categories, one column each.
func flights() *schema.Schema {
	s := &schema.Schema{V: 1, Task: schema.Binary, Contract: schema.Contract{Columns: map[string]schema.Column{}}}
	for i := 0; i < 7; i++ {
		name := "n" + strconv.Itoa(i)
		s.Signature.Inputs = append(s.Signature.Inputs, spec(name, tensor.FP32, -1, 1))
		s.Contract.Columns[name] = schema.Column{Missing: schema.Accept}
	}
	for i := 0; i < 4; i++ {
		name := "c" + strconv.Itoa(i)
		s.Signature.Inputs = append(s.Signature.Inputs, spec(name, tensor.Bytes, -1, 1))
		s.Contract.Columns[name] = schema.Column{Missing: schema.Accept, Categories: []string{"UA"}}
	}
	s.Contract.Columns["n0"] = schema.Column{Min: number(-100), Max: number(5000)}
	s.Contract.Columns["c0"] = schema.Column{Categories: []string{"UA", "DL"}, RefuseUnknown: true}
	s.Signature.Outputs = []schema.Spec{spec("label", tensor.Int64, -1), spec("probabilities", tensor.FP32, -1, 2)}
	return s
}

func wide(n int64) *schema.Schema {
	return &schema.Schema{V: 1, Task: schema.Regression, Signature: schema.Signature{
		Inputs: []schema.Spec{spec("x", tensor.FP32, -1, n)}, Outputs: []schema.Spec{spec("y", tensor.FP32, -1, 1)}}}
}

func word() *schema.Schema {
	return &schema.Schema{V: 1, Task: schema.Unspecified, Signature: schema.Signature{
		Inputs: []schema.Spec{spec("s", tensor.Bytes, -1)}, Outputs: []schema.Spec{spec("s", tensor.Bytes, -1), spec("big", tensor.FP64, -1, 40)}}}
}

func (f *fleet) Pick(_ context.Context, sel inference.Selection) (inference.Served, error) {
	if f.pick != nil {
		if err := f.pick(sel); err != nil {
			return nil, err
		}
	}
	m, ok := f.models[sel.Model]
	if !ok {
		return nil, fault.New(fault.NotFound, "there is no model %q", sel.Model)
	}
	if sel.Version > 0 && sel.Version != m.version.Number {
		return nil, fault.New(fault.NotFound, "model %q holds no version %d", sel.Model, sel.Version)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.held++
	f.lastKey = sel.Key
	return &served{f, m}, nil
}

func (f *fleet) Status(_ context.Context, name string) (inference.ModelStatus, error) {
	if m, ok := f.models[name]; ok {
		return m.status, nil
	}
	return inference.ModelStatus{}, fault.New(fault.NotFound, "there is no model %q", name)
}

func (f *fleet) Ready(context.Context) error { return f.ready }

func (f *fleet) AfterRequest(context.Context) { f.mu.Lock(); f.refresh++; f.mu.Unlock() }

type served struct {
	f *fleet
	m *model
}

func (s *served) Version() inference.Version { return s.m.version }
func (s *served) Ran() inference.Ran         { return inference.Ran{ServedBy: s.m.version.ServedBy} }
func (s *served) Partners(string) []inference.Partner {
	if s.m.partners == nil {
		return nil
	}
	return s.m.partners()
}
func (s *served) Done() { s.f.mu.Lock(); s.f.held--; s.f.mu.Unlock() }

func (s *served) Run(ctx context.Context, inputs []tensor.Tensor, want []string) ([]tensor.Tensor, func(), error) {
	if s.f.run != nil {
		if err := s.f.run(ctx, inputs); err != nil {
			return nil, nil, err
		}
	}
	rows := int(inputs[0].Rows())
	out := s.m.outputs[:0]
	for _, o := range s.m.version.Schema.Signature.Outputs {
		if want != nil && !contains(want, o.Name) { // an empty list asks for none, as inference.Served has it
			continue
		}
		t := tensor.Tensor{Name: o.Name, Datatype: o.Datatype, Shape: append([]int64{int64(rows)}, o.Shape[1:]...)}
		t.Resize(rows * o.Width())
		switch o.Datatype {
		case tensor.Bytes:
			copy(t.Strings, inputs[0].Strings)
		case tensor.FP32:
			for r := 0; r < rows; r++ {
				t.FP32s[r*o.Width()] = sum(inputs, r, rows)
			}
		}
		out = append(out, t)
	}
	return out, func() {}, nil
}

func sum(inputs []tensor.Tensor, row, rows int) float32 {
	var total float32
	for _, t := range inputs {
		if t.Datatype == tensor.FP32 {
			w := len(t.FP32s) / rows
			for _, v := range t.FP32s[row*w : row*w+w] {
				total += v
			}
		}
	}
	return total
}

func contains(list []string, s string) bool {
	for _, v := range list {
		if v == s {
			return true
		}
	}
	return false
}

// tape is a recorder and observer that keeps copies of what it is told.
type tape struct {
	records      []Prediction
	observations []Observation
	stages       []string
	err          error
}

func (t *tape) Record(_ context.Context, p *Prediction) error {
	t.records = append(t.records, *p)
	return t.err
}

func (t *tape) Observe(_ context.Context, o *Observation) {
	t.observations = append(t.observations, *o)
	t.stages = t.stages[:0]
	for _, s := range o.Stages {
		t.stages = append(t.stages, s.Name)
	}
}

// clock advances by a millisecond each time it is read.
func clock() Clock {
	now := time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)
	return func() time.Time { now = now.Add(time.Millisecond); return now }
}

const testID = "0199a000-0000-7000-8000-000000000001"

// call serves one request and runs what is due after it. The answer's body is copied before.
func call(t testing.TB, a *API, method, path string, header Header, body string) (Response, string) {
	t.Helper()
	if header == nil {
		header = Header{}
	}
	req := &Request{Method: method, Path: path, Header: header, Body: []byte(body), ID: "req-1"}
	resp := a.Serve(context.Background(), req)
	text := string(resp.Body)
	kept := Header{}
	for k, v := range resp.Header {
		kept[k] = v
	}
	resp.After(context.Background())
	resp.Header, resp.Body = kept, []byte(text)
	return resp, text
}

func newAPI(t testing.TB, opt Options) (*API, *fleet, *tape) {
	f, rec := newFleet(t), &tape{}
	if opt.Now == nil {
		opt.Now = clock()
	}
	if opt.NewID == nil {
		opt.NewID = func() string { return testID }
	}
	return New(f, rec, rec, opt), f, rec
}

var errBoom = errors.New("boom")

func flightsBody(rows int) string {
	var b strings.Builder
	b.WriteString(`{"id":"client-1","inputs":[`)
	shape := `"shape":[` + strconv.Itoa(rows) + `,1],`
	for i := 0; i < 11; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		name, datatype, value := "n"+strconv.Itoa(i), "FP32", "1.5"
		if i >= 7 {
			name, datatype, value = "c"+strconv.Itoa(i-7), "BYTES", `"UA"`
		}
		b.WriteString(`{"name":"` + name + `",` + shape + `"datatype":"` + datatype + `","data":[` + strings.TrimSuffix(strings.Repeat(value+",", rows), ",") + `]}`)
	}
	b.WriteString(`]}`)
	return b.String()
}

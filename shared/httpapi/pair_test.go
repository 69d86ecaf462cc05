package httpapi

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/capture"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/inference"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/shared/tensor"
)

// couple is an API whose model "flights" has a challenger beside it.
type couple struct {
	api     *API
	fleet   *fleet
	tape    *tape
	partner *model
	runs    []string // "served" and "paired", in order
	records []recorded
	counts  map[string]int64
	fail    map[string]func() error // by what runs
	refuse  map[capture.Role]error  // by what is recorded
	seen    func()                  // called when the partner runs
}

// recorded is a copy of what was captured, taken while it was valid.
type recorded struct {
	Prediction
	inputs  []string
	numbers []float32
	texts   []string
	outputs []string
}

func (c *couple) Record(_ context.Context, p *Prediction) error {
	r := recorded{Prediction: *p}
	for i := range p.Inputs {
		t := &p.Inputs[i]
		r.inputs = append(r.inputs, t.Name)
		r.numbers = append(r.numbers, t.FP32s...)
		for _, s := range t.Strings {
			r.texts = append(r.texts, strings.Clone(s))
		}
	}
	for i := range p.Outputs {
		r.outputs = append(r.outputs, p.Outputs[i].Name)
	}
	c.records = append(c.records, r)
	return c.refuse[p.Role]
}

func (c *couple) Observe(ctx context.Context, o *Observation) { c.tape.Observe(ctx, o) }

// partnerServed runs as "paired".
type partnerServed struct {
	served
	c *couple
}

func (s *partnerServed) Run(ctx context.Context, in []tensor.Tensor, want []string) ([]tensor.Tensor, func(), error) {
	s.c.runs = append(s.c.runs, "paired")
	if s.c.seen != nil {
		s.c.seen()
	}
	if fail := s.c.fail["paired"]; fail != nil {
		if err := fail(); err != nil {
			return nil, nil, err
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, nil, fault.Wrap(err, fault.DeadlineExceeded, "no time")
	}
	return s.served.Run(ctx, in, want)
}

// newCouple makes the challenger's schema by changing that of the champion.
func newCouple(t *testing.T, change func(*schema.Schema)) *couple {
	c := &couple{counts: map[string]int64{}, fail: map[string]func() error{}, refuse: map[capture.Role]error{}, tape: &tape{}}
	c.fleet = newFleet(t)
	c.fleet.run = func(context.Context, []tensor.Tensor) error {
		if len(c.runs) == 0 {
			c.runs = append(c.runs, "served")
		}
		return nil
	}
	s := flights()
	if change != nil {
		change(s)
	}
	checker, err := schema.Compile(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	champion := c.fleet.models["flights"]
	v := champion.version
	v.Number, v.Digest, v.Slot, v.Schema, v.Columns = 8, "sha256:08", registry.Challenger, s, checker
	c.partner = &model{version: v}
	champion.partners = func() []inference.Partner {
		fit, found := inference.NewFit(champion.version.Columns, checker)
		if len(found) > 0 {
			t.Fatal(found)
		}
		c.fleet.held++
		return []inference.Partner{{Served: &partnerServed{served{c.fleet, c.partner}, c}, Fit: fit}}
	}
	c.api = New(c.fleet, c, c, Options{Now: clock(), NewID: func() string { return testID }, Count: func(name string, n int64) { c.counts[name] += n }})
	return c
}

// capturing changes the settings of both versions, which are those of one state.
func (c *couple) capturing(s registry.CaptureSettings) {
	c.fleet.models["flights"].version.Capture, c.partner.version.Capture = s, s
}

// ask sends one request; the time that is left after its answer is left, 0 for no end.
func (c *couple) ask(t *testing.T, path, body string, left time.Duration) Response {
	t.Helper()
	resp := c.api.Serve(t.Context(), &Request{Method: "POST", Path: path, Header: Header{"tidegate-key": "k1"}, Body: []byte(body), ID: "req-1"})
	if slices.Contains(c.runs, "paired") {
		t.Error("the partner ran before the answer had left")
	}
	text := slices.Clone(resp.Body)
	ctx := t.Context()
	if left > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, c.api.opt.Now().Add(left)) // the fake clock's day may be any
		defer cancel()
	}
	resp.After(ctx)
	if c.fleet.held != 0 {
		t.Errorf("%d versions are still held", c.fleet.held)
	}
	if c.fleet.refresh != 1 || len(c.tape.observations) != 1 {
		t.Errorf("refreshed %d times, observed %d times, want once each", c.fleet.refresh, len(c.tape.observations))
	}
	resp.Body = text
	return resp
}

const flightsInfer = "/v2/models/flights/infer"

func TestTheOtherVersionScoresTheSameRows(t *testing.T) {
	c := newCouple(t, nil)
	resp := c.ask(t, flightsInfer, flightsBody(2), 0)
	if resp.Status != 200 || !strings.Contains(string(resp.Body), `"model_version":"7"`) {
		t.Fatalf("%d %s", resp.Status, resp.Body)
	}
	if !slices.Equal(c.runs, []string{"served", "paired"}) || !maps.Equal(c.counts, map[string]int64{PairsCaptured: 1}) {
		t.Errorf("runs %v, counts %v", c.runs, c.counts)
	}
	if len(c.records) != 2 {
		t.Fatalf("%d records, want a pair", len(c.records))
	}
	served, paired := c.records[0], c.records[1]
	if served.Role != capture.Served || paired.Role != capture.Paired || paired.Version.Number != 8 || paired.Version.Slot != registry.Challenger {
		t.Errorf("roles %s and %s, the second by %d as %s", served.Role, paired.Role, paired.Version.Number, paired.Version.Slot)
	}
	if paired.ID != served.ID || paired.RequestID != served.RequestID || paired.Key != "k1" || !paired.At.Equal(served.At) || paired.Rows != 2 || paired.Status != 200 || paired.Latency <= 0 {
		t.Errorf("the paired record: %+v", paired.Prediction)
	}
	if !slices.Equal(paired.inputs, served.inputs) || !slices.Equal(paired.numbers, served.numbers) || !slices.Equal(paired.texts, served.texts) || !slices.Equal(paired.outputs, served.outputs) {
		t.Errorf("other rows: %v %v %v, want %v %v %v", paired.inputs, paired.numbers, paired.texts, served.inputs, served.numbers, served.texts)
	}
	if stages := c.tape.stages; stages[len(stages)-1] != "pair" || strings.Contains(resp.Header["Server-Timing"], "pair") {
		t.Errorf("stages %v", stages)
	}
}

func TestPairsOfOtherSignatures(t *testing.T) {
	c := newCouple(t, func(s *schema.Schema) { // another order, one input more
		slices.Reverse(s.Signature.Inputs)
		s.Signature.Inputs = append(s.Signature.Inputs, spec("extra", tensor.Bytes, -1, 1))
		s.Contract.Columns["extra"] = schema.Column{Missing: schema.Accept}
	})
	for name, ask := range map[string][2]string{
		"infer":  {flightsInfer, flightsBody(1)},
		"rows":   {"/v1/models/flights:predict", `{"instances":[{"n0":1.5,"n1":1.5,"n2":1.5,"n3":1.5,"n4":1.5,"n5":1.5,"n6":1.5,"c0":"UA","c1":"UA","c2":"UA","c3":"UA"}]}`},
		"subset": {flightsInfer, strings.TrimSuffix(flightsBody(1), "}") + `,"outputs":[{"name":"probabilities"}]}`},
	} {
		c.records, c.runs, c.tape.observations, c.fleet.refresh = nil, nil, nil, 0
		if resp := c.ask(t, ask[0], ask[1], 0); resp.Status != 200 {
			t.Fatalf("%s: %d %s", name, resp.Status, resp.Body)
		}
		if len(c.records) != 2 {
			t.Fatalf("%s: %d records, counts %v", name, len(c.records), c.counts)
		}
		want := []string{"c3", "c2", "c1", "c0", "n6", "n5", "n4", "n3", "n2", "n1", "n0", "extra"}
		served, paired := c.records[0], c.records[1]
		if !slices.Equal(paired.inputs, want) || len(paired.numbers) != 7 || paired.numbers[0] != 1.5 || !slices.Equal(paired.texts, []string{"UA", "UA", "UA", "UA", ""}) {
			t.Errorf("%s: inputs %v %v %v", name, paired.inputs, paired.numbers, paired.texts)
		}
		if served.inputs[0] != "n0" || len(served.inputs) != 11 {
			t.Errorf("%s: the served inputs became %v", name, served.inputs)
		}
		if n := len(paired.outputs); name == "subset" && n != 1 || name != "subset" && n != 2 {
			t.Errorf("%s: outputs %v", name, paired.outputs)
		}
	}
}

func TestLostPairs(t *testing.T) {
	boom := errors.New("boom")
	lose := func(loss inference.Loss) func(*couple) {
		return func(c *couple) {
			c.fleet.models["flights"].partners = func() []inference.Partner { return []inference.Partner{{Loss: loss}} }
		}
	}
	for name, tt := range map[string]struct {
		set   func(*couple)
		left  time.Duration
		count string
		runs  bool   // the partner
		kind  string // captured of a partner that failed
		cause bool
	}{
		"not loaded":   {set: lose(inference.NotLoaded), count: PairsLostNotLoaded},
		"incompatible": {set: lose(inference.Incompatible), count: PairsLostIncompatible},
		"no time":      {left: 900 * time.Millisecond, count: PairsLostDeadline},
		"time runs out": {set: func(c *couple) {
			c.fail["paired"] = func() error { return fault.New(fault.DeadlineExceeded, "too long") }
		}, count: PairsLostDeadline, runs: true, kind: "DeadlineExceeded"},
		"it fails":       {set: func(c *couple) { c.fail["paired"] = func() error { return boom } }, count: PairsLostFailed, runs: true, kind: "Internal", cause: true},
		"it panics":      {set: func(c *couple) { c.fail["paired"] = func() error { panic("boom") } }, count: PairsLostFailed, runs: true, kind: "Internal", cause: true},
		"served is lost": {set: func(c *couple) { c.refuse[capture.Served] = boom }, count: PairsLostCapture, cause: true},
		"paired is lost": {set: func(c *couple) { c.refuse[capture.Paired] = boom }, count: PairsLostCapture, runs: true, cause: true},
		"the list panics": {set: func(c *couple) {
			c.fleet.models["flights"].partners = func() []inference.Partner { panic("boom") }
		}, cause: true},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCouple(t, nil)
			if tt.set != nil {
				tt.set(c)
			}
			if resp := c.ask(t, flightsInfer, flightsBody(1), tt.left); resp.Status != 200 || !strings.Contains(string(resp.Body), `"outputs"`) {
				t.Fatalf("%d %s", resp.Status, resp.Body)
			}
			want := map[string]int64{}
			if tt.count != "" {
				want[tt.count] = 1
			}
			if !maps.Equal(c.counts, want) || slices.Contains(c.runs, "paired") != tt.runs {
				t.Errorf("counts %v, runs %v", c.counts, c.runs)
			}
			if got := c.tape.observations[0].Cause; (got != nil) != tt.cause {
				t.Errorf("cause %v", got)
			}
			if tt.kind != "" {
				if r := c.records[len(c.records)-1]; r.Role != capture.Paired || r.ErrorKind != tt.kind || r.Status < 500 || len(r.inputs)+len(r.outputs) > 0 {
					t.Errorf("captured %+v", r.Prediction)
				}
			}
		})
	}
}

// TestMetadataIsNoPair: it speaks of a version that has partners, and is no prediction of it.
func TestMetadataIsNoPair(t *testing.T) {
	c := newCouple(t, nil)
	for _, path := range []string{"/v2/models/flights", "/v1/models/flights/metadata", "/v2/models/flights/ready", "/v1/models/flights"} {
		resp := c.api.Serve(t.Context(), &Request{Method: "GET", Path: path, ID: "req-1"})
		if resp.Status != 200 {
			t.Errorf("%s: %d %s", path, resp.Status, resp.Body)
		}
		resp.After(t.Context())
	}
	if len(c.counts) > 0 || len(c.runs) > 0 || len(c.records) > 0 {
		t.Errorf("counts %v, runs %v, %d records", c.counts, c.runs, len(c.records))
	}
}

func TestThePartnersContractRefusesTheRows(t *testing.T) {
	c := newCouple(t, func(s *schema.Schema) { s.Contract.Columns["n1"] = schema.Column{Max: number(1)} })
	c.ask(t, flightsInfer, flightsBody(1), 0)
	if !maps.Equal(c.counts, map[string]int64{PairsLostIncompatible: 1}) || len(c.records) != 1 {
		t.Errorf("counts %v, %d records", c.counts, len(c.records))
	}
}

// TestBothRecordsOrNone: the mode and the sampling of captures hold for pairs.
func TestBothRecordsOrNone(t *testing.T) {
	none, all := 0.0, 1.0
	for name, tt := range map[string]struct {
		capture registry.CaptureSettings
		pair    bool
	}{
		"after":       {registry.CaptureSettings{Mode: registry.CaptureAfter}, true},
		"strict":      {registry.CaptureSettings{Mode: registry.CaptureStrict}, true},
		"buffered":    {registry.CaptureSettings{Mode: registry.CaptureBuffered, Sampling: &all}, true},
		"off":         {registry.CaptureSettings{Mode: registry.CaptureOff}, false},
		"sampled out": {registry.CaptureSettings{Sampling: &none}, false},
	} {
		c := newCouple(t, nil)
		c.capturing(tt.capture)
		c.ask(t, flightsInfer, flightsBody(1), 0)
		if ran := slices.Contains(c.runs, "paired"); ran != tt.pair || c.counts[PairsCaptured] == 1 != tt.pair {
			t.Errorf("%s: ran %v, counts %v", name, ran, c.counts)
		}
	}
}

func TestWhatFailedIsNotPaired(t *testing.T) {
	for name, set := range map[string]func(*couple) string{
		"bad rows": func(*couple) string { return strings.Replace(flightsBody(1), "1.5", "9999", 1) },
		"bad JSON": func(*couple) string { return "{" },
		"strict loses": func(c *couple) string {
			c.capturing(registry.CaptureSettings{Mode: registry.CaptureStrict})
			c.refuse[capture.Served] = errBoom
			return flightsBody(1)
		},
		"the run fails": func(c *couple) string {
			c.fleet.run = func(context.Context, []tensor.Tensor) error { return errBoom }
			return flightsBody(1)
		},
	} {
		c := newCouple(t, nil)
		if resp := c.ask(t, flightsInfer, set(c), 0); resp.Status < 400 || slices.Contains(c.runs, "paired") || len(c.counts) > 0 {
			t.Errorf("%s: status %d, runs %v, counts %v", name, resp.Status, c.runs, c.counts)
		}
	}
}

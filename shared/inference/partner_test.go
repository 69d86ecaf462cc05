package inference_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/inference"
	"github.com/tidegate/tidegate/shared/inference/inferencetest"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/shared/tensor"
)

// shadow puts ref into the shadow slot.
func (s *stage) shadow(model string, ref registry.Ref) {
	s.t.Helper()
	s.Apply(model, registry.Change{Kind: "shadow.start", Apply: func(next *registry.State, _ time.Time) error {
		next.Slots.Shadow = &ref
		return nil
	}})
}

// partners asks and says who is to score the same rows, as "slot:version" or "slot:loss".
func (s *stage) partners(sel inference.Selection) (answered registry.Slot, who []string) {
	s.t.Helper()
	served, err := s.fleet.Pick(s.t.Context(), sel)
	if err != nil {
		s.t.Fatal(err)
	}
	defer served.Done()
	rows := []tensor.Tensor{{Name: "x", Datatype: tensor.FP32, Shape: []int64{1, 1}, FP32s: []float32{1}}}
	for _, p := range served.Partners(sel.Key) {
		if p.Loss != "" {
			who = append(who, string(p.Loss))
			continue
		}
		v := p.Served.Version()
		inputs, err := p.Fit.Inputs(nil, rows)
		if err != nil {
			s.t.Error(err)
		}
		out, release, err := p.Served.Run(s.t.Context(), inputs, nil)
		if err != nil || out[0].FP32s[0] != float32(6+v.Number) {
			s.t.Errorf("partner %d: %v, %v", v.Number, out, err)
		} else {
			release()
		}
		if of := served.Version(); v.Generation != of.Generation || v.RolloutID != of.RolloutID || v.Model != of.Model || v.Digest == of.Digest {
			s.t.Errorf("partner %+v of %+v", v, of)
		}
		who = append(who, fmt.Sprintf("%s:%d", v.Slot, v.Number))
		p.Served.Done()
		p.Served.Done() // counts once
	}
	return served.Version().Slot, who
}

func TestPartners(t *testing.T) {
	s := newStage(t, nil)
	one, two, three := s.publish("m", 1), s.publish("m", 2), s.publish("m", 3)
	want := func(name string, sel inference.Selection, who ...string) {
		t.Helper()
		sel.Model = "m"
		if _, got := s.partners(sel); !slices.Equal(got, who) {
			t.Errorf("%s: partners %v, want %v", name, got, who)
		}
	}
	follow := func() {
		s.clock.Pass(3 * time.Second)
		s.settle("m") // reads the state after the answer
	}
	s.Serve("m", one)
	want("a champion alone", inference.Selection{})

	s.shadow("m", two)
	follow()
	want("a shadow", inference.Selection{}, "shadow:2")
	want("the champion by label", inference.Selection{Slot: registry.Champion}, "shadow:2")
	want("the shadow by label", inference.Selection{Slot: registry.Shadow})
	want("pinned", inference.Selection{Version: 1})

	s.Challenge("m", three, 1)
	follow()
	want("rollout and shadow", inference.Selection{}, "challenger:3", "shadow:2")
	want("the challenger answered", inference.Selection{Slot: registry.Challenger}, "champion:1", "shadow:2")
	want("pinned to the challenger", inference.Selection{Version: 3})

	s.shadow("m", three) // what was the shadow goes on as challenger
	follow()
	want("a version in two slots", inference.Selection{}, "challenger:3")
	want("a version in two slots answered", inference.Selection{Slot: registry.Challenger}, "champion:1")

	s.Serve("m", three) // the rollout ends; the previous champion is no partner
	follow()
	want("the champion is the shadow", inference.Selection{})
	if n := s.runtime.Open(); n != 2 { // versions 3 and 1
		t.Errorf("%d sessions are open", n)
	}
}

// TestPartnersSurviveASwap: a partner that is held stays loaded whatever the state becomes, and one that is gone is a loss.
func TestPartnersSurviveASwap(t *testing.T) {
	s := newStage(t, nil)
	one, two, three := s.publish("m", 1), s.publish("m", 2), s.publish("m", 3)
	s.Serve("m", one)
	s.Challenge("m", two, 1)
	s.settle("m")
	held, err := s.fleet.Pick(t.Context(), inference.Selection{Model: "m"})
	if err != nil {
		t.Fatal(err)
	}
	late, _ := s.fleet.Pick(t.Context(), inference.Selection{Model: "m"})
	partners := held.Partners("")
	s.Challenge("m", three, 1)
	s.clock.Pass(3 * time.Second)
	s.settle("m")
	rows := []tensor.Tensor{{Name: "x", Datatype: tensor.FP32, Shape: []int64{1, 1}, FP32s: []float32{1}}}
	if out, _, err := partners[0].Served.Run(t.Context(), rows, nil); err != nil || out[0].FP32s[0] != 8 {
		t.Errorf("the partner that is held: %v, %v", out, err)
	}
	partners[0].Served.Done()
	if lost := late.Partners(""); len(lost) != 1 || lost[0].Loss != inference.NotLoaded || lost[0].Served != nil {
		t.Errorf("the partner that is gone: %+v", lost)
	}
	held.Done()
	late.Done()
}

func TestAShadowThatCannotBeLoaded(t *testing.T) {
	s := newStage(t, nil)
	one, two := s.publish("m", 1), s.publish("m", 2)
	s.Serve("m", one)
	s.shadow("m", two)
	file := []byte("model..")
	s.Store.Delete(registry.BlobKey(sha(file)))
	if _, who := s.partners(inference.Selection{Model: "m"}); !slices.Equal(who, []string{"not_loaded"}) {
		t.Errorf("on the first request: %v", who)
	}
	s.fleet.AfterRequest(t.Context())
	if _, who := s.partners(inference.Selection{Model: "m"}); !slices.Equal(who, []string{"not_loaded"}) {
		t.Errorf("without its blob: %v", who)
	}
	s.Overwrite(registry.BlobKey(sha(file)), file)
	s.clock.Pass(2 * time.Minute)
	s.settle("m")
	s.settle("m")
	if _, who := s.partners(inference.Selection{Model: "m"}); !slices.Equal(who, []string{"shadow:2"}) {
		t.Errorf("once it is there: %v", who)
	}
}

func TestPairRatio(t *testing.T) {
	s := newStage(t, nil)
	one, two := s.publish("m", 1), s.publish("m", 2)
	s.Serve("m", one)
	s.Challenge("m", two, 5000)
	share := func(ratio *float64) (pairs int, by map[registry.Slot]int) {
		s.Configure("m", registry.Settings{PairRatio: ratio})
		s.clock.Pass(3 * time.Second)
		s.settle("m")
		by = map[registry.Slot]int{}
		for i := range 1000 {
			sel := inference.Selection{Model: "m", Key: fmt.Sprintf("customer-%d", i)}
			slot, who := s.partners(sel)
			if _, again := s.partners(sel); !slices.Equal(who, again) {
				t.Fatalf("%s: %v, then %v", sel.Key, who, again)
			}
			if len(who) > 0 {
				pairs++
				by[slot]++
			}
		}
		return pairs, by
	}
	none, some, all := 0.0, 0.3, 1.0
	if n, _ := share(&none); n != 0 {
		t.Errorf("%d pairs at 0", n)
	}
	if n, _ := share(&all); n != 1000 {
		t.Errorf("%d pairs at 1", n)
	}
	if n, _ := share(nil); n != 1000 {
		t.Errorf("%d pairs by default", n)
	}
	n, by := share(&some)
	if n < 255 || n > 345 { // 3 sigma of 1,000 draws are 44
		t.Errorf("%d pairs at 0.3", n)
	}
	if c := by[registry.Challenger]; c < n/2-40 || c > n/2+40 { // 3 sigma of 300 draws are 26
		t.Errorf("who answered depends on who is paired: %v", by)
	}
}

func TestIncompatiblePartners(t *testing.T) {
	for name, change := range map[string]func(*schema.Schema){
		"another task":   func(s *schema.Schema) { s.Task = schema.Binary },
		"another output": func(s *schema.Schema) { s.Signature.Outputs[0].Datatype = tensor.FP64 },
		"an input more": func(s *schema.Schema) {
			s.Signature.Inputs = append(s.Signature.Inputs, schema.Spec{Name: "z", Datatype: tensor.FP32, Shape: []int64{-1, 1}})
		},
		"narrower": func(s *schema.Schema) { s.Contract.Columns = map[string]schema.Column{"x": {Max: new(float64)}} },
	} {
		st := newStage(t, nil)
		st.Serve("m", st.publish("m", 1))
		other := inferencetest.Schema()
		change(&other)
		two := st.Publish("m", 2, []byte("model.."), other)
		st.Challenge("m", two, 5000)
		for _, slot := range []registry.Slot{registry.Champion, registry.Challenger} {
			if _, who := st.partners(inference.Selection{Model: "m", Slot: slot}); !slices.Equal(who, []string{"incompatible"}) {
				t.Errorf("%s, answered by the %s: %v", name, slot, who)
			}
		}
	}
}

func TestFit(t *testing.T) {
	spec := func(name string, d tensor.Datatype, columns ...string) schema.Spec {
		return schema.Spec{Name: name, Datatype: d, Shape: []int64{-1, int64(max(1, len(columns)))}, Columns: columns}
	}
	compile := func(accept string, inputs ...schema.Spec) *schema.Checker {
		s := schema.Schema{V: schema.Version, Task: schema.Regression, Contract: schema.Contract{Columns: map[string]schema.Column{}},
			Signature: schema.Signature{Inputs: inputs, Outputs: []schema.Spec{spec("y", tensor.FP32)}}}
		for name := range strings.FieldsSeq(accept) {
			s.Contract.Columns[name] = schema.Column{Missing: schema.Accept}
		}
		c, err := schema.Compile(&s, nil)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	a, b, w := spec("a", tensor.FP32), spec("b", tensor.Bytes), spec("w", tensor.FP32, "u", "v")
	given := []tensor.Tensor{{Name: "a", Datatype: tensor.FP32, Shape: []int64{2, 1}, FP32s: []float32{1, 2}}, {Name: "b", Datatype: tensor.Bytes, Shape: []int64{2, 1}, Strings: []string{"p", "q"}}}
	for name, tt := range map[string]struct {
		to    *schema.Checker
		names string // of the inputs made, or the problem
	}{
		"the same":      {compile("", a, b), "a b"},
		"turned around": {compile("", b, a), "b a"},
		"one less":      {compile("", b), "b"},
		"one more":      {compile("u v", b, w, a), "b w a"},
		"refused":       {compile("u", a, b, w), `contract.columns["v"] refuses missing values`},
		"another type":  {compile("", a, spec("b", tensor.FP32)), `signature.inputs["b"] is FP32`},
		"other columns": {compile("", spec("a", tensor.FP32, "a0"), b), `signature.inputs["a"] has its columns`},
	} {
		fit, found := inference.NewFit(compile("", a, b), tt.to)
		if len(found) > 0 {
			if text := found[0].Path + " " + found[0].Problem; fit != nil || !strings.HasPrefix(text, tt.names) {
				t.Errorf("%s: %s", name, text)
			}
			continue
		}
		got, err := fit.Inputs(nil, given)
		var names []string
		for i := range got {
			names = append(names, got[i].Name)
			if got[i].Name == "w" && (len(got[i].FP32s) != 4 || !math.IsNaN(float64(got[i].FP32s[3]))) {
				t.Errorf("%s: missing values are %v", name, got[i].FP32s)
			}
		}
		if err != nil || strings.Join(names, " ") != tt.names || given[0].Name != "a" || given[1].Strings[1] != "q" {
			t.Errorf("%s: %v, %v", name, names, err)
		}
	}
}

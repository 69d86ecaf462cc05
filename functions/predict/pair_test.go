package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/capture"
	"github.com/tidegate/tidegate/shared/inference/inferencetest"
	"github.com/tidegate/tidegate/shared/lambdaapi/lambdaapitest"
	"github.com/tidegate/tidegate/shared/registry"
)

// shadow puts ref beside the champion.
func shadow(world *inferencetest.World, model string, ref registry.Ref) {
	world.Apply(model, registry.Change{Kind: "shadow.start", Apply: func(next *registry.State, _ time.Time) error {
		next.Slots.Shadow = &ref
		return nil
	}})
}

// record is the capture sent last.
func (f *function) record(t *testing.T) capture.Record {
	t.Helper()
	f.lines(t) // until it polls again: what is due after the answer is done
	var r capture.Record
	if err := json.Unmarshal(f.cloud.Firehose.Last(), &r); err != nil {
		t.Fatalf("%v: %s", err, f.cloud.Firehose.Last())
	}
	return r
}

// TestPairs: while there is a rollout or a shadow, the version that did not answer scores the same rows and is captured under the
// same id, by ONNX Runtime and through Firehose; a pinned request and a refused one have no pair.
func TestPairs(t *testing.T) {
	world := samples(t)
	file, s := describe(t, "affine")
	world.Serve("shadowed", world.Publish("shadowed", 1, file, s))
	shadow(world, "shadowed", world.Publish("shadowed", 2, second(file), s))
	world.Serve("rolling", world.Publish("rolling", 1, file, s))
	world.Challenge("rolling", world.Publish("rolling", 2, second(file), s), 5000)
	f := start(t, open(t, world), map[string]string{"TIDEGATE_PRELOAD_MODELS": "affine,rolling"})

	f.answered(t, "shadowed", "1", "2") // cold: the shadow is loaded after it, and the pair lost
	f.lines(t)
	if n := f.counted(t, "PairsLostNotLoaded"); n > 1 { // it rides on this line or on the next
		t.Errorf("PairsLostNotLoaded is %v", n)
	}
	before := f.cloud.Firehose.Taken().Lines
	slots := map[registry.Slot]int{}
	for i, tt := range []struct {
		path, key string
		lines     int64
	}{
		{path: "/v2/models/affine/infer", lines: 1},
		{path: "/v2/models/shadowed/infer", lines: 2},
		{path: "/v2/models/shadowed/versions/2/infer", lines: 1},
		{path: "/v2/models/rolling/infer", key: "a", lines: 2},
		{path: "/v2/models/rolling/infer", key: "b", lines: 2},
		{path: "/v2/models/rolling/infer", key: "c", lines: 2},
		{path: "/v2/models/rolling/infer", key: "d", lines: 2},
		{path: "/v2/models/rolling/infer", key: "e", lines: 2},
		{path: "/v2/models/rolling/infer", key: "f", lines: 2},
	} {
		event := lambdaapitest.NewHTTPEvent("POST", tt.path, fmt.Sprintf(`{"inputs":[{"name":"x","shape":[1,3],"datatype":"FP32","data":[1,2,%d]}]}`, i))
		if tt.key != "" {
			event.Headers["tidegate-key"] = tt.key
		}
		answer := f.send(t, event)
		r := f.record(t)
		if n := f.cloud.Firehose.Taken().Lines - before; answer.StatusCode != 200 || n != tt.lines {
			t.Errorf("%s: status %d, %d records, want %d", tt.path, answer.StatusCode, n, tt.lines)
		}
		before = f.cloud.Firehose.Taken().Lines
		if r.ID != answer.Headers["Tidegate-Inference-Id"] || fmt.Sprint(r.Inputs["x"]) != fmt.Sprintf("[[1 2 %d]]", i) {
			t.Errorf("%s: the last record is of %s: %v", tt.path, r.ID, r.Inputs)
		}
		if tt.lines == 1 {
			if r.Role != capture.Served {
				t.Errorf("%s: the only record is %s", tt.path, r.Role)
			}
			continue
		}
		var answered struct{ Outputs []struct{ Data []float64 } }
		if err := json.Unmarshal([]byte(answer.Body), &answered); err != nil {
			t.Fatal(err)
		}
		if y := fmt.Sprintf("[%v]", answered.Outputs[0].Data); r.Role != capture.Paired || fmt.Sprint(r.Outputs["y"]) != y || r.Status != 200 || r.LatencyUS <= 0 {
			t.Errorf("%s: paired %+v, want outputs %s", tt.path, r, y)
		}
		if fmt.Sprint(r.Version) == answer.Headers["Tidegate-Model-Version"] || string(r.Slot) == answer.Headers["Tidegate-Slot"] || fmt.Sprint(r.Generation) != answer.Headers["Tidegate-Generation"] {
			t.Errorf("%s: answered by %s as %s, paired by %d as %s", tt.path, answer.Headers["Tidegate-Model-Version"], answer.Headers["Tidegate-Slot"], r.Version, r.Slot)
		}
		slots[r.Slot]++
	}
	if slots[registry.Champion] == 0 || slots[registry.Challenger] == 0 || slots[registry.Shadow] != 1 {
		t.Errorf("paired by %v: want champion, challenger and once the shadow", maps.Clone(slots))
	}
	f.post(t, "/v2/models/rolling/infer", `{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[1,2]}]}`)
	if r := f.record(t); r.Role != capture.Served || r.ErrorKind != "InvalidArgument" {
		t.Errorf("after a refused request: %+v", r)
	}
	if captured, lost := f.counted(t, "PairsCaptured"), f.counted(t, "PairsLostNotLoaded"); captured != 7 || lost != 1 {
		t.Errorf("PairsCaptured %v, PairsLostNotLoaded %v, want 7 and 1", captured, lost)
	}
}

// TestBufferedPairs: both records of a pair leave with the same call.
func TestBufferedPairs(t *testing.T) {
	world := samples(t)
	file, s := describe(t, "affine")
	world.Serve("rolling", world.Publish("rolling", 1, file, s))
	world.Challenge("rolling", world.Publish("rolling", 2, second(file), s), 5000)
	f := start(t, open(t, world), map[string]string{"TIDEGATE_CAPTURE_MODE": "buffered"})
	for range 3 {
		f.post(t, "/v1/models/rolling:predict", `{"instances":[[1,2,3]]}`)
	}
	f.lines(t)
	f.stop()
	if taken := f.cloud.Firehose.Taken(); taken.Lines != 6 || taken.Calls != 1 {
		t.Errorf("at the end %+v, want 6 records in 1 call", taken)
	}
}

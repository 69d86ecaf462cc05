package rollout_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/inference/inferencetest"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/rollout"
	"github.com/tidegate/tidegate/shared/schema"
)

func TestConfigureRefusesWhatItsOwnersWould(t *testing.T) {
	w := inferencetest.New(t)
	if _, _, err := w.Registry.CreateModel(t.Context(), registry.Model{Name: "flights", Task: schema.Binary}); err != nil {
		t.Fatal(err)
	}
	w.Serve("flights", w.Publish("flights", 1, []byte("model."), inferencetest.Schema()))
	state, _, err := w.Registry.State(t.Context(), "flights")
	if err != nil {
		t.Fatal(err)
	}
	p := rollout.Promoter{Registry: w.Registry}
	configure := func(settings string) (rollout.PromoteOut, error) {
		return p.Run(t.Context(), rollout.PromoteIn{Model: "flights", Kind: registry.KindConfigure, TransitionID: "01" + settings[:1] + "x",
			SeenGeneration: state.Generation, Actor: "ana", Settings: json.RawMessage(settings)})
	}
	var f *fault.Error
	_, err = configure(`{"drift":{"alpha":2,"window_minutes":7,"unknown":1}}`)
	if !errors.As(err, &f) || f.Kind != fault.InvalidArgument || len(f.Violations) != 3 {
		t.Fatalf("%v", err)
	}
	for _, v := range f.Violations {
		if len(v.Path) < len("settings.drift.") || v.Path[:len("settings.drift.")] != "settings.drift." {
			t.Errorf("the path %q does not lead to the field", v.Path)
		}
	}
	_, err = configure(`{"quality":{"colour":1},"comparison":{"alpha":2},"rollout":{"approval":"x"},"retrain":{"debounce":{"need":2}},"drift":{"alpha":2}}`)
	if !errors.As(err, &f) || len(f.Violations) != 5 {
		t.Fatalf("%v", err)
	}
	for i, path := range []string{"settings.drift.alpha", "settings.quality.colour", "settings.comparison.alpha", "settings.rollout.approval", "settings.retrain.debounce.within_seconds"} {
		if f.Violations[i].Path != path {
			t.Errorf("the path %q, want %q", f.Violations[i].Path, path)
		}
	}
	out, err := configure(`{"drift":{"alpha":0.01}}`)
	if err != nil || out.State.SettingsDigest == "" {
		t.Errorf("%+v, %v", out, err)
	}
}

package rollout_test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/rollout"
)

func TestPolicyDefaults(t *testing.T) {
	for _, raw := range []string{"", "null", " {} "} {
		p, err := rollout.ParsePolicy([]byte(raw))
		if err != nil || len(p.Steps) != 5 || p.Steps[0] != (rollout.Step{Weight: 100, BakeSeconds: 3600}) || p.Steps[4].Weight != 10000 ||
			p.Approval != "none" || p.Shadow != (rollout.Shadow{}) || p.EvidenceMaxAge() != 7*24*time.Hour {
			t.Errorf("%q: %+v, %v", raw, p, err)
		}
	}
	p, err := rollout.ParsePolicy([]byte(`{"steps":[{"weight":5000,"bake_seconds":2}],"shadow":{"pairs":1000,"seconds":60},"approval":"promote"}`))
	if err != nil || len(p.Steps) != 1 || p.Steps[0].Bake() != 2*time.Second || p.Shadow.Pairs != 1000 || p.EvidenceMaxAgeSeconds != 604800 {
		t.Errorf("%+v, %v", p, err)
	}
	for kind, asks := range map[string][3]bool{registry.KindStart: {true, false, true}, registry.KindPromote: {false, true, true}, registry.KindAdvance: {}} {
		for i, approval := range []string{"start", "promote", "both"} {
			if p.Approval = approval; p.Asks(kind) != asks[i] {
				t.Errorf("approval %s asks for a %s: %v", approval, kind, !asks[i])
			}
		}
	}
}

// TestDefaultsAreDocumented: what docs/formats/registry.md shows are the defaults.
func TestDefaultsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/formats/registry.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "## Rollouts\n")
	_, block, _ := strings.Cut(section, "```json\n")
	block, _, _ = strings.Cut(block, "```")
	var doc struct{ Rollout json.RawMessage }
	if err := json.Unmarshal([]byte(block), &doc); err != nil {
		t.Fatalf("%v: %s", err, block)
	}
	got, err := rollout.ParsePolicy(doc.Rollout)
	if diff := cmp.Diff(rollout.DefaultPolicy(), got); err != nil || diff != "" {
		t.Errorf("%v (-code +page)\n%s", err, diff)
	}
}

// TestPolicyFaults: all of them in one answer, with their paths, without values.
func TestPolicyFaults(t *testing.T) {
	for raw, want := range map[string][]string{
		`[]`:              {"rollout must be a JSON object"},
		`{"colour":1}`:    {"colour is not a field"},
		`{"steps":[]}`:    {"steps must be at least 1"},
		`{"steps":7}`:     {"steps has the wrong type"},
		`{"steps":[5]}`:   {"steps[0] must be a JSON object", "steps[0].weight must be at least 1", "steps[0].bake_seconds must be at least 1"},
		`{"shadow":true}`: {"shadow must be a JSON object"},
		`{"steps":[{"weight":0,"bake_seconds":60},{"weight":20000,"bake_seconds":-1},{"weight":20000,"bake_seconds":1,"x":1}],"shadow":{"pairs":-1},"approval":"s3cret","evidence_max_age_seconds":0}`: {
			"steps[0].weight must be at least 1", "steps[1].weight must be at most 10000", "steps[1].bake_seconds must be at least 1", "steps[2].x is not a field",
			"steps[2].weight must be above that of the step before", "shadow.pairs must be at least 0", "approval must be one of: none, start, promote, both", "evidence_max_age_seconds must be at least 1"},
	} {
		_, err := rollout.ParsePolicy([]byte(raw))
		if !fault.Is(err, fault.InvalidArgument) {
			t.Errorf("%s: %v", raw, err)
			continue
		}
		var all []string
		for _, v := range fault.Public(err).Violations {
			all = append(all, v.Path+" "+v.Problem)
		}
		got := strings.Join(all, "; ")
		for _, w := range want {
			if !strings.Contains(got, w) {
				t.Errorf("%s: %s, want %q in it", raw, got, w)
			}
		}
		if strings.Contains(got, "s3cret") {
			t.Errorf("%s: the answer repeats a value", raw)
		}
	}
}

func FuzzParsePolicy(f *testing.F) {
	for _, seed := range []string{``, `null`, `{}`, `[]`, `{"steps":[{"weight":1,"bake_seconds":1}]}`, `{"steps":null,"shadow":null}`, `{"shadow":{"pairs":1e3}}`, `{"approval":1}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := rollout.ParsePolicy(raw)
		if err == nil {
			err = p.Check()
		} else if !fault.Is(err, fault.InvalidArgument) || len(fault.Public(err).Violations) == 0 {
			t.Fatalf("%v is no fault of the input, or names no field", err)
		} else {
			return
		}
		if err != nil {
			t.Fatalf("accepted, but %v", err)
		}
		for i := range p.Steps {
			if i > 0 && p.Steps[i].Weight <= p.Steps[i-1].Weight {
				t.Fatal("a weight falls")
			}
		}
	})
}

// TestSettingsNameTheirBackendsFaults: configure refuses a backend that predict could not use.
func TestSettingsNameTheirBackendsFaults(t *testing.T) {
	err := rollout.CheckSettings(&registry.Settings{Backend: []byte(`{"kind":"url","url":"http://models.example.com","retries":9}`), Rollout: []byte(`[]`)})
	var paths []string
	for _, v := range fault.Public(err).Violations {
		paths = append(paths, v.Path)
	}
	if !fault.Is(err, fault.InvalidArgument) || !slices.Contains(paths, "backend.url") || !slices.Contains(paths, "backend.retries") || len(paths) != 3 {
		t.Errorf("%v: %v", paths, err)
	}
	if err := rollout.CheckSettings(&registry.Settings{Backend: []byte(`{"kind":"sagemaker","endpoint":"tidegate-models"}`)}); err != nil {
		t.Error(err)
	}
}

package comparison

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"slices"
	"testing"

	"github.com/tidegate/tidegate/shared/fault"
)

func TestDefaultsHold(t *testing.T) {
	for _, raw := range []string{"", " null ", "{}", `{"guardrails":{"latency":{}},"segments":{}}`} {
		p, err := ParsePolicy([]byte(raw))
		if err != nil || !reflect.DeepEqual(p, DefaultPolicy()) {
			t.Errorf("%q: %+v, %v", raw, p, err)
		}
	}
	p := DefaultPolicy()
	if err := p.Check(); err != nil {
		t.Error(err)
	}
}

func TestPolicyIsReadBack(t *testing.T) {
	in := `{"primary":"log_loss","margin":0.03,"delta":0.001,"alpha":0.1,"expected_pairs":20000,"n_step":50,"first_look":{"pairs":2000},
		"abort_first_look":{"per_class":20},"min_blocks":5,"block":"day","max_wait":3,
		"guardrails":{"error_ratio":{"off":true},"latency":{"factor":2,"margin":0.1},"log_loss":{"margin":0.05},"first_look":10},
		"segments":{"column":"carrier","limit":5,"pairs":100,"per_class":10,"margin":0.02}}`
	p, err := ParsePolicy([]byte(in))
	if err != nil {
		t.Fatal(err)
	}
	if *p.Margin != 0.03 || p.FirstLook != (Look{2000, 50}) || p.HarmLook != (Look{300, 20}) || !p.Guardrails.ErrorRatio.Off ||
		p.Guardrails.ErrorRatio.Margin != 0.005 || p.Guardrails.Latency.Factor != 2 || p.Segments.Look != (Look{100, 10}) || p.Segments.Column != "carrier" {
		t.Errorf("%+v", p)
	}
	raw, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParsePolicy(raw)
	if err != nil || !reflect.DeepEqual(again, p) {
		t.Errorf("what is written is not what is read: %v\n%s", err, raw)
	}
}

func TestPolicyFaultsAreToldAtOnce(t *testing.T) {
	_, err := ParsePolicy([]byte(`{"primry":"x","primary":"f1","margin":2,"alpha":"high","expected_pairs":1,"first_look":{"pairs":100,"rows":1},
		"guardrails":{"latency":[],"error_ratio":{"margin":-1}},"segments":{"limit":21},"max_wait":0.5,"min_blocks":0}`))
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind != fault.InvalidArgument {
		t.Fatal(err)
	}
	var paths []string
	for _, v := range f.Violations {
		paths = append(paths, v.Path)
	}
	slices.Sort(paths)
	want := []string{"alpha", "expected_pairs", "first_look.pairs", "first_look.rows", "guardrails.error_ratio.margin", "guardrails.latency",
		"margin", "max_wait", "min_blocks", "primary", "primry", "segments.limit"}
	if !slices.Equal(paths, want) {
		t.Errorf("faults in\n%v, want\n%v", paths, want)
	}
	if _, err := ParsePolicy([]byte(`[1]`)); !fault.Is(err, fault.InvalidArgument) {
		t.Errorf("a list: %v", err)
	}
}

func TestPrimaryMetric(t *testing.T) {
	p := DefaultPolicy()
	for task, want := range map[Task]string{Binary: ROCAUC, Multiclass: LogLoss, Regression: MAE} {
		spec := specOf(task)
		if got, err := p.primary(&spec); err != nil || got != want {
			t.Errorf("%s: %s, %v", task, got, err)
		}
	}
	p.Primary = MAE
	spec := specOf(Binary)
	if _, err := p.primary(&spec); !fault.Is(err, fault.InvalidArgument) {
		t.Errorf("mae of a binary task: %v", err)
	}
}

func FuzzParsePolicy(f *testing.F) {
	f.Add([]byte(`{}`))
	f.Add([]byte(`{"alpha":0.01,"segments":{"column":"x"}}`))
	f.Add([]byte(`{"guardrails":{"latency":{"factor":1e308}}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := ParsePolicy(raw)
		if err != nil {
			if !fault.Is(err, fault.InvalidArgument) {
				t.Errorf("%v", err)
			}
			return
		}
		if err := p.Check(); err != nil {
			t.Errorf("a policy that was read is not valid: %v", err)
		}
	})
}

// TestDocumentedDefaults holds the policy printed in docs/comparison.md to the default one.
func TestDocumentedDefaults(t *testing.T) {
	page, err := os.ReadFile("../../../docs/comparison.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := bytes.Cut(page, []byte("```json\n"))
	printed, _, end := bytes.Cut(rest, []byte("```"))
	if !ok || !end {
		t.Fatal("docs/comparison.md prints no policy")
	}
	p, err := ParsePolicy(printed)
	if err != nil || !reflect.DeepEqual(p, DefaultPolicy()) {
		t.Errorf("docs/comparison.md prints %+v, %v", p, err)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(printed, &fields); err != nil || len(fields) != 11 {
		t.Errorf("docs/comparison.md prints %d fields: %v", len(fields), err)
	}
}

package contract

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestParametersExplainThemselves(t *testing.T) {
	for name, p := range load(t).Parameters {
		if len(strings.Fields(p.Description)) < 4 || !strings.HasSuffix(strings.TrimSpace(p.Description), ".") {
			t.Errorf("%s: the description must be a sentence", name)
		}
		switch {
		case p.Default == nil:
			t.Errorf("%s has no default: a first deployment must need no decision", name)
		case p.Type == "String" && p.AllowedValues == nil && p.AllowedPattern == "":
			t.Errorf("%s takes any text: it needs AllowedValues or AllowedPattern", name)
		case p.Type == "Number" && p.AllowedValues == nil && p.MinValue == nil:
			t.Errorf("%s takes any number: it needs MinValue or AllowedValues", name)
		}
		if p.AllowedPattern != "" {
			pattern, err := regexp.Compile(p.AllowedPattern)
			if err != nil {
				t.Errorf("%s: %v", name, err)
			} else if !pattern.MatchString(text(p.Default)) {
				t.Errorf("%s: the default does not match the pattern", name)
			}
		}
	}
}

// The command line and the demo find the stack's parts by these names.
func TestOutputs(t *testing.T) {
	tpl := load(t)
	want := []string{"ApiEndpoint", "RegistryBucketName", "DataBucketName", "CaptureStreamName"}
	for _, fn := range tpl.functions() {
		want = append(want, fn.id+"Name")
	}
	for _, name := range want {
		if tpl.Outputs[name] == nil {
			t.Errorf("there is no output %s", name)
		}
	}
}

func TestDefaultsAreClosed(t *testing.T) {
	p := load(t).Parameters["Authorization"]
	if p.Default != "AWS_IAM" {
		t.Errorf("Authorization defaults to %v", p.Default)
	}
	if !slices.Contains(p.AllowedValues, node("JWT")) || !slices.Contains(p.AllowedValues, node("NONE")) {
		t.Errorf("Authorization takes %v", p.AllowedValues)
	}
}

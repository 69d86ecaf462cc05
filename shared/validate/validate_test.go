package validate

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate/tidegate/shared/fault"
)

type mode string

type config struct {
	Bucket  string        `env:"BUCKET" validate:"required"`
	Mode    mode          `env:"MODE" default:"after" validate:"oneof=after strict"`
	Preload []string      `env:"PRELOAD"`
	Bytes   int64         `env:"BYTES" default:"1024" validate:"gte=0"`
	Wait    time.Duration `env:"WAIT" default:"250ms"`
	Ratio   float64       `env:"RATIO"`
	Debug   bool          `env:"DEBUG"`
	Nested  struct {
		Port uint16 `env:"PORT"`
	}
}

func env(kv ...string) func(string) string {
	m := map[string]string{}
	for i := 0; i < len(kv); i += 2 {
		m[kv[i]] = kv[i+1]
	}
	return func(k string) string { return m[k] }
}

func TestConfig(t *testing.T) {
	var got config
	err := Config(env("BUCKET", "b", "PRELOAD", " flights, ,iris,", "RATIO", "0.5", "DEBUG", "true", "PORT", "8080"), &got)
	if err != nil {
		t.Fatal(err)
	}
	want := config{Bucket: "b", Mode: "after", Preload: []string{"flights", "iris"}, Bytes: 1024, Wait: 250 * time.Millisecond, Ratio: 0.5, Debug: true}
	want.Nested.Port = 8080
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("config (-want +got):\n%s", diff)
	}
}

func TestConfigFaults(t *testing.T) {
	tests := []struct {
		name string
		env  []string
		want []fault.Violation
	}{
		{"missing", nil, []fault.Violation{{Path: "BUCKET", Problem: "is required"}}},
		{"two rules", []string{"MODE", "s3cret", "BYTES", "-1", "BUCKET", "b"}, []fault.Violation{
			{Path: "MODE", Problem: "must be one of: after, strict"}, {Path: "BYTES", Problem: "must be at least 0"}}},
		{"unparsable", []string{"BUCKET", "b", "BYTES", "s3cret", "WAIT", "s3cret", "RATIO", "s3cret", "DEBUG", "s3cret", "PORT", "-5"}, []fault.Violation{
			{Path: "BYTES", Problem: "must be a whole number"},
			{Path: "WAIT", Problem: "must be a duration such as 250ms or 5s"},
			{Path: "RATIO", Problem: "must be a number"},
			{Path: "DEBUG", Problem: "must be true or false"},
			{Path: "PORT", Problem: "must be a whole number that is not negative"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var cfg config
			checkViolations(t, Config(env(tt.env...), &cfg), tt.want)
		})
	}
}

// even reads itself from text of an even length.
type even struct{ n int }

func (e *even) UnmarshalText(text []byte) error {
	if len(text)%2 != 0 {
		return fault.New(fault.InvalidArgument, "has an odd length; add one")
	}
	e.n = len(text)
	return nil
}

func TestConfigOfTypesThatReadThemselves(t *testing.T) {
	type config struct {
		Even even `env:"EVEN"`
	}
	var cfg config
	if err := Config(env("EVEN", "abcd"), &cfg); err != nil || cfg.Even.n != 4 {
		t.Errorf("%+v, %v", cfg, err)
	}
	if err := Config(env(), &cfg); err != nil || cfg.Even.n != 4 {
		t.Errorf("absent: %+v, %v", cfg, err)
	}
	checkViolations(t, Config(env("EVEN", "abc"), &cfg), []fault.Violation{{Path: "EVEN", Problem: "has an odd length; add one"}})
}

func TestConfigMisuse(t *testing.T) {
	var odd struct {
		M map[string]string `env:"M"`
	}
	var oddList struct {
		L []int `env:"L"`
	}
	for _, err := range []error{
		Config(env(), config{}), Config(env(), (*config)(nil)), Config(env("M", "x"), &odd), Config(env("L", "1"), &oddList),
		Struct(7), Struct(nil),
	} {
		if !fault.Is(err, fault.Internal) {
			t.Errorf("got %v, want Internal", err)
		}
	}
}

type inner struct {
	Sampling *float64          `json:"sampling,omitempty" validate:"omitempty,gte=0,lte=1"`
	Redact   map[string]string `json:"redact" validate:"dive,oneof=hash drop"`
}

type request struct {
	Model  string   `json:"model" validate:"required,max=4"`
	Inner  *inner   `json:"inner"`
	Hashes []string `json:"hashes" validate:"max=2,dive,sha256"`
	Seen   int64    `json:"seen_generation" validate:"gte=0"`
	Skip   string   `json:"-" validate:"omitempty,alpha"`
}

func TestStruct(t *testing.T) {
	two := 2.0
	tests := []struct {
		name string
		in   any
		want []fault.Violation
	}{
		{"good", &request{Model: "m"}, nil},
		{"by value", request{Model: "m"}, nil},
		{"missing", &request{}, []fault.Violation{{Path: "model", Problem: "is required"}}},
		{"nested", &request{Model: "model", Inner: &inner{Sampling: &two, Redact: map[string]string{"tail": "s3cret"}}, Hashes: []string{"s3cret"}, Seen: -1},
			[]fault.Violation{
				{Path: "model", Problem: "must be at most 4 characters"},
				{Path: "inner.sampling", Problem: "must be at most 1"},
				{Path: "inner.redact[tail]", Problem: "must be one of: hash, drop"},
				{Path: "hashes[0]", Problem: "must be a sha256 digest in lower-case hex"},
				{Path: "seen_generation", Problem: "must be at least 0"}}},
		{"list too long, unnamed rule", &request{Model: "m", Hashes: make([]string, 3), Skip: "1"}, []fault.Violation{
			{Path: "hashes", Problem: "must be at most 2 entries"}, {Path: "Skip", Problem: "breaks the rule alpha"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { checkViolations(t, Struct(tt.in), tt.want) })
	}
}

func checkViolations(t *testing.T, err error, want []fault.Violation) {
	t.Helper()
	if want == nil {
		if err != nil {
			t.Fatalf("got %v, want no error", err)
		}
		return
	}
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind != fault.InvalidArgument {
		t.Fatalf("got %v, want InvalidArgument", err)
	}
	if diff := cmp.Diff(want, f.Violations); diff != "" {
		t.Errorf("violations (-want +got):\n%s", diff)
	}
	if strings.Contains(err.Error(), "s3cret") {
		t.Errorf("the error repeats a value: %v", err)
	}
}

func TestPattern(t *testing.T) {
	p := NewPattern(`^[a-z]{1,3}$`)
	if !p.MatchString("abc") || p.MatchString("abcd") || p.MatchString("") {
		t.Error("it does not match what its expression does")
	}
}

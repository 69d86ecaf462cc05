package registry

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate/tidegate/shared/fault"
)

func golden(t testing.TB, name string) []byte {
	t.Helper()
	body, err := os.ReadFile("testdata/v1/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// TestOldDocumentsLoad reads one file of each format of version 1. These files
// never change: what was stored once must load for ever, to the last field.
func TestOldDocumentsLoad(t *testing.T) {
	m, err := parseModel("flights", golden(t, "model.json"))
	checkRoundTrip(t, "model.json", m, err)
	c, err := parseClaim("claim.json", golden(t, "claim.json"))
	checkRoundTrip(t, "claim.json", c, err)
	manifest, err := ParseManifest("flights", 7, golden(t, "manifest.json"))
	checkRoundTrip(t, "manifest.json", manifest, err)
	settings, err := ParseSettings(golden(t, "settings.json"))
	checkRoundTrip(t, "settings.json", settings, err)
	s, err := ParseState("flights", golden(t, "state.json"))
	if err != nil {
		t.Fatal(err)
	}
	body, err := encodeState(&s)
	if diff := cmp.Diff(string(golden(t, "state.json")), string(body)); err != nil || diff != "" {
		t.Errorf("state.json: %v (-stored +written)\n%s", err, diff)
	}
}

func checkRoundTrip(t *testing.T, name string, doc any, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	body, err := encode(doc)
	// Numbers may be spelled in two ways (2.1e-07, 1e-05); everything else must be equal.
	same := strings.NewReplacer("e-07", "e-7", "1e-05", "0.00001")
	if diff := cmp.Diff(same.Replace(string(golden(t, name))), same.Replace(string(body))); err != nil || diff != "" {
		t.Errorf("%s: %v (-stored +written)\n%s", name, err, diff)
	}
}

// TestDamagedDocuments: what we cannot have written is Internal, with advice, never a panic.
func TestDamagedDocuments(t *testing.T) {
	manifest, state, model, claim := string(golden(t, "manifest.json")), string(golden(t, "state.json")), string(golden(t, "model.json")), string(golden(t, "claim.json"))
	parse := map[string]func(string) error{
		"manifest": func(s string) error { _, err := ParseManifest("flights", 7, []byte(s)); return err },
		"state":    func(s string) error { _, err := ParseState("flights", []byte(s)); return err },
		"model":    func(s string) error { _, err := parseModel("flights", []byte(s)); return err },
		"claim":    func(s string) error { _, err := parseClaim("k", []byte(s)); return err },
	}
	tests := []struct{ name, doc, body string }{
		{"empty", "state", ""}, {"not JSON", "state", "<html>"}, {"truncated", "state", state[:len(state)/2]}, {"null", "state", "null"},
		{"another model", "state", strings.Replace(state, `"flights"`, `"iris"`, 1)},
		{"newer format", "state", strings.Replace(state, `"schema":1`, `"schema":2`, 1)},
		{"no format", "state", strings.Replace(state, `"schema":1`, `"schema":0`, 1)},
		{"generation 0", "state", strings.Replace(state, `"generation":12`, `"generation":0`, 1)},
		{"no champion", "state", strings.Replace(state, `"champion"`, `"champignon"`, 1)},
		{"no transition", "state", strings.Replace(state, `"transition_id"`, `"x"`, 1)},
		{"weight too large", "state", strings.Replace(state, `{"challenger":500}`, `{"challenger":10001}`, 1)},
		{"weight negative", "state", strings.Replace(state, `{"challenger":500}`, `{"challenger":-1}`, 1)},
		{"challenger without weight", "state", strings.Replace(state, `{"challenger":500}`, `{"challenger":0}`, 1)},
		{"weight without challenger", "state", strings.Replace(state, `"challenger":{"version"`, `"x":{"version"`, 1)},
		{"challenger without rollout", "state", strings.Replace(state, `"rollout":`, `"x":`, 1)},
		{"rejected champion", "state", strings.Replace(state, `"rejected":{"7"`, `"rejected":{"6"`, 1)},
		{"version 0", "state", strings.Replace(state, `"version":6`, `"version":0`, 1)},
		{"odd digest", "state", strings.Replace(state, "sha256:aac8", "sha256:zzc8", 1)},
		{"manifest of another version", "manifest", strings.Replace(manifest, `"version": 7`, `"version": 8`, 1)},
		{"manifest of a newer format", "manifest", strings.Replace(manifest, `"v": 1`, `"v": 9`, 1)},
		{"file changed", "manifest", strings.Replace(manifest, "482113", "482114", 1)},
		{"no model file", "manifest", strings.Replace(manifest, "model.onnx", "model.pkl", 1)},
		{"path upwards", "manifest", strings.Replace(manifest, "metrics.json", "../../state.json", 1)},
		{"file twice", "manifest", strings.Replace(manifest, "metrics.json", "schema.json", 1)},
		{"short sha256", "manifest", strings.Replace(manifest, strings.Repeat("f2", 32), "f2", 1)},
		{"manifest is a list", "manifest", "[]"},
		{"another name", "model", strings.Replace(model, `"flights"`, `"iris"`, 1)},
		{"unknown task", "model", strings.Replace(model, "binary", "ternary", 1)},
		{"newer model", "model", strings.Replace(model, `"v": 1`, `"v": 2`, 1)},
		{"claim without digest", "claim", strings.Replace(claim, "sha256:1", "sha256:", 1)},
		{"newer claim", "claim", strings.Replace(claim, `"v": 1`, `"v": 2`, 1)},
	}
	for _, tt := range tests {
		t.Run(tt.doc+", "+tt.name, func(t *testing.T) {
			err := parse[tt.doc](tt.body)
			if !fault.Is(err, fault.Internal) || !strings.Contains(err.Error(), "restore") {
				t.Errorf("%v, want Internal with advice", err)
			}
		})
	}
}

func TestContentDigest(t *testing.T) {
	files := []File{{Path: "model.onnx", Size: 1, SHA256: "aa"}, {Path: "schema.json", Size: 2, SHA256: "bb"}, {Path: "metrics.json", Size: 3, SHA256: "cc"}}
	want := ContentDigest(files)
	slices.Reverse(files)
	if got := ContentDigest(files); got != want {
		t.Errorf("the order of files matters: %s, %s", got, want)
	}
	files[0].SHA256 = "dd" // metrics.json
	if got := ContentDigest(files); got != want {
		t.Errorf("a file that is not part of the identity matters")
	}
	files[1].Size++
	if got := ContentDigest(files); got == want {
		t.Errorf("the size of schema.json does not matter")
	}
}

func TestNames(t *testing.T) {
	for name, ok := range map[string]bool{
		"flights": true, "f": true, "0-1_x": true, strings.Repeat("a", 63): true,
		"": false, strings.Repeat("a", 64): false, "-a": false, "_a": false, "Flights": false, "a/b": false, "a.b": false, "ä": false, "a b": false, "a\n": false, "..": false,
	} {
		if err := CheckName(name); (err == nil) != ok || err != nil && !fault.Is(err, fault.InvalidArgument) {
			t.Errorf("CheckName(%q) = %v, want ok = %v", name, err, ok)
		}
	}
}

func TestParseLogKey(t *testing.T) {
	if m, g, ok := ParseLogKey(LogKey("flights", 42)); m != "flights" || g != 42 || !ok {
		t.Errorf("got %s, %d, %v", m, g, ok)
	}
	for _, key := range []string{"", "models/flights/state.json", "models/flights/log/42.json", "models/flights/log/000000000000.json", "models/flights/log/000000000001.jso",
		"models/FLIGHTS/log/000000000001.json", "models/../log/000000000001.json", "x/models/flights/log/000000000001.json", "models/flights/log/-00000000001.json", "models/flights/log/000000000001.json/x"} {
		if m, g, ok := ParseLogKey(key); ok {
			t.Errorf("ParseLogKey(%q) = %s, %d", key, m, g)
		}
	}
}

func FuzzParseState(f *testing.F) {
	f.Add(golden(f, "state.json"))
	f.Add([]byte(`{"schema":1,"model":"flights","generation":1,"slots":{"champion":{"version":1,"digest":"sha256:00"}},"last":{"transition_id":"x","kind":"bootstrap"}}`))
	f.Add([]byte(`{"schema":1,"slots":{"champion":null},"rejected":{"x":1}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		s, err := ParseState("flights", body)
		if err != nil {
			if !fault.Is(err, fault.Internal) {
				t.Errorf("kind %s", fault.KindOf(err))
			}
			return
		}
		again, err := encodeState(&s)
		if err != nil {
			return // too large, which only the writer refuses
		}
		if _, err := ParseState("flights", again); err != nil {
			t.Errorf("accepted, but not when written again: %v", err)
		}
	})
}

func FuzzParseManifest(f *testing.F) {
	f.Add(golden(f, "manifest.json"))
	f.Add([]byte(`{"files":[{"path":"model.onnx"}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		m, err := ParseManifest("flights", 7, body)
		if err != nil {
			if !fault.Is(err, fault.Internal) {
				t.Errorf("kind %s", fault.KindOf(err))
			}
			return
		}
		for _, file := range m.Files {
			if key := fileKey(&m, file); !strings.HasPrefix(key, "blobs/sha256/") && !strings.HasPrefix(key, VersionPrefix("flights", 7)) {
				t.Errorf("file %q lies at %s", file.Path, key)
			}
		}
	})
}

func FuzzParseSettings(f *testing.F) {
	f.Add(golden(f, "settings.json"))
	f.Add([]byte(`{"drift":{"x":[1,2]},"capture":{"mode":"off","max_bytes":1024}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		s, err := ParseSettings(body)
		if err != nil {
			if !fault.Is(err, fault.InvalidArgument) {
				t.Errorf("kind %s", fault.KindOf(err))
			}
			return
		}
		stored, err := encode(s)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseSettings(stored); err != nil {
			t.Errorf("accepted, but not when stored: %v", err)
		}
	})
}

func FuzzParseLogKey(f *testing.F) {
	f.Add("models/flights/log/000000000001.json")
	f.Fuzz(func(t *testing.T, key string) {
		if m, g, ok := ParseLogKey(key); ok && LogKey(m, g) != key {
			t.Errorf("%q parses to %s, %d", key, m, g)
		}
	})
}

// BenchmarkParseState is on predict's path every few seconds.
func BenchmarkParseState(b *testing.B) {
	body := golden(b, "state.json")
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseState("flights", body); err != nil {
			b.Fatal(err)
		}
	}
}

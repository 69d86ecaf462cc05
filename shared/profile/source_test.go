package profile

import (
	"bytes"
	"context"
	"encoding/json"
	"math/rand/v2"
	"testing"
)

// finite are flights that every format can hold: no NaN, no infinities.
func finite(n int) []flight {
	var out []flight
	for _, f := range flights(rand.New(rand.NewPCG(51, 51)), n) {
		if f.Plain-f.Plain == 0 {
			out = append(out, f)
		}
	}
	return out
}

// TestEveryFormatFreezesTheSameBaseline: kinds are found out from the rows, and
// the baseline's bytes are those of the rows counted by hand.
func TestEveryFormatFreezesTheSameBaseline(t *testing.T) {
	rows := finite(4000)
	for _, source := range []struct {
		name string
		raw  []byte
	}{
		{"parquet", write(t, rows, 999)},
		{"csv", textOf(rows, "csv")},
		{"csv gzip", pack(t, textOf(rows, "csv"), "gzip")},
		{"ndjson zstd", pack(t, textOf(rows, "ndjson"), "zstd")},
	} {
		kinds := NewKinds()
		src := bytes.NewReader(source.raw)
		if err := kinds.Observe(context.Background(), src); err != nil {
			t.Fatal(err)
		}
		known := map[string]Spec{}
		for _, s := range kinds.Specs() {
			known[s.Name] = s
		}
		want := flightsBaseline(rows)
		var specs []Spec
		for _, c := range want.Columns {
			if known[c.Name].Kind != c.Kind {
				t.Errorf("%s: column %s is found %q, want %q", source.name, c.Name, known[c.Name].Kind, c.Kind)
			}
			specs = append(specs, known[c.Name])
		}
		b, err := NewBuilder(specs)
		if err != nil {
			t.Fatal(err)
		}
		rep, err := CountSource(context.Background(), src, b, nil)
		if err != nil {
			t.Fatal(err)
		}
		got, _ := json.Marshal(b.Freeze(rep.Rows))
		expected, _ := json.Marshal(want)
		if !bytes.Equal(got, expected) {
			t.Errorf("%s freezes another baseline, from byte %d on", source.name, differ(got, expected))
		}
	}
}

func TestKindsDoNotDependOnTheFirstRows(t *testing.T) {
	for name, text := range map[string]string{
		"csv":    "a,b\n1,\n2,NA\nx,3\n",
		"ndjson": "{\"a\":1}\n{\"a\":2,\"b\":null}\n{\"a\":\"x\",\"b\":3}\n",
	} {
		kinds := NewKinds()
		if err := kinds.Observe(context.Background(), bytes.NewReader([]byte(text))); err != nil {
			t.Fatal(err)
		}
		specs := kinds.Specs()
		if len(specs) != 2 || specs[0] != (Spec{Name: "a", Kind: Categorical}) || specs[1] != (Spec{Name: "b", Kind: Numeric}) {
			t.Errorf("%s: %+v", name, specs)
		}
	}
}

func TestDetect(t *testing.T) {
	for text, want := range map[string]Format{"PAR1\x15": Parquet, " \n{\"a\":1}": NDJSON, "a,b\n": CSV, "": CSV, "\ufeff{}": NDJSON} {
		if got, _ := Detect(bytes.NewReader([]byte(text))); got != want {
			t.Errorf("%q is %s, want %s", text, got, want)
		}
	}
}

func differ(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

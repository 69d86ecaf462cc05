package profile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

func sample(t testing.TB) *Baseline {
	t.Helper()
	rng := rand.New(rand.NewPCG(11, 11))
	values := append(draw(rng, "atoms", 5000), math.NaN(), math.Inf(-1))
	counter, ids := NewCounter(), NewCounter()
	for i := range 5000 {
		counter.Add(fmt.Sprint("c", int(math.Exp(rng.Float64()*6))), 1)
		ids.Add(fmt.Sprint("id", i), 1)
	}
	return &Baseline{V: BaselineVersion, Rows: 5002, Columns: []Column{
		numericColumn("x", values, 3, 0),
		numericColumn("few", draw(rng, "few", 500), 0, 1),
		numericColumn("empty", nil, 7, 0),
		CategoricalColumn("c", counter, 2, 0),
		CategoricalColumn("id", ids, 0, 0),
	}}
}

func TestBaselineReadsBack(t *testing.T) {
	b := sample(t)
	raw, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	back, err := ParseBaseline(raw)
	if err != nil {
		t.Fatal(err)
	}
	again, _ := json.Marshal(back)
	if !bytes.Equal(raw, again) {
		t.Error("a baseline does not read back to the same bytes")
	}
	for i := range b.Columns {
		if err := b.Columns[i].State.check(); err != nil {
			t.Errorf("%s: %v", b.Columns[i].Name, err)
		}
	}
	id, _ := back.Column("id")
	if !id.Identifier || id.State.Rows != 5000 || len(id.Cells.Named) != 0 {
		t.Errorf("a column of ids: identifier %v, %d rows", id.Identifier, id.State.Rows)
	}
	if few, _ := back.Column("few"); !few.Few || few.State.WrongType != 1 {
		t.Errorf("few = %v", few.Few)
	}
	if x, _ := back.Column("x"); x.State.NaN != 1 || x.State.NegInf != 1 || x.State.Rows != 5005 {
		t.Errorf("x: %+v", x.State)
	}
}

func TestParseBaselineRefuses(t *testing.T) {
	raw, err := json.Marshal(sample(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string][2]string{
		"format":     {`{"v":1`, `{"v":2`},
		"same name":  {`"name":"few"`, `"name":"x"`},
		"kind":       {`"kind":"numeric"`, `"kind":"numerical"`},
		"cells":      {`"cells":[`, `"cells":[1,`},
		"categories": {`"categories":{`, `"kategories":{`},
		"not JSON":   {`{`, ``},
	} {
		bad := strings.Replace(string(raw), change[0], change[1], 1)
		if bad == string(raw) {
			t.Fatalf("%s: nothing changed", name)
		}
		if _, err := ParseBaseline([]byte(bad)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzParseBaseline(f *testing.F) {
	raw, err := json.Marshal(sample(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	split, err := NewBuilder([]Spec{{Name: "c", Kind: Categorical}})
	if err != nil {
		f.Fatal(err)
	}
	split.Text(0, "a", 60)
	split.Text(0, "b", 60)
	b := split.Freeze(120)
	if err := b.SplitBy(By{Segments: []string{"c"}, Cluster: "c"}); err != nil {
		f.Fatal(err)
	}
	b.Keep(b.Splitter())
	f.Add(mustJSON(f, b))
	f.Add([]byte(`{"v":1,"columns":[{"name":"a","kind":"numeric","upper":[1],"state":{"cells":[0,0],"sum":"0","squares":"0"}}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		b, err := ParseBaseline(raw)
		if err != nil {
			return
		}
		for i := range b.Columns {
			c := &b.Columns[i]
			if c.Kind == Numeric {
				c.Bins.Index(0)
			} else {
				c.Cells.Index("a")
			}
		}
		if t := NewTally(b); t.Split != nil { // whatever was read can be counted on
			for i := range b.Columns {
				t.attribute(i, &values{codes: []uint16{codeMissing, codeWrong, codeNaN, 0}}, &keys{segments: make([][]uint8, len(b.Segments)), groups: []uint8{0, 1, 2, 3}}, 0)
			}
			_ = t.Split.merge(b.Split)
		}
	})
}

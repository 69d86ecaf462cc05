package quality

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/tidegate/tidegate/shared/evaluation/score"
	"github.com/tidegate/tidegate/shared/fault"
)

// layouts are one of each task, on few bins and on many.
func layouts(t testing.TB) map[string]*Layout {
	t.Helper()
	rng := rand.New(rand.NewPCG(4, 4))
	scores := make([]float64, 20_000)
	for i := range scores {
		scores[i] = rng.Float64()
	}
	many, err := NewBinary(score.Freeze(scores), "no", "yes")
	if err != nil {
		t.Fatal(err)
	}
	few, err := NewBinary(score.Uniform(10))
	if err != nil {
		t.Fatal(err)
	}
	three, err := NewMulticlass([]string{"a", "b", "c"}, []*score.Bins{score.Uniform(50), score.Uniform(20), score.Freeze(scores)})
	if err != nil {
		t.Fatal(err)
	}
	return map[string]*Layout{"binary": many, "few bins": few, "multiclass": three, "regression": NewRegression()}
}

// anyRow is a row of any kind, bad ones among them.
func anyRow(rng *rand.Rand) Row {
	r := Row{Score: rng.Float64(), Class: rng.IntN(4) - 1, Value: 100 * rng.NormFloat64(), Labelled: rng.IntN(3) > 0, Label: rng.IntN(2),
		Mature: rng.IntN(5) > 0, Key: rng.Uint64N(400), Block: int64(rng.IntN(30)) - 3}
	r.Truth = r.Value + rng.NormFloat64()
	for range 3 {
		r.Scores = append(r.Scores, rng.Float64())
	}
	switch rng.IntN(40) {
	case 0:
		r.Score, r.Value, r.Scores = math.NaN(), math.NaN(), nil
	case 1:
		r.Score, r.Value, r.Scores[1] = math.Inf(1), 1e300, math.NaN()
	case 2:
		r.Score, r.Truth, r.Scores[2] = 7, 0, -1
	case 3:
		r.Label, r.Truth = 9, math.Inf(-1)
	}
	return r
}

func TestAnyShardingAndOrderGivesTheSameBytes(t *testing.T) {
	for name, layout := range layouts(t) {
		t.Run(name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(5, 7))
			rows := make([]Row, 5000)
			for i := range rows {
				rows[i] = anyRow(rng)
			}
			var want []byte
			for _, shards := range []int{1, 7, 100} {
				rng.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
				parts := make([]*State, shards)
				for i := range parts {
					parts[i] = NewState(layout)
				}
				for i := range rows {
					parts[rng.IntN(shards)].Add(&rows[i])
				}
				for len(parts) > 1 { // merged in any order, and through their stored form
					i := rng.IntN(len(parts) - 1)
					again, err := DecodeState(layout, parts[i].Encode())
					if err != nil {
						t.Fatal(err)
					}
					if err := parts[len(parts)-1].Merge(again); err != nil {
						t.Fatal(err)
					}
					parts[i], parts = parts[len(parts)-1], parts[:len(parts)-1]
				}
				got := parts[0].Encode()
				if want == nil {
					want = got
				}
				if !bytes.Equal(got, want) {
					t.Errorf("%d shards give other bytes", shards)
				}
			}
		})
	}
}

func TestCountsOfBadRows(t *testing.T) {
	l := layouts(t)
	tests := []struct {
		layout string
		row    Row
		want   string
	}{
		{"binary", Row{Score: math.NaN(), Class: NoClass}, `"unusable":1`},
		{"binary", Row{Score: math.NaN(), Class: 1, Labelled: true, Mature: true}, `"judged":1,"no_score":1`},
		{"binary", Row{Score: 1.5, Class: 1}, `"out_of_range":1`},
		{"binary", Row{Score: -3, Class: NoClass}, `"out_of_range":1,"no_class":1`},
		{"binary", Row{Score: 0.5, Labelled: true, Label: 2, Mature: true}, `"mature_labelled":0,"judged":0,"bad_labels":1`},
		{"binary", Row{Score: 0.5, Labelled: true, Label: 1}, `"labelled":1,"mature":0,"mature_labelled":0,"judged":0`},
		{"binary", Row{Score: math.Inf(1), Class: NoClass, Labelled: true, Mature: true}, `"mature_labelled":1,"judged":0,"unusable":1`},
		{"multiclass", Row{Scores: []float64{1}, Class: NoClass}, `"unusable":1`},
		{"multiclass", Row{Scores: []float64{1, math.NaN(), 0}, Class: 2}, `"no_score":1`},
		{"multiclass", Row{Scores: []float64{1, 2, 0}, Class: NoClass}, `"out_of_range":1`},
		{"multiclass", Row{Class: 0, Labelled: true, Label: -1}, `"bad_labels":1`},
		{"regression", Row{Value: math.NaN(), Labelled: true, Mature: true}, `"judged":0,"unusable":1`},
		{"regression", Row{Value: 1, Truth: math.NaN(), Labelled: true, Mature: true}, `"bad_labels":1`},
		{"regression", Row{Value: 1, Truth: 1e200, Labelled: true, Mature: true}, `"bad_labels":1`},
		{"regression", Row{Value: 1, Labelled: true, Mature: true}, `"judged":1,"zero_labels":1`},
	}
	for _, tt := range tests {
		s := NewState(l[tt.layout])
		s.Add(&tt.row)
		got, err := json.Marshal(s.Counts)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(got), tt.want) {
			t.Errorf("%s %+v: %s, want %s", tt.layout, tt.row, got, tt.want)
		}
		if _, err := DecodeState(l[tt.layout], s.Encode()); err != nil {
			t.Errorf("%s %+v: %v", tt.layout, tt.row, err)
		}
	}
}

func TestStatesOfOtherLayoutsAreRefused(t *testing.T) {
	l := layouts(t)
	a, b := NewState(l["binary"]), NewState(l["few bins"])
	if err := a.Merge(b); !fault.Is(err, fault.FailedPrecondition) {
		t.Errorf("merge: %v", err)
	}
	if _, err := DecodeState(l["binary"], b.Encode()); !fault.Is(err, fault.FailedPrecondition) {
		t.Errorf("decode: %v", err)
	}
	raw := b.Encode()
	for name, bad := range map[string][]byte{"empty": nil, "magic": []byte("TGQS\x02"), "cut": raw[:len(raw)-1], "more": append(raw[:len(raw):len(raw)], 0)} {
		if _, err := DecodeState(l["few bins"], bad); !fault.Is(err, fault.Internal) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLayouts(t *testing.T) {
	for name, l := range layouts(t) {
		raw, err := json.Marshal(l)
		if err != nil {
			t.Fatal(err)
		}
		var back Layout
		if err := json.Unmarshal(raw, &back); err != nil || !back.Equal(l) {
			t.Errorf("%s: %v, or another layout", name, err)
		}
	}
	bins := []*score.Bins{score.Uniform(2), score.Uniform(2), nil}
	for _, tt := range []struct {
		classes []string
		bins    []*score.Bins
		want    string
	}{
		{[]string{"a"}, bins[:1], "classes must be 2 to 100"},
		{[]string{"a", "a"}, bins[:2], "classes[1] is there twice"},
		{[]string{"a", "b"}, bins[:1], "needs 2 classes and 2 sets"},
		{[]string{"a", "b", "c"}, bins, "bins[2] is missing"},
		{make([]string, 101), nil, "and are 101"},
	} {
		if _, err := NewMulticlass(tt.classes, tt.bins); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v: %v, want %q", tt.classes, err, tt.want)
		}
	}
	if _, err := NewBinary(score.Uniform(2), "a", "b", "c"); err == nil {
		t.Error("a binary task of three classes is accepted")
	}
	if err := json.Unmarshal([]byte(`{"task":"ranking"}`), new(Layout)); err == nil {
		t.Error("an unknown task is accepted")
	}
}

func TestFixed(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 8))
	var f, back fixed
	var want float64
	for i := range 1000 {
		x := rng.NormFloat64() * math.Pow(10, float64(i%9)-6)
		f.add(x)
		want += x
	}
	if got := f.float(); math.Abs(got-want) > 1e-9 {
		t.Errorf("sum %g, want %g", got, want)
	}
	for _, x := range []float64{0, 1, -1, 0.1, -0.1, 1e-9, -1e-9, 1e-20, 1023.75, -1023.75, 5e-324} {
		back = fixed{}
		back.add(x)
		if got := back.float(); math.Abs(got-x) > 1e-24 {
			t.Errorf("%g is kept as %g", x, got)
		}
		back.add(-x)
		if back != (fixed{}) {
			t.Errorf("%g − %g leaves %v", x, x, back)
		}
	}
	back = fixed{}
	back.add(1e300)
	back.add(math.Inf(-1))
	if back != (fixed{}) {
		t.Error("large numbers are not cut alike")
	}
}

// FuzzState: stored counts are refused or read, and what is read is written the same.
func FuzzState(f *testing.F) {
	ls := layouts(f)
	names := []string{"few bins", "multiclass", "regression"}
	rng := rand.New(rand.NewPCG(2, 9))
	for i, name := range names {
		s := NewState(ls[name])
		for range 40 {
			r := anyRow(rng)
			s.Add(&r)
		}
		f.Add(i, s.Encode())
	}
	f.Fuzz(func(t *testing.T, which int, raw []byte) {
		s, err := DecodeState(ls[names[uint(which)%3]], raw)
		if err != nil {
			return
		}
		if !bytes.Equal(s.Encode(), raw) {
			t.Error("written differently than read")
		}
		if err := s.Merge(s); err != nil {
			t.Log(err)
		}
	})
}

func BenchmarkAdd(b *testing.B) {
	ls := layouts(b)
	for _, name := range []string{"binary", "multiclass", "regression"} {
		rng := rand.New(rand.NewPCG(1, 1))
		rows := make([]Row, 1<<17)
		for i := range rows {
			s := rng.Float64()
			rows[i] = Row{Score: s, Scores: []float64{s / 2, s / 3, 1 - s*5/6}, Class: NoClass, Value: s, Truth: rng.NormFloat64(), Labelled: true,
				Label: rng.IntN(2), Mature: true, Key: HashKey(fmt.Sprint(i)), Block: int64(i) >> 10 % 24}
		}
		b.Run(name, func(b *testing.B) {
			s := NewState(ls[name])
			for i := 0; b.Loop(); i++ {
				s.Add(&rows[i&(1<<17-1)])
			}
		})
	}
}

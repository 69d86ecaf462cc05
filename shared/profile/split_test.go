package profile

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"

	"github.com/tidegate/tidegate/shared/capture"
	"github.com/tidegate/tidegate/shared/fault"
)

// splitFlights is the baseline of rows, split by carrier, hour and whether they are late, with tails as clusters.
func splitFlights(t testing.TB, rows []flight) *Baseline {
	t.Helper()
	b := flightsBaseline(rows)
	if err := b.SplitBy(By{Segments: []string{"carrier", "hour", "late"}, Values: 4, Cluster: "tail"}); err != nil {
		t.Fatal(err)
	}
	tally := b.Splitter()
	if _, err := CountSource(context.Background(), bytes.NewReader(write(t, rows, 700)), tally, nil); err != nil {
		t.Fatal(err)
	}
	b.Keep(tally)
	return b
}

func countSource(t testing.TB, b *Baseline, raw []byte) *Tally {
	t.Helper()
	tally := NewTally(b)
	if _, err := CountSource(context.Background(), bytes.NewReader(raw), tally, nil); err != nil {
		t.Fatal(err)
	}
	return tally
}

func samePart(t *testing.T, what string, got *Part, want *State) {
	t.Helper()
	if got.Rows != want.Rows || got.Missing != want.Missing || got.NaN != want.NaN || got.WrongType != want.WrongType || !slices.Equal(got.Cells, want.Cells) {
		t.Errorf("%s: %d rows, %d missing, %d NaN, %d wrong; want %d, %d, %d, %d", what, got.Rows, got.Missing, got.NaN, got.WrongType,
			want.Rows, want.Missing, want.NaN, want.WrongType)
	}
}

// TestSegmentsAreTheirRowsCountedApart: for each segment and form, the rows are picked out first and counted on the
// baseline without splits.
func TestSegmentsAreTheirRowsCountedApart(t *testing.T) {
	rows := flights(rand.New(rand.NewPCG(4, 4)), 5000)
	b := splitFlights(t, rows)
	later := finite(3000)
	for i := range later {
		if i%50 == 0 && later[i].Carrier != nil {
			c := "new"
			later[i].Carrier = &c
		}
	}
	keys := map[string]func(f *flight) string{
		"carrier": func(f *flight) string {
			if f.Carrier == nil {
				return MissingSegment
			}
			return *f.Carrier
		},
		"hour": func(f *flight) string { return fmt.Sprint(f.Hour) },
		"late": func(f *flight) string { return map[bool]string{false: "0", true: "1"}[f.Late] },
	}
	for form, raw := range map[string][]byte{"parquet": write(t, later, 700), "csv": textOf(later, "csv"), "ndjson": textOf(later, "ndjson")} {
		got := countSource(t, b, raw)
		for s := range b.Segments {
			by := &b.Segments[s]
			for i := range by.Len() {
				var its []flight
				for _, f := range later {
					key := keys[by.Column](&f)
					if key != MissingSegment && !slices.Contains(by.Values, key) {
						key = OtherSegment
					}
					if key == by.Name(i) {
						its = append(its, f)
					}
				}
				want := countSource(t, b.Whole(), write(t, its, 1e6))
				for col := range b.Columns {
					samePart(t, fmt.Sprint(form, " ", by.Column, " ", by.Name(i), " ", b.Columns[col].Name), &got.Split.Segments[s][i*len(b.Columns)+col], &want.States[col])
				}
			}
		}
		for g := range ClusterGroups {
			var its []flight
			for _, f := range later {
				if int(groupOf(xxhash.Sum64String(f.Tail))) == g {
					its = append(its, f)
				}
			}
			want := countSource(t, b.Whole(), write(t, its, 1e6))
			for col := range b.Columns {
				sameCluster(t, fmt.Sprint(form, " group ", g, " ", b.Columns[col].Name), b, col, g, got.Split, &want.States[col])
			}
		}
	}
}

func sameCluster(t *testing.T, what string, b *Baseline, col, g int, got *Split, want *State) {
	t.Helper()
	width := b.Cluster.Width(col)
	sums := make([]uint64, width)
	from := 0
	for k, end := range b.Cluster.Ends[col] {
		for ; from <= end; from++ {
			sums[k] += want.Cells[from]
		}
	}
	sums[width-2], sums[width-1] = want.Missing+want.NaN, want.WrongType
	if have := got.Clusters[col][g*width : (g+1)*width]; !slices.Equal(have, sums) {
		t.Errorf("%s: %v, want %v", what, have, sums)
	}
}

// TestSplitsOfCaptures: the rows of each record, wrong types among them, one by one.
func TestSplitsOfCaptures(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	b := capturedBaseline(t)
	if err := b.SplitBy(By{Segments: []string{"carrier"}, Values: 2, Cluster: "distance"}); err != nil {
		t.Fatal(err)
	}
	all := records(rng, 300)
	docs, _, err := CountCaptures(context.Background(), bytes.NewReader(lines(all)), Source{Key: "k"}, bothVersions(b))
	if err != nil {
		t.Fatal(err)
	}
	got := NewTally(b)
	for _, g := range docs[0].Groups {
		if err := g.Split.check(g.Columns); err != nil {
			t.Error(err)
		}
		if err := got.Split.merge(g.Split); err != nil {
			t.Fatal(err)
		}
	}
	segments := make([][]capture.Record, b.Segments[0].Len())
	groups := make([][]capture.Record, ClusterGroups)
	for _, r := range all {
		if r.Status != 200 {
			continue
		}
		for row := range r.Rows {
			one := r
			one.FirstRow, one.Rows = row, 1
			one.Inputs, one.Outputs = map[string]any{}, map[string]any{}
			for name, values := range r.Inputs {
				one.Inputs[name] = values.([]any)[row : row+1]
			}
			for name, values := range r.Outputs {
				one.Outputs[name] = values.([]any)[row : row+1]
			}
			name := fmt.Sprint(one.Inputs["carrier"].([]any)[0])
			i := slices.Index(b.Segments[0].Values, name)
			if i < 0 {
				i = 2
			}
			if name == "" {
				i = 3
			}
			segments[i] = append(segments[i], one)
			g := 0
			if x, ok := one.Inputs["distance"].([]any)[0].(int); ok {
				g = int(groupOf(math.Float64bits(float64(x))))
			}
			groups[g] = append(groups[g], one)
		}
	}
	apart := func(some []capture.Record) *Tally {
		docs, _, err := CountCaptures(context.Background(), bytes.NewReader(lines(some)), Source{Key: "k"}, bothVersions(b.Whole()))
		if err != nil {
			t.Fatal(err)
		}
		sum := NewTally(b.Whole())
		for _, d := range docs {
			for _, g := range d.Groups {
				for i := range sum.States {
					_ = sum.States[i].Merge(&g.Columns[i])
				}
			}
		}
		return sum
	}
	for i, some := range segments {
		want := apart(some)
		for col := range b.Columns {
			samePart(t, b.Segments[0].Name(i)+" "+b.Columns[col].Name, &got.Split.Segments[0][i*len(b.Columns)+col], &want.States[col])
		}
	}
	for g, some := range groups {
		want := apart(some)
		for col := range b.Columns {
			sameCluster(t, fmt.Sprint("group ", g), b, col, g, got.Split, &want.States[col])
		}
	}
}

// TestColumnsOutsideTheCapturesAreInNoSegment: without the segment's own column nothing is known, without another it is not counted.
func TestColumnsOutsideTheCapturesAreInNoSegment(t *testing.T) {
	b := capturedBaseline(t)
	if err := b.SplitBy(By{Segments: []string{"carrier"}}); err != nil {
		t.Fatal(err)
	}
	for drop, rows := range map[string]uint64{"carrier": 0, "distance": 50} {
		all := records(rand.New(rand.NewPCG(7, 7)), 50)
		for i := range all {
			all[i].Rows, all[i].Status, all[i].ErrorKind = 1, 200, ""
			all[i].Inputs = map[string]any{"delay": []any{1}, "distance": []any{2}, "carrier": []any{"UA"}}
			all[i].Outputs = map[string]any{"probabilities": []any{[]float64{0.5, 0.5}}}
			delete(all[i].Inputs, drop)
		}
		docs, _, err := CountCaptures(context.Background(), bytes.NewReader(lines(all)), Source{Key: "k"}, bothVersions(b))
		if err != nil {
			t.Fatal(err)
		}
		var delay, dropped uint64
		for _, g := range docs[0].Groups {
			for i := range b.Segments[0].Len() {
				parts := g.Split.Segments[0][i*len(b.Columns):]
				delay += parts[b.indexOf("delay")].Rows
				dropped += parts[b.indexOf(drop)].Rows
			}
		}
		if delay != rows || dropped != 0 {
			t.Errorf("without %s: %d rows of delay and %d of it are in segments, want %d and 0", drop, delay, dropped, rows)
		}
	}
}

// TestSplitsDoNotDependOnSharding: parts of the rows, in any order and form, add up to the same bytes.
func TestSplitsDoNotDependOnSharding(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	rows := finite(3000)
	b := splitFlights(t, rows)
	want, _ := json.Marshal(countSource(t, b, write(t, rows, 1e6)).Split)
	for _, shards := range []int{1, 7, 100} {
		rng.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
		sum := NewTally(b)
		for i := range shards {
			some := rows[i*len(rows)/shards : (i+1)*len(rows)/shards]
			raw := textOf(some, "csv")
			if i%2 == 0 {
				raw = write(t, some, 50)
			}
			if err := sum.Merge(countSource(t, b, raw)); err != nil {
				t.Fatal(err)
			}
		}
		if got, _ := json.Marshal(sum.Split); !bytes.Equal(got, want) {
			t.Errorf("%d shards: other bytes, from %d on", shards, differ(got, want))
		}
	}
}

// TestTenThousandValues: the segments of a column of many values are its most frequent ones, and the counts stay small.
func TestTenThousandValues(t *testing.T) {
	builder, err := NewBuilder([]Spec{{Name: "shop", Kind: Categorical}, {Name: "x", Kind: Numeric}})
	if err != nil {
		t.Fatal(err)
	}
	zipf := rand.NewZipf(rand.New(rand.NewPCG(1, 1)), 1.1, 1, 9999)
	var text bytes.Buffer
	text.WriteString("shop,x\n")
	for i := range 100_000 {
		v := fmt.Sprint("shop ", zipf.Uint64())
		builder.Text(0, v, 1)
		builder.Number(1, float64(i%977), 1)
		fmt.Fprintf(&text, "%s,%d\n", v, i%977)
	}
	b := builder.Freeze(100_000)
	if err := b.SplitBy(By{Segments: []string{"shop"}}); err != nil {
		t.Fatal(err)
	}
	s := &b.Segments[0]
	if len(s.Values) == 0 || len(s.Values) > DefaultSegments || s.Values[0] != "shop 0" {
		t.Fatalf("segments %q", s.Values)
	}
	tally := countSource(t, b, text.Bytes())
	var rows uint64
	for i := range s.Len() {
		rows += tally.Split.Segments[0][i*2+1].Rows
	}
	if rows != 100_000 || tally.Split.Segments[0][1].Rows != b.Columns[0].State.Cells[0] {
		t.Errorf("%d rows in segments, %d in the first", rows, tally.Split.Segments[0][1].Rows)
	}
	if raw, _ := json.Marshal(tally.Split); len(raw) > 64<<10 {
		t.Errorf("%d bytes of counts", len(raw))
	}
}

func TestSplitByRefuses(t *testing.T) {
	b := flightsBaseline(finite(2000))
	many := &Baseline{V: 1}
	for i := range 500 {
		c := b.Columns[1]
		c.Name = fmt.Sprint("plain", i)
		many.Columns = append(many.Columns, c)
	}
	many.Columns = append(many.Columns, b.Columns[b.indexOf("carrier")])
	for name, c := range map[string]struct {
		of   *Baseline
		by   By
		want string
	}{
		"no column":    {b, By{Segments: []string{"carier"}}, `the segment column "carier" is no column`},
		"no cluster":   {b, By{Cluster: "user"}, `the cluster column "user" is no column`},
		"twice":        {b, By{Segments: []string{"late", "late"}}, "named twice"},
		"too many":     {b, By{Segments: []string{"late", "hour", "carrier", "tail"}}, "3 columns at most"},
		"all distinct": {b, By{Segments: []string{"big"}}, "no frequent values"},
		"too large":    {many, By{Segments: []string{"carrier"}}, "more than the 4096"},
	} {
		err := c.of.SplitBy(c.by)
		if !fault.Is(err, fault.InvalidArgument) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if c.of.V != BaselineVersion || c.of.splits() {
			t.Errorf("%s: the baseline was changed", name)
		}
	}
}

// TestSplitFormat: a split baseline and its profiles read back; without splits the formats are the older ones.
func TestSplitFormat(t *testing.T) {
	rows := finite(2000)
	b := splitFlights(t, rows)
	raw, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	back, err := ParseBaseline(raw)
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := json.Marshal(back); !bytes.Equal(again, raw) || back.V != 2 {
		t.Error("a split baseline reads back as another one")
	}
	tally := countSource(t, back, write(t, rows, 700))
	if got, _ := json.Marshal(tally.Split); string(got) != string(mustJSON(t, b.Split)) {
		t.Error("the baseline that was read back counts otherwise")
	}
	d := NewDocument("m", 1, digestA, Source{Key: "k"}, tally, Report{Rows: 2000})
	stored := encode(t, &d)
	read, err := ParseDocument([]byte(stored))
	if err != nil || read.V != 2 {
		t.Fatal(err)
	}
	w := NewWindow(back, digestA, Selection{})
	if err := w.Add(read); err != nil {
		t.Fatal(err)
	}
	if got := mustJSON(t, w.Strata()[0].Split); !bytes.Equal(got, mustJSON(t, b.Split)) {
		t.Error("a window adds up another split")
	}
	if err := NewWindow(back.Whole(), digestA, Selection{}).Add(read); !fault.Is(err, fault.FailedPrecondition) {
		t.Errorf("splits of another baseline: %v", err)
	}
	read.Groups[0].Split = nil // counted by an older program
	if err := w.Add(read); err != nil {
		t.Errorf("a profile without splits: %v", err)
	}
	plain := NewDocument("m", 1, digestA, Source{Key: "k"}, NewTally(b.Whole()), Report{})
	if !strings.HasPrefix(encode(t, &plain), `{"v":1,`) {
		t.Error("a profile without splits is of the newer format")
	}
	for name, change := range map[string][2]string{
		"format":       {`{"v":2`, `{"v":1`},
		"column":       {`"column":"carrier"`, `"column":"nobody"`},
		"values":       {`"values":["`, `"values":["x","`},
		"cell":         {`"cells":[0,1,2,3]`, `"cells":[0,1,1,3]`},
		"cell outside": {`"cells":[0,1,2,3]`, `"cells":[0,1,2,300]`},
		"ends":         {`"ends":[[`, `"ends":[[-1,`},
		"split":        {`"split":{"segments":[[`, `"split":{"segments":[[[-4,-1],`},
		"counts":       {`"split":{"segments":[[[`, `"split":{"segments":[[[1,`},
		"endless run":  {`"split":{"segments":[[[`, `"split":{"segments":[[[-9223372036854775808,`},
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

func mustJSON(t testing.TB, v any) []byte {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func FuzzCounts(f *testing.F) {
	for _, seed := range []string{`[]`, `[0,-3,7]`, `[-1,1]`, `[-16384]`, `[-99999999999]`, `[1.5]`, `[4,1,1,1,1]`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var p Part
		_ = json.Unmarshal(raw, &p)
		var c counts
		if json.Unmarshal(raw, &c) != nil {
			return
		}
		if len(c) > maxCounts {
			t.Fatalf("%d counts", len(c))
		}
		var again counts
		if err := json.Unmarshal(mustJSON(t, c), &again); err != nil || !slices.Equal(c, again) {
			t.Errorf("%s: %v, %v", raw, again, err)
		}
	})
}

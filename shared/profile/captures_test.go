package profile

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tidegate/tidegate/shared/capture"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
)

const digestA, digestB = "aa00000000000000000000000000000000000000000000000000000000000000", "bb00000000000000000000000000000000000000000000000000000000000000"

var morning = time.Date(2026, 4, 6, 7, 58, 0, 0, time.UTC)

// capturedBaseline is that of the records of [records].
func capturedBaseline(t testing.TB) *Baseline {
	t.Helper()
	b, err := NewBuilder([]Spec{{Name: "delay", Kind: Numeric, Bits: 32}, {Name: "distance", Kind: Numeric}, {Name: "carrier", Kind: Categorical},
		{Name: "probabilities_1", Kind: Numeric, Score: true, Bits: 32}})
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(51, 51))
	for range 2000 {
		b.Number(0, math.Round(rng.NormFloat64()*300)/10, 1)
		b.Number(1, float64(rng.IntN(3000)), 1)
		b.Text(2, []string{"UA", "AA", "B6", "NA"}[rng.IntN(4)], 1)
		b.Number(3, rng.Float64(), 1)
	}
	return b.Freeze(2000)
}

func idAt(rng *rand.Rand, at time.Time) string {
	var u uuid.UUID
	for i := range u {
		u[i] = byte(rng.Uint32())
	}
	ms := uint64(at.UnixMilli())
	for i := range 6 {
		u[i] = byte(ms >> (40 - 8*i))
	}
	u[6], u[8] = u[6]&15|0x70, u[8]&63|0x80
	return u.String()
}

// records are n requests to two versions, some of them failed, sampled at two rates, over a quarter of an hour.
func records(rng *rand.Rand, n int) []capture.Record {
	out := make([]capture.Record, n)
	for i := range out {
		at := morning.Add(time.Duration(rng.IntN(900_000)) * time.Millisecond)
		r := capture.Record{V: 1, ID: idAt(rng, at), TS: at, Model: "flights", Version: 1 + rng.IntN(2), Digest: "sha256:" + digestA,
			Slot: registry.Champion, Role: capture.Served, Generation: 3, FirstRow: 0, Rows: 1 + rng.IntN(4), Status: 200,
			LatencyUS: 400, ServedBy: "lambda", Sampled: 1}
		r.TotalRows = r.Rows
		if rng.IntN(3) == 0 {
			r.Slot, r.Role = registry.Challenger, capture.Paired
		}
		if rng.IntN(2) == 0 {
			r.Sampled = 0.25
		}
		if rng.IntN(20) == 0 {
			r.Status, r.ErrorKind = 400, "InvalidArgument"
			out[i] = r
			continue
		}
		var delay, distance, carrier, label, scores []any
		for range r.Rows {
			delay = append(delay, math.Round(rng.NormFloat64()*300)/10)
			distance = append(distance, rng.IntN(3000))
			carrier = append(carrier, []string{"UA", "AA", "B6", "new \"ü\"", ""}[rng.IntN(5)])
			label = append(label, rng.IntN(2))
			p := float64(float32(rng.Float64()))
			scores = append(scores, []float64{1 - p, p})
		}
		delay[0] = nil
		if rng.IntN(10) == 0 {
			distance[0], carrier[0] = "text", 7
		}
		r.Inputs = map[string]any{"delay": delay, "distance": distance, "carrier": carrier}
		r.Outputs = map[string]any{"label": label, "probabilities": scores}
		out[i] = r
	}
	return out
}

func lines(records []capture.Record) []byte {
	var out bytes.Buffer
	for i := range records {
		raw, err := json.Marshal(&records[i])
		if err != nil {
			panic(err)
		}
		out.Write(append(raw, '\n'))
	}
	return out.Bytes()
}

// bothVersions gives version 1 the baseline b; version 2 too, under another digest.
func bothVersions(b *Baseline) Baselines {
	return func(_ context.Context, _ string, version int) (*Baseline, string, error) {
		switch version {
		case 1:
			return b, digestA, nil
		case 2:
			return b, digestB, nil
		}
		return nil, "", fault.New(fault.NotFound, "version %d has no baseline", version)
	}
}

// slowly counts records the obvious way.
func slowly(b *Baseline, records []capture.Record) Document {
	d := Document{V: DocumentVersion, Model: "flights", Source: Source{Key: "k"}, Report: Report{Extra: []string{"label"}}}
	tallies := map[string]*Tally{}
	groups := map[string]*Group{}
	for _, r := range records {
		at := r.TS.Truncate(Interval)
		key := fmt.Sprint(r.Version, r.Slot, r.Role, r.Sampled, at)
		g := groups[key]
		if g == nil {
			g = &Group{Version: r.Version, Baseline: map[int]string{1: digestA, 2: digestB}[r.Version], Slot: r.Slot, Role: r.Role, Sampled: r.Sampled, Interval: at}
			groups[key], tallies[key] = g, NewTally(b)
		}
		rec := record{id: r.ID, first: int64(r.FirstRow), role: r.Role, target: &target{mark: markOf(r.Model, r.Version)}}
		if id := rec.identity(); id < 1<<56 {
			g.Sample = append(g.Sample, id)
			slices.Sort(g.Sample)
		}
		g.Requests++
		if r.Status >= 400 {
			g.Errors++
			continue
		}
		g.Rows += uint64(r.Rows)
		d.Report.Rows += uint64(r.Rows)
		t := tallies[key]
		for i := range r.Rows {
			for col, name := range []string{"delay", "distance", "carrier"} {
				switch v := r.Inputs[name].([]any)[i].(type) {
				case nil:
					t.Missing(col, 1)
				case float64:
					t.Number(col, v, 1)
				case int:
					t.Number(col, float64(v), 1)
				case string:
					t.Text(col, v, 1)
				}
			}
			t.Number(3, r.Outputs["probabilities"].([]any)[i].([]float64)[1], 1)
		}
	}
	for key, g := range groups {
		g.Columns = tallies[key].States
		d.Groups = append(d.Groups, *g)
	}
	return d
}

func encode(t testing.TB, d *Document) string {
	t.Helper()
	raw, err := d.Encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := ParseDocument(raw)
	if err != nil {
		t.Fatal(err)
	}
	again, _ := back.Encode()
	if !bytes.Equal(raw, again) {
		t.Fatal("a profile does not read back to the same bytes")
	}
	return string(raw)
}

func countOne(t testing.TB, raw []byte, baselines Baselines) (Document, Report) {
	t.Helper()
	docs, rep, err := CountCaptures(context.Background(), bytes.NewReader(raw), Source{Key: "k"}, baselines)
	if err != nil {
		t.Fatal(err)
	}
	if len(docs) != 1 {
		t.Fatalf("%d documents, report %+v", len(docs), rep)
	}
	return docs[0], rep
}

func TestCapturesAreCountedAsTheObviousWayDoes(t *testing.T) {
	b := capturedBaseline(t)
	rs := records(rand.New(rand.NewPCG(52, 52)), 3000)
	want := slowly(b, rs)
	for _, packing := range []string{"plain", "gzip", "zstd"} {
		got, rep := countOne(t, pack(t, lines(rs), packing), bothVersions(b))
		if rep.Malformed != 0 || rep.Rows != got.Report.Rows {
			t.Errorf("%s: report %+v", packing, rep)
		}
		if x, y := encode(t, &got), encode(t, &want); x != y {
			t.Errorf("%s: %.600s\nwant\n%.600s", packing, x, y)
		}
	}
}

// TestKeysInAnyOrder: other writers put inputs before the version.
func TestKeysInAnyOrder(t *testing.T) {
	b := capturedBaseline(t)
	rs := records(rand.New(rand.NewPCG(53, 53)), 200)
	var shuffled bytes.Buffer
	for i := range rs {
		raw, _ := json.Marshal(&rs[i])
		var m map[string]json.RawMessage
		_ = json.Unmarshal(raw, &m)
		raw, _ = json.MarshalIndent(m, "", " ") // keys in the order of the alphabet, and blanks
		shuffled.WriteString(strings.ReplaceAll(string(raw), "\n", " ") + "\r\n\n")
	}
	x, _ := countOne(t, lines(rs), bothVersions(b))
	y, _ := countOne(t, shuffled.Bytes(), bothVersions(b))
	if encode(t, &x) != encode(t, &y) {
		t.Error("the order of keys changes the counts")
	}
}

// TestWindowDoesNotDependOnSharding: 1, 7 and 1,000 objects, in random order, with every request in one of them.
func TestWindowDoesNotDependOnSharding(t *testing.T) {
	b := capturedBaseline(t)
	rng := rand.New(rand.NewPCG(54, 54))
	n := 4000
	if testing.Short() {
		n = 200
	}
	rs := records(rng, n)
	var want string
	for _, shards := range []int{1, 7, 1000} {
		parts := make([][]capture.Record, shards)
		for _, i := range rng.Perm(len(rs)) {
			k := rng.IntN(shards)
			parts[k] = append(parts[k], rs[i])
		}
		w := NewWindow(b, digestA, Selection{Version: 1, From: morning.Truncate(Interval).Add(Interval), To: morning.Add(10 * time.Minute), Roles: []capture.Role{capture.Served}})
		for _, k := range rng.Perm(shards) {
			if len(parts[k]) == 0 {
				continue
			}
			d, _ := countOne(t, lines(parts[k]), bothVersions(b))
			back, err := ParseDocument([]byte(encode(t, &d)))
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Add(back); err != nil {
				t.Fatal(err)
			}
		}
		totals := w.Totals()
		if len(w.Strata()) != 2 || w.Strata()[0].Sampled != 0.25 || w.Rows() == 0 || totals.Profiles == 0 {
			t.Fatalf("%d strata, %+v", len(w.Strata()), totals)
		}
		totals.Profiles = 0
		got, _ := json.Marshal([]any{w.Strata(), totals})
		if want = cmp.Or(want, string(got)); want != string(got) {
			t.Errorf("%d shards: %.500s\nwant\n%.500s", shards, got, want)
		}
	}
}

func TestRepeatedRecordsCountOnce(t *testing.T) {
	b := capturedBaseline(t)
	rs := records(rand.New(rand.NewPCG(55, 55)), 300)
	paired := rs[0]
	paired.Role, paired.Slot = capture.Paired, registry.Challenger
	if rs[0].Role == capture.Paired {
		paired.Role = capture.Served
	}
	slice := rs[1]
	slice.FirstRow = 10 // another slice of the same request
	rs = append(rs, paired, slice)
	once, _ := countOne(t, lines(rs), bothVersions(b))
	twice, _ := countOne(t, append(lines(rs), lines(rs)...), bothVersions(b))
	if once.Duplicates != 0 || twice.Duplicates != uint64(len(rs)) {
		t.Errorf("duplicates %d and %d of %d records", once.Duplicates, twice.Duplicates, len(rs))
	}
	twice.Duplicates = 0
	if encode(t, &once) != encode(t, &twice) {
		t.Error("repeated records change the counts")
	}
	var requests uint64
	for _, g := range once.Groups {
		requests += g.Requests
	}
	if requests != uint64(len(rs)-1) {
		t.Errorf("%d requests, want %d: a slice is no request of its own", requests, len(rs)-1)
	}
}

// TestRecordsOfTwoObjects: a record that comes again in another object is seen in the samples, whatever came first there.
func TestRecordsOfTwoObjects(t *testing.T) {
	b := capturedBaseline(t)
	rng := rand.New(rand.NewPCG(56, 56))
	rs := records(rng, 20000)
	for i := range rs {
		rs[i].Version = 1
	}
	first, _ := countOne(t, lines(rs[:12000]), bothVersions(b))
	other := rs[0]
	other.Version, other.ID = 2, idAt(rng, morning) // another version comes first
	again := append([]capture.Record{other}, rs[10000:]...)
	slices.Reverse(again[1:])
	second, _ := countOne(t, lines(again), bothVersions(b))
	back, err := ParseDocument([]byte(encode(t, &second)))
	if err != nil {
		t.Fatal(err)
	}
	w := NewWindow(b, digestA, Selection{Version: 1})
	for _, d := range []*Document{back, &first} {
		if err := w.Add(d); err != nil {
			t.Fatal(err)
		}
	}
	totals := w.Totals()
	share := float64(totals.Repeated) / float64(totals.Looked)
	if totals.Looked < 50 || share < 0.04 || share > 0.16 { // 2,000 of 22,001
		t.Errorf("%d of %d are repeated, want about a tenth", totals.Repeated, totals.Looked)
	}
	alone := NewWindow(b, digestA, Selection{Version: 1})
	if err := alone.Add(&first); err != nil || alone.Totals().Repeated != 0 {
		t.Errorf("%d repeated in one object, %v", alone.Totals().Repeated, err)
	}
	if _, err := ParseDocument([]byte(strings.Replace(encode(t, &second), `"sample":"`, `"sample":"AAAA`, 1))); err == nil {
		t.Error("a damaged sample is accepted")
	}
}

const goodLine = `{"v":1,"id":"019d5f2c-7c5b-7d0a-8f0e-3b7a52d1c9e4","ts":"2026-04-05T19:43:31.123456Z","model":"flights","version":1,"slot":"champion","role":"served",` +
	`"first_row":0,"rows":2,"total_rows":2,"inputs":{"delay":[12,null],"distance":[1,1e999],"carrier":["UA","B6"]},"outputs":{"label":[0,1],"probabilities":[[0.93,0.07],[0.21,0.79]]},"status":200,"latency_us":4,"served_by":"lambda","sampled":1}`

func TestMalformedRecords(t *testing.T) {
	b := capturedBaseline(t)
	if d, _ := countOne(t, []byte(goodLine), bothVersions(b)); d.Report.Rows != 2 || d.Groups[0].Columns[1].PosInf != 1 || d.Groups[0].Columns[0].Missing != 1 || d.Skewed != 0 {
		t.Fatalf("the good line: %+v", d)
	}
	for name, c := range map[string]struct{ from, to, problem string }{
		"no JSON":        {`{"v"`, `{v`, "the line "},
		"cut off":        {`"sampled":1}`, `"samp`, "the line "},
		"array":          {goodLine, `[1]`, "not a JSON object"},
		"behind":         {`"sampled":1}`, `"sampled":1}{}`, "text behind"},
		"newer format":   {`"v":1`, `"v":2`, "v is not a format"},
		"no id":          {`"id"`, `"key"`, "there is no id"},
		"id a number":    {`"id":"019d5f2c-7c5b-7d0a-8f0e-3b7a52d1c9e4"`, `"id":1`, "id is not a string"},
		"model":          {`"model":"flights"`, `"model":"../x"`, "model or version"},
		"version":        {`"version":1`, `"version":0`, "model or version"},
		"slot":           {`champion`, `winner`, "slot is none"},
		"role":           {`served","f`, `eaten","f`, "role is neither"},
		"sampled 0":      {`"sampled":1`, `"sampled":0`, "sampled is not above 0"},
		"sampled 2":      {`"sampled":1`, `"sampled":2`, "sampled is not above 0"},
		"no rows":        {`"rows":2,"t`, `"t`, "first_row or rows"},
		"rows":           {`"rows":2`, `"rows":3`, `column "delay" has 2 values for 3 rows`},
		"ts":             {`2026-04-05T`, `yesterday `, "ts is not a time"},
		"minute 70":      {`19:43:31`, `19:70:31`, "ts is not a time"},
		"twice":          {`"delay":[12,null]`, `"delay":[12,null],"delay":[1,2]`, `column "delay" is given twice`},
		"inputs twice":   {`"status"`, `"inputs":{},"status"`, "inputs is given twice"},
		"inputs a list":  {`"inputs":{`, `"inputs":[],"x":{`, "inputs is not an object"},
		"a scalar":       {`"delay":[12,null]`, `"delay":12`, `column "delay" is neither`},
		"NaN":            {`[12,null]`, `[12,NaN]`, "the line "},
		"comma":          {`[12,null]`, `[12,null,]`, "the line "},
		"short row":      {`[0.21,0.79]`, `[0.21]`, `column "probabilities_1" has 1 values for 2 rows`},
		"row is no list": {`[0.21,0.79]`, `7`, `a row of "probabilities" is not a list`},
	} {
		bad := strings.Replace(goodLine, c.from, c.to, 1)
		docs, rep, err := CountCaptures(context.Background(), strings.NewReader("\n"+bad+"\n"+goodLine+"\n"), Source{}, bothVersions(b))
		if err != nil || len(docs) == 0 {
			t.Fatalf("%s: %v", name, err)
		}
		if rep.Malformed != 1 || !strings.HasPrefix(rep.First, "line 2: "+c.problem) || docs[0].Report.Malformed != 1 || docs[0].Report.Rows != 2 {
			t.Errorf("%s: %+v", name, rep)
		}
	}
}

func TestColumnsThatCannotBeCounted(t *testing.T) {
	b := capturedBaseline(t)
	for name, c := range map[string]struct{ from, to, column, reason string }{
		"dropped":            {`"distance":[1,1e999],`, ``, "distance", notCaptured},
		"redacted":           {`"carrier":["UA","B6"]`, `"carrier":{"shape":[2,1],"redacted":true}`, "carrier", redacted},
		"digest":             {`"delay":[12,null]`, `"delay":{"shape":[2],"sha256":"00"}`, "delay", digested},
		"tensor":             {`"probabilities":[[0.93,0.07],[0.21,0.79]]`, `"probabilities":{"shape":[2,1,2],"data":[1,2,3,4]}`, "probabilities_1", noRows},
		"pseudonyms":         {`["UA","B6"]`, `["0123456789abcdef0123456789abcdef",null]`, "carrier", pseudonyms},
		"hashed numbers":     {`[12,null]`, `[null,"0123456789abcdef0123456789abcdef"]`, "delay", pseudonyms},
		"another output":     {`"probabilities"`, `"scores"`, "probabilities_1", notCaptured},
		"flat, wanted wide":  {`[[0.93,0.07],[0.21,0.79]]`, `[0.93,0.07]`, "probabilities_1", notCaptured},
		"input like a score": {`"label":[0,1],"probabilities"`, `"x"`, "probabilities_1", notCaptured},
	} {
		d, rep := countOne(t, []byte(strings.Replace(goodLine, c.from, c.to, 1)), bothVersions(b))
		if rep.Malformed != 0 || !slices.Equal(d.Report.LeftOut, []LeftOut{{c.column, c.reason}}) {
			t.Errorf("%s: %+v", name, d.Report)
		}
		if i := slices.IndexFunc(b.Columns, func(col Column) bool { return col.Name == c.column }); d.Groups[0].Columns[i].Rows != 0 || d.Groups[0].Rows != 2 {
			t.Errorf("%s: %d rows of the column", name, d.Groups[0].Columns[i].Rows)
		}
	}
}

func TestVersionWithoutBaselineSaysSo(t *testing.T) {
	b := capturedBaseline(t)
	rs := records(rand.New(rand.NewPCG(56, 56)), 50)
	var without uint64
	for i := range rs {
		if i%2 == 0 {
			rs[i].Version = 9
			if rs[i].Status == 200 {
				without += uint64(rs[i].Rows)
			}
		}
	}
	d, rep := countOne(t, lines(rs), bothVersions(b))
	want := []Uncounted{{without, "version 9 has no baseline"}}
	if !slices.Equal(d.Report.Uncounted, want) || !slices.Equal(rep.Uncounted, want) || d.Report.RowsLeftOut() != without {
		t.Errorf("%+v", d.Report)
	}
	encode(t, &d)
	_, _, err := CountCaptures(context.Background(), bytes.NewReader(lines(rs)), Source{}, func(context.Context, string, int) (*Baseline, string, error) {
		return nil, "", fault.New(fault.Unavailable, "try again")
	})
	if !fault.Is(err, fault.Unavailable) {
		t.Errorf("got %v", err)
	}
}

func TestClockSkew(t *testing.T) {
	b := capturedBaseline(t)
	rng := rand.New(rand.NewPCG(57, 57))
	for name, c := range map[string]struct {
		id     string
		ts     time.Time
		want   time.Time
		skewed uint64
	}{
		"same":       {idAt(rng, morning), morning, morning, 0},
		"minutes":    {idAt(rng, morning.Add(-30*time.Minute)), morning, morning, 0},
		"years":      {idAt(rng, morning), morning.AddDate(10, 0, 0), morning, 1},
		"hours back": {idAt(rng, morning), morning.Add(-2 * time.Hour), morning, 1},
		"foreign id": {"request-1", morning.AddDate(10, 0, 0), morning.AddDate(10, 0, 0), 0},
		"old UUID":   {uuid.NewString(), morning, morning, 0},
	} {
		raw := strings.Replace(goodLine, "019d5f2c-7c5b-7d0a-8f0e-3b7a52d1c9e4", c.id, 1)
		raw = strings.Replace(raw, "2026-04-05T19:43:31.123456Z", c.ts.Format(time.RFC3339Nano), 1)
		d, rep := countOne(t, []byte(raw), bothVersions(b))
		if d.Skewed != c.skewed || !d.Groups[0].Interval.Equal(c.want.Truncate(Interval)) {
			t.Errorf("%s: interval %v, %d skewed, %+v", name, d.Groups[0].Interval, d.Skewed, rep)
		}
	}
}

func TestCapturesThatEndEarly(t *testing.T) {
	b := capturedBaseline(t)
	whole := pack(t, lines(records(rand.New(rand.NewPCG(58, 58)), 500)), "gzip")
	for _, raw := range [][]byte{whole[:len(whole)/2], whole[:12], {0x1f, 0x8b, 0, 0}} {
		if _, _, err := CountCaptures(context.Background(), bytes.NewReader(raw), Source{}, bothVersions(b)); err == nil {
			t.Errorf("%d bytes of a gzip file are accepted", len(raw))
		}
	}
	if docs, rep, err := CountCaptures(context.Background(), strings.NewReader(""), Source{}, bothVersions(b)); err != nil || len(docs) != 0 || rep.Rows != 0 {
		t.Errorf("empty object: %v, %+v, %v", docs, rep, err)
	}
	long := io.MultiReader(strings.NewReader(`{"v":"`), bytes.NewReader(bytes.Repeat([]byte("x"), MaxLine)))
	if _, _, err := CountCaptures(context.Background(), long, Source{}, bothVersions(b)); err == nil {
		t.Error("an endless line is accepted")
	}
	dead, cancel := context.WithCancel(context.Background())
	cancel()
	if _, _, err := CountCaptures(dead, bytes.NewReader(lines(records(rand.New(rand.NewPCG(59, 59)), 2000))), Source{}, bothVersions(b)); err == nil {
		t.Error("a context that ended does not end the reading")
	}
}

func FuzzCaptures(f *testing.F) {
	b := capturedBaseline(f)
	f.Add([]byte(goodLine))
	f.Add(lines(records(rand.New(rand.NewPCG(60, 60)), 1))) // small, or the fuzzer spends its time on making it smaller
	f.Add([]byte(strings.Replace(goodLine, `[12,null]`, `["0123456789abcdef0123456789abcdef",{"a":[1]}]`, 1)))
	f.Fuzz(func(t *testing.T, raw []byte) {
		docs, rep, err := CountCaptures(context.Background(), bytes.NewReader(raw), Source{Key: "k"}, bothVersions(b))
		if err != nil {
			return
		}
		var rows uint64
		for i := range docs {
			encode(t, &docs[i])
			rows += docs[i].Report.Rows
		}
		if rows != rep.Rows {
			t.Errorf("%d rows in the documents, %d in all", rows, rep.Rows)
		}
		// Whatever is counted, encoding/json reads too.
		if rep.Rows > 0 && rep.Malformed == 0 && !bytes.HasPrefix(raw, []byte{0x1f, 0x8b}) && !bytes.HasPrefix(raw, []byte{0x28, 0xb5, 0x2f, 0xfd}) {
			for _, line := range bytes.Split(raw, []byte("\n")) {
				if line = bytes.TrimSpace(line); len(line) > 0 && !json.Valid(line) {
					t.Errorf("counted, but no JSON: %q", line)
				}
			}
		}
	})
}

package drift

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/tidegate/tidegate/shared/gate"
	"github.com/tidegate/tidegate/shared/period"
	"github.com/tidegate/tidegate/shared/profile"
)

// shop is a table of sales: its columns are those of shopSpecs.
type shop struct {
	rng *rand.Rand
	// shifted values of x in the segment "s3"; newcomers of product there.
	shift, newcomers float64
	cluster          int // rows of one customer, all with the same x and product; 0: 1
}

var shopSpecs = []profile.Spec{{Name: "segment", Kind: profile.Categorical}, {Name: "x", Kind: profile.Numeric}, {Name: "y", Kind: profile.Numeric},
	{Name: "stars", Kind: profile.Numeric}, {Name: "product", Kind: profile.Categorical}, {Name: "customer", Kind: profile.Categorical}}

// table are n rows as CSV. Segments are of unlike sizes and have unlike distributions.
func (s shop) table(n int) []byte {
	var out bytes.Buffer
	out.WriteString("segment,x,y,stars,product,customer\n")
	rng := s.rng
	for i := 0; i < n; {
		k := int(8 * rng.Float64() * rng.Float64())
		x, y := rng.NormFloat64()+float64(k), rng.NormFloat64()
		if k == 3 {
			x += s.shift
		}
		// A tail of rare products, another one in each segment: most of a window's are new in some.
		product := fmt.Sprint("p", k, "-", int(300*rng.Float64()*rng.Float64()*rng.Float64()))
		if rng.Float64() < 0.4 {
			product = fmt.Sprint("common ", rng.IntN(4))
		}
		if k == 3 && rng.Float64() < s.newcomers {
			product = fmt.Sprint("newcomer ", rng.IntN(1000))
		}
		stars, customer := rng.IntN(5), rng.Uint64()
		for range max(1, s.cluster) {
			fmt.Fprintf(&out, "s%d,%.4f,%.4f,%d,%s,c%x\n", k, x, y, stars, product, customer)
			if i++; i == n {
				break
			}
		}
	}
	return out.Bytes()
}

func countOn(t testing.TB, s profile.Sink, tables ...[]byte) (rows uint64) {
	t.Helper()
	for _, raw := range tables {
		rep, err := profile.CountCSV(context.Background(), bytes.NewReader(raw), s)
		if err != nil {
			t.Fatal(err)
		}
		rows += rep.Rows
	}
	return rows
}

// shopBaseline is that of a table, split as the policy says.
func shopBaseline(t testing.TB, p *Policy, raw []byte) *profile.Baseline {
	t.Helper()
	builder, err := profile.NewBuilder(shopSpecs)
	if err != nil {
		t.Fatal(err)
	}
	b := builder.Freeze(countOn(t, builder, raw))
	if err := b.SplitBy(p.By()); err != nil {
		t.Fatal(err)
	}
	tally := b.Splitter()
	countOn(t, tally, raw)
	b.Keep(tally)
	return b
}

func shopJob(t testing.TB, p Policy, b *profile.Baseline, tables ...[]byte) Job {
	t.Helper()
	tally := profile.NewTally(b)
	rows := countOn(t, tally, tables...)
	job := Job{Model: "shop", Window: period.Window{ID: "w", Batch: true}, Baseline: b, Digest: "d", Policy: p,
		Strata: []profile.Stratum{{Sampled: 1, Rows: rows, Columns: tally.States, Split: tally.Split}}}
	job.Totals.Report.Rows = rows
	return job
}

func bySegment() Policy {
	p := DefaultPolicy()
	p.Segments = []string{"segment"}
	return p
}

// TestDriftWithinASegment: what moves one segment of seven alone is not seen over all rows, and is in the segment.
func TestDriftWithinASegment(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	p := bySegment()
	b := shopBaseline(t, &p, shop{rng: rng}.table(20000))
	whole := p
	whole.Segments = nil
	moved := shop{rng: rng, shift: 1}.table(20000)
	if r := mustJudge(t, shopJob(t, whole, b, moved)); r.Verdict == Drifted || len(r.Segments) > 0 {
		t.Fatalf("over all rows: %s", r.Summary)
	}
	r := mustJudge(t, shopJob(t, p, b, moved))
	if r.Verdict != Drifted || len(r.Drifted) != 0 || !slices.Equal(r.DriftedSegments, []string{"segment=s3"}) || !strings.Contains(r.Summary, "within segments alone (segment=s3)") {
		t.Errorf("%s: %v, %v", r.Summary, r.Drifted, r.DriftedSegments)
	}
	if r.Standing.After.Segments["segment=s3"] != StateUnknown || r.History[0].Segments["segment=s3"] != Drifted {
		t.Errorf("%+v", r.Standing)
	}
	var rows uint64
	for _, s := range r.Segments[0].Values {
		rows += s.Current
		if names := []string{"x"}; s.Name == "s3" && !slices.Equal(s.Drifted, names) || s.Name != "s3" && s.Verdict == Drifted {
			t.Errorf("segment %s: %s in %v", s.Name, s.Verdict, s.Drifted)
		}
		for _, c := range s.Columns {
			if c.Name == "segment" || c.Name == "customer" {
				t.Errorf("column %s is compared within segments", c.Name)
			}
			if want := map[Verdict]gate.Answer{Drifted: gate.Yes, NoDrift: gate.No, NotEnoughData: gate.Unknown}[c.Verdict]; c.Gate.Answer != want {
				t.Errorf("%s of %s is %s by a gate that says %s", c.Name, s.Name, c.Verdict, c.Gate.Answer)
			}
		}
	}
	if rows != 20000 || r.SegmentGates == 0 {
		t.Errorf("%d rows in segments, %d gates", rows, r.SegmentGates)
	}
	raw, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if back, err := ParseReport(raw); err != nil || !slices.Equal(back.DriftedSegments, r.DriftedSegments) {
		t.Errorf("reads back with %v, %v", back, err)
	}
}

// TestSegmentsNeverHaveToProve: a few rows decide no segment, and the columns alone say no drift.
func TestSegmentsNeverHaveToProve(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 3))
	p := bySegment()
	no := false
	p.Columns = map[string]ColumnPolicy{"product": {Gate: &no, Tolerances: p.Tolerances}}
	b := shopBaseline(t, &p, shop{rng: rng}.table(30000))
	r := mustJudge(t, shopJob(t, p, b, shop{rng: rng}.table(2000)))
	undecided := 0
	for _, s := range r.Segments[0].Values {
		if s.Verdict == NotEnoughData {
			undecided++
		}
	}
	if r.Verdict != NoDrift || undecided == 0 {
		t.Errorf("%s; %d segments undecided", r.Summary, undecided)
	}
	windows := []WindowVerdict{r.windowVerdict("1"), r.windowVerdict("2"), r.windowVerdict("3")}
	if s := Fold(windows, DefaultDebounce()); s.Model != StateOK {
		t.Errorf("the model is %s: %v", s.Model, s.Segments)
	}
	for i := range windows {
		windows[i].Segments["segment=s3"] = Drifted
	}
	if s := Fold(windows, DefaultDebounce()); s.Model != StateDrift || !slices.Equal(s.DriftedSegments(), []string{"segment=s3"}) || len(s.Drifted()) != 0 {
		t.Errorf("the model is %s: %v", s.Model, s.Segments)
	}
}

func (r *Report) windowVerdict(id string) WindowVerdict {
	p := r.Past()
	return WindowVerdict{Window: id, Rows: p.Rows, Columns: p.Columns, Segments: p.Segments}
}

// TestNewValuesOfASegment: products that the baseline does not hold are drift where they are many, and none where each
// segment has its rare ones.
func TestNewValuesOfASegment(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 4))
	p := bySegment()
	b := shopBaseline(t, &p, shop{rng: rng}.table(20000))
	r := mustJudge(t, shopJob(t, p, b, shop{rng: rng, newcomers: 0.5}.table(20000)))
	if !slices.Contains(r.DriftedSegments, "segment=s3") || len(r.DriftedSegments) != 1 {
		t.Errorf("%v", r.DriftedSegments)
	}
}

// TestPolicyOfAnotherBaseline: what the baseline is not split by is told, and the rest goes on.
func TestPolicyOfAnotherBaseline(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 5))
	p := bySegment()
	b := shopBaseline(t, &p, shop{rng: rng}.table(2000))
	p.Segments, p.Cluster = []string{"product", "segment"}, "customer"
	r := mustJudge(t, shopJob(t, p, b, shop{rng: rng}.table(500)))
	text := strings.Join(r.Warnings, "\n")
	if !strings.Contains(text, `no segments by "product"`) || !strings.Contains(text, `same "customer" are taken as independent`) || len(r.Segments) != 1 {
		t.Errorf("%s", text)
	}
	job := shopJob(t, p, b, shop{rng: rng}.table(500))
	job.Strata[0].Split = nil // counted by a program that knows no segments
	r = mustJudge(t, job)
	if text := strings.Join(r.Warnings, "\n"); !strings.Contains(text, "500 of 500 rows are in no segment") || r.Verdict == Drifted {
		t.Errorf("%s: %s", r.Verdict, text)
	}
}

// TestSegmentsDoNotDependOnSharding: the report of the rows in any parts is the same to the byte.
func TestSegmentsDoNotDependOnSharding(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 6))
	p := bySegment()
	p.Cluster = "customer"
	b := shopBaseline(t, &p, shop{rng: rng, cluster: 5}.table(5000))
	raw := shop{rng: rng, cluster: 5}.table(4000)
	header, lines := raw[:bytes.IndexByte(raw, '\n')+1], bytes.SplitAfter(raw[bytes.IndexByte(raw, '\n')+1:], []byte("\n"))
	var want []byte
	for _, shards := range []int{1, 7, 100} {
		rng.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
		tables := make([][]byte, shards)
		for i := range tables {
			tables[i] = append(slices.Clone(header), bytes.Join(lines[i*len(lines)/shards:(i+1)*len(lines)/shards], nil)...)
		}
		r := mustJudge(t, shopJob(t, p, b, tables...))
		got, err := r.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if want == nil {
			want = got
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%d shards give another report", shards)
		}
	}
}

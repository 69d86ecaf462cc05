package evaluation

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/capture"
	"github.com/tidegate/tidegate/shared/evaluation/comparison"
	"github.com/tidegate/tidegate/shared/evaluation/quality"
	"github.com/tidegate/tidegate/shared/evaluation/score"
	"github.com/tidegate/tidegate/shared/outcome"
	"github.com/tidegate/tidegate/shared/period"
	"github.com/tidegate/tidegate/shared/registry"
)

var testDay = time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)

var testWindow = period.At(period.Day, testDay)

// testRow is one predicted row of a small world.
type testRow struct {
	origin  *outcome.Origin
	pair    *testRow // the same row by another version
	at      int64
	cluster uint64
	weight  float64
	score   float64
	scores  []float64
	label   float64
	labelAt int64
	segment string
	latency int64
}

func origin(version int, slot registry.Slot, role capture.Role, sampled float64) *outcome.Origin {
	return &outcome.Origin{Version: version, Slot: slot, Role: role, Sampled: sampled, Status: 200}
}

// testNames number values as they come, as a join does: the numbers mean nothing.
type testNames struct {
	names   []string
	numbers map[string]uint32
}

func newNames() *testNames {
	return &testNames{names: []string{"", ""}, numbers: map[string]uint32{"": outcome.Missing}}
}

func (n *testNames) Name(_ int, number uint32) string { return n.names[number] }

func (n *testNames) number(name string) uint32 {
	if k, ok := n.numbers[name]; ok {
		return k
	}
	k := uint32(len(n.names))
	n.names, n.numbers[name] = append(n.names, name), k
	return k
}

// batchOf makes a batch of rows, each of a request of its own; pairs lie together.
func batchOf(rows []*testRow, names *testNames) *outcome.Batch {
	b := &outcome.Batch{Segments: make([][]uint32, 1)}
	add := func(r *testRow) uint32 {
		b.Requests = append(b.Requests, outcome.Request{Origin: r.origin, At: r.at, Cluster: r.cluster, Rows: 1, LatencyUS: r.latency})
		if r.origin.Failed() {
			return 0
		}
		b.Request = append(b.Request, uint32(len(b.Requests)-1))
		b.At, b.Cluster, b.Weight = append(b.At, r.at), append(b.Cluster, r.cluster), append(b.Weight, r.weight)
		if r.scores != nil {
			b.Scores = append(b.Scores, r.scores...)
		} else {
			b.Score = append(b.Score, r.score)
		}
		b.Label, b.LabelAt = append(b.Label, r.label), append(b.LabelAt, r.labelAt)
		b.Segments[0] = append(b.Segments[0], names.number(r.segment))
		b.Rows++
		return uint32(b.Rows - 1)
	}
	for _, r := range rows {
		place := add(r)
		if r.pair != nil {
			b.Pairs = append(b.Pairs, outcome.Pair{Served: place, Paired: add(r.pair)})
		}
	}
	return b
}

// day draws a day of n requests: champion 1 with a challenger 2 that is better by
// gain, a share of labels, and so many segment values.
func day(rng *rand.Rand, n, values int, gain, labelled float64) []*testRow {
	champion, challenger := origin(1, registry.Champion, capture.Served, 0.5), origin(2, registry.Challenger, capture.Paired, 0.5)
	failed := origin(1, registry.Champion, capture.Served, 0.5)
	failed.Status, failed.ErrorKind = 500, "internal"
	rows := make([]*testRow, n)
	for i := range rows {
		r := &testRow{origin: champion, at: testDay.UnixMilli() + int64(i)*period.Day.Milliseconds()/int64(n), cluster: rng.Uint64(), weight: 2, label: math.NaN(), latency: 1000 + rng.Int64N(2000)}
		if rng.Float64() < 0.02 {
			r.origin = failed
			rows[i] = r
			continue
		}
		truth := rng.Float64()
		r.score = squash(truth + 0.25*rng.NormFloat64())
		if rng.Float64() < labelled {
			r.label, r.labelAt = 0, r.at+rng.Int64N(3_600_000)
			if rng.Float64() < truth {
				r.label = 1
			}
		}
		r.segment = fmt.Sprintf("s%02d", int(float64(values)*rng.Float64()*rng.Float64()))
		p := *r
		p.origin, p.score = challenger, squash(truth+(0.25-gain)*rng.NormFloat64())
		r.pair = &p
		rows[i] = r
	}
	return rows
}

// squash keeps scores in [0, 1], at few digits so that some are equal.
func squash(x float64) float64 { return math.Round(1000*min(max(x, 0), 1)) / 1000 }

func testPolicy() quality.Policy {
	p := quality.DefaultPolicy()
	p.Segments, p.MaxSegments = []string{"carrier"}, 5
	return p
}

// references are those that were made, by rows: each takes a while, and none is changed.
var references = map[int]Reference{}

func testReference(t testing.TB, n int) Reference {
	t.Helper()
	if ref, ok := references[n]; ok {
		return ref
	}
	rng := rand.New(rand.NewPCG(9, 9))
	scores, labels := make([]float64, n), make([]int, n)
	for i := range scores {
		truth := rng.Float64()
		scores[i] = squash(truth + 0.25*rng.NormFloat64())
		if rng.Float64() < truth {
			labels[i] = 1
		}
	}
	layout, err := quality.NewBinary(score.Freeze(scores))
	if err != nil {
		t.Fatal(err)
	}
	s := quality.NewState(layout)
	for i := range scores {
		s.Add(&quality.Row{Score: scores[i], Class: quality.NoClass, Labelled: true, Label: labels[i], Mature: true, Key: quality.HashKey(fmt.Sprint(i)), Block: int64(i % 48)})
	}
	ref, err := quality.NewReference(s, "sha256:rows", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	e, err := quality.NewEstimator(ref)
	if err != nil {
		t.Fatal(err)
	}
	references[n] = Reference{Reference: ref, SHA256: "sha256:reference", Estimator: e}
	return references[n]
}

func testSetup(ref Reference) *Setup {
	bins := ref.Reference.Layout.Bins[0]
	side := func(v int) comparison.Version {
		return comparison.Version{Name: fmt.Sprintf("m@%d", v), Digest: fmt.Sprintf("sha256:%d", v), Dataset: "window", Bins: bins}
	}
	return &Setup{Task: quality.Binary, Policy: testPolicy(), Versions: []Version{{1, ref.Reference.Layout}, {2, ref.Reference.Layout}},
		MatureBefore: testDay.Add(23 * time.Hour),
		Pairing: &Pairing{Champion: 1, Challenger: 2, Column: "carrier", Spec: comparison.Spec{Task: comparison.Binary, Block: comparison.Hour,
			Champion: side(1), Challenger: side(2), Segments: []string{"s00", "s01"}, SlowMicros: 2500}}}
}

// tallyOf counts rows in so many shards, in the order of the source, and merges them.
func tallyOf(t testing.TB, s *Setup, rows []*testRow, shards int, order *rand.Rand) *Tally {
	t.Helper()
	rows = append([]*testRow(nil), rows...)
	if order != nil {
		order.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	}
	parts := make([]*Tally, shards)
	for k := range parts {
		var err error
		if parts[k], err = NewTally(s); err != nil {
			t.Fatal(err)
		}
		part := rows[k*len(rows)/shards : (k+1)*len(rows)/shards]
		names := newNames()
		for len(part) > 0 { // several batches, and two joins
			n := min(len(part), 700)
			if len(part) < 300 {
				names = newNames()
			}
			if err := parts[k].Add(batchOf(part[:n], names), names); err != nil {
				t.Fatal(err)
			}
			part = part[n:]
		}
		parts[k].Join = outcome.Counts{Predictions: parts[k].Rows()}
	}
	total, err := NewTally(s)
	if err != nil {
		t.Fatal(err)
	}
	if order != nil {
		order.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
	}
	for _, p := range parts {
		if err := total.Merge(p); err != nil {
			t.Fatal(err)
		}
	}
	return total
}

func encoded(t testing.TB, x *Tally) []byte {
	t.Helper()
	raw, err := x.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

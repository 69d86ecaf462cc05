package page

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/capture"
	"github.com/tidegate/tidegate/shared/evaluation"
	"github.com/tidegate/tidegate/shared/evaluation/comparison"
	"github.com/tidegate/tidegate/shared/evaluation/quality"
	"github.com/tidegate/tidegate/shared/evaluation/score"
	"github.com/tidegate/tidegate/shared/outcome"
	"github.com/tidegate/tidegate/shared/period"
	"github.com/tidegate/tidegate/shared/registry"
)

var day = time.Date(2026, 7, 14, 0, 0, 0, 0, time.UTC)

// carriers are the values of the segment column; "" is a missing one.
var carriers = []string{"", "UA", "B6", "EV", "DL", "<script>alert(1)</script>", "MQ", "AA", "F9", "HA", "OO", "VX"}

type names []string

func (n names) Name(_ int, number uint32) string { return n[number] }

// scene is a window that is made up; everything that a report says of it is computed.
type scene struct {
	task         quality.Task
	classes      []string
	rows         int
	worse        float64 // what the champion has lost since its reference
	gain         float64 // of a challenger that predicts beside it; NaN for none
	coverage     float64 // share of the labels that are there
	young        float64 // share of the predictions whose label is not due
	referenceRow int     // rows of the reference; 0 for none
	policy       func(p *quality.Policy)
	decide       *comparison.Step
	files        bool // two tables of the same rows, without slots
	seed         uint64
}

func (sc *scene) defaults() {
	if sc.coverage == 0 {
		sc.coverage = 1
	}
	if sc.referenceRow == 0 {
		sc.referenceRow = 6000
	}
}

// one is a row: the chance behind its label, and the label.
type one struct {
	hidden, label float64
	carrier       uint32
}

func (sc *scene) draw(rng *rand.Rand) one {
	o := one{hidden: 1.6*rng.NormFloat64() - 1.4, carrier: uint32(float64(len(carriers)) * rng.Float64() * rng.Float64())}
	switch sc.task {
	case quality.Regression:
		o.label = 20*o.hidden + 8*rng.NormFloat64()
	case quality.Multiclass:
		o.label = math.Floor(math.Min(float64(len(sc.classes))-1, math.Max(0, o.hidden+1.4+rng.NormFloat64()*0.7)))
	default:
		if rng.Float64() < 1/(1+math.Exp(-o.hidden)) {
			o.label = 1
		}
	}
	return o
}

// answer is what a version with so much noise says of a row: scores by class, of which a binary task has one.
func (sc *scene) answer(rng *rand.Rand, o one, noise float64) []float64 {
	x := o.hidden + noise*rng.NormFloat64()
	switch sc.task {
	case quality.Regression:
		return []float64{20 * x}
	case quality.Multiclass:
		out := make([]float64, len(sc.classes))
		sum := 0.0
		for k := range out {
			out[k] = math.Exp(-1.2 * (x + 0.9 - float64(k)) * (x + 0.9 - float64(k)))
			sum += out[k]
		}
		for k := range out {
			out[k] /= sum
		}
		return out
	}
	return []float64{math.Round(1e5/(1+math.Exp(-x))) / 1e5}
}

const plain = 0.5 // noise of a version as it was registered

func (sc *scene) reference(t testing.TB) *quality.Reference {
	t.Helper()
	rng := rand.New(rand.NewPCG(sc.seed, 1))
	rows := make([]one, sc.referenceRow)
	answers := make([][]float64, len(rows))
	columns := make([][]float64, max(1, len(sc.classes)))
	for i := range rows {
		rows[i] = sc.draw(rng)
		answers[i] = sc.answer(rng, rows[i], plain)
		for k, s := range answers[i] {
			columns[k] = append(columns[k], s)
		}
	}
	var layout *quality.Layout
	var err error
	switch sc.task {
	case quality.Regression:
		layout = quality.NewRegression()
	case quality.Multiclass:
		bins := make([]*score.Bins, len(sc.classes))
		for k := range bins {
			bins[k] = score.FreezeTo(quality.BinsPerClass(len(sc.classes)), columns[k])
		}
		layout, err = quality.NewMulticlass(sc.classes, bins)
	default:
		layout, err = quality.NewBinary(score.Freeze(columns[0]), sc.classes...)
	}
	check(t, err)
	s := quality.NewState(layout)
	for i := range rows {
		s.Add(&quality.Row{Score: answers[i][0], Scores: answers[i], Value: answers[i][0], Class: quality.NoClass, Labelled: true, Label: int(rows[i].label), Truth: rows[i].label, Mature: true,
			Key: rng.Uint64(), Block: int64(i / 250)})
	}
	ref, err := quality.NewReference(s, "sha256:"+strings.Repeat("c0", 32), day.AddDate(0, -1, 0))
	check(t, err)
	return ref
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// job is the scene counted through the real tally.
func (sc scene) job(t testing.TB) evaluation.Job {
	t.Helper()
	sc.defaults()
	policy := quality.DefaultPolicy()
	policy.Segments, policy.MaxSegments = []string{"carrier"}, 6
	if sc.policy != nil {
		sc.policy(&policy)
	}
	job := evaluation.Job{Model: "flights", Window: period.Window{ID: "2026-07-14", Start: day, End: day.AddDate(0, 0, 1)},
		References: map[int]evaluation.Reference{}, Comparison: comparison.DefaultPolicy(), Uncompared: "no challenger had predictions in the window"}
	setup := &evaluation.Setup{Task: sc.task, Classes: sc.classes, Policy: policy, MatureBefore: day.Add(time.Duration((1 - sc.young) * 24 * float64(time.Hour)))}
	if sc.rows > 0 {
		ref := sc.reference(t)
		for _, v := range []int{7, 8} {
			job.References[v] = evaluation.Reference{Reference: ref, SHA256: strings.Repeat("ab", 32)}
			setup.Versions = append(setup.Versions, evaluation.Version{Version: v, Layout: ref.Layout})
		}
		if !math.IsNaN(sc.gain) {
			setup.Pairing = sc.pairing(ref.Layout)
		}
	}
	tally, err := evaluation.NewTally(setup)
	check(t, err)
	if sc.rows > 0 {
		b := sc.batch(setup.Pairing != nil)
		check(t, tally.Add(b, names(carriers)))
		tally.Join = sc.joined(b)
	}
	if sc.decide != nil {
		d, err := comparison.Decide(tally.Pairs(), job.Comparison, *sc.decide)
		check(t, err)
		job.Decision = &d
	}
	job.Tally = tally
	return job
}

func (sc *scene) pairing(l *quality.Layout) *evaluation.Pairing {
	p := &evaluation.Pairing{Champion: 7, Challenger: 8, Column: "carrier", Spec: comparison.Spec{Task: comparison.Task(sc.task), Block: comparison.Hour, Segments: []string{"UA", "", "B6", "<script>alert(1)</script>", "VX"},
		SlowMicros: 30000, Probabilities: sc.task == quality.Multiclass,
		Champion:   comparison.Version{Name: "flights@7", Digest: "sha256:07", Dataset: "window", TrainedUntil: day.AddDate(0, -2, 0)},
		Challenger: comparison.Version{Name: "flights@8", Digest: "sha256:08", Dataset: "window", TrainedUntil: day.AddDate(0, -1, 0)}}}
	if sc.task == quality.Binary {
		p.Spec.Champion.Bins, p.Spec.Challenger.Bins = l.Bins[0], l.Bins[0]
	}
	return p
}

// batch are the rows, each with the request that it came with.
func (sc *scene) batch(paired bool) *outcome.Batch {
	rng := rand.New(rand.NewPCG(sc.seed, 2))
	origins := []*outcome.Origin{{Version: 7, Slot: registry.Champion, Role: capture.Served, Sampled: 1, Status: 200},
		{Index: 1, Version: 8, Slot: registry.Challenger, Role: capture.Paired, Sampled: 1, Status: 200},
		{Index: 2, Version: 8, Slot: registry.Challenger, Role: capture.Served, Sampled: 1, Status: 200},
		{Index: 3, Version: 7, Slot: registry.Champion, Role: capture.Paired, Sampled: 1, Status: 200}}
	b := &outcome.Batch{Segments: make([][]uint32, 1)}
	add := func(origin *outcome.Origin, o one, id outcome.Key, at int64, noise, label float64) {
		cluster := id.Hash()
		b.Requests = append(b.Requests, outcome.Request{Origin: origin, ID: id, At: at, Cluster: cluster, Rows: 1, LatencyUS: int64(9000 * math.Exp(0.4*rng.NormFloat64()))})
		b.Request = append(b.Request, uint32(b.Rows))
		b.ID, b.At, b.Cluster, b.Weight = append(b.ID, id), append(b.At, at), append(b.Cluster, cluster), append(b.Weight, 1)
		answer := sc.answer(rng, o, noise)
		if sc.task == quality.Multiclass {
			b.Scores = append(b.Scores, answer...)
		} else {
			b.Score = append(b.Score, answer[0])
		}
		b.Label, b.LabelAt = append(b.Label, label), append(b.LabelAt, at+int64(3600e3*(1+rng.Float64()*9)))
		b.Segments[0] = append(b.Segments[0], o.carrier)
		b.Rows++
	}
	for i := range sc.rows {
		o := sc.draw(rng)
		at := day.UnixMilli() + int64(float64(i)/float64(sc.rows)*86400e3)
		label := o.label
		if rng.Float64() >= sc.coverage {
			label = math.NaN()
		}
		id := outcome.KeyOf(fmt.Sprint("row", i))
		served, beside := origins[0], origins[1]
		champion, challenger := plain+sc.worse, math.Max(0, plain+sc.worse-sc.gain)
		if paired && !sc.files && i%5 == 0 { // a fifth of the traffic is the challenger's
			served, beside = origins[2], origins[3]
			champion, challenger = challenger, champion
		}
		add(served, o, id, at, champion, label)
		if paired {
			b.Pairs = append(b.Pairs, outcome.Pair{Served: uint32(b.Rows - 1), Paired: uint32(b.Rows)})
			add(beside, o, id, at, challenger, label)
		}
	}
	return b
}

// joined is what the join of the batch would have counted, with some of what goes wrong.
func (sc *scene) joined(b *outcome.Batch) outcome.Counts {
	var c outcome.Counts
	for i := range b.Rows {
		if b.Requests[i].Origin.Role != capture.Served {
			continue
		}
		c.Predictions++
		if b.Label[i] == b.Label[i] {
			c.Labelled++
		} else {
			c.Unlabelled++
		}
	}
	c.Malformed, c.First.Malformed = 3, "captures/2026-07-14/09/a.gz, line 12: not a JSON object"
	c.LabelsUnmatched, c.LabelDuplicates, c.LabelConflicts = 12, 5, 2
	return c
}

// past are earlier windows.
func past(n int, version int, metric string, value float64) []evaluation.Past {
	verdicts := []quality.Verdict{quality.Fine, quality.Fine, quality.NotEnoughData, quality.Fine, quality.Degraded}
	rng := rand.New(rand.NewPCG(9, 9))
	var out []evaluation.Past
	for i := range n {
		p := evaluation.Past{Window: day.AddDate(0, 0, i-n).Format(time.DateOnly), Report: fmt.Sprint("r", i), Revision: 1, Version: version, Rows: uint64(8000 + i), Judged: 7900, Coverage: 0.99, Verdict: verdicts[i*i%5]}
		v := value + 0.008*rng.NormFloat64()
		half := 0.012 * value
		x := evaluation.Point{Name: metric, Value: ptr(v), Lo: ptr(v - half), Hi: ptr(v + half), Reference: ptr(value), Estimate: ptr(value + 0.003), EstimateLo: ptr(value - half), EstimateHi: ptr(value + half)}
		switch {
		case i == 6:
			p.Rows, p.Judged, p.Coverage, x = 0, 0, 0, evaluation.Point{Name: metric}
		case p.Verdict == quality.NotEnoughData:
			p.Judged, p.Coverage, x.Value, x.Lo, x.Hi = 0, 0.4, nil, nil, nil
		}
		p.Points = []evaluation.Point{x}
		out = append(out, p)
	}
	return out
}

func ptr(x float64) *float64 { return &x }

func judged(t testing.TB, job evaluation.Job) *evaluation.Report {
	t.Helper()
	r, err := evaluation.Judge(job)
	check(t, err)
	return r
}

// made are the reports of the scenes: what is the same for every test is computed once, and changed by none.
var made = map[string]*evaluation.Report{}

func once(name string, report func() *evaluation.Report) *evaluation.Report {
	if made[name] == nil {
		made[name] = report()
	}
	return made[name]
}

// The scenes that are looked at.

// full is a binary window with a bit of everything: a comparison, late labels that have replaced a report, a history.
func full(t testing.TB) *evaluation.Report {
	return once("full", func() *evaluation.Report {
		sc := scene{task: quality.Binary, rows: 9000, gain: 0.5, worse: 0.6, coverage: 0.975, seed: 3, decide: &comparison.Step{Last: true, Elapsed: 7200, Bake: 3600}}
		early := sc
		early.coverage, early.young = 0.6, 0.25
		job := sc.job(t)
		job.History = past(19, 7, quality.ROCAUC, 0.813)
		job.Supersedes = judged(t, early.job(t))
		return judged(t, job)
	})
}

func unlabelled(t testing.TB) *evaluation.Report {
	return once("unlabelled", func() *evaluation.Report {
		sc := scene{task: quality.Binary, rows: 4000, gain: math.NaN(), worse: 0.8, coverage: 1e-12, young: 1, seed: 4}
		job := sc.job(t)
		job.History = past(8, 7, quality.ROCAUC, 0.813)
		return judged(t, job)
	})
}

func regression(t testing.TB) *evaluation.Report {
	return once("regression", func() *evaluation.Report {
		sc := scene{task: quality.Regression, rows: 3000, gain: -0.2, worse: 0.35, coverage: 0.99, seed: 5}
		job := sc.job(t)
		job.History = past(5, 7, quality.MAE, 12.3)
		return judged(t, job)
	})
}

func multiclass(t testing.TB) *evaluation.Report {
	return once("multiclass", func() *evaluation.Report {
		sc := scene{task: quality.Multiclass, classes: []string{"on time", "late", "very late", "cancelled"}, rows: 3000, gain: math.NaN(), coverage: 0.99, seed: 6}
		job := sc.job(t)
		return judged(t, job)
	})
}

// table is what the command line makes of files: versions have names, rows may have no reference, time is cut into chunks.
func table(t testing.TB) *evaluation.Report {
	return once("table", func() *evaluation.Report {
		sc := scene{task: quality.Binary, rows: 3000, gain: 0, coverage: 0.99, files: true, seed: 7}
		job := sc.job(t)
		job.Model, job.Window = "", period.Window{ID: "flights.csv", Batch: true}
		job.Names = map[int]string{7: "today.csv", 8: "tomorrow <b>.csv"}
		job.References = map[int]evaluation.Reference{7: job.References[7], 8: {Why: "no reference was given"}}
		job.Chunks = past(9, 7, quality.ROCAUC, 0.813)
		return judged(t, job)
	})
}

// stored is a small window whose report is kept, so that its page depends on no processor.
func stored(t testing.TB) *evaluation.Report {
	sc := scene{task: quality.Binary, rows: 5000, gain: 0.3, worse: 0.2, coverage: 0.97, seed: 8, decide: &comparison.Step{Elapsed: 7200, Bake: 3600},
		policy: func(p *quality.Policy) { p.MaxSegments, p.Metrics = 2, []string{quality.ROCAUC, quality.LogLoss} }}
	early := sc
	early.coverage = 0.9
	job := sc.job(t)
	job.History = past(6, 7, quality.ROCAUC, 0.813)
	job.Supersedes = judged(t, early.job(t))
	return judged(t, job)
}

func empty(t testing.TB) *evaluation.Report {
	return once("empty", func() *evaluation.Report {
		sc := scene{task: quality.Binary, gain: math.NaN()}
		return judged(t, sc.job(t))
	})
}

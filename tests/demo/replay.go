package main

import (
	"context"
	"fmt"
	"time"

	"github.com/tidegate/tidegate/shared/evaluation/comparison"
	"github.com/tidegate/tidegate/shared/evaluation/quality"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/stat"
	"github.com/tidegate/tidegate/tests/demo/flights"
)

// Replayed is what the gate of the last step says of one month alone, looked at after
// each of its days: after which one it promotes first, "" = never.
type Replayed struct {
	Window   string     `json:"window"`
	Pairs    uint64     `json:"pairs"`
	Gain     [3]float64 `json:"gain"` // of ROC AUC: lower end of the 95 % interval, value, upper end
	Promoted string     `json:"promoted"`
	FewDays  string     `json:"few_days"` // without the ten days that the gate asks for
	ByRow    string     `json:"by_row"`   // and with a bound from the errors by row alone
}

// replay asks the gate about a month in which the second version is better, and about
// one in which it hardly is.
func (d *demo) replay(ctx context.Context, reg *registry.Registry, all []flights.Flight, first, second int, facts *Facts) error {
	d.chapter("Ask the same gate about single months")
	d.say("Pinned rows of the batches, looked at after each day, which is now the time block too; the gate asks for ten.")
	spec := comparison.Spec{Task: comparison.Binary, Block: comparison.Day, Pinned: true}
	for i, side := range []*comparison.Version{&spec.Champion, &spec.Challenger} {
		version := []int{first, second}[i]
		manifest, err := reg.Manifest(ctx, modelName, version)
		if err != nil {
			return err
		}
		reference, _, err := quality.LoadReference(ctx, reg, modelName, version)
		if err != nil {
			return err
		}
		*side = comparison.Version{Name: fmt.Sprintf("%s@%d", modelName, version), Digest: manifest.Digest, TrainedUntil: reference.TrainingEnd, Bins: reference.Layout.Bins[0]}
	}
	for _, month := range []int{9, 12} {
		fs := flights.Departed(flights.Of(all, month))
		var scores [2][]float32
		var err error
		for i, version := range []int{first, second} {
			if scores[i], err = d.scoresOf(ctx, fs, month, version); err != nil {
				return err
			}
		}
		spec.Champion.Dataset = fmt.Sprintf("2013-%02d", month)
		spec.Challenger.Dataset = spec.Champion.Dataset
		r, last, err := lookDaily(spec, fs, scores)
		if err != nil {
			return err
		}
		facts.Replays = append(facts.Replays, *r)
		d.say("%s, %d flights: gain %+.4f [%+.4f, %+.4f]; standard error %.4f by row, %.4f by day. Promoted: %s. By the errors of rows: %s. Without asking for ten days: %s.",
			time.Month(month), r.Pairs, r.Gain[1], r.Gain[0], r.Gain[2], last.SE.Row, max(last.SE.Key, last.SE.Block), onDay(r.Promoted), onDay(r.ByRow), onDay(r.FewDays))
	}
	return nil
}

func onDay(day string) string {
	if day == "" {
		return "never"
	}
	return "after " + day[len("2013-"):]
}

// lookDaily looks after each day, as the last step of a rollout does.
func lookDaily(spec comparison.Spec, fs []flights.Flight, scores [2][]float32) (*Replayed, comparison.Difference, error) {
	gate, err := comparisonPolicy()
	if err != nil {
		return nil, comparison.Difference{}, err
	}
	few := gate
	gate.MinBlocks = comparison.DefaultPolicy().MinBlocks
	pairs, err := comparison.New(spec)
	if err != nil {
		return nil, comparison.Difference{}, err
	}
	r := &Replayed{Window: spec.Champion.Dataset}
	bound := stat.Sequential{Alpha: gate.Alpha, Expected: float64(gate.ExpectedPairs)}
	var last comparison.Difference
	for i := range fs {
		f := &fs[i]
		if f.ArrDelay != nil {
			if err := pairs.Add(row(f, scores[0][i], scores[1][i])); err != nil {
				return nil, last, err
			}
		}
		if i+1 < len(fs) && fs[i+1].Day == f.Day {
			continue
		}
		for _, look := range []struct {
			policy comparison.Policy
			first  *string
		}{{gate, &r.Promoted}, {few, &r.FewDays}} {
			decision, err := comparison.Decide(pairs, look.policy, comparison.Step{Last: true, Elapsed: 1, Bake: 1})
			if err != nil {
				return nil, last, err
			}
			if decision.Action == comparison.Promote && *look.first == "" {
				*look.first = f.Date()
			}
		}
		last = pairs.Difference(comparison.ROCAUC)
		if r.ByRow == "" && last.Unknown == "" && last.Delta-bound.Z(float64(last.Pairs))*last.SE.Row-last.Resolution > gate.Delta {
			r.ByRow = f.Date()
		}
	}
	r.Pairs, r.Gain = last.Pairs, [3]float64{last.Lo, last.Delta, last.Hi}
	return r, last, nil
}

// row is a flight as a pair: its day is the key, and the day of the time too.
func row(f *flights.Flight, champion, challenger float32) *comparison.Row {
	answer := func(score float32) comparison.Answer {
		a := comparison.Answer{Score: float64(score)}
		if score > 0.5 {
			a.Class = 1
		}
		return a
	}
	r := &comparison.Row{Time: time.Date(2013, time.Month(f.Month), f.Day, 12, 0, 0, 0, time.UTC), Group: comparison.KeyGroup(f.Date()),
		Champion: answer(champion), Challenger: answer(challenger)}
	if f.Late() {
		r.Label = 1
	}
	return r
}

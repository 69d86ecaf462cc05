package trial

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/tidegate/tidegate/shared/evaluation/comparison"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
)

// Start asks whether a rollout of Version may begin, by both versions' predictions of
// the same pinned rows as score wrote them (docs/formats/score.md): with the label and
// the time of each row among the columns that were kept.
type Start struct {
	Version    int      `json:"version" validate:"gt=0"`
	Champion   []string `json:"champion" validate:"min=1,max=1000,dive,required"`   // keys of predictions/ in the data bucket
	Challenger []string `json:"challenger" validate:"min=1,max=1000,dive,required"` // in the same order of items
	Label      string   `json:"label" validate:"required"`
	Time       string   `json:"time" validate:"required"` // RFC 3339, or milliseconds since 1970
	Key        string   `json:"key,omitempty"`            // rows of one value belong together; none: every row for itself
}

// start is one look at pinned rows.
func (j *Judge) start(ctx context.Context, model string, in *Start) (Out, error) {
	if len(in.Champion) != len(in.Challenger) {
		return Out{}, fault.Invalid(fault.Violation{Path: "start.challenger", Problem: "must name as many objects as start.champion, of the same items"})
	}
	s, _, err := j.Registry.State(ctx, model)
	if err != nil {
		return Out{}, err
	}
	manifest, err := j.Registry.Manifest(ctx, model, in.Version)
	if err != nil {
		return Out{}, err
	}
	champion, challenger := *s.Slots.Champion, registry.Ref{Version: manifest.Version, Digest: manifest.Digest}
	both, err := j.sides(ctx, model, champion, challenger, s.SettingsDigest)
	if err != nil {
		return Out{}, err
	}
	dataset := sha256.New()
	files := make([][2]*predictions, len(in.Champion))
	for i := range files {
		for k, key := range []string{in.Champion[i], in.Challenger[i]} {
			ref := []registry.Ref{champion, challenger}[k]
			if files[i][k], err = j.readPredictions(ctx, model, key, ref, in, &both.spec); err != nil {
				return Out{}, err
			}
		}
		if a, b := files[i][0], files[i][1]; a.source != b.source {
			return Out{}, fault.New(fault.FailedPrecondition, "%s and %s are predictions of other rows: score both versions on the same object", in.Champion[i], in.Challenger[i])
		}
		fmt.Fprintln(dataset, files[i][0].source)
	}
	digest := fmt.Sprintf("sha256:%x", dataset.Sum(nil))
	both.pairs.Pinned, both.pairs.Champion.Dataset, both.pairs.Challenger.Dataset = true, digest, digest
	pairs, err := both.pin(files)
	if err != nil {
		return Out{}, err
	}
	d, err := comparison.DecideStart(pairs, both.compare)
	if err != nil {
		return Out{}, err
	}
	report, err := comparison.NewReport(pairs, both.compare, &d)
	if err != nil {
		return Out{}, err
	}
	out := Out{Action: d.Action, Reject: d.Reject, Summary: d.Summary, Pairs: pairs.Pairs()}
	out.Evidence, err = j.store(ctx, report, registry.Evidence{Model: model, Champion: champion, Challenger: challenger, Decision: string(d.Action), Reject: d.Reject,
		Summary: d.Summary, Generation: s.Generation, Dataset: digest})
	return out, err
}

// pin counts the rows of both sides, which are in the same order.
func (s *sides) pin(files [][2]*predictions) (*comparison.State, error) {
	pairs, err := comparison.New(s.pairs)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		a, b := f[0].rows, f[1].rows
		n := min(len(a), len(b))
		for i := range a[:n] {
			if !a[i].labelled {
				continue
			}
			row := comparison.Row{Time: a[i].at, Group: comparison.KeyGroup(a[i].key), Segment: pairs.Segment(""), Label: a[i].label, Target: a[i].target,
				Champion: a[i].answer, Challenger: b[i].answer}
			if err := pairs.Add(&row); fault.Is(err, fault.FailedPrecondition) {
				return nil, err
			}
		}
		pairs.AddUnmatched(comparison.Champion, uint64(len(a)-n))
		pairs.AddUnmatched(comparison.Challenger, uint64(len(b)-n))
	}
	return pairs, nil
}

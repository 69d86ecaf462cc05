package evaluation

import (
	"math"
	"time"

	"github.com/tidegate/tidegate/shared/evaluation/quality"
	"github.com/tidegate/tidegate/shared/outcome"
)

// reading makes rows of quality of the rows of batches.
type reading struct {
	task    quality.Task
	classes int
	cluster quality.Cluster
	mature  int64 // milliseconds; predictions before it are mature
}

func newReading(l *quality.Layout, cluster quality.Cluster, mature time.Time) reading {
	r := reading{task: l.Task, classes: len(l.Classes), cluster: cluster, mature: math.MaxInt64}
	if !mature.IsZero() {
		r.mature = mature.UnixMilli()
	}
	return r
}

// row reads row i. Its scores are those of the batch.
func (g *reading) row(b *outcome.Batch, i int, r *quality.Row) {
	r.Class = quality.NoClass
	if b.Predicted != nil {
		r.Class = int(b.Predicted[i])
	}
	label := b.Label[i]
	r.Labelled = label == label
	r.Label, r.Truth = 0, label
	switch g.task {
	case quality.Binary:
		if r.Score = math.NaN(); b.Score != nil {
			r.Score = b.Score[i]
		}
	case quality.Multiclass:
		if r.Scores = nil; b.Scores != nil {
			r.Scores = b.Scores[i*g.classes : (i+1)*g.classes]
		}
	default:
		r.Value = b.Score[i]
	}
	if r.Labelled && g.task != quality.Regression {
		r.Label = int(label)
	}
	at := b.At[i]
	r.Mature = at == 0 || at < g.mature
	r.Key = b.Cluster[i]
	r.Block = 0
	if at != 0 {
		r.Block = g.cluster.Block(time.UnixMilli(at))
	}
}

// Count counts the rows of a batch into one state, each weighing the same and all
// labels due: what a reference is made of.
func Count(into *quality.State, cluster quality.Cluster, b *outcome.Batch) {
	g := newReading(into.Layout(), cluster, time.Time{})
	var row quality.Row
	for i := range b.Rows {
		g.row(b, i, &row)
		into.Add(&row)
	}
}

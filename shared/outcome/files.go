package outcome

import (
	"context"
	"runtime"
	"strings"

	"github.com/tidegate/tidegate/shared/capture"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/profile"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/schema"
)

// File is a table of a user: CSV, NDJSON (plain, gzip or zstd) or Parquet.
type File struct {
	Name string // for messages
	profile.ReaderAtSize
}

// Predicted is the predictions of one model, in any number of files.
type Predicted struct {
	Files []File
	// Version tells the models apart; 0 is fine for one.
	Version int
}

// Names are those of the columns. Empty ones are not there, but for ID where there
// are label files, and Label.
type Names struct {
	ID         string
	Scores     []string // binary and regression: one; multiclass: one for each class
	Prediction string
	Time       string // of the prediction
	Key        string // rows of one key belong together
	Weight     string
	Segments   []string

	Label     string // in the label files, or else in those of the predictions
	LabelID   string // the id in the label files; "" = ID
	LabelTime string // when the label became known; the last one counts
}

// Files joins predictions and labels of files by an id, text or whole number. The
// same id in the predictions of two models is a pair: the first model's rows are
// those that were served.
//
// With label files, or an id, all predictions and labels are held: about
// 20 + 8·(scores and further columns) bytes a row of each. Without both, rows are
// handed out as they are read.
type Files struct {
	Task    schema.Task
	Classes []string // see [Spec]; of a multiclass task "" stands for the names of the score columns
	Names   Names

	Predictions []Predicted
	Labels      []File
	Workers     int // goroutines; 0 = one for each processor

	spec     Spec
	classes  *classes
	segments *Segments
	origins  []*Origin

	perPartition int64 // about how many rows a partition has; less in tests
}

// Join hands the joined rows to visit. Several workers call it at the same time, each
// with its own number, from 0, and its own batch: a state for each is enough.
//
// Errors: InvalidArgument, the names or the task do not fit the files, or a file is
// damaged or has no rows; what visit returns.
func (f *Files) Join(ctx context.Context, visit func(worker int, b *Batch) error) (Counts, error) {
	if err := f.prepare(); err != nil {
		return Counts{}, err
	}
	j := &filesJoin{Files: f, ctx: ctx, visit: visit, workers: f.Workers}
	if j.workers <= 0 {
		j.workers = runtime.GOMAXPROCS(0)
	}
	if err := j.open(); err != nil {
		return Counts{}, err
	}
	if err := j.read(); err != nil {
		return j.counts, err
	}
	if j.rows.Load() == 0 {
		return j.counts, fault.New(fault.InvalidArgument, "%s has no rows", f.Predictions[0].Files[0].Name)
	}
	err := j.joinParts()
	return j.counts, err
}

// Segments names the segments of the batches.
func (f *Files) Segments() *Segments { return f.segments }

// Width is the number of workers that Join uses, so that a caller can make a state for each.
func (f *Files) Width() int {
	if f.Workers > 0 {
		return f.Workers
	}
	return runtime.GOMAXPROCS(0)
}

func (f *Files) prepare() error {
	n := &f.Names
	f.spec = Spec{Task: f.Task, Classes: f.Classes, Prediction: n.Prediction, Segments: n.Segments, Score: strings.Join(n.Scores, ",")}
	if f.Task == schema.Multiclass && len(f.Classes) == 0 {
		f.spec.Classes = n.Scores
	}
	if err := f.spec.Check(); err != nil {
		return err
	}
	invalid := func(format string, args ...any) error { return fault.New(fault.InvalidArgument, format, args...) }
	switch want := f.spec.width(); {
	case len(f.Predictions) == 0 || len(f.Predictions[0].Files) == 0:
		return invalid("no file of predictions is named")
	case len(n.Scores) != want:
		return invalid("%d score columns are named, the task has %d", len(n.Scores), want)
	case n.ID == "" && (len(f.Labels) > 0 || len(f.Predictions) > 1):
		return invalid("the id column is not named: rows of two files can only be joined by one")
	case n.Label == "" && len(f.Labels) > 0:
		return invalid("the label column is not named")
	case len(f.Predictions) > 64:
		return invalid("%d models are more than the 64 that can be joined", len(f.Predictions))
	}
	f.classes = f.spec.classes()
	f.segments = newSegments(n.Segments)
	f.origins = nil
	if f.perPartition == 0 {
		f.perPartition = partitionRows
	}
	for i, p := range f.Predictions {
		o := &Origin{Index: i, Version: p.Version, Slot: registry.Champion, Role: capture.Served, Sampled: 1, Status: 200}
		if i > 0 {
			o.Slot, o.Role = registry.Challenger, capture.Paired
		}
		f.origins = append(f.origins, o)
	}
	return nil
}

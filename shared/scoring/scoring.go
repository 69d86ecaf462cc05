// Package scoring predicts the rows of a stored table by one version and writes
// the predictions once: the body of the score function.
//
// It feeds rows to the same checker and the same runtime that predict uses, in
// batches, and holds one batch at a time. It picks no version and judges nothing:
// evaluation, retraining and replay do that with what it wrote.
//
// Invariants: rows out are rows in, or there is no result. The result is one
// write-once object whose last line closes it; whoever repeats a delivery gets what
// is stored, without another run of the model.
//
//	s := &scoring.Scorer{Data: data, Registry: reg, Runtime: rt, …}
//	out, err := s.Run(ctx, scoring.In{Model: "flights", Version: 8, Run: run, Item: "000003", Source: scoring.Source{Key: "batches/flights/april.parquet"}})
package scoring

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/inference"
	"github.com/tidegate/tidegate/shared/provenance/signature"
	"github.com/tidegate/tidegate/shared/registry"
)

// In names rows and the version that is to predict them.
type In struct {
	Model   string `json:"model"`
	Version int    `json:"version"` // any READY one, in a slot or not
	Run     string `json:"run"`
	Item    string `json:"item"`
	Source  Source `json:"source"`
	// IDColumn holds an id for each row, which must be there; "" = rows are told by their number.
	IDColumn string   `json:"id_column,omitempty"`
	Keep     []string `json:"keep,omitempty"` // columns that are copied beside the predictions
}

// Source is a table: Parquet, CSV or NDJSON, the last two also compressed.
type Source struct {
	Bucket    string `json:"bucket,omitempty"` // the data bucket when empty
	Key       string `json:"key"`
	VersionID string `json:"version_id,omitempty"` // another one is refused
	RowGroups []int  `json:"row_groups,omitempty"` // of a Parquet file; nil: all rows
}

// Out is the answer: small numbers, and where the predictions are.
type Out struct {
	RowsIn  int64  `json:"rows_in"`
	RowsOut int64  `json:"rows_out"`
	URI     string `json:"uri"`
	Digest  string `json:"digest"`  // "sha256:<hex>" of the object without its last line, which holds it
	Created bool   `json:"created"` // false: an earlier delivery wrote it
}

// Opener reads ranges of objects.
type Opener interface {
	Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, blob.Info, error)
}

// Data is the part of blob.Store that is used of the data bucket.
type Data interface {
	Opener
	Put(ctx context.Context, key string, body []byte, cond blob.Condition) (blob.Info, error)
	PutStream(ctx context.Context, key string, r io.ReadSeeker, size int64, cond blob.Condition) (blob.Info, error)
}

// Limits bound one item.
type Limits struct {
	BatchRows   int           // most rows of one run of the model; default 1,000
	BatchTime   time.Duration // about how long one run may take; default 1 s
	ResultBytes int64         // most bytes of the predictions; default 5 GB, what S3 takes in one piece
	MemoryBytes int64         // what a model may need; 0 = anything
}

// LimitsFor are those of a process of so many megabytes; 0 = the defaults alone. A
// batch, the blocks of a table that are kept (32 MB) and the pages of a Parquet file need the rest.
func LimitsFor(memoryMB int) Limits { return Limits{MemoryBytes: int64(memoryMB) << 20 / 2} }

// Scorer scores items. It keeps the version that it used last in memory. All
// fields but Limits and Trust are required.
type Scorer struct {
	DataBucket, RegistryBucket string
	Data                       Data
	Models                     Opener // the registry bucket: training channels and uploads are tables too
	Registry                   *registry.Registry
	Runtime                    inference.Runtime
	Now                        func() time.Time
	Log                        *slog.Logger
	Dir                        string // for the predictions until they are complete
	Limits                     Limits
	Trust                      signature.Trust // whose signature a version needs; the zero value = nobody's

	mu   sync.Mutex // one item at a time: the version is closed when another one is asked for
	last *version
}

// Run scores the item in, or returns what an earlier delivery of it stored.
//
// Errors: InvalidArgument, a bad item, a table that cannot be read, or rows that
// the version's contract refuses, with row and column; NotFound, no such version or
// object; FailedPrecondition, the version has no trusted signature, the object was replaced, or the model fails on the
// rows or does not answer row by row; AlreadyExists, the item was scored with
// another input; PayloadTooLarge; ResourceExhausted, the model needs more memory;
// DeadlineExceeded; Unavailable; Internal.
func (s *Scorer) Run(ctx context.Context, in In) (Out, error) {
	if in.Source.Bucket == "" {
		in.Source.Bucket = s.DataBucket
	}
	if err := s.check(&in); err != nil {
		return Out{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := Key(in.Model, in.Run, in.Item)
	out, err := s.stored(ctx, key, &in)
	if !fault.Is(err, fault.NotFound) {
		return out, err
	}
	started := s.Now()
	out, err = s.score(ctx, key, &in)
	if err != nil {
		s.explain(ctx, &in, err)
		return Out{}, err
	}
	s.Log.InfoContext(ctx, "scored", "model", in.Model, "version", in.Version, "run", in.Run, "item", in.Item,
		"rows", out.RowsOut, "created", out.Created, "ms", s.Now().Sub(started).Milliseconds())
	return out, nil
}

func (s *Scorer) limits() Limits {
	l := s.Limits
	if l.BatchRows <= 0 {
		l.BatchRows = 1000
	}
	if l.BatchTime <= 0 {
		l.BatchTime = time.Second
	}
	if l.ResultBytes <= 0 {
		l.ResultBytes = 5_000_000_000
	}
	return l
}

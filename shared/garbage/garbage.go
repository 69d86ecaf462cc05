// Package garbage finds what nothing refers to in a registry bucket, and removes
// it: blobs of registrations that were given up, evidence of judgements that moved
// nothing, uploads, results of runs that came to nothing.
//
// What may go is named, what stays is everything else. An object is collected only
// if it lies under blobs/, uploads/ or runs/, is older than a limit, and no document
// mentions it. Every other object of the bucket is such a document, also of kinds that this
// program does not know: it is searched for digests as text, so no format has to be
// understood to be respected. Small blobs that are JSON are searched too, once something
// mentions them (docs/formats/garbage.md).
//
// Invariant: whatever a manifest, a log entry, a state, an approval, a dataset, a lease,
// a trigger or a kept run mentions stays, whoever writes to the bucket meanwhile. The
// protocol with writers: they write first what they are going to refer to, through
// registry.PutBlob, which writes a blob anew that is older than registry.RenewAfter; the
// collector looks at references after it has listed, and removes single versions that
// are older than the limit at that moment, so never one that was written since.
//
//	c := garbage.Collector{Bucket: store, Now: time.Now}
//	report, err := c.Find(ctx, garbage.Options{OlderThan: 7 * 24 * time.Hour})
//	err = c.Delete(ctx, report, nil)
package garbage

import (
	"context"
	"io"
	"iter"
	"time"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
)

// DefaultAge is the limit of age when none is asked for: the time that a person has
// for an approval, and evidence may be old, by the default policy.
const DefaultAge = 7 * 24 * time.Hour

// MinAge is the least limit, and MaxRun how long after its search a collection may remove. A writer that found a blob younger than
// registry.RenewAfter must have referred to it before that blob is as old as MinAge:
// it has MinAge − RenewAfter − MaxRun, six hours, and the longest step takes 15 minutes.
const (
	MinAge = 24 * time.Hour
	MaxRun = MinAge - registry.RenewAfter - 6*time.Hour
)

// DocumentAge is the limit for blobs that are JSON: evidence may be named by a person as long
// as the policy says it counts, which is a year at most (evidence_max_age_seconds), and reading it
// does not write it anew.
const DocumentAge = 366 * 24 * time.Hour

// Kinds of what is found.
const (
	Run        = "run"        // the results of a run: runs/<m>/<run>/
	Upload     = "upload"     // uploads/<id>/
	Blob       = "blob"       // blobs/sha256/<aa>/<digest>
	Unfinished = "unfinished" // a number without a manifest, which is kept
)

// Bucket is what a collector needs of a versioned bucket.
type Bucket interface {
	Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, blob.Info, error)
	Head(ctx context.Context, key string) (blob.Info, error)
	List(ctx context.Context, prefix, startAfter string) iter.Seq2[blob.Info, error]
	DeleteVersion(ctx context.Context, key, version string) error
}

// Collector finds and removes. Both fields are required.
type Collector struct {
	Bucket Bucket
	Now    func() time.Time
}

// Options say what to look for.
type Options struct {
	OlderThan time.Duration // 0 is DefaultAge; at least MinAge
	Model     string        // only runs and numbers of this model: blobs and uploads belong to none
}

// Item is one thing: a blob, or a folder of objects that live and die together.
type Item struct {
	Kind    string    `json:"kind"`
	Key     string    `json:"key"` // of a folder with the slash at its end
	Model   string    `json:"model,omitempty"`
	Reason  string    `json:"reason"`
	Objects int       `json:"objects"`
	Bytes   int64     `json:"bytes"`
	At      time.Time `json:"at"` // when the newest object of it was written

	keys []string
}

// Report is what a search found.
type Report struct {
	At      time.Time `json:"at"`     // when the search began
	Before  time.Time `json:"before"` // only what was written before this
	Garbage []Item    `json:"garbage"`
	Bytes   int64     `json:"bytes"`
	Objects int       `json:"objects"`
	Kept    []Item    `json:"kept"`   // looks like garbage, and stays
	Looked  int       `json:"looked"` // objects in the bucket
}

func (o Options) check() (Options, error) {
	if o.OlderThan == 0 {
		o.OlderThan = DefaultAge
	}
	if o.OlderThan < MinAge {
		return o, fault.Invalid(fault.Violation{Path: "older_than", Problem: "must be at least 24h: what is younger may be about to be referred to"})
	}
	if o.Model != "" {
		return o, registry.CheckName(o.Model)
	}
	return o, nil
}

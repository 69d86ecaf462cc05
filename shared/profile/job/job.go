// Package job is the body of the profile function: one object in, one stored
// profile per model out.
//
// It takes what S3 tells of a new object under captures/, and items of a batch job
// that name an object (or row groups of one) under batches/. What is counted, and
// how, is profile's; what the counts mean is drift's.
//
// Invariant: a profile is written once, under a key made of its source. Whatever
// is delivered twice, or out of order, or cut off and repeated, ends in the same
// profiles with the same bytes, and a repeated item has the same answer.
package job

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/profile"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/validate"
)

// The folders of the data bucket that are read.
const (
	captures = "captures/"
	batches  = "batches/"
)

// In is either an event of EventBridge, "Object Created" of an object under
// captures/ (then Detail is set and nothing else is looked at), or an item of a batch.
type In struct {
	Detail *Created `json:"detail,omitempty" validate:"omitempty"`
	Item
}

// Created is the part of the event that counts here. The key is not URL-encoded.
type Created struct {
	Bucket struct {
		Name string `json:"name"`
	} `json:"bucket"`
	Object struct {
		Key       string `json:"key"`
		VersionID string `json:"version-id"`
	} `json:"object"`
}

// Item is a part of a batch: an object, or row groups of a Parquet file.
type Item struct {
	Bucket    string `json:"bucket,omitempty"`
	Key       string `json:"key,omitempty"`
	VersionID string `json:"version_id,omitempty"` // as the plan saw it; another one is refused
	Model     string `json:"model,omitempty"`
	Version   int    `json:"version,omitempty"` // whose baseline is counted on; 0: the champion's
	Job       string `json:"job,omitempty"`
	ID        string `json:"item,omitempty"`
	RowGroups []int  `json:"row_groups,omitempty"` // nil: the whole object
}

// UnmarshalJSON takes an event with whatever else AWS puts into it, and an item
// strictly.
func (in *In) UnmarshalJSON(raw []byte) error {
	var event struct{ Detail *Created }
	if err := json.Unmarshal(raw, &event); err == nil && event.Detail != nil {
		*in = In{Detail: event.Detail}
		return nil
	}
	*in = In{}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	return dec.Decode(&in.Item)
}

// Out is the answer: small numbers, and where the counts are.
type Out struct {
	Rows        uint64 `json:"rows"`
	RowsLeftOut uint64 `json:"rows_left_out"`     // read and not counted; the profile says why
	Profile     string `json:"profile,omitempty"` // key of an item's profile
	// Of a captures object:
	Profiles   []string `json:"profiles,omitempty"` // a key for each model
	Duplicates uint64   `json:"duplicates,omitempty"`
	// Gone says that the object was deleted or replaced before it was read.
	Gone bool `json:"gone,omitempty"`
}

// Data is the part of blob.Store that is used of the data bucket.
type Data interface {
	profile.Opener
	Get(ctx context.Context, key string) (blob.Object, error)
	Put(ctx context.Context, key string, body []byte, cond blob.Condition) (blob.Info, error)
}

// Job profiles objects of one bucket. All fields are required.
type Job struct {
	Bucket   string // the data bucket, as events and items name it
	Data     Data
	Registry *registry.Registry
	Log      *slog.Logger

	mu    sync.Mutex
	known map[version]baseline // the last few: versions never change
}

type version struct {
	model  string
	number int
}

type baseline struct {
	*profile.Baseline
	digest string
}

// maxKnown bounds the baselines that are kept between calls: most are below a
// megabyte, one with a million seen categories has 40.
const maxKnown = 4

// Run profiles what in names.
//
// Errors: InvalidArgument, a bad item or an object that is no table; NotFound, no
// such model or version; FailedPrecondition, no champion, or the object is another
// than the plan saw; AlreadyExists, the item of that job is another object;
// PayloadTooLarge; DeadlineExceeded; Unavailable; Internal.
func (j *Job) Run(ctx context.Context, in In) (Out, error) {
	if in.Detail != nil {
		return j.event(ctx, in.Detail)
	}
	return j.item(ctx, in.Item)
}

func (j *Job) baseline(ctx context.Context, model string, number int) (*profile.Baseline, string, error) {
	key := version{model, number}
	j.mu.Lock()
	b, ok := j.known[key]
	j.mu.Unlock()
	if ok {
		return b.Baseline, b.digest, nil
	}
	loaded, digest, err := profile.LoadBaseline(ctx, j.Registry, model, number)
	if err != nil {
		return nil, "", err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.known == nil || len(j.known) >= maxKnown {
		j.known = map[version]baseline{}
	}
	j.known[key] = baseline{loaded, digest}
	return loaded, digest, nil
}

// store writes d once and returns what is stored: d, or what an earlier call wrote.
func (j *Job) store(ctx context.Context, key string, d *profile.Document) (*profile.Document, error) {
	raw, err := d.Encode()
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the profile cannot be encoded")
	}
	_, err = j.Data.Put(ctx, key, raw, blob.Once())
	if fault.Is(err, fault.FailedPrecondition) {
		return j.stored(ctx, key)
	}
	return d, err
}

// stored reads a profile.
func (j *Job) stored(ctx context.Context, key string) (*profile.Document, error) {
	obj, err := j.Data.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	return profile.ParseDocument(obj.Body)
}

// Names of jobs and items go into keys.
var namePattern = validate.NewPattern(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

func (j *Job) check(i *Item) error {
	var faults []fault.Violation
	bad := func(path, problem string) { faults = append(faults, fault.Violation{Path: path, Problem: problem}) }
	if i.Bucket != j.Bucket {
		bad("bucket", "must be the data bucket of this stack")
	}
	if !strings.HasPrefix(i.Key, batches) || strings.HasSuffix(i.Key, "/") {
		bad("key", "must be an object under batches/")
	}
	if registry.CheckName(i.Model) != nil {
		bad("model", "must be the name of a model")
	}
	if i.Version != 0 && registry.CheckVersion(i.Version) != nil {
		bad("version", "must be the number of a version; leave it out for the champion")
	}
	if !namePattern.MatchString(i.Job) {
		bad("job", "must be 1 to 128 letters, digits, dots, hyphens and underscores")
	}
	if !namePattern.MatchString(i.ID) {
		bad("item", "must be 1 to 128 letters, digits, dots, hyphens and underscores")
	}
	for k, g := range i.RowGroups {
		if g < 0 || k > 0 && g <= i.RowGroups[k-1] {
			bad("row_groups", "must be numbers of row groups, from 0, ascending")
			break
		}
	}
	if len(faults) > 0 {
		return fault.Invalid(faults...)
	}
	return nil
}

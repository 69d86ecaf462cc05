package dataset

import (
	"context"
	"fmt"
	"io"
	"iter"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/fault"
)

// Bucket is the part of a store that sources are read from.
type Bucket interface {
	List(ctx context.Context, prefix, startAfter string) iter.Seq2[blob.Info, error]
	Head(ctx context.Context, key string) (blob.Info, error)
	// OpenVersion streams a version of an object; "" is the newest.
	OpenVersion(ctx context.Context, key, version string, offset, length int64) (io.ReadCloser, blob.Info, error)
}

// Prefix is where tables of training rows are.
type Prefix struct {
	Bucket string `json:"bucket,omitempty"`
	Prefix string `json:"prefix"`
	Suffix string `json:"suffix,omitempty"` // keys that end otherwise are passed over
}

// URI is how people name the place.
func (p *Prefix) URI() string { return "s3://" + p.Bucket + "/" + p.Prefix }

// heads is how many objects are looked at at a time.
const heads = 16

// tables lists and pins the objects of the prefixes, in the order of the prefixes and
// of the keys. An object that two prefixes hold is one.
func (b *Builder) tables(ctx context.Context, prefixes []Prefix) ([]Source, error) {
	var found []Source
	for i := range prefixes {
		p := &prefixes[i]
		bucket, ok := b.Buckets[p.Bucket]
		if !ok {
			return nil, fault.Invalid(fault.Violation{Path: fmt.Sprintf("sources[%d].bucket", i), Problem: "is not a bucket that training data is read from; name the stack's data bucket, or the one of the parameter DatasetBucket"})
		}
		before := len(found)
		for info, err := range bucket.List(ctx, p.Prefix, "") {
			if err != nil {
				return nil, fmt.Errorf("dataset: list %s: %w", p.URI(), err)
			}
			if !data(info.Key, p) {
				continue
			}
			if found = append(found, Source{Kind: Table, Bucket: p.Bucket, Key: info.Key}); len(found) > b.limits().Objects {
				return nil, tooMany(b.limits().Objects)
			}
		}
		if len(found) == before {
			return nil, fault.New(fault.FailedPrecondition, "there are no objects under %s; put training rows there (CSV, NDJSON or Parquet), or change retrain.sources in the settings", p.URI())
		}
	}
	return b.pinAll(ctx, distinct(found))
}

// data says whether a key holds rows: programs mark what does not by a leading _ or a dot.
func data(key string, p *Prefix) bool {
	name := path.Base(key)
	return !strings.HasSuffix(key, "/") && !strings.HasPrefix(name, "_") && !strings.HasPrefix(name, ".") && strings.HasSuffix(key, p.Suffix)
}

func distinct(sources []Source) []Source {
	seen := map[string]bool{}
	return slices.DeleteFunc(sources, func(s Source) bool {
		twice := seen[s.URI()]
		seen[s.URI()] = true
		return twice
	})
}

func tooMany(limit int) error {
	return fault.New(fault.PayloadTooLarge, "the sources hold more than %d objects; join small files into larger ones, or narrow the prefixes or the window of outcomes", limit)
}

// pinAll notes the newest version of each object: from here on nothing else is read.
func (b *Builder) pinAll(ctx context.Context, sources []Source) ([]Source, error) {
	errs := make([]error, len(sources))
	var running sync.WaitGroup
	slots := make(chan struct{}, heads)
	for i := range sources {
		running.Add(1)
		slots <- struct{}{}
		go func() {
			defer running.Done()
			defer func() { <-slots }()
			s := &sources[i]
			info, err := b.Buckets[s.Bucket].Head(ctx, s.Key)
			if errs[i] = gone(err, s); err == nil {
				s.VersionID, s.ETag, s.Size = info.VersionID, info.ETag, info.Size
			}
		}()
	}
	running.Wait()
	for _, err := range errs { // the first by order, so that a repeated call says the same
		if err != nil {
			return nil, err
		}
	}
	return sources, nil
}

// open streams a source as it was pinned.
func (b *Builder) open(ctx context.Context, s *Source, offset, length int64) (io.ReadCloser, blob.Info, error) {
	body, info, err := b.Buckets[s.Bucket].OpenVersion(ctx, s.Key, s.VersionID, offset, length)
	if err != nil {
		return nil, info, gone(err, s)
	}
	if info.ETag != s.ETag || info.Size != s.Size {
		_ = body.Close()
		return nil, info, fault.New(fault.FailedPrecondition, "training file %s was replaced while it was read, and its bucket keeps no versions; start again when nobody writes to it, or turn on versioning", s.URI())
	}
	return body, info, nil
}

// gone makes the absence of an object that was listed a refusal that names it.
func gone(err error, s *Source) error {
	switch {
	case err == nil:
		return nil
	case fault.Is(err, fault.NotFound) && s.VersionID != "":
		return fault.Wrap(err, fault.FailedPrecondition, "version %s of the training file %s was deleted; restore it, or start again with what is there now", s.VersionID, s.URI())
	case fault.Is(err, fault.NotFound):
		return fault.Wrap(err, fault.FailedPrecondition, "the training file %s was deleted after it was listed; restore it, or start again with what is there now", s.URI())
	}
	return fmt.Errorf("dataset: %s: %w", s.URI(), err)
}

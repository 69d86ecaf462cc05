// Package blob is the one storage port: whole objects under string keys, read
// with their ETag and written unconditionally, once, or by compare-and-swap.
//
// It is not a file system and has no rename, append or delete: everything in
// Tidegate is either written once or moves by compare-and-swap, and lifecycle
// rules remove what is old. What nothing refers to is removed by a person, through
// shared/garbage, which has a port of its own. Adapters: [Memory] here and S3 in blob/s3. The suite
// in blob/blobtest holds both to the same behaviour.
//
// A store answers with exactly these kinds of fault:
//
//	NotFound            no object under the key (also If-Match on an absent key)
//	FailedPrecondition  the condition did not hold: 412. It does NOT mean that this write lost: an
//	                    earlier try whose answer was dropped may have won (PROTOCOLS §2)
//	Aborted             409 ConditionalRequestConflict: decide nothing, read again
//	Unavailable         503, throttling, connection lost, time-out: the write may have happened. A context
//	                    that ended is Unavailable too, with its error as the cause
//	Internal            access denied, no such bucket, anything else that a retry does not mend
//
//	obj, err := store.Get(ctx, "models/flights/state.json")
//	…
//	_, err = store.Put(ctx, obj.Key, next, blob.Match(obj.ETag))
//	if fault.Is(err, fault.FailedPrecondition) { … read again; do not conclude … }
package blob

import (
	"context"
	"io"
	"iter"
	"time"
)

// Object is one stored object with its content.
type Object struct {
	Info
	Body []byte
}

// Info describes a stored object.
type Info struct {
	Key       string
	ETag      string // opaque; compare for equality only
	Size      int64  // bytes
	VersionID string // empty where the store is not versioned
	Modified  time.Time
}

// Condition says when a Put may write.
type Condition struct {
	IfAbsent bool   // If-None-Match: *
	IfMatch  string // If-Match: this ETag
}

// Once is the condition of a write-once key.
func Once() Condition { return Condition{IfAbsent: true} }

// Match is the condition of a compare-and-swap against etag.
func Match(etag string) Condition { return Condition{IfMatch: etag} }

// Always is the empty condition: a put of a unique key.
func Always() Condition { return Condition{} }

// Store is what a bucket can do. Consumers declare the part they need as their
// own interface where that is less than this.
type Store interface {
	// Get reads the whole object.
	Get(ctx context.Context, key string) (Object, error)
	// GetIfChanged reads the object unless its ETag is etag: then changed is false and only Info.ETag is set.
	GetIfChanged(ctx context.Context, key, etag string) (obj Object, changed bool, err error)
	// Open streams the object from offset; length < 0 reads to the end. A range that reaches beyond
	// the end gives what there is, possibly nothing. Info.Size is the size of the whole object.
	Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, Info, error)
	// Head describes the object without its content.
	Head(ctx context.Context, key string) (Info, error)
	// Put writes body under key if cond holds. A conditional put is sent once, without retries.
	Put(ctx context.Context, key string, body []byte, cond Condition) (Info, error)
	// PutStream writes exactly size bytes read from r's current position; for bodies that should not be
	// in memory twice (models). An r that ends sooner is Internal and writes nothing.
	PutStream(ctx context.Context, key string, r io.ReadSeeker, size int64, cond Condition) (Info, error)
	// List yields the objects whose key starts with prefix and sorts after startAfter, in the order of
	// the keys' bytes; an error ends it. Listed entries have no VersionID.
	List(ctx context.Context, prefix, startAfter string) iter.Seq2[Info, error]
}

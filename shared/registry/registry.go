package registry

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"strings"
	"time"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/pause"
)

// Options replace what a registry takes from its surroundings; the zero value is
// the real clock, real sleep and real randomness.
type Options struct {
	Now   func() time.Time
	Sleep func(ctx context.Context, d time.Duration) error // nil error, or ctx's when it ends first
	Rand  func() float64                                   // [0, 1)
	NewID func() string                                    // unique per call
}

// Registry keeps models, versions, settings, states and logs in one bucket. Its
// methods may be called concurrently.
//
// Reads do not retry (the S3 adapter does); they are Unavailable when the store
// is. Writes retry what a lost answer leaves open until they know the outcome,
// ctx ends or the store has refused ten times.
type Registry struct {
	store blob.Store
	opt   Options
}

// New returns the registry in store.
func New(store blob.Store, opt Options) *Registry {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.Sleep == nil {
		opt.Sleep = pause.For
	}
	if opt.Rand == nil {
		opt.Rand = mathrand.Float64
	}
	if opt.NewID == nil {
		opt.NewID = rand.Text
	}
	return &Registry{store: store, opt: opt}
}

// Now is the time by the registry's clock, in UTC and whole milliseconds: that of
// guards and log entries.
func (r *Registry) Now() time.Time { return r.now() }

func (r *Registry) now() time.Time { return r.opt.Now().UTC().Truncate(time.Millisecond) }

// Waits between tries are drawn from [0, min(maxWait, baseWait·2^try)): full
// jitter, so that colliding writers spread (Brooker, "Exponential Backoff And
// Jitter", AWS Architecture Blog 2015).
const (
	baseWait = 20 * time.Millisecond
	maxWait  = 2 * time.Second
	maxTries = 10
)

// wait sleeps before the given try (1 is the second) with full jitter.
func (r *Registry) wait(ctx context.Context, try int) error {
	bound := maxWait
	if try < 8 { // beyond, the shift passes maxWait anyway
		bound = min(maxWait, baseWait<<try)
	}
	err := r.opt.Sleep(ctx, time.Duration(r.opt.Rand()*float64(bound)))
	return fault.Wrap(err, fault.Unavailable, "the time for the registry is used up; try again")
}

// open says whether err leaves open what happened, so that the call must be repeated.
func open(err error) bool { return fault.Is(err, fault.Unavailable) || fault.Is(err, fault.Aborted) }

// persist repeats call while its outcome is open.
func (r *Registry) persist(ctx context.Context, call func() error) error {
	for try := 1; ; try++ {
		err := call()
		if err == nil || !open(err) || try == maxTries || ctx.Err() != nil {
			return err
		}
		if ended := r.wait(ctx, try); ended != nil {
			return errors.Join(err, ended)
		}
	}
}

// putOnce writes body under a write-once key. When the key is taken it returns
// what is stored there; created is true iff that is body itself, be it that an
// earlier try whose answer was lost wrote it.
func (r *Registry) putOnce(ctx context.Context, key string, body []byte) (stored []byte, created bool, err error) {
	err = r.persist(ctx, func() error {
		_, err := r.store.Put(ctx, key, body, blob.Once())
		if !fault.Is(err, fault.FailedPrecondition) {
			stored = body
			return err
		}
		obj, err := r.store.Get(ctx, key)
		stored = obj.Body
		return err
	})
	if err != nil {
		return nil, false, err
	}
	return stored, bytes.Equal(stored, body), nil
}

// encode writes a document the way every write-once one is stored: indented, for
// people, with a final newline.
func encode(doc any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(doc); err != nil {
		return nil, fault.Wrap(err, fault.Internal, "a registry document cannot be encoded")
	}
	return b.Bytes(), nil
}

// decode reads a stored document. Unknown fields are tolerated, so that an older
// program reads what a newer one wrote under the same format version.
func decode(key string, body []byte, doc any) error {
	if err := json.Unmarshal(body, doc); err != nil {
		return damaged(key, err)
	}
	return nil
}

// damaged is the alarm for a stored object that cannot be what we wrote.
func damaged(key string, cause error) error {
	advice := "restore an older version of the object"
	if strings.HasSuffix(key, "/state.json") {
		advice = "restore it from the newest entry under log/ (docs/formats/registry.md, Repair)"
	}
	return fault.Wrap(cause, fault.Internal, "%s is damaged; %s", key, advice)
}

func tooNew(key string, have, know int) error {
	return damaged(key, fmt.Errorf("format version %d, this program knows up to %d; deploy the newer release", have, know))
}

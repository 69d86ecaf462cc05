package blobtest

import (
	"context"
	"errors"
	"io"
	"iter"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/fault"
)

// Faults are the shares (0..1) of calls that go wrong, and how.
type Faults struct {
	// DropAnswers performs the call and loses its answer: Unavailable, though a write happened.
	DropAnswers float64
	// Precondition412 performs a conditional write, loses the answer inside the client and repeats it:
	// the caller is told 412 about its own success, as by an SDK that retries.
	Precondition412 float64
	// Conflict409 refuses a conditional write that did not happen: Aborted.
	Conflict409 float64
	// Unavailable503 refuses any call without an effect.
	Unavailable503 float64
	// Slow delays a call by up to Delay (1 ms when zero), half of it before and half after its effect.
	Slow  float64
	Delay time.Duration
}

// Storm is the mix of the property tests: a quarter of the answers lost, and
// some of everything else.
func Storm() Faults {
	return Faults{DropAnswers: 0.25, Precondition412: 0.05, Conflict409: 0.1, Unavailable503: 0.05, Slow: 0.1}
}

// FaultyStore wraps a store and makes a seeded share of its calls fail the way
// S3 behind a network fails, with their real effects.
type FaultyStore struct {
	store  blob.Store
	faults Faults

	mu       sync.Mutex
	rng      *rand.Rand
	injected map[string]int
}

// Faulty wraps store. Equal seeds draw equal sequences; with several callers
// the order in which they draw is theirs.
func Faulty(store blob.Store, seed uint64, faults Faults) *FaultyStore {
	return &FaultyStore{store: store, faults: faults, rng: rand.New(rand.NewPCG(seed, 0x7464)), injected: map[string]int{}}
}

// Injected says how often each fault struck, by the name of its field.
func (f *FaultyStore) Injected() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	counts := map[string]int{}
	for k, n := range f.injected {
		counts[k] = n
	}
	return counts
}

func (f *FaultyStore) strikes(name string, share float64) bool {
	if share <= 0 {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.rng.Float64() >= share {
		return false
	}
	f.injected[name]++
	return true
}

func (f *FaultyStore) lag(ctx context.Context) time.Duration {
	if !f.strikes("Slow", f.faults.Slow) {
		return 0
	}
	limit := f.faults.Delay
	if limit == 0 {
		limit = time.Millisecond
	}
	f.mu.Lock()
	half := time.Duration(f.rng.Int64N(int64(limit))) / 2
	f.mu.Unlock()
	pause(ctx, half)
	return half
}

func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// call runs one operation under the faults that any operation can have.
func call[T any](ctx context.Context, f *FaultyStore, key string, op func() (T, error)) (T, error) {
	var none T
	half := f.lag(ctx)
	if f.strikes("Unavailable503", f.faults.Unavailable503) {
		return none, fault.New(fault.Unavailable, "injected: 503 for %s", key)
	}
	result, err := op()
	pause(ctx, half)
	if f.strikes("DropAnswers", f.faults.DropAnswers) {
		return none, fault.New(fault.Unavailable, "injected: the answer for %s was lost", key)
	}
	return result, err
}

func (f *FaultyStore) write(ctx context.Context, key string, cond blob.Condition, put func() (blob.Info, error)) (blob.Info, error) {
	return call(ctx, f, key, func() (blob.Info, error) {
		if cond == blob.Always() {
			return put()
		}
		if f.strikes("Conflict409", f.faults.Conflict409) {
			return blob.Info{}, fault.New(fault.Aborted, "injected: 409 for %s", key)
		}
		info, err := put()
		if err == nil && f.strikes("Precondition412", f.faults.Precondition412) {
			return blob.Info{}, fault.New(fault.FailedPrecondition, "injected: 412 for a repeated write of %s", key)
		}
		return info, err
	})
}

// Put implements [blob.Store].
func (f *FaultyStore) Put(ctx context.Context, key string, body []byte, cond blob.Condition) (blob.Info, error) {
	return f.write(ctx, key, cond, func() (blob.Info, error) { return f.store.Put(ctx, key, body, cond) })
}

// PutStream implements [blob.Store].
func (f *FaultyStore) PutStream(ctx context.Context, key string, r io.ReadSeeker, size int64, cond blob.Condition) (blob.Info, error) {
	return f.write(ctx, key, cond, func() (blob.Info, error) { return f.store.PutStream(ctx, key, r, size, cond) })
}

// Get implements [blob.Store].
func (f *FaultyStore) Get(ctx context.Context, key string) (blob.Object, error) {
	return call(ctx, f, key, func() (blob.Object, error) { return f.store.Get(ctx, key) })
}

// Head implements [blob.Store].
func (f *FaultyStore) Head(ctx context.Context, key string) (blob.Info, error) {
	return call(ctx, f, key, func() (blob.Info, error) { return f.store.Head(ctx, key) })
}

// GetIfChanged implements [blob.Store].
func (f *FaultyStore) GetIfChanged(ctx context.Context, key, etag string) (blob.Object, bool, error) {
	type answer struct {
		obj     blob.Object
		changed bool
	}
	a, err := call(ctx, f, key, func() (answer, error) {
		obj, changed, err := f.store.GetIfChanged(ctx, key, etag)
		return answer{obj, changed}, err
	})
	return a.obj, a.changed, err
}

// Open implements [blob.Store].
func (f *FaultyStore) Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, blob.Info, error) {
	var opened io.ReadCloser
	info, err := call(ctx, f, key, func() (info blob.Info, err error) {
		opened, info, err = f.store.Open(ctx, key, offset, length)
		return info, err
	})
	if err != nil {
		if opened != nil { // its answer was lost: nobody else can close it
			err = errors.Join(err, opened.Close())
		}
		return nil, blob.Info{}, err
	}
	return opened, info, nil
}

// List implements [blob.Store]; a fault strikes before the first entry.
func (f *FaultyStore) List(ctx context.Context, prefix, startAfter string) iter.Seq2[blob.Info, error] {
	return func(yield func(blob.Info, error) bool) {
		if _, err := call(ctx, f, prefix, func() (struct{}, error) { return struct{}{}, nil }); err != nil {
			yield(blob.Info{}, err)
			return
		}
		for info, err := range f.store.List(ctx, prefix, startAfter) {
			if !yield(info, err) {
				return
			}
		}
	}
}

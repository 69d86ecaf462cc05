// Package inferencetest sets up registries with versions to serve, and a runtime
// whose sessions a test can watch, slow down and break. It is for tests only.
package inferencetest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/schema"
)

// World is a registry in memory.
type World struct {
	tb       testing.TB
	Store    *blob.Memory
	Registry *registry.Registry
	moves    int
}

// New makes an empty world.
func New(tb testing.TB) *World {
	store := new(blob.Memory)
	return &World{tb: tb, Store: store, Registry: registry.New(store, registry.Options{})}
}

// Publish registers a READY version: the model file's bytes under the schema.
func (w *World) Publish(model string, version int, file []byte, s schema.Schema) registry.Ref {
	w.tb.Helper()
	ctx := w.tb.Context()
	document, err := s.Encode()
	w.must(err)
	files := []registry.File{
		{Path: "model.onnx", Size: int64(len(file)), SHA256: digest(file), Blob: true},
		{Path: "schema.json", Size: int64(len(document)), SHA256: digest(document)},
	}
	w.must(w.Registry.PutBlob(ctx, digest(file), bytes.NewReader(file), int64(len(file))))
	_, err = w.Registry.PutVersionFile(ctx, model, version, "schema.json", document)
	w.must(err)
	manifest := registry.Manifest{Model: model, Version: version, Digest: registry.ContentDigest(files), Files: files, Runtime: "test"}
	_, _, err = w.Registry.PutManifest(ctx, manifest)
	w.must(err)
	return registry.Ref{Version: version, Digest: manifest.Digest}
}

// Serve makes ref the champion: the first one, or by a promotion that leaves the
// old champion as previous.
func (w *World) Serve(model string, ref registry.Ref) registry.State {
	w.tb.Helper()
	if _, err := w.Store.Head(w.tb.Context(), registry.StateKey(model)); err != nil {
		return w.Apply(model, registry.Bootstrap(ref))
	}
	return w.Apply(model, registry.Change{Kind: registry.KindPromote, Apply: func(next *registry.State, _ time.Time) error {
		next.Slots.Previous, next.Slots.Champion = next.Slots.Champion, &ref
		next.Slots.Challenger, next.Rollout, next.Weights = nil, nil, registry.Weights{}
		return nil
	}})
}

// Challenge starts a rollout of ref at weight, in hundredths of a percent.
func (w *World) Challenge(model string, ref registry.Ref, weight int) registry.State {
	w.tb.Helper()
	return w.Apply(model, registry.Change{Kind: "rollout.start", Apply: func(next *registry.State, _ time.Time) error {
		next.Slots.Challenger, next.Weights.Challenger = &ref, weight
		next.Rollout = &registry.Rollout{ID: fmt.Sprintf("rollout-%d", next.Generation), Owner: "test", Status: "progressing"}
		return nil
	}})
}

// Configure puts settings in force.
func (w *World) Configure(model string, s registry.Settings) registry.State {
	w.tb.Helper()
	digest, err := w.Registry.PutSettings(w.tb.Context(), model, s)
	w.must(err)
	return w.Apply(model, registry.Configure(digest))
}

// Apply makes one transition.
func (w *World) Apply(model string, change registry.Change) registry.State {
	w.tb.Helper()
	w.moves++
	done, err := w.Registry.Apply(w.tb.Context(), model, registry.Request{TransitionID: fmt.Sprintf("test-%d", w.moves), Actor: "test", SeenGeneration: 0}, change)
	w.must(err)
	return done.State
}

// Overwrite puts body under key, whatever is there: damage that the registry
// itself never does.
func (w *World) Overwrite(key string, body []byte) {
	w.tb.Helper()
	_, err := w.Store.Put(w.tb.Context(), key, body, blob.Always())
	w.must(err)
}

func (w *World) must(err error) {
	w.tb.Helper()
	if err != nil {
		w.tb.Fatal(err)
	}
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// Clock is a clock that tests set.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock starts at a fixed time.
func NewClock() *Clock { return &Clock{now: time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)} }

// Now tells the time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Pass moves the clock on.
func (c *Clock) Pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Counts adds up what is reported by name.
type Counts struct {
	mu sync.Mutex
	n  map[string]int64
}

// Add adds n to a name.
func (c *Counts) Add(name string, n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = map[string]int64{}
	}
	c.n[name] += n
}

// All returns the sums so far.
func (c *Counts) All() map[string]int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.n)
}

// Of returns the sum of a name.
func (c *Counts) Of(name string) int64 { return c.All()[name] }

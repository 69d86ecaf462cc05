package dataset

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
)

const flightsSchema = `{"v": 1, "task": "binary_classification", "target": "late", "time": "when",
 "columns": [{"name": "delay", "type": "number"}, {"name": "carrier", "type": "category"}], "drop": ["flight"]}`

var now = time.Date(2026, 4, 6, 14, 30, 0, 0, time.UTC)

// world is a bucket of sources and a registry.
type world struct {
	t        *testing.T
	data     *blob.Memory
	registry *registry.Registry
	store    *blob.Memory
	builder  Builder
	schema   *Schema
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, data: &blob.Memory{}, store: &blob.Memory{}}
	w.registry = registry.New(w.store, registry.Options{Now: func() time.Time { return now }, Sleep: func(context.Context, time.Duration) error { return nil }})
	w.builder = Builder{Buckets: map[string]Bucket{"data": w.data}, Registry: w.registry, Now: func() time.Time { return now }, Dir: t.TempDir()}
	w.schema = w.parse(flightsSchema)
	return w
}

func (w *world) parse(doc string) *Schema {
	w.t.Helper()
	s, err := ParseSchema([]byte(doc))
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *world) put(key, body string) {
	w.t.Helper()
	if _, err := w.data.Put(w.t.Context(), key, []byte(body), blob.Always()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) request(prefixes ...string) Request {
	r := Request{Name: "flights", Schema: w.schema}
	for _, p := range prefixes {
		r.Prefixes = append(r.Prefixes, Prefix{Bucket: "data", Prefix: p})
	}
	return r
}

func (w *world) build(prefixes ...string) Built {
	w.t.Helper()
	built, err := w.builder.Build(w.t.Context(), w.request(prefixes...))
	if err != nil {
		w.t.Fatalf("Build: %v", err)
	}
	return built
}

func (w *world) refused(kind fault.Kind, text string, in Request) {
	w.t.Helper()
	_, err := w.builder.Build(w.t.Context(), in)
	if !fault.Is(err, kind) || !strings.Contains(fault.Public(err).Message, text) {
		w.t.Errorf("Build: %v; want %s with %q", err, kind, text)
	}
}

// channel is the stored channel of a dataset.
func (w *world) channel(b Built) string {
	w.t.Helper()
	body, err := w.registry.ReadBlob(w.t.Context(), b.Digest)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(body)
}

// month is a table of n rows of a month, hour by hour.
func month(m, n int) string {
	var b strings.Builder
	b.WriteString("flight,when,delay,carrier,late\n")
	for i := range n {
		fmt.Fprintf(&b, "UA%d,2013-%02d-%02dT%02d:00:00Z,%d.5,UA,%d\n", i, m, 1+i/24, i%24, i, i%2)
	}
	return b.String()
}

// meddled is a bucket to which something happens right before an object is read.
type meddled struct {
	*blob.Memory
	before func(key string)
}

func (m *meddled) OpenVersion(ctx context.Context, key, version string, offset, length int64) (io.ReadCloser, blob.Info, error) {
	if m.before != nil {
		m.before(key)
	}
	return m.Memory.OpenVersion(ctx, key, version, offset, length)
}

// discarding is a registry's store that keeps no blobs.
type discarding struct{ blob.Memory }

func (d *discarding) PutStream(ctx context.Context, key string, r io.ReadSeeker, size int64, cond blob.Condition) (blob.Info, error) {
	_, err := io.Copy(io.Discard, r)
	return blob.Info{Key: key, Size: size}, err
}

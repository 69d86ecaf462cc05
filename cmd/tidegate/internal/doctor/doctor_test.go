package doctor

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
)

type api struct{ ready, model error }

func (a api) Ready(context.Context) (time.Duration, error)     { return 40 * time.Millisecond, a.ready }
func (a api) ModelReady(_ context.Context, model string) error { return a.model }

func bucket(versioned, events bool, err error) func(context.Context) (bool, bool, error) {
	return func(context.Context) (bool, bool, error) { return versioned, events, err }
}

// healthy is a stack with one model, one version and two generations.
func healthy(t *testing.T) (*Stack, *blob.Memory) {
	t.Helper()
	ctx := context.Background()
	store := &blob.Memory{}
	reg := registry.New(store, registry.Options{})
	if _, _, err := reg.CreateModel(ctx, registry.Model{Name: "iris"}); err != nil {
		t.Fatal(err)
	}
	body := []byte("onnx")
	file := registry.File{Path: "model.onnx", Size: int64(len(body)), SHA256: sum(body), Blob: true}
	if err := reg.PutBlob(ctx, "sha256:"+file.SHA256, bytes.NewReader(body), file.Size); err != nil {
		t.Fatal(err)
	}
	digest := registry.ContentDigest([]registry.File{file})
	v, err := reg.Claim(ctx, "iris", digest, "test")
	if err != nil {
		t.Fatal(err)
	}
	m := registry.Manifest{Model: "iris", Version: v, Digest: digest, Files: []registry.File{file}, Runtime: "onnxruntime 1.27.0", Parity: registry.Parity{Checked: true, Rows: 9, MaxAbsDiff: 1e-7}}
	if _, _, err := reg.PutManifest(ctx, m); err != nil {
		t.Fatal(err)
	}
	settings, err := reg.PutSettings(ctx, "iris", registry.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	for i, change := range []registry.Change{registry.Bootstrap(registry.Ref{Version: v, Digest: digest}), registry.Configure(settings)} {
		if _, err := reg.Apply(ctx, "iris", registry.Request{TransitionID: fmt.Sprint("t", i), SeenGeneration: int64(i), Actor: "test"}, change); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	return &Stack{Registry: store, Data: &blob.Memory{}, API: api{}, Now: time.Now, NewID: func() string { n++; return fmt.Sprint(n) },
		Buckets: map[string]func(context.Context) (bool, bool, error){"data bucket": bucket(true, true, nil), "registry bucket": bucket(true, true, nil)}}, store
}

func run(s *Stack) map[string]Check {
	checks := map[string]Check{}
	s.Run(context.Background(), func(c Check) { checks[c.Name] = c })
	return checks
}

func TestHealthy(t *testing.T) {
	s, _ := healthy(t)
	var got []string
	s.Run(context.Background(), func(c Check) { got = append(got, fmt.Sprintf("%s %s: %s", c.Status, c.Name, c.Detail)) })
	want := []string{
		"ok registry bucket: readable, 8 objects under models/, ", // and a size, which is the registry's business
		"ok data bucket: readable, 0 objects under captures/, 0 bytes",
		"ok data bucket: settings: it keeps old versions of objects, and sends its events to EventBridge",
		"ok registry bucket: settings: it keeps old versions of objects, and sends its events to EventBridge",
		"ok absent keys: reading answers 404, and so does If-Match",
		"ok compare and swap: 16 writers, 10 rounds: one winner in 10, 0 undecided",
		"ok prediction API: ready, answered in 40 ms",
		"ok model iris: log: 2 generations, no gap, the newest is the state",
		"ok model iris: version 1: 1 files match their digests, onnxruntime 1.27.0, parity 1e-07 over 9 rows",
		"ok model iris: serving: version 1 is loaded and answers",
	}
	if len(got) != len(want) {
		t.Fatalf("%d checks:\n%s", len(got), strings.Join(got, "\n"))
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Error(cmp.Diff(want[i], got[i]))
		}
	}
}

func TestWhatIsFound(t *testing.T) {
	cases := map[string]struct {
		harm   func(s *Stack, store *blob.Memory)
		check  string
		status Status
		says   string
	}{
		"log one behind": {func(_ *Stack, m *blob.Memory) { m.Delete(registry.LogKey("iris", 2)) }, "model iris: log", Warn, "next transition"},
		"log gap":        {func(_ *Stack, m *blob.Memory) { m.Delete(registry.LogKey("iris", 1)) }, "model iris: log", Fail, "generation 1 is missing"},
		"blob changed": {func(_ *Stack, m *blob.Memory) {
			put(m, registry.BlobKey(sum([]byte("onnx"))), "ONNX")
		}, "model iris: version 1", Fail, "manifest"},
		"blob gone":     {func(_ *Stack, m *blob.Memory) { m.Delete(registry.BlobKey(sum([]byte("onnx")))) }, "model iris: version 1", Fail, "manifest"},
		"state damaged": {func(_ *Stack, m *blob.Memory) { put(m, registry.StateKey("iris"), "{") }, "model iris: state", Fail, "cannot be read"},
		"no state":      {func(_ *Stack, m *blob.Memory) { m.Delete(registry.StateKey("iris")) }, "model iris", Warn, "promote"},
		"no models":     {func(s *Stack, _ *blob.Memory) { s.Registry = &blob.Memory{} }, "models", Warn, "register"},
		"API down":      {func(s *Stack, _ *blob.Memory) { s.API = api{ready: fault.New(fault.Unavailable, "down")} }, "prediction API", Fail, "down"},
		"model refused": {func(s *Stack, _ *blob.Memory) { s.API = api{model: fault.New(fault.Unavailable, "loading")} }, "model iris: serving", Fail, "loading"},
		"no versions":   {func(s *Stack, _ *blob.Memory) { s.Buckets["registry bucket"] = bucket(false, true, nil) }, "registry bucket: settings", Fail, "no old versions"},
		"no events":     {func(s *Stack, _ *blob.Memory) { s.Buckets["data bucket"] = bucket(true, false, nil) }, "data bucket: settings", Fail, "no events to EventBridge"},
		"no right to look": {func(s *Stack, _ *blob.Memory) {
			s.Buckets["data bucket"] = bucket(false, false, fault.New(fault.PermissionDenied, "s3:GetBucketVersioning"))
		}, "data bucket: settings", Warn, "not known: s3:GetBucketVersioning"},
		"store without conditions": {func(s *Stack, m *blob.Memory) { s.Registry = careless{m} },
			"compare and swap", Fail, "told that they won"},
		"store that ignores If-Match": {func(s *Stack, m *blob.Memory) { s.Registry = careless{m} }, "absent keys", Fail, "cannot hold a registry"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s, store := healthy(t)
			c.harm(s, store)
			got := run(s)[c.check]
			if got.Status != c.status || !strings.Contains(got.Detail, c.says) {
				t.Errorf("got %+v, want %s saying %q", got, c.status, c.says)
			}
		})
	}
}

// careless is a store that takes conditions for advice, as some do.
type careless struct{ *blob.Memory }

func (c careless) Put(ctx context.Context, key string, body []byte, _ blob.Condition) (blob.Info, error) {
	return c.Memory.Put(ctx, key, body, blob.Always())
}

func put(m *blob.Memory, key, body string) {
	if _, err := m.Put(context.Background(), key, []byte(body), blob.Always()); err != nil {
		panic(err)
	}
}

func sum(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b)) }

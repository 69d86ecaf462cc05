package registrytest

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/blob/blobtest"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/schema"
)

// Storm plays the property test on stores from open: 12 writers who each ask for
// perWriter transitions, a quarter of all answers lost, 409s, 412s and 503s among
// the rest, a tenth of the callers dying between the two writes. On a real store
// the sleeps between tries are real; sleep replaces them.
func Storm(t *testing.T, open func(t *testing.T) blob.Store, perWriter int, seeds []uint64, sleep func(context.Context, time.Duration) error) {
	for _, seed := range seeds {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			outcome, err := Play(t.Context(), open(t), Game{
				Model: "storm-" + strings.ToLower(rand.Text()), Seed: seed, Writers: 12, PerWriter: perWriter,
				Faults: blobtest.Storm(), Crashes: 0.1, Apply: Protocol(sleep),
			})
			if err != nil {
				t.Errorf("%v (%s)", err, outcome)
			}
			t.Log(outcome)
		})
	}
}

// Run is the functional suite. Stores may be shared and hold other models; every
// subtest uses a model of its own.
func Run(t *testing.T, open func(t *testing.T) blob.Store) {
	tests := []struct {
		name string
		run  func(t *testing.T, r *registry.Registry, model string)
	}{
		{"models", testModels},
		{"claims", testClaims},
		{"concurrent claims", testConcurrentClaims},
		{"files and manifest", testFiles},
		{"settings", testSettings},
		{"pointer", testPointer},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := registry.New(open(t), registry.Options{})
			model := "suite-" + strings.ToLower(rand.Text())
			if _, created, err := r.CreateModel(t.Context(), registry.Model{Name: model, Task: schema.Binary, Target: "late"}); err != nil || !created {
				t.Fatalf("CreateModel: %v, %v", created, err)
			}
			tt.run(t, r, model)
		})
	}
}

func wantKind(t *testing.T, what string, err error, want fault.Kind) {
	t.Helper()
	if got := fault.KindOf(err); got != want {
		t.Errorf("%s: kind %q (%v), want %q", what, got, err, want)
	}
}

func testModels(t *testing.T, r *registry.Registry, model string) {
	ctx := t.Context()
	again, created, err := r.CreateModel(ctx, registry.Model{Name: model, Task: schema.Binary, Target: "late", CreatedBy: "someone else"})
	if err != nil || created || again.CreatedBy != "" {
		t.Errorf("the same identity again: %+v, %v, %v", again, created, err)
	}
	_, _, err = r.CreateModel(ctx, registry.Model{Name: model, Task: schema.Regression, Target: "late"})
	wantKind(t, "another task", err, fault.AlreadyExists)
	got, err := r.Model(ctx, model)
	if diff := cmp.Diff(again, got); err != nil || diff != "" {
		t.Errorf("Model: %v (-want +got)\n%s", err, diff)
	}
	_, err = r.Model(ctx, model+"-none")
	wantKind(t, "an absent model", err, fault.NotFound)
	if !slices.Contains(models(t, r), model) {
		t.Errorf("%s is not among the listed models", model)
	}
}

func models(t *testing.T, r *registry.Registry) []string {
	t.Helper()
	var names []string
	for m, err := range r.Models(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, m.Name)
	}
	return names
}

func testClaims(t *testing.T, r *registry.Registry, model string) {
	ctx := t.Context()
	for want := 1; want <= 3; want++ {
		for range 2 { // the second time it is known
			if got, err := r.Claim(ctx, model, digest(want), "test"); err != nil || got != want {
				t.Errorf("Claim = %d, %v; want %d", got, err, want)
			}
		}
	}
	if v, ok, err := r.Lookup(ctx, model, digest(2)); v != 2 || !ok || err != nil {
		t.Errorf("Lookup = %d, %v, %v", v, ok, err)
	}
	if v, ok, err := r.Lookup(ctx, model, digest(9)); v != 0 || ok || err != nil {
		t.Errorf("Lookup of an unknown digest = %d, %v, %v", v, ok, err)
	}
	if got := versions(t, r, model, 0); !slices.Equal(got, []int{1, 2, 3}) {
		t.Errorf("versions %v", got)
	}
	if got := versions(t, r, model, 2); !slices.Equal(got, []int{3}) {
		t.Errorf("versions after 2: %v", got)
	}
}

func versions(t *testing.T, r *registry.Registry, model string, after int) []int {
	t.Helper()
	var numbers []int
	for entry, err := range r.Versions(t.Context(), model, after) {
		if err != nil {
			t.Fatal(err)
		}
		numbers = append(numbers, entry.Version)
	}
	return numbers
}

// testConcurrentClaims: equal digests agree on a number, different ones never share one.
func testConcurrentClaims(t *testing.T, r *registry.Registry, model string) {
	const digests, callers = 4, 3
	got := make([][callers]int, digests)
	var wg sync.WaitGroup
	for d := range digests {
		for c := range callers {
			wg.Go(func() {
				v, err := r.Claim(t.Context(), model, digest(d), fmt.Sprint("caller ", c))
				if err != nil {
					t.Errorf("Claim: %v", err)
				}
				got[d][c] = v
			})
		}
	}
	wg.Wait()
	owner := map[int]int{}
	for d, numbers := range got {
		for _, v := range numbers {
			if v != numbers[0] {
				t.Errorf("one digest got the numbers %v", numbers)
			}
		}
		if other, taken := owner[numbers[0]]; taken {
			t.Errorf("digests %d and %d share number %d", other, d, numbers[0])
		}
		owner[numbers[0]] = d
	}
}

// Register stores a small version with the given model bytes and makes it READY.
func Register(ctx context.Context, r *registry.Registry, model string, content []byte) (registry.Manifest, error) {
	m := registry.Manifest{Model: model, Runtime: "onnxruntime 1.27.0", Parity: registry.Parity{Reason: "a test"}, CreatedBy: "test"}
	schema := []byte(`{"v":1}`)
	m.Files = []registry.File{file("model.onnx", content, true), file("schema.json", schema, false)}
	m.Digest = registry.ContentDigest(m.Files)
	var err error
	if m.Version, err = r.Claim(ctx, model, m.Digest, "test"); err != nil {
		return m, err
	}
	if err := r.PutBlob(ctx, m.Files[0].SHA256, bytes.NewReader(content), int64(len(content))); err != nil {
		return m, err
	}
	if _, err := r.PutVersionFile(ctx, model, m.Version, "schema.json", schema); err != nil {
		return m, err
	}
	m, _, err = r.PutManifest(ctx, m)
	return m, err
}

func file(path string, content []byte, isBlob bool) registry.File {
	sum := sha256.Sum256(content)
	return registry.File{Path: path, Size: int64(len(content)), SHA256: hex.EncodeToString(sum[:]), Blob: isBlob}
}

func testFiles(t *testing.T, r *registry.Registry, model string) {
	ctx := t.Context()
	content := []byte("bytes of " + model)
	sum := file("model.onnx", content, true).SHA256
	wantKind(t, "a blob with another digest", r.PutBlob(ctx, sum, strings.NewReader("other"), 5), fault.InvalidArgument)
	m, err := Register(ctx, r, model, content)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Register(ctx, r, model, content)
	if diff := cmp.Diff(m, again); err != nil || diff != "" {
		t.Errorf("registered again: %v (-first +second)\n%s", err, diff)
	}
	read, err := r.Manifest(ctx, model, m.Version)
	if diff := cmp.Diff(m, read); err != nil || diff != "" {
		t.Errorf("Manifest: %v (-stored +read)\n%s", err, diff)
	}
	for _, path := range []string{"model.onnx", "schema.json"} {
		if _, err := r.ReadFile(ctx, &m, path); err != nil {
			t.Errorf("ReadFile(%s): %v", path, err)
		}
	}
	if got, err := r.ReadBlob(ctx, "sha256:"+sum); err != nil || !bytes.Equal(got, content) {
		t.Errorf("ReadBlob = %q, %v", got, err)
	}
	_, err = r.ReadFile(ctx, &m, "baseline.json")
	wantKind(t, "a file that is not listed", err, fault.NotFound)
	if _, err := r.Verify(ctx, model, m.Version); err != nil {
		t.Errorf("Verify: %v", err)
	}
	stored, err := r.PutVersionFile(ctx, model, m.Version, "schema.json", []byte("another"))
	if err != nil || string(stored) != `{"v":1}` {
		t.Errorf("a version file was written twice: %q, %v", stored, err)
	}
	other := m
	other.Files = []registry.File{file("model.onnx", []byte("other"), true)}
	other.Digest = registry.ContentDigest(other.Files)
	_, _, err = r.PutManifest(ctx, other)
	wantKind(t, "another manifest under the number", err, fault.AlreadyExists)
	_, err = r.Manifest(ctx, model, m.Version+1)
	wantKind(t, "a version that is not there", err, fault.NotFound)
	if v, err := r.Claim(ctx, model, digest(77), "test"); err != nil || v != m.Version+1 {
		t.Errorf("Claim = %d, %v", v, err)
	}
	ready := map[int]bool{}
	for entry, err := range r.Versions(ctx, model, 0) {
		if err != nil {
			t.Fatal(err)
		}
		ready[entry.Version] = entry.Ready
	}
	if diff := cmp.Diff(map[int]bool{m.Version: true, m.Version + 1: false}, ready); diff != "" {
		t.Errorf("ready (-want +got)\n%s", diff)
	}
}

func testSettings(t *testing.T, r *registry.Registry, model string) {
	ctx := t.Context()
	half := 0.5
	want := registry.Settings{Capture: &registry.CaptureSettings{Mode: registry.CaptureStrict, Sampling: &half, Redact: map[string]string{"tail": "hash"}}, Drift: []byte(`{"x":1}`)}
	digest, err := r.PutSettings(ctx, model, want)
	if err != nil {
		t.Fatal(err)
	}
	again, err := r.PutSettings(ctx, model, want)
	if err != nil || again != digest {
		t.Errorf("the same settings: %s, %v; want %s", again, err, digest)
	}
	got, err := r.Settings(ctx, model, digest)
	if err != nil || got.V != registry.SettingsVersion || got.Capture.Mode != registry.CaptureStrict || *got.Capture.Sampling != half {
		t.Errorf("Settings = %+v, %v", got, err)
	}
	_, err = r.Settings(ctx, model, strings.Repeat("0", 64))
	wantKind(t, "unknown settings", err, fault.NotFound)
}

func testPointer(t *testing.T, r *registry.Registry, model string) {
	ctx := t.Context()
	_, _, err := r.State(ctx, model)
	wantKind(t, "State before the first bootstrap", err, fault.NotFound)
	m, err := Register(ctx, r, model, []byte("one of "+model))
	if err != nil {
		t.Fatal(err)
	}
	seen := int64(0)
	apply := func(id string, change registry.Change) (registry.Applied, error) {
		return r.Apply(ctx, model, registry.Request{TransitionID: id, SeenGeneration: seen, Actor: "test", Reason: "<why> & \"so\""}, change)
	}
	first, err := apply("boot", registry.Bootstrap(registry.Ref{Version: m.Version, Digest: m.Digest}))
	if err != nil || first.Repeated || first.State.Generation != 1 {
		t.Fatalf("bootstrap: %+v, %v", first, err)
	}
	s, etag, err := r.State(ctx, model)
	if diff := cmp.Diff(first.State, s); err != nil || diff != "" {
		t.Errorf("State: %v (-applied +read)\n%s", err, diff)
	}
	if _, _, changed, err := r.StateIfChanged(ctx, model, etag); changed || err != nil {
		t.Errorf("unchanged state: %v, %v", changed, err)
	}
	settings, err := r.PutSettings(ctx, model, registry.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	seen = 1
	if _, err := apply("conf", registry.Configure(settings)); err != nil {
		t.Fatal(err)
	}
	if s, _, changed, err := r.StateIfChanged(ctx, model, etag); !changed || err != nil || s.SettingsDigest != settings {
		t.Errorf("changed state: %+v, %v, %v", s, changed, err)
	}
	_, err = apply("back", registry.Rollback(m.Version, "test", ""))
	wantKind(t, "a rollback without a previous champion", err, fault.FailedPrecondition)
	var logged []string
	for s, err := range r.Log(ctx, model, 1, 0) {
		if err != nil {
			t.Fatal(err)
		}
		logged = append(logged, s.Last.ID)
	}
	if !slices.Equal(logged, []string{"boot", "conf"}) {
		t.Errorf("log %v", logged)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	_, err = r.Apply(ended, model, registry.Request{TransitionID: "x", Actor: "test"}, registry.Configure(settings))
	wantKind(t, "an ended context", err, fault.Unavailable)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v does not tell that the context ended", err)
	}
}

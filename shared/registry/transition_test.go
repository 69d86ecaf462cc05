package registry_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/blob/blobtest"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/registry/registrytest"
)

func instantly(store blob.Store) *registry.Registry {
	return registry.New(store, registry.Options{Sleep: instant, Rand: func() float64 { return 0.5 }})
}

// started returns a registry on a fresh memory store, with generations 1..n.
func started(t *testing.T, n int) (*registry.Registry, *blob.Memory) {
	t.Helper()
	store := new(blob.Memory)
	reg := instantly(store)
	for g := range n {
		if g == 0 {
			mustApply(t, reg, "g1", 0, registry.Bootstrap(ref(1)))
			continue
		}
		mustApply(t, reg, fmt.Sprint("g", g+1), int64(g), registry.Configure(sha(g)))
	}
	return reg, store
}

func apply(t *testing.T, reg *registry.Registry, id string, seen int64, change registry.Change) (registry.Applied, error) {
	t.Helper()
	return reg.Apply(t.Context(), "m", registry.Request{TransitionID: id, SeenGeneration: seen, Actor: "test"}, change)
}

func wantKind(t *testing.T, err error, want fault.Kind, text string) {
	t.Helper()
	if fault.KindOf(err) != want || err != nil && !strings.Contains(err.Error(), text) {
		t.Errorf("got %v, want %q with %q", err, want, text)
	}
}

func TestRequestIsChecked(t *testing.T) {
	reg, _ := started(t, 1)
	good := registry.Request{TransitionID: "x", Actor: "a"}
	tests := []struct {
		name   string
		change func(q *registry.Request)
		want   string
	}{
		{"no id", func(q *registry.Request) { q.TransitionID = "" }, "transition_id is required"},
		{"no actor", func(q *registry.Request) { q.Actor = "" }, "actor is required"},
		{"long id", func(q *registry.Request) { q.TransitionID = strings.Repeat("x", 201) }, "transition_id must be at most 200 bytes"},
		{"long reason", func(q *registry.Request) { q.Reason = strings.Repeat("x", 1025) }, "reason must be at most 1024 bytes"},
		{"control character", func(q *registry.Request) { q.Reason = "a\x00b" }, "reason must be text"},
		{"not UTF-8", func(q *registry.Request) { q.Actor = "a\xff" }, "actor must be text"},
		{"negative", func(q *registry.Request) { q.SeenGeneration = -1 }, "seen_generation must be at least 0"},
		{"evidence", func(q *registry.Request) { q.Evidence = []string{sha(1), "x"} }, "evidence[1] must be a sha256"},
		{"much evidence", func(q *registry.Request) { q.Evidence = make([]string, 33) }, "evidence must be at most 32"},
		{"from the future", func(q *registry.Request) { q.SeenGeneration = 2 }, "generation 2 of model \"m\" was never reached"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q := good
			tt.change(&q)
			_, err := reg.Apply(t.Context(), "m", q, registry.Configure(sha(1)))
			if !fault.Is(err, fault.InvalidArgument) {
				t.Errorf("%v, want InvalidArgument", err)
			}
			var f *fault.Error
			if errors.As(err, &f); f == nil || !strings.Contains(fmt.Sprint(f.Message, f.Violations), strings.SplitN(tt.want, " ", 2)[1]) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
	_, err := reg.Apply(t.Context(), "../m", good, registry.Configure(sha(1)))
	wantKind(t, err, fault.InvalidArgument, "model")
}

func TestRepeatedCalls(t *testing.T) {
	reg, store := started(t, 3)
	for _, tt := range []struct {
		id   string
		seen int64
		want int64
	}{{"g3", 2, 3}, {"g3", 0, 3}, {"g2", 1, 2}, {"g2", 0, 2}} {
		a, err := apply(t, reg, tt.id, tt.seen, registry.Configure(sha(9)))
		if err != nil || !a.Repeated || a.State.Generation != tt.want || a.State.Last.ID != tt.id {
			t.Errorf("%s seen %d: %+v, %v; want generation %d again", tt.id, tt.seen, a, err, tt.want)
		}
	}
	if a, err := apply(t, reg, "g1", 0, registry.Bootstrap(ref(5))); err != nil || !a.Repeated {
		t.Errorf("a repeated bootstrap: %+v, %v", a, err)
	}
	if n := len(store.Versions(registry.StateKey("m"))); n != 3 {
		t.Errorf("state.json was written %d times, want 3", n)
	}
	_, err := apply(t, reg, "g3", 0, registry.Rollback(1, "a", ""))
	wantKind(t, err, fault.AlreadyExists, "belongs to a configure")
	_, err = apply(t, reg, "g1", 0, registry.Configure(sha(1)))
	wantKind(t, err, fault.AlreadyExists, "belongs to a bootstrap")
	_, err = apply(t, reg, "new", 0, registry.Bootstrap(ref(2)))
	wantKind(t, err, fault.FailedPrecondition, "champion already")
}

// TestRepeatedCallLogs: the process died after its write and before its log entry.
func TestRepeatedCallLogs(t *testing.T) {
	reg, store := started(t, 2)
	store.Delete(registry.LogKey("m", 2))
	if _, err := apply(t, reg, "g2", 1, registry.Configure(sha(1))); err != nil {
		t.Fatal(err)
	}
	checkLog(t, reg, store, 2)
}

// TestNextWriterLogs: nobody comes back for generation 2.
func TestNextWriterLogs(t *testing.T) {
	reg, store := started(t, 2)
	store.Delete(registry.LogKey("m", 2))
	mustApply(t, reg, "g3", 2, registry.Configure(sha(3)))
	checkLog(t, reg, store, 3)
}

func checkLog(t *testing.T, reg *registry.Registry, store *blob.Memory, want int) {
	t.Helper()
	bodies := store.Versions(registry.StateKey("m"))
	n := 0
	for s, err := range reg.Log(t.Context(), "m", 1, 0) {
		if err != nil {
			t.Fatal(err)
		}
		if entry, _ := store.Get(t.Context(), registry.LogKey("m", s.Generation)); string(entry.Body) != string(bodies[n].Body) {
			t.Errorf("log entry %d is not the body of the state", s.Generation)
		}
		n++
	}
	if n != want {
		t.Errorf("%d log entries, want %d", n, want)
	}
}

func TestDamageIsAnAlarm(t *testing.T) {
	put := func(key, body string) func(*blob.Memory) {
		return func(m *blob.Memory) {
			if _, err := m.Put(context.Background(), key, []byte(body), blob.Always()); err != nil {
				panic(err)
			}
		}
	}
	drop := func(key string) func(*blob.Memory) { return func(m *blob.Memory) { m.Delete(key) } }
	tests := []struct {
		name   string
		damage func(*blob.Memory)
		id     string
		seen   int64
		change registry.Change
		want   string
	}{
		{"state.json is not JSON", put(registry.StateKey("m"), "<html>"), "x", 3, registry.Configure(sha(1)), "models/m/state.json is damaged; restore it from the newest entry under log/"},
		{"state.json is gone", drop(registry.StateKey("m")), "x", 0, registry.Bootstrap(ref(1)), "it is gone, but has a log"},
		{"state.json is gone, and was seen", drop(registry.StateKey("m")), "x", 3, registry.Bootstrap(ref(1)), "generation 3 was seen"},
		{"state.json is of a newer format", put(registry.StateKey("m"), strings.Replace(string(logBody(3)), `"schema":1`, `"schema":2`, 1)), "x", 3, registry.Configure(sha(1)), "deploy the newer release"},
		{"state.json is of another model", put(registry.StateKey("m"), strings.Replace(string(logBody(3)), `"model":"m"`, `"model":"n"`, 1)), "x", 3, registry.Configure(sha(1)), "of another model"},
		{"a gap in the log", drop(registry.LogKey("m", 2)), "x", 1, registry.Configure(sha(1)), "log/000000000002.json is damaged"},
		{"a log entry of another generation", put(registry.LogKey("m", 2), string(logBody(3))), "x", 1, registry.Configure(sha(1)), "holds generation 3"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			reg, store := started(t, 3)
			tt.damage(store)
			before := len(store.Versions(registry.StateKey("m")))
			_, err := apply(t, reg, tt.id, tt.seen, tt.change)
			wantKind(t, err, fault.Internal, tt.want)
			if n := len(store.Versions(registry.StateKey("m"))); n != before {
				t.Error("a damaged registry was written to")
			}
		})
	}
}

func logBody(generation int64) []byte {
	champion := ref(1)
	return encode(registry.State{V: 1, Model: "m", Generation: generation, Slots: registry.Slots{Champion: &champion}, Last: registry.Transition{ID: "y", Kind: "configure"}})
}

func TestNotBootstrappedYet(t *testing.T) {
	reg := instantly(new(blob.Memory))
	_, err := apply(t, reg, "x", 0, registry.Configure(sha(1)))
	wantKind(t, err, fault.FailedPrecondition, "bootstrap a version first")
	_, err = apply(t, reg, "x", 0, registry.Bootstrap(registry.Ref{Version: 1}))
	wantKind(t, err, fault.Internal, "would break the state")
}

// only makes one kind of call on one key fail.
type only struct {
	blob.Store
	key  string
	fail func() error
}

func (o *only) Put(ctx context.Context, key string, body []byte, cond blob.Condition) (blob.Info, error) {
	if key == o.key {
		if err := o.fail(); err != nil {
			return blob.Info{}, err
		}
	}
	return o.Store.Put(ctx, key, body, cond)
}

func TestFailedWrites(t *testing.T) {
	for _, tt := range []struct {
		name string
		key  string
		kind fault.Kind // of the store's answer
		want fault.Kind
		text string
	}{
		{"state.json vanished", registry.StateKey("m"), fault.NotFound, fault.Internal, "vanished"},
		{"state.json is closed to us", registry.StateKey("m"), fault.Internal, fault.Internal, "write models/m/state.json"},
		{"always lost races", registry.StateKey("m"), fault.FailedPrecondition, fault.Aborted, "repeat it with the same transition id"},
		{"always conflicts", registry.StateKey("m"), fault.Aborted, fault.Aborted, "repeat it"},
		{"no answers", registry.StateKey("m"), fault.Unavailable, fault.Unavailable, "repeat it"},
		{"the new entry cannot be logged", registry.LogKey("m", 3), fault.Unavailable, fault.Unavailable, "took place as generation 3"},
		{"the log is closed to us", registry.LogKey("m", 3), fault.Internal, fault.Internal, "took place as generation 3"},
		{"the old entry cannot be logged", registry.LogKey("m", 2), fault.Unavailable, fault.Unavailable, "repeat it"},
		{"the old entry is closed to us", registry.LogKey("m", 2), fault.Internal, fault.Internal, "log generation 2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, store := started(t, 2)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			tries := 0
			failing := &only{Store: store, key: tt.key, fail: func() error {
				if tries++; tries == 25 { // or Apply would try for ever
					cancel()
				}
				return fault.New(tt.kind, "injected")
			}}
			_, err := instantly(failing).Apply(ctx, "m", registry.Request{TransitionID: "x", SeenGeneration: 2, Actor: "a"}, registry.Configure(sha(7)))
			wantKind(t, err, tt.want, tt.text)
			// Whatever was said, a repeated call ends it, and there is one transition.
			reg := instantly(store)
			if _, err := apply(t, reg, "x", 2, registry.Configure(sha(7))); err != nil {
				t.Fatal(err)
			}
			checkLog(t, reg, store, 3)
		})
	}
}

// lossy performs the first write of key and answers it with kind instead: a lost
// answer, or the 412 that a client's own retry gets. between runs after the write.
type lossy struct {
	blob.Store
	key     string
	kind    fault.Kind
	between func()
}

func (l *lossy) Put(ctx context.Context, key string, body []byte, cond blob.Condition) (blob.Info, error) {
	info, err := l.Store.Put(ctx, key, body, cond)
	if key != l.key || l.kind == "" {
		return info, err
	}
	kind := l.kind
	l.kind = ""
	if l.between != nil {
		l.between()
	}
	return blob.Info{}, fault.New(kind, "injected")
}

// TestLostAnswers: the write won, whatever its caller hears of it, also when others move on
// before it looks again. The transition is made once and is reported as this call's.
func TestLostAnswers(t *testing.T) {
	others := func(t *testing.T, reg *registry.Registry, n int) func() {
		return func() {
			for i := range n {
				mustApply(t, reg, fmt.Sprint("other", i), int64(3+i), registry.Configure(sha(100+i)))
			}
		}
	}
	for _, kind := range []fault.Kind{fault.Unavailable, fault.FailedPrecondition, fault.Aborted} {
		for _, n := range []int{0, 1, 3} {
			t.Run(fmt.Sprintf("%s, %d others", kind, n), func(t *testing.T) {
				reg, store := started(t, 2)
				lost := instantly(&lossy{Store: store, key: registry.StateKey("m"), kind: kind, between: others(t, reg, n)})
				a, err := apply(t, lost, "x", 2, registry.Configure(sha(7)))
				if err != nil || !a.Repeated || a.State.Generation != 3 || a.State.Last.ID != "x" || a.State.SettingsDigest != sha(7) {
					t.Errorf("%+v, %v; want generation 3, once", a, err)
				}
				if n := len(store.Versions(registry.StateKey("m"))) - n; n != 3 {
					t.Errorf("state.json was written %d times without the others, want 3", n)
				}
				checkLog(t, reg, store, 3+n)
			})
		}
	}
}

// TestLostAnswerOfTheFirstWrite: the same for the bootstrap, and for two of them at a time.
func TestLostAnswerOfTheFirstWrite(t *testing.T) {
	store := new(blob.Memory)
	lost := instantly(&lossy{Store: store, key: registry.StateKey("m"), kind: fault.Unavailable})
	if a, err := apply(t, lost, "x", 0, registry.Bootstrap(ref(1))); err != nil || !a.Repeated || a.State.Generation != 1 {
		t.Errorf("%+v, %v", a, err)
	}
	checkLog(t, instantly(store), store, 1)

	store = new(blob.Memory)
	first := true
	racing := &only{Store: store, key: registry.StateKey("m"), fail: func() error {
		if first {
			first = false
			mustApply(t, instantly(store), "other", 0, registry.Bootstrap(ref(2)))
		}
		return nil
	}}
	_, err := apply(t, instantly(racing), "x", 0, registry.Bootstrap(ref(1)))
	wantKind(t, err, fault.FailedPrecondition, "version 2 is the champion already")
	checkLog(t, instantly(store), store, 1)
}

// TestStateOverTheBoundIsRefused, and nothing is written: neither state nor log.
func TestStateOverTheBoundIsRefused(t *testing.T) {
	reg, store := started(t, 2)
	huge := registry.Change{Kind: "test", Apply: func(next *registry.State, _ time.Time) error {
		challenger := ref(2)
		next.Slots.Challenger, next.Weights.Challenger = &challenger, 100
		next.Rollout = &registry.Rollout{ID: "r", Status: registry.Progressing, Owner: strings.Repeat("x", registry.MaxStateBytes)}
		return nil
	}}
	_, err := apply(t, reg, "x", 2, huge)
	wantKind(t, err, fault.FailedPrecondition, "is the limit")
	if n := len(store.Versions(registry.StateKey("m"))); n != 2 {
		t.Errorf("state.json was written %d times, want 2", n)
	}
	checkLog(t, reg, store, 2)
}

// TestSettingsOfAnotherDigest: nobody serves by settings that are not those of the state.
func TestSettingsOfAnotherDigest(t *testing.T) {
	store := new(blob.Memory)
	reg := instantly(store)
	digest, err := reg.PutSettings(t.Context(), "m", registry.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	put := func(key, body string) {
		if _, err := store.Put(t.Context(), key, []byte(body), blob.Always()); err != nil {
			t.Fatal(err)
		}
	}
	put(registry.SettingsKey("m", digest), `{"v":1,"capture":{"mode":"off"}}`)
	_, err = reg.Settings(t.Context(), "m", digest)
	wantKind(t, err, fault.Internal, "does not have the digest")

	newer := `{"v":2,"later":true}`
	sum := sha256.Sum256([]byte(newer))
	put(registry.SettingsKey("m", hex.EncodeToString(sum[:])), newer)
	_, err = reg.Settings(t.Context(), "m", hex.EncodeToString(sum[:]))
	wantKind(t, err, fault.Internal, "deploy the newer release")
}

// TestGuardsAreCheckedOnTheStateOfEachTry: the rollback was right when it was asked
// for; the first try loses to a writer that changes the champion.
func TestGuardsAreCheckedOnTheStateOfEachTry(t *testing.T) {
	reg, store := started(t, 1)
	replace := func(v int) registry.Change {
		return registry.Change{Kind: registry.KindPromote, Apply: func(next *registry.State, _ time.Time) error {
			to := ref(v)
			next.Slots.Previous, next.Slots.Champion = next.Slots.Champion, &to
			return nil
		}}
	}
	mustApply(t, reg, "two", 1, replace(2))
	first := true
	racing := &only{Store: store, key: registry.StateKey("m"), fail: func() error {
		if first {
			first = false
			mustApply(t, reg, "three", 2, replace(3))
		}
		return nil
	}}
	_, err := apply(t, instantly(racing), "back", 2, registry.Rollback(2, "a", ""))
	wantKind(t, err, fault.FailedPrecondition, "version 3 is")
	s, _, _ := reg.State(t.Context(), "m")
	if s.Slots.Champion.Version != 3 || s.Generation != 3 {
		t.Errorf("%+v", s)
	}
}

func TestTimeRunsOutWhileWaiting(t *testing.T) {
	_, store := started(t, 1)
	lost := &only{Store: store, key: registry.StateKey("m"), fail: func() error { return fault.New(fault.FailedPrecondition, "412") }}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	waited := 0
	reg := registry.New(lost, registry.Options{Sleep: func(ctx context.Context, _ time.Duration) error {
		if waited++; waited < 3 {
			return nil
		}
		<-ctx.Done()
		return ctx.Err()
	}})
	_, err := reg.Apply(ctx, "m", registry.Request{TransitionID: "x", SeenGeneration: 1, Actor: "a"}, registry.Configure(sha(1)))
	wantKind(t, err, fault.Aborted, "in time")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v does not tell that time ran out", err)
	}
}

// TestWritesSurviveFaults: everything but Apply retries open outcomes too.
func TestWritesSurviveFaults(t *testing.T) {
	for seed := range uint64(20) {
		store := new(blob.Memory)
		reg := instantly(blobtest.Faulty(store, seed, blobtest.Faults{DropAnswers: 0.2, Precondition412: 0.1, Conflict409: 0.1}))
		var m registry.Manifest
		var err error
		for range 20 { // reads do not retry: callers do
			if _, _, err = reg.CreateModel(t.Context(), registry.Model{Name: "m"}); err != nil {
				continue
			}
			if m, err = registrytest.Register(t.Context(), reg, "m", []byte("model")); err == nil {
				break
			}
		}
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		clean := instantly(store)
		if _, err := clean.Verify(t.Context(), "m", m.Version); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
		for _, key := range []string{registry.ModelKey("m"), registry.ManifestKey("m", m.Version), registry.BlobKey(m.Files[0].SHA256), registry.DigestKey("m", m.Digest)} {
			if n := len(store.Versions(key)); n != 1 {
				t.Errorf("seed %d: %s was written %d times", seed, key, n)
			}
		}
		if v, err := clean.Claim(t.Context(), "m", m.Digest, "again"); err != nil || v != m.Version {
			t.Errorf("seed %d: the digest belongs to %d (%v), want %d", seed, v, err, m.Version)
		}
	}
}

func TestModelsSkipsLongFolders(t *testing.T) {
	store := new(blob.Memory)
	reg := instantly(store)
	ctx := t.Context()
	for _, name := range []string{"a", "a-b", "b", "b0", "c"} {
		if _, _, err := reg.CreateModel(ctx, registry.Model{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	for g := range int64(3000) {
		if _, err := store.Put(ctx, registry.LogKey("b", g+1), nil, blob.Always()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := store.Put(ctx, "models/folder-without-identity/x", nil, blob.Always()); err != nil {
		t.Fatal(err)
	}
	var names []string
	for m, err := range reg.Models(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, m.Name)
	}
	if got := strings.Join(names, " "); got != "a-b a b b0 c" {
		t.Errorf("models %q", got)
	}
	for range reg.Models(ctx) {
		break
	}
}

func TestVerifyFindsDamage(t *testing.T) {
	for name, damage := range map[string]func(m registry.Manifest, store *blob.Memory){
		"blob gone": func(m registry.Manifest, store *blob.Memory) { store.Delete(registry.BlobKey(m.Files[0].SHA256)) },
		"file gone": func(m registry.Manifest, store *blob.Memory) {
			store.Delete(registry.VersionFileKey("m", 1, "schema.json"))
		},
		"blob other": func(m registry.Manifest, store *blob.Memory) { overwrite(store, registry.BlobKey(m.Files[0].SHA256)) },
	} {
		t.Run(name, func(t *testing.T) {
			store := new(blob.Memory)
			reg := instantly(store)
			m, err := registrytest.Register(t.Context(), reg, "m", []byte("model"))
			if err != nil {
				t.Fatal(err)
			}
			damage(m, store)
			_, err = reg.Verify(t.Context(), "m", m.Version)
			wantKind(t, err, fault.Internal, "damaged")
			if name == "blob other" {
				_, err = reg.ReadFile(t.Context(), &m, "model.onnx")
				wantKind(t, err, fault.Internal, "digest")
			}
		})
	}
	reg := instantly(new(blob.Memory))
	_, err := reg.Verify(t.Context(), "m", 3)
	wantKind(t, err, fault.NotFound, "no version 3 that is ready")
}

func overwrite(store *blob.Memory, key string) {
	if _, err := store.Put(context.Background(), key, []byte("other"), blob.Always()); err != nil {
		panic(err)
	}
}

func TestBadArguments(t *testing.T) {
	reg, ctx := instantly(new(blob.Memory)), t.Context()
	_, _, errTask := reg.CreateModel(ctx, registry.Model{Name: "m", Task: "guess"})
	_, _, errName := reg.CreateModel(ctx, registry.Model{Name: "M"})
	_, errDigest := reg.Claim(ctx, "m", "sha256:x", "a")
	_, errPath := reg.PutVersionFile(ctx, "m", 1, "../x", nil)
	_, errManifestPath := reg.PutVersionFile(ctx, "m", 1, "manifest.json", nil)
	_, errVersion := reg.PutVersionFile(ctx, "m", 0, "x", nil)
	_, _, errManifest := reg.PutManifest(ctx, registry.Manifest{Model: "m", Version: 1})
	_, errRead := reg.Manifest(ctx, "m", -1)
	_, errSettings := reg.PutSettings(ctx, "m", registry.Settings{Capture: &registry.CaptureSettings{Mode: "x"}})
	errBlob := reg.PutBlob(ctx, "x", strings.NewReader(""), 0)
	_, _, errState := reg.State(ctx, "")
	for i, err := range []error{errTask, errName, errDigest, errPath, errManifestPath, errVersion, errManifest, errRead, errSettings, errBlob, errState} {
		if !fault.Is(err, fault.InvalidArgument) {
			t.Errorf("%d: %v, want InvalidArgument", i, err)
		}
	}
	if err := reg.PutBlob(ctx, sha(1), brokenReader{}, 1); !fault.Is(err, fault.Internal) {
		t.Errorf("a reader that fails: %v", err)
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error)       { return 0, io.ErrClosedPipe }
func (brokenReader) Seek(int64, int) (int64, error) { return 0, nil }

// BenchmarkApply is the whole protocol on memory: five store calls and two encodings.
func BenchmarkApply(b *testing.B) {
	store := new(blob.Memory)
	reg := instantly(store)
	if _, err := reg.Apply(b.Context(), "m", registry.Request{TransitionID: "b", Actor: "a"}, registry.Bootstrap(ref(1))); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for seen := int64(1); b.Loop(); seen++ {
		if _, err := reg.Apply(b.Context(), "m", registry.Request{TransitionID: fmt.Sprint(seen), SeenGeneration: seen, Actor: "a"}, registry.Configure(sha(1))); err != nil {
			b.Fatal(err)
		}
	}
}

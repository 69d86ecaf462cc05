package garbage

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/registry"
)

const day = 24 * time.Hour

// world is a registry that has a history: what was written when, by whom, and what
// must stay of it.
type world struct {
	t     testing.TB
	rng   *rand.Rand
	store *blob.Memory
	reg   *registry.Registry
	now   time.Time

	serial   int
	evidence []string        // digests that no transition names yet
	needed   map[string]bool // keys that must stay, as their writers know it
	orphans  map[string]bool // keys that must go once they are old enough
	versions map[string]int  // by model
}

func newWorld(t testing.TB, seed uint64) *world {
	w := &world{t: t, rng: rand.New(rand.NewPCG(seed, 7)), store: &blob.Memory{}, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		needed: map[string]bool{}, orphans: map[string]bool{}, versions: map[string]int{}}
	w.store.Now = func() time.Time { return w.now }
	w.reg = registry.New(w.store, registry.Options{Now: func() time.Time { return w.now }, NewID: func() string { w.serial++; return fmt.Sprint(w.serial) },
		Sleep: func(context.Context, time.Duration) error { return nil }})
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) collector() *Collector {
	return &Collector{Bucket: w.store, Now: func() time.Time { return w.now }}
}

func sha(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// body is new content.
func (w *world) body() []byte { w.serial++; return fmt.Appendf(nil, "content %d", w.serial) }

func (w *world) blob(body []byte) string {
	w.t.Helper()
	digest := sha(body)
	w.must(w.reg.PutBlob(w.t.Context(), digest, bytes.NewReader(body), int64(len(body))))
	return digest
}

func (w *world) put(key string, doc any) {
	w.t.Helper()
	body, err := json.Marshal(doc)
	w.must(err)
	_, err = w.store.Put(w.t.Context(), key, body, blob.Always())
	w.must(err)
}

// register writes a version of model that holds body, up to the manifest if finish.
func (w *world) register(model string, body []byte, finish bool) int {
	w.t.Helper()
	v, err := register(w.t.Context(), w.reg, model, body, finish)
	w.must(err)
	if finish {
		w.versions[model]++
		w.needed[registry.BlobKey(sha(body))] = true
		delete(w.orphans, registry.BlobKey(sha(body)))
	}
	return v
}

func register(ctx context.Context, reg *registry.Registry, model string, body []byte, finish bool) (int, error) {
	if _, _, err := reg.CreateModel(ctx, registry.Model{Name: model}); err != nil {
		return 0, err
	}
	f := registry.File{Path: "model.onnx", Size: int64(len(body)), SHA256: sha(body), Blob: true}
	digest := registry.ContentDigest([]registry.File{f})
	if err := reg.PutBlob(ctx, f.SHA256, bytes.NewReader(body), f.Size); err != nil {
		return 0, err
	}
	v, err := reg.Claim(ctx, model, digest, "tests")
	if err != nil || !finish {
		return v, err
	}
	small := []byte("{}")
	if small, err = reg.PutVersionFile(ctx, model, v, "metrics.json", small); err != nil {
		return v, err
	}
	m := registry.Manifest{Model: model, Version: v, Digest: digest, Runtime: "x", Files: []registry.File{f, {Path: "metrics.json", Size: int64(len(small)), SHA256: sha(small)}}}
	_, _, err = reg.PutManifest(ctx, m)
	return v, err
}

// step does one thing that leaves something behind, then lets time pass.
func (w *world) step() {
	model := fmt.Sprintf("m%d", w.rng.IntN(3))
	run := sha(w.body())
	switch w.rng.IntN(11) {
	case 0, 1:
		w.register(model, w.body(), true)
	case 2: // given up before its manifest
		body := w.body()
		w.register(model, body, false)
		w.orphans[registry.BlobKey(sha(body))] = true
	case 3: // given up and taken up again, much later
		body := w.body()
		v := w.register(model, body, false)
		w.now = w.now.Add(time.Duration(w.rng.IntN(30)) * day)
		if again := w.register(model, body, true); again != v {
			w.t.Errorf("number %d, then %d", v, again)
		}
	case 4:
		w.orphans[registry.BlobKey(w.blob(w.body()))] = true
	case 5: // evidence, perhaps for a later move
		digest, err := w.reg.PutEvidence(w.t.Context(), registry.Evidence{Model: model, Champion: registry.Ref{Version: 1, Digest: "sha256:" + run},
			Challenger: registry.Ref{Version: 2, Digest: "sha256:" + run}, Decision: "start", At: w.now, Dataset: "sha256:" + w.keep(w.blob(w.body()))})
		w.must(err)
		w.evidence = append(w.evidence, digest)
	case 6:
		w.transition(model)
	case 7:
		w.put(registry.ApprovalKey(model, run[:20], "request"), map[string]string{"evidence": w.keep(w.blob(w.body()))})
	case 8:
		w.put(fmt.Sprintf("datasets/d/%08d.json", w.serial), map[string]any{"channel": map[string]string{"sha256": w.keep(w.blob(w.body()))}})
	case 9:
		w.retraining(model, run)
	case 10:
		key := "uploads/01" + run[:24] + "/model.onnx"
		w.put(key, "x")
		w.orphans[key] = true
	}
	w.now = w.now.Add(time.Duration(w.rng.ExpFloat64() * float64(20*time.Hour)))
}

func (w *world) keep(digest string) string {
	w.needed[registry.BlobKey(digest)] = true
	return digest
}

// transition moves a state with the newest evidence, if there is any.
func (w *world) transition(model string) {
	ctx := w.t.Context()
	v := w.register(model, w.body(), true)
	m, err := w.reg.Manifest(ctx, model, v)
	w.must(err)
	request := registry.Request{TransitionID: fmt.Sprint("t", w.serial), Actor: "tests", Reason: "because"}
	if n := len(w.evidence); n > 0 {
		request.Evidence = w.evidence[n-1:]
		w.keep(registry.Hex(w.evidence[n-1]))
		w.evidence = w.evidence[:n-1]
	}
	change := registry.Bootstrap(registry.Ref{Version: v, Digest: m.Digest})
	if _, _, err := w.reg.State(ctx, model); err == nil {
		change = registry.FreezeUntil(w.now.Add(time.Hour), "tests", "because")
	}
	_, err = w.reg.Apply(ctx, model, request, change)
	w.must(err)
}

// retraining leaves the results of a run: one that is under way, one that came to
// nothing, or one of which a version came.
func (w *world) retraining(model, run string) {
	outcome := []string{"", "failed", "succeeded"}[w.rng.IntN(3)]
	result := "runs/" + model + "/" + run + "/train.json"
	input := w.blob(w.body())
	upload := "uploads/" + model + "-" + run[:12] + "/model/model.onnx"
	w.put(upload, "x")
	doc := map[string]string{"rows": input, "source": "s3://bucket/uploads/" + model + "-" + run[:12] + "/model/"}
	if outcome == "succeeded" {
		v := w.register(model, w.body(), true)
		m, err := w.reg.Manifest(w.t.Context(), model, v)
		w.must(err)
		doc["digest"] = m.Digest
	}
	w.put(result, doc)
	w.put("triggers/retrain/"+run+".json", map[string]string{"holder": "x", "outcome": outcome})
	for _, key := range []string{result, registry.BlobKey(input), upload} {
		if outcome == "failed" {
			w.orphans[key] = true
		} else {
			w.needed[key] = true
		}
	}
}

// whole reads every version, evidence and log of the registry.
func (w *world) whole() {
	w.t.Helper()
	ctx := w.t.Context()
	for key := range w.needed {
		if _, err := w.store.Head(ctx, key); err != nil {
			w.t.Errorf("%s was needed: %v", key, err)
		}
	}
	for model, err := range w.reg.Models(ctx) {
		w.must(err)
		ready := 0
		for v, err := range w.reg.Versions(ctx, model.Name, 0) {
			w.must(err)
			if !v.Ready {
				continue
			}
			ready++
			if _, err := w.reg.Verify(ctx, model.Name, v.Version); err != nil {
				w.t.Error(err)
			}
		}
		if ready != w.versions[model.Name] {
			w.t.Errorf("%s has %d versions, %d were registered", model.Name, ready, w.versions[model.Name])
		}
		for s, err := range w.reg.Log(ctx, model.Name, 1, 0) {
			w.must(err)
			for _, digest := range s.Last.Evidence {
				if _, err := w.reg.Evidence(ctx, digest); err != nil {
					w.t.Errorf("generation %d of %s: %v", s.Generation, model.Name, err)
				}
			}
		}
	}
}

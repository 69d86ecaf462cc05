package garbage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
)

// TestNothingThatIsNeededIsListed plays random histories and searches them, with limits
// of all kinds: what must stay is never listed, what is left over always is.
func TestNothingThatIsNeededIsListed(t *testing.T) {
	listed, kept := 0, 0
	for seed := range uint64(150) {
		w := newWorld(t, seed)
		for range 20 + w.rng.IntN(60) {
			w.step()
		}
		opt := Options{OlderThan: MinAge + time.Duration(w.rng.IntN(20))*day}
		r, err := w.collector().Find(t.Context(), opt)
		if err != nil {
			t.Fatal(err)
		}
		var keys []string
		for _, item := range r.Garbage {
			if !item.At.Before(w.now.Add(-opt.OlderThan)) || item.Reason == "" {
				t.Errorf("seed %d: %s is of %s", seed, item.Key, item.At)
			}
			keys = append(keys, item.keys...)
		}
		for _, key := range keys {
			if w.needed[key] {
				t.Errorf("seed %d: %s is needed", seed, key)
			}
			if !strings.HasPrefix(key, "blobs/") && !strings.HasPrefix(key, "uploads/") && !strings.HasPrefix(key, "runs/") {
				t.Errorf("seed %d: %s may never go", seed, key)
			}
		}
		for key := range w.orphans {
			info, err := w.store.Head(t.Context(), key)
			if err != nil {
				t.Fatal(err)
			}
			if old := info.Modified.Before(r.Before); old != slices.Contains(keys, key) {
				t.Errorf("seed %d: %s of %s, limit %s: listed %v", seed, key, info.Modified, r.Before, !old)
			}
		}
		listed, kept = listed+len(r.Garbage), kept+len(r.Kept)
		// All of it removed, the registry is whole and there is nothing more to find.
		bytes := int64(0)
		if err := w.collector().Delete(t.Context(), r, func(o Outcome) { bytes += o.Bytes }); err != nil {
			t.Fatal(err)
		}
		w.whole()
		if again, err := w.collector().Find(t.Context(), opt); err != nil || len(again.Garbage) > 0 || bytes != r.Bytes {
			t.Errorf("seed %d: afterwards %+v, %v; %d of %d bytes removed", seed, again.Garbage, err, bytes, r.Bytes)
		}
	}
	if listed < 1000 || kept < 100 {
		t.Errorf("only %d listed and %d kept: the histories are too short", listed, kept)
	}
}

// failing is a bucket whose n-th removal and all calls after it fail.
type failing struct {
	Bucket
	left int
}

var errGone = errors.New("the process is gone")

func (f *failing) DeleteVersion(ctx context.Context, key, version string) error {
	if f.left--; f.left < 0 {
		return errGone
	}
	return f.Bucket.DeleteVersion(ctx, key, version)
}

// TestACrashLeavesAWholeRegistry stops a removal after each of its objects.
func TestACrashLeavesAWholeRegistry(t *testing.T) {
	crashes := 0
	for n := 0; ; n++ {
		w := newWorld(t, 3)
		for range 80 {
			w.step()
		}
		c := w.collector()
		r, err := c.Find(t.Context(), Options{})
		if err != nil {
			t.Fatal(err)
		}
		c.Bucket = &failing{Bucket: w.store, left: n}
		if err := c.Delete(t.Context(), r, nil); err == nil {
			break
		} else if !errors.Is(err, errGone) {
			t.Fatal(err)
		}
		crashes++
		w.whole()
		// No run that is left names a blob that is gone: referrers go first.
		for info := range w.store.List(t.Context(), "runs/", "") {
			m := newMentions()
			obj, err := w.store.Get(t.Context(), info.Key)
			if err != nil || m.read(strings.NewReader(string(obj.Body))) != nil {
				t.Fatal(err)
			}
			for digest := range m.digests {
				if _, err := w.store.Head(t.Context(), registry.BlobKey(digest)); err != nil && !strings.Contains(string(obj.Body), `"digest":"sha256:`+digest) {
					t.Errorf("after %d removals %s names %s, which is gone", n, info.Key, digest)
				}
			}
		}
		again, err := w.collector().Find(t.Context(), Options{})
		if err != nil || w.collector().Delete(t.Context(), again, nil) != nil {
			t.Fatal(err)
		}
		w.whole()
	}
	if crashes < 10 {
		t.Errorf("only %d crashes", crashes)
	}
}

// hooked calls before each of its calls.
type hooked struct {
	*blob.Memory
	before func()
}

func (h *hooked) Head(ctx context.Context, key string) (blob.Info, error) {
	h.before()
	return h.Memory.Head(ctx, key)
}

func (h *hooked) DeleteVersion(ctx context.Context, key, version string) error {
	h.before()
	return h.Memory.DeleteVersion(ctx, key, version)
}

// nth makes a hook that acts at its n-th call, once; done says whether it did.
func nth(n int, act func()) (hook func(), done func() bool) {
	at := 0
	return func() {
		if at++; at == n {
			act()
		}
	}, func() bool { return at >= n }
}

// abandoned is a world in which a registration of body was given up so long ago that
// its blob is garbage.
func abandoned(t *testing.T, body []byte) *world {
	w := newWorld(t, 1)
	w.register("m0", []byte("the version that serves"), true)
	w.register("m0", body, false)
	w.now = w.now.Add(10 * day)
	return w
}

// TestARegistrationDuringARemovalSurvives lets a registration adopt the old blob right before
// each of the calls of a removal.
func TestARegistrationDuringARemovalSurvives(t *testing.T) {
	body := []byte("adopted while it is collected")
	for n, more := 1, true; more; n++ {
		w := abandoned(t, body)
		c := w.collector()
		r, err := c.Find(t.Context(), Options{})
		if err != nil || len(r.Garbage) != 1 {
			t.Fatal(r, err)
		}
		hook, done := nth(n, func() { w.register("m0", body, true) })
		c.Bucket = &hooked{Memory: w.store, before: hook}
		if err := c.Delete(t.Context(), r, nil); err != nil {
			t.Fatal(err)
		}
		if more = done(); more {
			w.whole()
		}
	}
}

// calling is a store that calls before each of its calls.
type calling struct {
	blob.Store
	before func()
}

func (c *calling) Put(ctx context.Context, key string, body []byte, cond blob.Condition) (blob.Info, error) {
	c.before()
	return c.Store.Put(ctx, key, body, cond)
}

func (c *calling) PutStream(ctx context.Context, key string, r io.ReadSeeker, size int64, cond blob.Condition) (blob.Info, error) {
	c.before()
	return c.Store.PutStream(ctx, key, r, size, cond)
}

func (c *calling) Head(ctx context.Context, key string) (blob.Info, error) {
	c.before()
	return c.Store.Head(ctx, key)
}

func (c *calling) Get(ctx context.Context, key string) (blob.Object, error) {
	c.before()
	return c.Store.Get(ctx, key)
}

// interrupted registers body and lets act happen before its n-th call.
func (w *world) interrupted(body []byte, n int, now func() time.Time, act func()) (more bool, err error) {
	hook, done := nth(n, act)
	reg := registry.New(&calling{Store: w.store, before: hook}, registry.Options{Now: now, Sleep: func(context.Context, time.Duration) error { return nil }})
	_, err = register(w.t.Context(), reg, "m0", body, true)
	return done(), err
}

// TestARemovalDuringARegistrationHarmsNothing searches and removes before each call of a
// registration that adopts an old blob; and removes there what was found before it began.
func TestARemovalDuringARegistrationHarmsNothing(t *testing.T) {
	body := []byte("adopted while it is collected")
	for _, early := range []bool{false, true} {
		for n, more := 1, true; more; n++ {
			w := abandoned(t, body)
			c := w.collector()
			r, err := c.Find(t.Context(), Options{})
			w.must(err)
			more, err = w.interrupted(body, n, c.Now, func() {
				if !early {
					r, err = c.Find(t.Context(), Options{})
					w.must(err)
				}
				w.must(c.Delete(t.Context(), r, nil))
			})
			if err != nil {
				t.Fatalf("call %d: %v", n, err)
			}
			w.versions["m0"]++
			w.whole()
		}
	}
}

// TestWithoutRenewalBlobsAreLost shows that the tests above can fail: a registry whose clock is
// behind believes that every blob is young, and writes none anew.
func TestWithoutRenewalBlobsAreLost(t *testing.T) {
	body, lost := []byte("adopted while it is collected"), 0
	for n, more := 1, true; more; n++ {
		w := abandoned(t, body)
		c := w.collector()
		r, err := c.Find(t.Context(), Options{})
		w.must(err)
		behind := func() time.Time { return w.now.Add(-20 * day) }
		more, err = w.interrupted(body, n, behind, func() { w.must(c.Delete(t.Context(), r, nil)) })
		w.must(err)
		for v := range w.reg.Versions(t.Context(), "m0", 1) {
			if _, err := w.reg.Verify(t.Context(), "m0", v.Version); err != nil {
				lost++
			}
		}
	}
	if lost == 0 {
		t.Error("no version was damaged: the tests of races prove nothing")
	}
}

func TestNumbersAreKept(t *testing.T) {
	w := abandoned(t, []byte("given up"))
	r, err := w.collector().Find(t.Context(), Options{})
	w.must(err)
	if len(r.Kept) != 1 || r.Kept[0].Key != "models/m0/versions/00000002/" || r.Kept[0].Kind != Unfinished {
		t.Errorf("kept %+v", r.Kept)
	}
	w.must(w.collector().Delete(t.Context(), r, nil))
	if v := w.register("m0", []byte("another"), true); v != 3 {
		t.Errorf("the next number is %d", v)
	}
	if v := w.register("m0", []byte("given up"), true); v != 2 {
		t.Errorf("the same content has number %d now", v)
	}
	w.whole()
}

func TestEvidenceIsKeptForAYear(t *testing.T) {
	w := newWorld(t, 1)
	digest, err := w.reg.PutEvidence(t.Context(), registry.Evidence{Model: "m0", Champion: registry.Ref{Version: 1}, Challenger: registry.Ref{Version: 2}, Decision: "start", At: w.now})
	w.must(err)
	for days, want := range map[int]int{8: 1, 365: 1, 367: 0} {
		at := w.now.Add(time.Duration(days) * day)
		r, err := (&Collector{Bucket: w.store, Now: func() time.Time { return at }}).Find(t.Context(), Options{})
		w.must(err)
		if len(r.Kept) != want || len(r.Garbage) != 1-want {
			t.Errorf("after %d days %s is kept %d times, garbage %d times", days, digest, len(r.Kept), len(r.Garbage))
		}
	}
}

func TestWhatABlobMentionsStays(t *testing.T) {
	w := newWorld(t, 1)
	inner := w.blob([]byte("rows"))
	middle := w.blob([]byte(`{"rows":"` + inner + `"}`))
	outer := w.blob([]byte(" [\"sha256:" + middle + "\"]"))
	w.put("something/of/a/later/release.json", map[string]string{"a": outer})
	other := w.blob([]byte("x" + `{"rows":"` + inner + `"}`))
	w.now = w.now.Add(400 * day)
	r, err := w.collector().Find(t.Context(), Options{})
	w.must(err)
	if len(r.Garbage) != 1 || r.Garbage[0].Key != registry.BlobKey(other) {
		t.Errorf("garbage %+v", r.Garbage)
	}
}

func TestOneModel(t *testing.T) {
	w := newWorld(t, 5)
	for range 200 {
		w.step()
	}
	w.now = w.now.Add(30 * day)
	all, err := w.collector().Find(t.Context(), Options{})
	w.must(err)
	want := map[string]int{}
	for _, item := range append(slices.Clone(all.Garbage), all.Kept...) {
		if item.Model != "" {
			want[item.Model]++
		}
	}
	for model := range maps.Keys(want) {
		one, err := w.collector().Find(t.Context(), Options{Model: model})
		w.must(err)
		if n := len(one.Garbage) + len(one.Kept); n != want[model] {
			t.Errorf("%s: %d, want %d", model, n, want[model])
		}
	}
	if len(want) == 0 {
		t.Error("nothing found")
	}
}

func TestRefusals(t *testing.T) {
	w := abandoned(t, []byte("given up"))
	c := w.collector()
	for _, opt := range []Options{{OlderThan: time.Hour}, {OlderThan: -day}, {Model: "../x"}} {
		if _, err := c.Find(t.Context(), opt); !fault.Is(err, fault.InvalidArgument) {
			t.Errorf("%+v: %v", opt, err)
		}
	}
	r, err := c.Find(t.Context(), Options{})
	w.must(err)
	w.now = w.now.Add(MaxRun + time.Second)
	if err := c.Delete(t.Context(), r, nil); !fault.Is(err, fault.FailedPrecondition) {
		t.Errorf("an old report: %v", err)
	}
	w.now = r.At
	c.Bucket = unversioned{w.store}
	if err := c.Delete(t.Context(), r, nil); !fault.Is(err, fault.FailedPrecondition) || !strings.Contains(err.Error(), "versioning") {
		t.Errorf("a bucket without versions: %v", err)
	}
	w.whole()
	c.Bucket = unreadable{w.store}
	if _, err := c.Find(t.Context(), Options{}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("a bucket that cannot be read: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.collector().Find(ended, Options{}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("interrupted: %v", err)
	}
}

type unversioned struct{ *blob.Memory }

func (u unversioned) Head(ctx context.Context, key string) (blob.Info, error) {
	info, err := u.Memory.Head(ctx, key)
	info.VersionID = ""
	return info, err
}

type unreadable struct{ *blob.Memory }

func (u unreadable) Open(context.Context, string, int64, int64) (io.ReadCloser, blob.Info, error) {
	return nil, blob.Info{}, fault.New(fault.Unavailable, "later")
}

// FuzzMentions: a digest or an upload between any two texts that do not run into it is found.
func FuzzMentions(f *testing.F) {
	f.Add(`{"sha256":"`, `"}`, "01KJ3B2R9V6N3Z0W8M4C5XQ7TD")
	f.Add("uploads/uploads/", "/uploads/", "a")
	f.Add(strings.Repeat("a", 63), "\\/", "x.y")
	f.Fuzz(func(t *testing.T, before, after, id string) {
		digest := fmt.Sprintf("%064x", len(before)*7+1)
		m := newMentions()
		text := before + "\n" + digest + "\n" + after + "\nuploads\\/" + id + "/x " + digest + "0 "
		if err := m.read(strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
		if !m.digests[digest] {
			t.Errorf("%q is not found in %q", digest, text)
		}
		if want := uploadID(id); want != "" && len(want) < maxUpload && !strings.Contains(id, `\`) && !m.uploads[want] {
			t.Errorf("%q is not found in %q: %v", want, text, m.uploads)
		}
		if m.digests[digest+"0"] || m.digests[(digest + "0")[1:]] {
			t.Error("part of a longer number is taken for a digest")
		}
	})
}

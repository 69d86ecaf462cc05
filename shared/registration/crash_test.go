package registration

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/blob/blobtest"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
)

// mortal stops at its n-th write, and with it everything after: what a process leaves that dies there.
type mortal struct {
	blob.Store
	left atomic.Int64
}

var errDead = errors.New("the process is gone")

func (m *mortal) Put(ctx context.Context, key string, body []byte, cond blob.Condition) (blob.Info, error) {
	if m.left.Add(-1) < 0 {
		return blob.Info{}, errDead
	}
	return m.Store.Put(ctx, key, body, cond)
}

func (m *mortal) PutStream(ctx context.Context, key string, r io.ReadSeeker, size int64, cond blob.Condition) (blob.Info, error) {
	if m.left.Add(-1) < 0 {
		return blob.Info{}, errDead
	}
	return m.Store.PutStream(ctx, key, r, size, cond)
}

// TestCrashAtEveryWrite kills a registration at each of its writes, then registers the same upload again.
func TestCrashAtEveryWrite(t *testing.T) {
	ctx := context.Background()
	crashes := 0
	for n := int64(0); ; n++ {
		w := newWorld(t)
		w.upload(t, "binary")
		dying := &mortal{Store: w.store}
		dying.left.Store(n)
		r := *w.r
		r.Registry = registry.New(dying, registry.Options{})
		first, err := r.Run(ctx, in())
		if err == nil {
			if crashes != int(n) || n < 10 {
				t.Fatalf("only %d writes", n)
			}
			break
		}
		crashes++
		for v := range w.reg.Versions(ctx, "flights", 0) {
			if v.Ready {
				t.Fatalf("crash %d: READY without its last write", n)
			}
		}
		w.noTemp(t)
		// The retry is another upload of the same model, with another run record: what is stored counts.
		w.put(t, folder+"run.json", []byte(`{"v":1,"seed":2}`))
		out, err := w.r.Run(ctx, in())
		if err != nil {
			t.Fatalf("after crash %d (%+v): %v", n, first, err)
		}
		if out.Existing || out.Version < 1 || out.Version > 2 {
			t.Errorf("after crash %d: %+v", n, out)
		}
		if _, err := w.reg.Verify(ctx, "flights", out.Version); err != nil {
			t.Errorf("after crash %d: %v", n, err)
		}
		again, err := w.r.Run(ctx, in())
		if err != nil || !again.Existing || again.Version != out.Version {
			t.Errorf("third call after crash %d: %+v, %v", n, again, err)
		}
	}
	t.Logf("%d crashes", crashes)
}

// TestManyCallersInAStorm registers two uploads by six callers each, over a store
// that loses answers, refuses and conflicts: each content is one READY version.
func TestManyCallersInAStorm(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	w.upload(t, "binary")
	features := []byte(`{"v":1,"features":[]}`)
	for _, f := range []string{"model.onnx", "holdout.csv", "predictions.csv", "training_schema.json"} {
		w.put(t, "uploads/second/"+f, read(t, "testdata/binary/"+f))
	}
	w.put(t, "uploads/second/features.json", features)
	const callers = 6
	outs := make([][callers]Out, 2)
	var group sync.WaitGroup
	for s, source := range []string{folder, "uploads/second/"} {
		for i := range callers {
			group.Go(func() {
				store := blobtest.Faulty(w.store, uint64(10*s+i), blobtest.Storm())
				r := *w.r
				r.Uploads = store
				r.Registry = registry.New(store, registry.Options{Sleep: func(context.Context, time.Duration) error { return nil }})
				for {
					out, err := r.Run(ctx, In{Model: "flights", Source: "s3://reg/" + source})
					if err == nil {
						outs[s][i] = out
						return
					}
					if !fault.KindOf(err).Retryable() {
						t.Errorf("caller %d of %s: %v", i, source, err)
						return
					}
				}
			})
		}
	}
	group.Wait()
	for s := range outs {
		for i, out := range outs[s] {
			if out.Version != outs[s][0].Version || out.Digest != outs[s][0].Digest || !out.Parity.Checked {
				t.Errorf("source %d: caller %d got %+v, caller 0 %+v", s, i, out, outs[s][0])
			}
		}
		if _, err := w.reg.Verify(ctx, "flights", outs[s][0].Version); err != nil {
			t.Error(err)
		}
	}
	ready, holes := 0, 0
	for v, err := range w.reg.Versions(ctx, "flights", 0) {
		if err != nil {
			t.Fatal(err)
		}
		if v.Ready {
			ready++
		} else {
			holes++
		}
	}
	if ready != 2 {
		t.Errorf("%d READY versions, want 2", ready)
	}
	t.Logf("%d numbers unused", holes)
}

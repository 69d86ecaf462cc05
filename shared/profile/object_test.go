package profile

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/fault"
)

// counting counts the ranges that are asked for.
type counting struct {
	blob.Memory
	opens int
	cut   bool // bodies end early
}

func (c *counting) Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, blob.Info, error) {
	c.opens++
	body, info, err := c.Memory.Open(ctx, key, offset, length)
	if err == nil && c.cut {
		return io.NopCloser(io.LimitReader(body, 3)), info, nil
	}
	return body, info, err
}

func stored(t *testing.T, c *counting, data []byte) {
	t.Helper()
	if _, err := c.Put(context.Background(), "k", data, blob.Always()); err != nil {
		t.Fatal(err)
	}
}

func TestObjectReadsAnywhere(t *testing.T) {
	rng := rand.New(rand.NewPCG(91, 91))
	data := make([]byte, 10_003)
	for i := range data {
		data[i] = byte(rng.Uint32())
	}
	store := &counting{}
	stored(t, store, data)
	o, err := openObject(context.Background(), store, "k", 64)
	if err != nil || o.Size() != int64(len(data)) {
		t.Fatalf("%d bytes, %v", o.Size(), err)
	}
	want := bytes.NewReader(data)
	var group sync.WaitGroup
	for g := range 4 {
		group.Go(func() {
			rng := rand.New(rand.NewPCG(92, uint64(g)))
			for range 500 {
				off, n := rng.Int64N(11_000), rng.IntN(300)
				a, b := make([]byte, n), make([]byte, n)
				x, errX := o.ReadAt(a, off)
				y, errY := want.ReadAt(b, off)
				if x != y || !bytes.Equal(a[:x], b[:y]) || (errX == io.EOF) != (errY == io.EOF) && n > 0 {
					t.Errorf("%d bytes at %d: %d %v, want %d %v", n, off, x, errX, y, errY)
					return
				}
			}
		})
	}
	group.Wait()
	before := store.opens
	for range 100 {
		if _, err := o.ReadAt(make([]byte, 10), 128); err != nil {
			t.Fatal(err)
		}
	}
	if store.opens > before+1 || len(o.blocks) > objectBlocks {
		t.Errorf("%d requests for one block, %d blocks kept", store.opens-before, len(o.blocks))
	}
	all, err := io.ReadAll(io.NewSectionReader(o, 0, o.Size()))
	if err != nil || !bytes.Equal(all, data) {
		t.Errorf("read in one: %d bytes, %v", len(all), err)
	}
}

func TestObjectThatChanges(t *testing.T) {
	store := &counting{}
	if _, err := OpenObject(context.Background(), store, "k"); !fault.Is(err, fault.NotFound) {
		t.Errorf("absent: %v", err)
	}
	stored(t, store, make([]byte, 500))
	o, err := openObject(context.Background(), store, "k", 100)
	if err != nil {
		t.Fatal(err)
	}
	store.cut = true
	if _, err := o.ReadAt(make([]byte, 1), 200); !fault.Is(err, fault.Unavailable) {
		t.Errorf("cut off: %v", err)
	}
	store.cut = false
	stored(t, store, make([]byte, 400))
	if _, err := o.ReadAt(make([]byte, 1), 300); !fault.Is(err, fault.FailedPrecondition) {
		t.Errorf("replaced: %v", err)
	}
	stored(t, store, nil)
	if o, err := OpenObject(context.Background(), store, "k"); err != nil || o.Size() != 0 {
		t.Errorf("empty: %v", err)
	}
}

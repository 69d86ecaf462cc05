package registry_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/blob/blobtest"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
)

// guests is a document that each writer enters once.
type guests struct {
	Names []string `json:"names"`
}

func enter(reg *registry.Registry, t *testing.T, name string) error {
	return reg.SwapRecord(t.Context(), "guests.json", func(stored []byte) (any, error) {
		var g guests
		if stored != nil {
			if err := json.Unmarshal(stored, &g); err != nil {
				return nil, err
			}
		}
		if slices.Contains(g.Names, name) {
			return nil, nil
		}
		g.Names = append(g.Names, name)
		return g, nil
	})
}

// TestRecordsMoveUnderFaults: twelve writers, a quarter of all answers lost: everybody is in it once.
func TestRecordsMoveUnderFaults(t *testing.T) {
	for seed := range uint64(30) {
		store := new(blob.Memory)
		reg := instantly(blobtest.Faulty(store, seed, blobtest.Faults{DropAnswers: 0.25, Precondition412: 0.1, Conflict409: 0.1, Unavailable503: 0.05}))
		var wg sync.WaitGroup
		for w := range 12 {
			wg.Go(func() {
				for n := range 5 {
					for {
						err := enter(reg, t, fmt.Sprintf("%d-%d", w, n))
						if err == nil {
							break
						}
						if !fault.Is(err, fault.Unavailable) && !fault.Is(err, fault.Aborted) {
							t.Errorf("seed %d: %v", seed, err)
							return
						}
					}
				}
			})
		}
		wg.Wait()
		body, err := instantly(store).ReadRecord(t.Context(), "guests.json")
		var g guests
		if err == nil {
			err = json.Unmarshal(body, &g)
		}
		slices.Sort(g.Names)
		if err != nil || len(g.Names) != 60 || len(slices.Compact(g.Names)) != 60 {
			t.Fatalf("seed %d: %d names, %v", seed, len(g.Names), err)
		}
		if n := len(store.Versions("guests.json")); n != 60 {
			t.Errorf("seed %d: %d writes for 60 names", seed, n)
		}
	}
}

func TestRecords(t *testing.T) {
	store := new(blob.Memory)
	reg := instantly(store)
	ctx := t.Context()
	if _, err := reg.ReadRecord(ctx, "none.json"); !fault.Is(err, fault.NotFound) {
		t.Error(err)
	}
	first, created, err := reg.PutRecord(ctx, "a/1.json", map[string]int{"n": 1})
	if err != nil || !created {
		t.Error(created, err)
	}
	stored, created, err := reg.PutRecord(ctx, "a/1.json", map[string]int{"n": 2})
	if err != nil || created || string(stored) != string(first) {
		t.Errorf("%s, %v, %v", stored, created, err)
	}
	refused := errors.New("refused")
	if err := reg.SwapRecord(ctx, "a/1.json", func([]byte) (any, error) { return nil, refused }); !errors.Is(err, refused) {
		t.Error(err)
	}
	if err := reg.SwapRecord(ctx, "a/2.json", func(stored []byte) (any, error) { return nil, nil }); err != nil {
		t.Error(err)
	}
	if err := reg.SwapRecord(ctx, "a/3.json", func([]byte) (any, error) { return func() {}, nil }); !fault.Is(err, fault.Internal) {
		t.Error(err)
	}
	var keys []string
	for key, err := range reg.Records(ctx, "a/") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	if !slices.Equal(keys, []string{"a/1.json"}) {
		t.Errorf("keys %v", keys)
	}
	down := instantly(blobtest.Faulty(store, 1, blobtest.Faults{Unavailable503: 1}))
	if err := enter(down, t, "x"); !fault.Is(err, fault.Unavailable) {
		t.Error(err)
	}
	for _, err := range down.Records(ctx, "a/") {
		if !fault.Is(err, fault.Unavailable) {
			t.Error(err)
		}
	}
}

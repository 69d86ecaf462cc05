package registry

import (
	"bytes"
	"context"
	"fmt"
	"iter"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/fault"
)

// Records are what the packages above keep in the bucket beside models: approvals,
// leases, triggers. These methods carry the protocols of docs/formats/registry.md
// over to documents that have no log.

// ReadRecord reads a document of another package; NotFound when there is none.
func (r *Registry) ReadRecord(ctx context.Context, key string) ([]byte, error) {
	var obj blob.Object
	err := r.persist(ctx, func() (err error) {
		obj, err = r.store.Get(ctx, key)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("registry: read %s: %w", key, err)
	}
	return obj.Body, nil
}

// Records yields the keys under prefix, in order.
func (r *Registry) Records(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for info, err := range r.store.List(ctx, prefix, "") {
			if err != nil {
				yield("", fmt.Errorf("registry: list %s: %w", prefix, err))
				return
			}
			if !yield(info.Key, nil) {
				return
			}
		}
	}
}

// PutRecord writes doc once under key and returns what is stored there; created is
// true iff that is doc itself. Two writers of one key must differ in a byte.
func (r *Registry) PutRecord(ctx context.Context, key string, doc any) (stored []byte, created bool, err error) {
	body, err := encode(doc)
	if err != nil {
		return nil, false, err
	}
	if stored, created, err = r.putOnce(ctx, key, body); err != nil {
		return nil, false, fmt.Errorf("registry: put %s: %w", key, err)
	}
	return stored, created, nil
}

// SwapRecord moves a document by compare-and-swap. change gets what is stored (nil:
// nothing) and says what takes its place, or why not; a nil next leaves it.
//
// change is called again on each try. After a lost answer it may find its own effect,
// with moves of others on top, and must then leave it: these documents have no log
// that could tell. Every document that it makes must differ from all before it.
//
// Errors: those of change; Aborted or Unavailable when ctx or the tries end, and
// then it is open whether the document moved.
func (r *Registry) SwapRecord(ctx context.Context, key string, change func(stored []byte) (next any, err error)) error {
	var tried []byte // whose outcome is not known
	err := r.persist(ctx, func() error {
		obj, err := r.store.Get(ctx, key)
		absent := fault.Is(err, fault.NotFound)
		if err != nil && !absent {
			return err
		}
		if tried != nil && bytes.Equal(obj.Body, tried) {
			return nil
		}
		var stored []byte
		cond := blob.Once()
		if !absent {
			stored, cond = obj.Body, blob.Match(obj.ETag)
		}
		next, err := change(stored)
		if err != nil || next == nil {
			return err
		}
		body, err := encode(next)
		if err != nil {
			return err
		}
		tried = body
		_, err = r.store.Put(ctx, key, body, cond)
		if fault.Is(err, fault.FailedPrecondition) { // perhaps the echo of this very write: read again
			return fault.Wrap(err, fault.Aborted, "%s was written by another", key)
		}
		return err
	})
	if err != nil && open(err) {
		return fault.Wrap(err, fault.KindOf(err), "it is open whether %s moved; try again", key)
	}
	return err
}

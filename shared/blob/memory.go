package blob

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"io"
	"iter"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
)

// Memory is a versioned bucket in memory, with the semantics of S3: strongly
// consistent, ETags that are a checksum of the content, conditional writes
// decided under one lock. The zero value is an empty store, safe for concurrent
// use; it must not be copied. Now may be set before the first use.
type Memory struct {
	Now func() time.Time // time of modification; time.Now when nil

	mu      sync.RWMutex
	objects map[string][]Object // versions of a key, oldest first
	keys    []string            // sorted
	writes  int64
}

// Get implements [Store].
func (m *Memory) Get(ctx context.Context, key string) (Object, error) {
	if err := alive(ctx, key); err != nil {
		return Object{}, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	obj, ok := m.newest(key)
	if !ok {
		return Object{}, absent(key)
	}
	obj.Body = bytes.Clone(obj.Body)
	return obj, nil
}

// GetIfChanged implements [Store].
func (m *Memory) GetIfChanged(ctx context.Context, key, etag string) (Object, bool, error) {
	obj, err := m.Get(ctx, key)
	if err != nil {
		return Object{}, false, err
	}
	if obj.ETag == etag {
		return Object{Info: Info{ETag: etag}}, false, nil
	}
	return obj, true, nil
}

// Open implements [Store].
func (m *Memory) Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, Info, error) {
	if offset < 0 {
		return nil, Info{}, fault.New(fault.Internal, "read of %s from a negative offset", key)
	}
	obj, err := m.Get(ctx, key)
	if err != nil {
		return nil, Info{}, err
	}
	body := obj.Body[min(offset, obj.Size):]
	if length >= 0 {
		body = body[:min(length, int64(len(body)))]
	}
	return io.NopCloser(bytes.NewReader(body)), obj.Info, nil
}

// OpenVersion streams one version of the object from offset, as Open does the newest;
// ("" is that one); NotFound when that version is not there (any more).
func (m *Memory) OpenVersion(ctx context.Context, key, version string, offset, length int64) (io.ReadCloser, Info, error) {
	if version == "" {
		return m.Open(ctx, key, offset, length)
	}
	if offset < 0 {
		return nil, Info{}, fault.New(fault.Internal, "read of %s from a negative offset", key)
	}
	if err := alive(ctx, key); err != nil {
		return nil, Info{}, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, obj := range m.objects[key] {
		if obj.VersionID != version {
			continue
		}
		body := obj.Body[min(offset, obj.Size):] // bodies are never written again
		if length >= 0 {
			body = body[:min(length, int64(len(body)))]
		}
		return io.NopCloser(bytes.NewReader(body)), obj.Info, nil
	}
	return nil, Info{}, fault.New(fault.NotFound, "there is no version %s of the object %s", version, key)
}

// Head implements [Store].
func (m *Memory) Head(ctx context.Context, key string) (Info, error) {
	if err := alive(ctx, key); err != nil {
		return Info{}, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	obj, ok := m.newest(key)
	if !ok {
		return Info{}, absent(key)
	}
	return obj.Info, nil
}

// Put implements [Store].
func (m *Memory) Put(ctx context.Context, key string, body []byte, cond Condition) (Info, error) {
	if err := alive(ctx, key); err != nil {
		return Info{}, err
	}
	sum := md5.Sum(body) // as S3 does for single puts: equal content has an equal ETag
	now := time.Now
	if m.Now != nil {
		now = m.Now
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	old, exists := m.newest(key)
	switch {
	case cond.IfAbsent && exists:
		return Info{}, fault.New(fault.FailedPrecondition, "%s exists already", key)
	case cond.IfMatch != "" && !exists:
		return Info{}, absent(key)
	case cond.IfMatch != "" && old.ETag != cond.IfMatch:
		return Info{}, fault.New(fault.FailedPrecondition, "%s has changed since it was read", key)
	}
	m.writes++
	obj := Object{Body: bytes.Clone(body), Info: Info{
		Key: key, ETag: `"` + hex.EncodeToString(sum[:]) + `"`, Size: int64(len(body)),
		VersionID: strconv.FormatInt(m.writes, 10), Modified: now().UTC(),
	}}
	if m.objects == nil {
		m.objects = map[string][]Object{}
	}
	if !exists {
		at, _ := slices.BinarySearch(m.keys, key)
		m.keys = slices.Insert(m.keys, at, key)
	}
	m.objects[key] = append(m.objects[key], obj)
	return obj.Info, nil
}

// PutStream implements [Store].
func (m *Memory) PutStream(ctx context.Context, key string, r io.ReadSeeker, size int64, cond Condition) (Info, error) {
	body := make([]byte, size)
	if _, err := io.ReadFull(r, body); err != nil {
		return Info{}, fault.Wrap(err, fault.Internal, "the body of %s is shorter than announced", key)
	}
	return m.Put(ctx, key, body, cond)
}

// List implements [Store].
func (m *Memory) List(ctx context.Context, prefix, startAfter string) iter.Seq2[Info, error] {
	const page = 100 // taken under one lock, so that a long consumer does not block writers
	return func(yield func(Info, error) bool) {
		for after := startAfter; ; {
			if err := alive(ctx, prefix); err != nil {
				yield(Info{}, err)
				return
			}
			infos := m.page(prefix, after, page)
			for _, info := range infos {
				if !yield(info, nil) {
					return
				}
			}
			if len(infos) < page {
				return
			}
			after = infos[len(infos)-1].Key
		}
	}
}

func (m *Memory) page(prefix, after string, limit int) []Info {
	m.mu.RLock()
	defer m.mu.RUnlock()
	first := sort.Search(len(m.keys), func(i int) bool { return m.keys[i] > after && m.keys[i] >= prefix })
	var infos []Info
	for _, key := range m.keys[first:] {
		if !strings.HasPrefix(key, prefix) || len(infos) == limit {
			break
		}
		obj, _ := m.newest(key)
		obj.VersionID = ""
		infos = append(infos, obj.Info)
	}
	return infos
}

// Versions returns every version that was ever written under key, oldest first.
func (m *Memory) Versions(key string) []Object {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return slices.Clone(m.objects[key])
}

// DeleteVersion removes one version of key; an absent one is no error. It is not part
// of [Store]: only shared/garbage deletes.
func (m *Memory) DeleteVersion(ctx context.Context, key, id string) error {
	if err := alive(ctx, key); err != nil {
		return err
	}
	m.mu.Lock()
	kept := slices.DeleteFunc(slices.Clone(m.objects[key]), func(o Object) bool { return o.VersionID == id })
	if len(kept) > 0 {
		m.objects[key] = kept
	}
	m.mu.Unlock()
	if len(kept) == 0 {
		m.Delete(key)
	}
	return nil
}

// Delete removes key and its versions; absent keys are no error. It is for tests of damage.
func (m *Memory) Delete(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.objects[key]; !ok {
		return
	}
	delete(m.objects, key)
	at, _ := slices.BinarySearch(m.keys, key)
	m.keys = slices.Delete(m.keys, at, at+1)
}

func (m *Memory) newest(key string) (Object, bool) {
	versions := m.objects[key]
	if len(versions) == 0 {
		return Object{}, false
	}
	return versions[len(versions)-1], true
}

func alive(ctx context.Context, key string) error {
	return fault.Wrap(ctx.Err(), fault.Unavailable, "the request for %s was given up", key)
}

func absent(key string) error { return fault.New(fault.NotFound, "there is no object %s", key) }

package dataset

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"iter"
	"slices"
	"strings"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/fault"
)

// pinned is the outcome.Store of the pinned objects: what came later is not there.
type pinned struct {
	b     *Builder
	keys  []string // sorted
	byKey map[string]*Source
}

func newPinned(b *Builder, sources []Source) *pinned {
	p := &pinned{b: b, byKey: map[string]*Source{}}
	for i := range sources {
		p.byKey[sources[i].Key] = &sources[i]
		p.keys = append(p.keys, sources[i].Key)
	}
	slices.Sort(p.keys)
	return p
}

// List implements outcome.Store.
func (p *pinned) List(_ context.Context, prefix, startAfter string) iter.Seq2[blob.Info, error] {
	return func(yield func(blob.Info, error) bool) {
		first, _ := slices.BinarySearch(p.keys, prefix)
		for _, key := range p.keys[first:] {
			if !strings.HasPrefix(key, prefix) {
				return
			}
			s := p.byKey[key]
			if key > startAfter && !yield(blob.Info{Key: key, ETag: s.ETag, Size: s.Size}, nil) {
				return
			}
		}
	}
}

// Open implements outcome.Store. Whoever reads an object to its end first leaves its digest.
func (p *pinned) Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, blob.Info, error) {
	s, ok := p.byKey[key]
	if !ok {
		return nil, blob.Info{}, fault.New(fault.NotFound, "%s is not pinned", key)
	}
	body, info, err := p.b.open(ctx, s, offset, length)
	if err != nil || offset != 0 || length >= 0 {
		return body, info, err
	}
	sum := sha256.New()
	return &summed{ReadCloser: body, tee: io.TeeReader(body, sum), done: func() { s.SHA256 = hex.EncodeToString(sum.Sum(nil)) }}, info, nil
}

// summed calls done at the end of the object.
type summed struct {
	io.ReadCloser
	tee  io.Reader
	done func()
}

func (s *summed) Read(p []byte) (int, error) {
	n, err := s.tee.Read(p)
	if errors.Is(err, io.EOF) {
		s.done()
	}
	return n, err
}

package profile

import (
	"context"
	"io"
	"slices"
	"sync"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/fault"
)

// Opener is the part of blob.Store that reads ranges of objects.
type Opener interface {
	Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, blob.Info, error)
}

const (
	// objectBlock is the least that is asked of the store: a request takes tens of milliseconds, as does this much.
	objectBlock = 4 << 20
	// objectBlocks are kept, so that columns that lie beside each other, and the small reads of a decoder, ask once.
	objectBlocks = 8
)

// Object is a stored object that can be read anywhere, by ranges. It keeps the
// blocks that were read last (32 MB), and refuses to go on when the object is
// replaced meanwhile. It may be read by several goroutines.
type Object struct {
	ctx   context.Context
	store Opener
	info  blob.Info

	mu     sync.Mutex
	blocks []objectPart // the one used last comes first
	size   int64        // of a block; less in tests
}

type objectPart struct {
	number int64
	data   []byte
}

// OpenObject reads the first block. NotFound: there is no such object. The object
// can be read as long as ctx lives.
func OpenObject(ctx context.Context, store Opener, key string) (*Object, error) {
	return openObject(ctx, store, key, objectBlock)
}

func openObject(ctx context.Context, store Opener, key string, size int64) (*Object, error) {
	o := &Object{ctx: ctx, store: store, info: blob.Info{Key: key}, size: size}
	_, err := o.block(0)
	return o, err
}

// Info describes the object.
func (o *Object) Info() blob.Info { return o.info }

// Size is the size of the object.
func (o *Object) Size() int64 { return o.info.Size }

// ReadAt implements io.ReaderAt. Errors: FailedPrecondition, the object was
// replaced; NotFound, it was deleted; Unavailable.
func (o *Object) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, fault.New(fault.Internal, "read from a negative offset")
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for n < len(p) {
		if off >= o.info.Size {
			return n, io.EOF
		}
		data, err := o.block(off / o.size)
		if err != nil {
			return n, err
		}
		at := off % o.size
		if at >= int64(len(data)) {
			return n, io.EOF
		}
		k := copy(p[n:], data[at:])
		n, off = n+k, off+int64(k)
	}
	return n, nil
}

func (o *Object) block(number int64) ([]byte, error) {
	if i := slices.IndexFunc(o.blocks, func(b objectPart) bool { return b.number == number }); i >= 0 {
		b := o.blocks[i]
		copy(o.blocks[1:i+1], o.blocks[:i])
		o.blocks[0] = b
		return b.data, nil
	}
	data, err := o.fetch(number)
	if err != nil {
		return nil, err
	}
	if len(o.blocks) == objectBlocks {
		o.blocks = o.blocks[:objectBlocks-1]
	}
	o.blocks = slices.Insert(o.blocks, 0, objectPart{number, data})
	return data, nil
}

// fetch reads a block from the store, into the memory of one that is no longer kept.
func (o *Object) fetch(number int64) ([]byte, error) {
	body, info, err := o.store.Open(o.ctx, o.info.Key, number*o.size, o.size)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	switch {
	case o.info.ETag == "":
		o.info = info
	case info.ETag != o.info.ETag || info.VersionID != o.info.VersionID:
		return nil, fault.New(fault.FailedPrecondition, "the object was replaced while it was read; profile the new one")
	}
	want := max(0, min(o.size, info.Size-number*o.size))
	var data []byte
	if len(o.blocks) == objectBlocks && int64(cap(o.blocks[objectBlocks-1].data)) >= want {
		data = o.blocks[objectBlocks-1].data[:want]
		o.blocks = o.blocks[:objectBlocks-1]
	} else {
		data = make([]byte, want)
	}
	if _, err := io.ReadFull(body, data); err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "the object could not be read to its end; try again")
	}
	return data, nil
}

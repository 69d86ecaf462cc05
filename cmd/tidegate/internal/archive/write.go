package archive

import (
	"context"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
)

// Options of Write.
type Options struct {
	Compress bool              // zstd
	Wrote    func(bytes int64) // told of what was written of files; may be nil
}

// Write writes a READY version as an archive and says what is in it. Files are
// streamed and checked; after an error what was written is no archive.
//
// The tar is the same bytes each time. Compressed it is so for one release of this
// program: another may compress better.
//
// Errors: NotFound (no such model, or version that is READY), Internal (a file of the
// version is missing or damaged), FailedPrecondition (a file that no archive can hold), Unavailable.
func Write(ctx context.Context, w io.Writer, reg *registry.Registry, model string, version int, opt Options) (Index, error) {
	identity, err := reg.Model(ctx, model)
	if err != nil {
		return Index{}, err
	}
	m, err := reg.Manifest(ctx, model, version)
	if err != nil {
		return Index{}, err
	}
	body, err := reg.ReadRecord(ctx, registry.ManifestKey(model, version)) // as stored: a newer release may have written more into it
	if err != nil {
		return Index{}, err
	}
	index := newIndex(identity, &m, body)
	if !opt.Compress {
		return index, index.write(ctx, w, reg, &m, body, opt)
	}
	z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1)) // one thread: the bytes do not depend on how many there are
	if err != nil {
		return index, fault.Wrap(err, fault.Internal, "zstd cannot be set up")
	}
	if err := index.write(ctx, z, reg, &m, body, opt); err != nil {
		_ = z.Close()
		return index, err
	}
	return index, unwritten(z.Close())
}

func (x *Index) write(ctx context.Context, w io.Writer, reg *registry.Registry, m *registry.Manifest, manifest []byte, opt Options) error {
	encoded, err := x.encode()
	if err != nil {
		return err
	}
	files := ordered(m)
	out := &counter{w: w, wrote: opt.Wrote}
	if err := out.small(indexName, encoded); err != nil {
		return err
	}
	if err := out.small(sumName, sum(encoded)); err != nil {
		return err
	}
	if err := out.small(manifestName, manifest); err != nil {
		return err
	}
	for i, f := range x.Files[1:] {
		if err := out.entry(f.Path, f.Size, func() error { return reg.CopyFile(ctx, out, m, files[i]) }); err != nil {
			return err
		}
	}
	return out.bytes(make([]byte, 2*block))
}

// counter writes entries and tells of the bytes as they go.
type counter struct {
	w     io.Writer
	n     int64
	wrote func(int64)
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	if c.n += int64(n); c.wrote != nil {
		c.wrote(int64(n))
	}
	return n, unwritten(err)
}

func (c *counter) bytes(p []byte) error {
	_, err := c.Write(p)
	return err
}

func (c *counter) small(name string, content []byte) error {
	return c.entry(name, int64(len(content)), func() error { return c.bytes(content) })
}

func (c *counter) entry(name string, size int64, content func() error) error {
	head, err := header(name, size)
	if err != nil {
		return err
	}
	if err := c.bytes(head); err != nil {
		return err
	}
	if err := content(); err != nil {
		return err
	}
	return c.bytes(make([]byte, padded(c.n)-c.n))
}

func unwritten(err error) error {
	return fault.Wrap(err, fault.Unavailable, "the archive cannot be written; is the disk full?")
}

package rows

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/tidegate/tidegate/shared/fault"
)

// byContent is the format of a stream that is told by its first character.
const byContent = "by content"

// stream reads CSV or NDJSON.
func stream(format, name string, f io.ReadCloser, size int64) (Numbered, error) {
	in := &counted{Reader: f}
	plain, err := inflated(bufio.NewReaderSize(in, 1<<16))
	if err != nil {
		return nil, broken(err, "%s is not a readable gzip or zstd file", name)
	}
	base := source{name: name, file: f, in: in, size: size, guard: &guard{r: plain}}
	if format == byContent {
		head := bufio.NewReaderSize(plain, 1<<16)
		base.guard.r, format = head, told(head)
	}
	switch format {
	case "csv":
		return newCSV(base, base.guard)
	case "ndjson":
		return &ndjson{source: base, lines: bufio.NewReaderSize(base.guard, 1<<16)}, nil
	case "parquet":
		return nil, fault.New(fault.InvalidArgument, "%s: Parquet cannot be read from a stream; name a file", name)
	}
	return nil, fault.New(fault.InvalidArgument, "%s: the format is not known; use --format csv, ndjson or parquet", name)
}

// told tells NDJSON from CSV by the first character.
func told(r *bufio.Reader) string {
	head, _ := r.Peek(512) // an error shows again when the rows are read
	if bytes.HasPrefix(bytes.TrimLeft(head, " \t\r\n\ufeff"), []byte("{")) {
		return "ndjson"
	}
	return "csv"
}

func inflated(r *bufio.Reader) (io.Reader, error) {
	magic, err := r.Peek(4)
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return nil, err
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		return gzip.NewReader(r)
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(64<<20))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	}
	return r, nil
}

// broken is the error for a table that cannot be read on: InvalidArgument, unless
// the store that it comes from has failed.
func broken(err error, format string, args ...any) error {
	var known *fault.Error
	if errors.As(err, &known) {
		return err
	}
	return fault.Wrap(err, fault.InvalidArgument, format, args...)
}

// maxRow bounds the bytes of one row, so that a quote that never closes, or a file
// without line ends, does not take the memory.
const maxRow = 16 << 20

var errLong = errors.New("a row is longer than 16 MB; is a quote not closed?")

// guard fails when one row reads more than maxRow. What a buffer reads ahead counts
// for the row that made it do so.
type guard struct {
	r io.Reader
	n int
}

func (g *guard) Read(p []byte) (int, error) {
	if g.n > maxRow {
		return 0, errLong
	}
	n, err := g.r.Read(p)
	g.n += n
	return n, err
}

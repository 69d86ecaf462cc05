package profile

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
)

// Format is the form of a source of rows.
type Format string

// The formats, told by content, never by name.
const (
	Parquet Format = "parquet"
	CSV     Format = "csv"
	NDJSON  Format = "ndjson"
)

// Detect tells the format of a source from its first bytes, after decompression.
// It returns a reader that still has them. An empty source is CSV without a header.
func Detect(r io.Reader) (Format, io.Reader) {
	br := bufio.NewReaderSize(r, 64<<10)
	head, _ := br.Peek(512) // an error shows again when the rows are read
	switch trimmed := bytes.TrimLeft(head, " \t\r\n\ufeff"); {
	case bytes.HasPrefix(head, []byte("PAR1")):
		return Parquet, br
	case len(trimmed) > 0 && trimmed[0] == '{':
		return NDJSON, br
	}
	return CSV, br
}

// ReaderAtSize is a source that can be read anywhere, as Parquet needs: a file, or
// an object behind range requests.
type ReaderAtSize interface {
	io.ReaderAt
	Size() int64
}

// CountSource hands all rows of src to s. Row groups of a Parquet file are read
// one after the other; see [ParquetFile.Count] for one alone. progress, when not
// nil, is called with the rows so far.
func CountSource(ctx context.Context, src ReaderAtSize, s Sink, progress func(rows uint64)) (Report, error) {
	stream, format, err := open(src)
	if err != nil {
		return Report{}, err
	}
	defer stream.Close()
	switch format {
	case Parquet:
		return countParquetSource(ctx, src, s, nil, progress)
	case NDJSON:
		return CountNDJSON(ctx, stream, s)
	}
	return CountCSV(ctx, stream, s)
}

// CountRowGroups hands the rows of some row groups of a Parquet file to s; nil
// stands for all rows of a source of any format.
func CountRowGroups(ctx context.Context, src ReaderAtSize, s Sink, groups []int) (Report, error) {
	if groups == nil {
		return CountSource(ctx, src, s, nil)
	}
	return countParquetSource(ctx, src, s, groups, nil)
}

func countParquetSource(ctx context.Context, src ReaderAtSize, s Sink, groups []int, progress func(uint64)) (Report, error) {
	pf, err := OpenParquet(src, src.Size(), s.Columns())
	if err != nil {
		return Report{}, err
	}
	return pf.CountGroups(ctx, s, groups, progress)
}

// CountGroups hands the rows of some row groups to s, whose columns are those of the
// file; nil stands for all. progress, when not nil, is called with the rows so far.
func (pf *ParquetFile) CountGroups(ctx context.Context, s Sink, groups []int, progress func(rows uint64)) (Report, error) {
	if groups == nil {
		for g := range pf.RowGroups() {
			groups = append(groups, g)
		}
	}
	rep := Report{LeftOut: pf.LeftOut, Extra: pf.Extra, Absent: pf.Absent}
	for _, g := range groups {
		if g < 0 || g >= pf.RowGroups() {
			return rep, fmt.Errorf("profile: the Parquet file has no row group %d, only %d of them", g, pf.RowGroups())
		}
		n, err := pf.Count(ctx, s, g)
		if err != nil {
			return rep, err
		}
		if rep.Rows += n; progress != nil {
			progress(rep.Rows)
		}
	}
	return rep, nil
}

// Observe adds the columns and kinds of src to k.
func (k *Kinds) Observe(ctx context.Context, src ReaderAtSize) error {
	stream, format, err := open(src)
	if err != nil {
		return err
	}
	defer stream.Close()
	switch format {
	case Parquet:
		pf, err := OpenParquet(src, src.Size(), nil)
		if err == nil {
			k.Parquet(pf)
		}
		return err
	case NDJSON:
		return k.NDJSON(ctx, stream)
	}
	return k.CSV(ctx, stream)
}

// opened is a decompressed stream with its first bytes put back.
type opened struct {
	io.Reader
	io.Closer
}

func open(src ReaderAtSize) (io.ReadCloser, Format, error) {
	plain, err := Decompress(io.NewSectionReader(src, 0, src.Size()))
	if err != nil {
		return nil, "", fmt.Errorf("profile: the file looks compressed, but cannot be read: %w", err)
	}
	format, r := Detect(plain)
	return opened{r, plain}, format, nil
}

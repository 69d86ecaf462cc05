// Package rows reads tables row by row, from files and from stored objects, and
// turns them into the columns that a model's signature asks for.
//
// Formats: CSV with a header, NDJSON (one object per line) and Parquet with flat
// columns; CSV and NDJSON also compressed with gzip or zstd, which are told by
// their magic bytes. Memory is bounded by one row (of at most 16 MB) and the
// reader's buffers, except for Parquet, which reads pages.
//
// It does no statistics and knows no drift: it only feeds predictions.
//
//	src, err := rows.Open("april.csv", "")
//	row, err := src.Next() // io.EOF at the end
//	columns, err := rows.Columns(meta.Inputs, batch, first)
package rows

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/tidegate/tidegate/shared/fault"
)

// Row is one row: column → cell. A cell is nil (missing), string (also an unparsed CSV field),
// float64, int64, bool, json.Number or, for a vector, []any of these.
type Row map[string]any

// Source yields rows until io.EOF.
type Source interface {
	Next() (Row, error)
	Close() error
	// Position is how much of the file has been read, for a progress bar: bytes, or rows for Parquet.
	Position() int64
	// Total is the Position at the end, 0 when it is not known (standard input).
	Total() int64
}

// Open opens path ("-" is standard input). format is csv, ndjson, parquet or "", which is told by the name.
func Open(path, format string) (Source, error) {
	if format == "" {
		format = formatOf(path)
	}
	if path == "-" {
		return stream(format, "standard input", os.Stdin, 0)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fault.Wrap(err, fault.InvalidArgument, "%s cannot be opened; check the path", path)
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = fault.New(fault.InvalidArgument, "%s is a folder; name a file", path)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	var src Source
	if format == "parquet" {
		src, err = openParquet(path, f, f, info.Size(), nil)
	} else {
		src, err = stream(format, path, f, info.Size())
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return src, nil
}

func formatOf(path string) string {
	name := strings.ToLower(filepath.Base(path))
	name = strings.TrimSuffix(strings.TrimSuffix(name, ".gz"), ".zst")
	switch filepath.Ext(name) {
	case ".csv":
		return "csv"
	case ".ndjson", ".jsonl", ".json":
		return "ndjson"
	case ".parquet", ".pq":
		return "parquet"
	}
	return ""
}

// counted counts the bytes read from the file itself, before any decompression.
type counted struct {
	io.Reader
	n atomic.Int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n.Add(int64(n))
	return n, err
}

type source struct {
	name  string
	file  io.Closer
	in    *counted
	size  int64
	row   int // number of the row last read, from 1
	guard *guard
}

func (s *source) Row() int64      { return int64(s.row) }
func (s *source) Close() error    { return s.file.Close() }
func (s *source) Position() int64 { return s.in.n.Load() }
func (s *source) Total() int64    { return s.size }

type csvSource struct {
	source
	r      *csv.Reader
	header []string
}

func newCSV(base source, r io.Reader) (Numbered, error) {
	c := &csvSource{source: base, r: csv.NewReader(r)}
	c.r.ReuseRecord = true
	header, err := c.r.Read()
	if errors.Is(err, io.EOF) {
		return nil, fault.New(fault.InvalidArgument, "%s is empty; a CSV begins with a header", base.name)
	}
	if err != nil {
		return nil, broken(err, "%s: the header is not CSV", base.name)
	}
	c.header = append([]string(nil), header...)
	c.header[0] = strings.TrimPrefix(c.header[0], "\ufeff") // spreadsheets write a byte order mark
	seen := map[string]bool{}
	for _, name := range c.header {
		if seen[name] {
			return nil, fault.New(fault.InvalidArgument, "%s: the header names column %q twice", base.name, name)
		}
		seen[name] = true
	}
	return c, nil
}

func (c *csvSource) Next() (Row, error) {
	c.guard.n = 0
	fields, err := c.r.Read()
	if errors.Is(err, io.EOF) {
		return nil, io.EOF
	}
	c.row++
	if errors.Is(err, errLong) {
		return nil, tooLong(c.name, c.row)
	}
	if err != nil {
		return nil, broken(err, "%s: row %d is not CSV with the %d fields of the header", c.name, c.row, len(c.header))
	}
	row := make(Row, len(fields))
	for i, f := range fields {
		row[c.header[i]] = f
	}
	return row, nil
}

type ndjson struct {
	source
	lines *bufio.Reader
}

func (n *ndjson) Next() (Row, error) {
	for {
		n.guard.n = 0
		line, err := n.lines.ReadBytes('\n')
		if errors.Is(err, errLong) {
			return nil, tooLong(n.name, n.row+1)
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, broken(err, "%s cannot be read after row %d; is it cut short?", n.name, n.row)
		}
		if n.row == 0 {
			line = bytes.TrimPrefix(line, []byte("\ufeff"))
		}
		if line = bytes.TrimSpace(line); len(line) == 0 {
			if err != nil {
				return nil, io.EOF
			}
			continue
		}
		n.row++
		dec := json.NewDecoder(bytes.NewReader(line))
		dec.UseNumber() // int64 ids must not pass through float64
		var row Row
		if err := dec.Decode(&row); err != nil || row == nil || dec.More() {
			return nil, fault.Wrap(errors.Join(err, errNotObject), fault.InvalidArgument, "%s: row %d is not one JSON object on its line", n.name, n.row)
		}
		return row, nil
	}
}

func tooLong(name string, row int) error {
	return fault.Wrap(errLong, fault.InvalidArgument, "%s: row %d is longer than 16 MB; is a quote not closed?", name, row)
}

var errNotObject = errors.New("not an object")

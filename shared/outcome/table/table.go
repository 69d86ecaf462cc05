// Package table reads named columns of CSV, NDJSON and Parquet files in batches
// whose rows are aligned: value i of every column is of the same row.
//
// It knows nothing of predictions and labels. CSV and NDJSON may be compressed with
// gzip or zstd; format and compression are told by content. A Parquet file is read
// by row group, which several goroutines may do at once; anything else is one part.
// Memory is one page of each column, or a batch of a text file.
//
//	t, err := table.Open(file, []table.Column{{Name: "id"}, {Name: "score", Kind: table.Number}})
//	for part := range t.Parts() {
//		rep, err := t.Read(ctx, part, func(b *table.Batch) error { … })
//	}
package table

import (
	"context"
	"io"
	"slices"
	"strings"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/profile"
)

// Kind is what the values of a column are wanted as.
type Kind uint8

// The kinds.
const (
	Natural Kind = iota // as the file has them, see [Values]
	Number              // Floats
	Time                // Ints: milliseconds since 1970
)

// Column is a column that is wanted.
type Column struct {
	Name string
	Kind Kind
}

// Form says which of the slices of Values hold the values.
type Form uint8

// The forms.
const (
	Floats Form = iota
	Ints
	Texts
	UUIDs // Texts of 16 bytes each
)

// Values are those of one column in a batch. They are valid until the next batch.
type Values struct {
	Form   Form
	Floats []float64 // NaN: missing, or no number
	Ints   []int64
	Texts  []string // "": missing. Numbers and truth values of NDJSON by their text
	Null   []bool   // by row, of Ints: missing, or no time; nil when none is
	Wrong  []int    // rows whose value is there, but not of the kind asked for, ascending
}

// Batch is some rows of a part.
type Batch struct {
	First   int64 // row of the part
	Rows    int
	Columns []Values // in the order in which they were asked for
}

// Report is what was found in a part beside its rows.
type Report struct {
	Rows      int64
	Malformed uint64 // lines that are no rows
	First     string // where the first of them is, and what is wrong with it
	// Wrong counts values by column that are not of the kind asked for; they are missing in the batch.
	Wrong []uint64
}

// batchRows is the most rows of a batch.
const batchRows = 4096

// Table is an opened file.
type Table struct {
	src     profile.ReaderAtSize
	columns []Column
	format  profile.Format
	parquet *parquetFile
}

// Open tells the format and finds the columns. Errors: InvalidArgument, the file
// cannot be read, has no header or lacks a column: then the columns it has are named.
// The columns of NDJSON are known when it has been read to its end.
func Open(src profile.ReaderAtSize, columns []Column) (*Table, error) {
	t := &Table{src: src, columns: columns}
	stream, err := t.stream()
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	switch t.format {
	case profile.Parquet:
		t.parquet, err = openParquet(src, columns)
	case profile.CSV:
		_, _, err = newCSV(stream, columns)
	}
	return t, err
}

// Parts is the number of parts: row groups, or 1.
func (t *Table) Parts() int {
	if t.parquet != nil {
		return t.parquet.groups()
	}
	return 1
}

// FirstRow is the number of rows before a part.
func (t *Table) FirstRow(part int) (rows int64) {
	if t.parquet != nil {
		for _, g := range t.parquet.file.RowGroups()[:part] {
			rows += g.NumRows()
		}
	}
	return rows
}

// Rows is the number of rows by the footer of a Parquet file, and a guess of any other.
func (t *Table) Rows() int64 {
	if t.parquet != nil {
		return t.parquet.file.NumRows()
	}
	return t.src.Size()/32 + 1
}

// Format is what the file is.
func (t *Table) Format() profile.Format { return t.format }

// Read hands the rows of a part to visit. Errors: InvalidArgument, the file is
// damaged, or holds no such column; what visit returns.
func (t *Table) Read(ctx context.Context, part int, visit func(*Batch) error) (Report, error) {
	if t.parquet != nil {
		return t.parquet.read(ctx, part, visit)
	}
	stream, err := t.stream()
	if err != nil {
		return Report{}, err
	}
	defer stream.Close()
	if t.format == profile.NDJSON {
		return readNDJSON(ctx, stream, t.columns, visit)
	}
	return readCSV(ctx, stream, t.columns, visit)
}

type opened struct {
	io.Reader
	io.Closer
}

// stream opens the plain text from its beginning.
func (t *Table) stream() (io.ReadCloser, error) {
	plain, err := profile.Decompress(io.NewSectionReader(t.src, 0, t.src.Size()))
	if err != nil {
		return nil, fault.Wrap(err, fault.InvalidArgument, "the file looks compressed, but cannot be read")
	}
	format, r := profile.Detect(plain)
	t.format = format
	return opened{r, plain}, nil
}

// lacks says that a column is not there, and which ones are.
func lacks(column string, have []string) error {
	const most = 40
	have = slices.Clone(have)
	for i, name := range have {
		have[i] = profile.Cut(name)
	}
	more := ""
	if len(have) > most {
		have, more = have[:most], ", …"
	}
	return fault.New(fault.InvalidArgument, "there is no column %q; the columns are: %s%s", column, strings.Join(have, ", "), more)
}

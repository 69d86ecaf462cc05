package profile

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding"
	"github.com/parquet-go/parquet-go/format"
)

// LeftOut is a column of a file that could not be counted, and why.
type LeftOut struct {
	Column string `json:"column"`
	Reason string `json:"reason"`
}

// ParquetFile reads the monitored columns of a Parquet file, row group by row
// group. It holds one page of one column at a time, and the dictionary.
type ParquetFile struct {
	file    *parquet.File
	names   []string
	columns []int     // by monitored column: index of the leaf, or −1
	LeftOut []LeftOut // nested, decimal and other columns that have no cells
	Extra   []string  // columns of the file that are not monitored
	Absent  []string  // monitored columns that the file does not hold: all rows missing
	split   splitKeys
}

// OpenParquet reads the footer and finds the columns names. Errors say what is
// wrong with the file.
func OpenParquet(r io.ReaderAt, size int64, names []string) (pf *ParquetFile, err error) {
	defer recoverDamage("footer", &err)
	f, err := openParquet(r, size)
	if err != nil {
		return nil, err
	}
	return (&ParquetFile{file: f}).With(names), nil
}

// With is the same file, opened once, of which the columns names are read. Both may be
// read at the same time.
func (pf *ParquetFile) With(names []string) *ParquetFile {
	of := &ParquetFile{file: pf.file, names: names, columns: make([]int, len(names))}
	leaves := map[string]*parquet.Column{}
	for _, c := range pf.file.Root().Columns() {
		leaves[c.Name()] = c
		if !slices.Contains(names, c.Name()) {
			of.Extra = append(of.Extra, c.Name())
		}
	}
	for i, name := range names {
		of.columns[i] = -1
		c, ok := leaves[name]
		if !ok {
			of.Absent = append(of.Absent, name)
			continue
		}
		if reason := unsupported(c); reason != "" {
			of.LeftOut = append(of.LeftOut, LeftOut{name, reason})
			continue
		}
		of.columns[i] = c.Index()
	}
	return of
}

func openParquet(r io.ReaderAt, size int64) (*parquet.File, error) {
	f, err := parquet.OpenFile(r, size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true), parquet.ReadBufferSize(64<<10))
	if err != nil {
		return nil, fmt.Errorf("profile: not a readable Parquet file (truncated, or no Parquet at all): %w", err)
	}
	return f, nil
}

// unsupported says why a column has no cells, "" when it has.
func unsupported(c *parquet.Column) string {
	if !c.Leaf() || c.MaxRepetitionLevel() > 0 {
		return "nested or repeated: flatten it to one value a row"
	}
	if lt := c.Type().LogicalType(); lt != nil {
		switch lt.Value.(type) {
		case *format.DecimalType:
			return "decimal: write it as a double"
		case *format.TimestampType, *format.DateType, *format.TimeType:
			return "a time: times move with every window; derive the feature that the model uses"
		}
	}
	switch c.Type().Kind() {
	case parquet.Int96:
		return "a time (INT96): times move with every window; derive the feature that the model uses"
	case parquet.FixedLenByteArray:
		return "binary of fixed length: write text or a number"
	}
	return ""
}

// RowGroups is the number of row groups.
func (pf *ParquetFile) RowGroups() int { return len(pf.file.RowGroups()) }

// Rows is the number of rows by the footer.
func (pf *ParquetFile) Rows() int64 { return pf.file.NumRows() }

// Count hands row group g to s, whose columns are those of the file, and returns its rows. A column that does not hold
// as many values as the row group has rows is an error: rows in are rows out.
func (pf *ParquetFile) Count(ctx context.Context, s Sink, g int) (rows uint64, err error) {
	all := make([]int, len(pf.columns))
	for i := range all {
		all[i] = i
	}
	return pf.CountColumns(ctx, s, g, all)
}

// CountColumns is [ParquetFile.Count] of the columns cols of s alone, so that several can work on one row group.
func (pf *ParquetFile) CountColumns(ctx context.Context, s Sink, g int, cols []int) (rows uint64, err error) {
	defer recoverDamage(fmt.Sprintf("row group %d", g), &err)
	group := pf.file.RowGroups()[g]
	rows = uint64(group.NumRows())
	chunks := group.ColumnChunks()
	visits := noVisits
	if t, ok := s.(*Tally); ok && t.Split != nil && len(cols) > 0 {
		k, err := pf.keysOf(ctx, t.baseline, g)
		if err != nil {
			return 0, err
		}
		visits = t.visits(k)
	}
	for _, col := range cols {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		leaf := pf.columns[col]
		visit := visits(col)
		if leaf < 0 {
			s.Missing(col, rows)
			visit(nil, rows)
			continue
		}
		counted, err := countChunk(s, col, chunks[leaf], visit)
		if err != nil {
			return 0, fmt.Errorf("profile: row group %d, column %q: %w", g, pf.names[col], err)
		}
		if counted != rows {
			return 0, fmt.Errorf("profile: row group %d, column %q holds %d values for %d rows", g, pf.names[col], counted, rows)
		}
	}
	return rows, nil
}

// countChunk counts the pages of one column. Dictionary-encoded pages are counted
// by index, and each distinct value is looked up once, at the end.
func countChunk(s Sink, col int, chunk parquet.ColumnChunk, visit visit) (rows uint64, err error) {
	pages := chunk.Pages()
	defer func() {
		if e := pages.Close(); err == nil {
			err = e
		}
	}()
	folded := folds.Get().(*fold)
	defer folds.Put(folded)
	folded.dict = nil // an error may have left one
	folded.counts = folded.counts[:0]
	err = eachPage(context.Background(), pages, func(page parquet.Page) {
		visit(page, 0)
		nulls := uint64(page.NumNulls())
		rows += uint64(page.NumValues())
		if nulls > 0 {
			s.Missing(col, nulls)
		}
		if dict := page.Dictionary(); dict != nil {
			if dict != folded.dict {
				folded.flush(s, col)
				folded.reset(dict)
			}
			data := page.Data()
			folded.count(data.Int32())
		} else {
			countPlain(s, col, page)
		}
	})
	if err != nil {
		return 0, err
	}
	folded.flush(s, col)
	return rows, nil
}

// eachPage reads pages to their end.
func eachPage(ctx context.Context, pages parquet.Pages, read func(parquet.Page)) error {
	for {
		page, err := pages.ReadPage()
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		read(page)
		parquet.Release(page)
	}
}

// fold counts indices of a dictionary.
type fold struct {
	dict   parquet.Dictionary
	counts []uint64
}

var folds = sync.Pool{New: func() any { return new(fold) }}

func (f *fold) reset(dict parquet.Dictionary) {
	f.dict = dict
	if n := dict.Len(); cap(f.counts) < n {
		f.counts = make([]uint64, n)
	} else {
		f.counts = f.counts[:n]
		clear(f.counts)
	}
}

func (f *fold) count(indices []int32) {
	counts := f.counts
	for _, i := range indices {
		counts[i]++
	}
}

func (f *fold) flush(s Sink, col int) {
	if f.dict != nil && s.Kind(col) == Numeric {
		data := f.dict.Page().Data()
		switch f.dict.Type().Kind() {
		case parquet.Double:
			foldNumbers(s, col, data.Double(), f.counts)
		case parquet.Float:
			foldNumbers(s, col, data.Float(), f.counts)
		case parquet.Int64:
			foldNumbers(s, col, data.Int64(), f.counts)
		case parquet.Int32:
			foldNumbers(s, col, data.Int32(), f.counts)
		default:
			f.each(s, col)
		}
	} else {
		f.each(s, col)
	}
	f.dict, f.counts = nil, f.counts[:0]
}

func (f *fold) each(s Sink, col int) {
	for i, n := range f.counts {
		if n > 0 {
			countValue(s, col, f.dict.Index(int32(i)), n)
		}
	}
}

// foldNumbers counts the numbers of a dictionary; those that one row holds, together.
func foldNumbers[T number](s Sink, col int, values []T, counts []uint64) {
	var singles [floatBlock]T
	n := 0
	for i, rows := range counts {
		switch rows {
		case 0:
		case 1:
			if singles[n] = values[i]; n == floatBlock-1 {
				countNumeric(s, col, singles[:])
				n = 0
			} else {
				n++
			}
		default:
			s.Number(col, float64(values[i]), rows)
		}
	}
	countNumeric(s, col, singles[:n])
}

func countValue(s Sink, col int, v parquet.Value, n uint64) {
	switch v.Kind() {
	case parquet.Boolean:
		countBool(s, col, v.Boolean(), n)
	case parquet.Int32:
		s.Number(col, float64(v.Int32()), n)
	case parquet.Int64:
		countInt(s, col, v.Int64(), n)
	case parquet.Float:
		s.Number(col, float64(v.Float()), n)
	case parquet.Double:
		s.Number(col, v.Double(), n)
	case parquet.ByteArray:
		s.Text(col, string(v.ByteArray()), n)
	default:
		s.WrongType(col, n)
	}
}

// countInt keeps the digits of huge integers where they are categories.
func countInt(s Sink, col int, v int64, n uint64) {
	if s.Kind(col) == Categorical {
		s.Text(col, strconv.FormatInt(v, 10), n)
		return
	}
	s.Number(col, float64(v), n)
}

func countBool(s Sink, col int, v bool, n uint64) {
	if s.Kind(col) == Categorical {
		s.Text(col, strconv.FormatBool(v), n)
		return
	}
	x := 0.0
	if v {
		x = 1
	}
	s.Number(col, x, n)
}

// countPlain counts the values of a page that has no dictionary.
func countPlain(s Sink, col int, page parquet.Page) {
	data := page.Data()
	numeric := s.Kind(col) == Numeric
	t, tallied := s.(*Tally)
	switch kind := page.Type().Kind(); {
	case kind == parquet.Double && numeric:
		countNumeric(s, col, data.Double())
	case kind == parquet.Float && numeric:
		countNumeric(s, col, data.Float())
	case kind == parquet.Int32 && numeric:
		countNumeric(s, col, data.Int32())
	case kind == parquet.Int64 && numeric:
		countNumeric(s, col, data.Int64())
	case kind == parquet.ByteArray && !numeric && tallied:
		countBytes(t, col, &data)
	default:
		countEach(s, col, page)
	}
}

// countNumeric counts numbers of a numeric column, a row each.
func countNumeric[T number](s Sink, col int, values []T) {
	if t, ok := s.(*Tally); ok {
		countFloats(t, col, values)
		return
	}
	for _, v := range values {
		s.Number(col, float64(v), 1)
	}
}

func countBytes(t *Tally, col int, data *encoding.Values) {
	c, s := &t.baseline.Columns[col], &t.States[col]
	bytes, offsets := data.ByteArray()
	for i := 1; i < len(offsets); i++ {
		v := bytes[offsets[i-1]:offsets[i]]
		switch {
		case len(v) == 0:
			s.Missing++
		case c.Identifier:
			s.Cells[c.Cells.Unseen()]++
		default:
			s.Cells[c.Cells.IndexBytes(v)]++
		}
		s.Rows++
	}
}

func countEach(s Sink, col int, page parquet.Page) {
	values := page.Values()
	buf := make([]parquet.Value, 256)
	for {
		n, err := values.ReadValues(buf)
		for _, v := range buf[:n] {
			if !v.IsNull() { // nulls are counted by page
				countValue(s, col, v, 1)
			}
		}
		if err != nil {
			return
		}
	}
}

// recoverDamage turns a panic of the Parquet library, which trusts lengths in
// the file, into an error.
func recoverDamage(where string, err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("profile: %s of the Parquet file is damaged", where)
	}
}

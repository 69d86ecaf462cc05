package profile

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/tidegate/tidegate/shared/oip/wire"
)

// MaxLine bounds one line of a text format, so that a quote that never closes
// does not take the memory.
const MaxLine = 16 << 20

// Report says what reading one source found beside its rows.
type Report struct {
	Rows      uint64    `json:"rows"`                // counted
	Malformed uint64    `json:"malformed,omitempty"` // lines that are no rows
	First     string    `json:"first_malformed,omitempty"`
	LeftOut   []LeftOut `json:"left_out,omitempty"`
	Extra     []string  `json:"extra,omitempty"`  // columns that are not monitored
	Absent    []string  `json:"absent,omitempty"` // columns that the source does not hold: missing in all rows
	// Uncounted are rows that were read and are in no group, by reason, sorted.
	Uncounted []Uncounted `json:"uncounted,omitempty"`
}

// Uncounted are rows that were left out, and why. A source that could not be read
// at all has the reason and no rows.
type Uncounted struct {
	Rows   uint64 `json:"rows"`
	Reason string `json:"reason"`
}

// RowsLeftOut is the number of rows that were read and not counted: malformed lines count as one row each.
func (r *Report) RowsLeftOut() uint64 {
	n := r.Malformed
	for _, u := range r.Uncounted {
		n += u.Rows
	}
	return n
}

// leave adds rows that are not counted.
func (r *Report) leave(rows uint64, reason string) {
	i, found := slices.BinarySearchFunc(r.Uncounted, reason, func(u Uncounted, reason string) int { return strings.Compare(u.Reason, reason) })
	if !found {
		r.Uncounted = slices.Insert(r.Uncounted, i, Uncounted{Reason: reason})
	}
	r.Uncounted[i].Rows += rows
}

func (r *Report) malformed(line int, problem string) {
	if r.Malformed == 0 {
		r.First = fmt.Sprintf("line %d: %s", line, problem)
	}
	r.Malformed++
}

// Decompress tells gzip and zstd by their magic bytes and returns the plain
// stream, which is r itself for anything else. Memory stays below 10 MB.
func Decompress(r io.Reader) (io.ReadCloser, error) {
	br := bufio.NewReaderSize(r, 64<<10)
	magic, err := br.Peek(4)
	if err != nil && err != io.EOF {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		return gzip.NewReader(br)
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		d, err := zstd.NewReader(br, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(64<<20))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	}
	return io.NopCloser(br), nil
}

// CountCSV hands the rows of a CSV file with a header to s. A line with another
// number of fields than the header is counted as malformed; text that is not CSV
// at all, such as a quote that never closes, is an error that names the line.
func CountCSV(ctx context.Context, r io.Reader, s Sink) (Report, error) {
	rep, err := countCSV(ctx, r, s, 0)
	return rep, after(rep.Rows, "CSV", err)
}

// rowError is what is wrong with a row, or reading it came to.
type rowError struct{ error }

func (e rowError) Unwrap() error { return e.error }

// after says behind how many rows a row is wrong.
func after(rows uint64, what string, err error) error {
	var row rowError
	if !errors.As(err, &row) {
		return err
	}
	return fmt.Errorf("profile: after %d rows of the %s file: %w", rows, what, row.error)
}

// countCSV counts a part of a file, behind so many lines that are not in r.
func countCSV(ctx context.Context, r io.Reader, s Sink, lines int) (Report, error) {
	var rep Report
	limited := &budget{r: r}
	cr := csv.NewReader(limited)
	cr.ReuseRecord = true
	cr.FieldsPerRecord = -1
	limited.renew()
	header, err := headerOf(cr)
	if err != nil {
		return rep, err
	}
	columns, err := rep.match(header, s.Columns())
	if err != nil {
		return rep, err
	}
	width := len(header)
	sink, next, done := rowSink(s)
	for {
		if rep.Rows%4096 == 0 && ctx.Err() != nil {
			return rep, ctx.Err()
		}
		limited.renew()
		record, err := cr.Read()
		switch {
		case err == io.EOF:
			done()
			rep.fillAbsent(s)
			return rep, nil
		case err != nil:
			var syntax *csv.ParseError
			if errors.As(err, &syntax) {
				syntax.Line, syntax.StartLine = syntax.Line+lines, syntax.StartLine+lines
			}
			return rep, rowError{err}
		case len(record) != width:
			line, _ := cr.FieldPos(0)
			rep.malformed(line+lines, fmt.Sprintf("%d fields, the header has %d", len(record), width))
			continue
		}
		for i, col := range columns {
			if col >= 0 {
				Parse(sink, col, record[i])
			}
		}
		next()
		rep.Rows++
	}
}

// headerOf reads the names of the columns.
func headerOf(cr *csv.Reader) ([]string, error) {
	header, err := cr.Read()
	if err == io.EOF {
		return nil, fmt.Errorf("profile: the CSV file is empty; it needs a header with the names of the columns")
	}
	if err != nil {
		return nil, fmt.Errorf("profile: the header of the CSV file: %w", err)
	}
	header = slices.Clone(header)
	header[0] = strings.TrimPrefix(header[0], "\ufeff") // spreadsheets write a byte order mark
	return header, nil
}

// match finds the monitored columns in a header: by field, the column or −1.
func (r *Report) match(header, monitored []string) ([]int, error) {
	index := map[string]int{}
	for i, name := range monitored {
		index[name] = i
	}
	columns := make([]int, len(header))
	seen := map[string]bool{}
	for i, name := range header {
		if seen[name] {
			return nil, fmt.Errorf("profile: the header names column %q twice", Cut(name))
		}
		seen[name] = true
		if col, ok := index[name]; ok {
			columns[i] = col
		} else {
			columns[i] = -1
			r.Extra = append(r.Extra, Cut(name))
		}
	}
	for _, name := range monitored {
		if !seen[name] {
			r.Absent = append(r.Absent, name)
		}
	}
	return columns, nil
}

func (r *Report) fillAbsent(s Sink) {
	for i, name := range s.Columns() {
		if slices.Contains(r.Absent, name) {
			s.Missing(i, r.Rows)
		}
	}
}

// budget fails a record that reads more than MaxLine.
type budget struct {
	r    io.Reader
	left int
}

var errLine = errors.New("a line is longer than 16 MB; is a quote not closed?")

func (b *budget) renew() { b.left = MaxLine }

func (b *budget) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errLine
	}
	n, err := b.r.Read(p)
	b.left -= n
	return n, err
}

// CountNDJSON hands the rows of a file with one flat JSON object a line to s. A
// line that is no JSON object, or names a key twice, is counted as malformed.
func CountNDJSON(ctx context.Context, r io.Reader, s Sink) (Report, error) {
	sink, next, done := rowSink(s)
	rows := newObjectRows(sink)
	rows.next = next
	rep, err := rows.read(ctx, r, 0)
	done()
	rep.Extra, rep.Absent = rows.columns()
	return rep, after(rep.Rows, "NDJSON", err)
}

// read counts a part of a file, behind so many lines that are not in r.
func (o *objectRows) read(ctx context.Context, r io.Reader, lines int) (Report, error) {
	var rep Report
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 64<<10), MaxLine)
	for line := 1; sc.Scan(); line++ {
		if line%4096 == 0 && ctx.Err() != nil {
			return rep, ctx.Err()
		}
		text := bytes.TrimSpace(sc.Bytes())
		if len(text) == 0 {
			continue
		}
		problem := o.count(text)
		if len(o.names) > maxNames && o.grow {
			return rep, errNames
		}
		if problem != "" {
			rep.malformed(line+lines, problem)
			continue
		}
		o.next()
		rep.Rows++
	}
	if err := sc.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			err = errLine
		}
		return rep, rowError{err}
	}
	return rep, nil
}

// objectRows counts rows given as objects. A value is only counted once the whole
// line is known to be good, so that a malformed line counts nowhere.
type objectRows struct {
	sink  Sink
	names []string
	index map[string]int
	at    []int  // by column: position of the value in the line, −1 for none
	met   []int  // columns of the line
	seen  []bool // by column: met in any line
	extra map[string]bool
	grow  bool // new names become columns: the sink is a kindSink
	next  func()
}

func newObjectRows(s Sink) *objectRows {
	o := &objectRows{sink: s, names: s.Columns(), index: map[string]int{}, extra: map[string]bool{}, next: func() {}}
	for i, name := range o.names {
		o.index[name] = i
	}
	o.at = slices.Repeat([]int{-1}, len(o.names))
	o.seen = make([]bool, len(o.names))
	return o
}

const (
	// maxExtra bounds the names of unknown columns that are remembered.
	maxExtra = 1000
	// maxNames bounds the columns of a file whose lines name them.
	maxNames = 100_000
)

// errNames is the same for any order of the lines and any number of workers: it counts no rows.
var errNames = fmt.Errorf("profile: the lines name more than %d columns; are their keys values? Write such a key as a value of its own: {\"user\":\"17\",\"clicks\":3}, not {\"17\":3}", maxNames)

func (o *objectRows) count(b []byte) (problem string) {
	if !wire.Is(b, 0, '{') {
		return "not a JSON object"
	}
	for _, col := range o.met { // of the line before
		o.at[col] = -1
	}
	o.met = o.met[:0]
	i := wire.Space(b, 1)
	for !wire.Is(b, i, '}') {
		name, next, code := wire.String(b, i)
		if code != wire.OK {
			return code.Problem("a name in quotes")
		}
		if i = wire.Space(b, next); !wire.Is(b, i, ':') {
			return "no colon behind a name"
		}
		i = wire.Space(b, i+1)
		col, ok := o.index[name]
		if !ok && o.grow {
			col, ok = o.widen(strings.Clone(name)), true
		}
		if !ok {
			if len(o.extra) < maxExtra {
				o.extra[strings.Clone(Cut(name))] = true
			}
		} else if o.at[col] >= 0 {
			return "a column is given twice"
		} else {
			o.at[col] = i
			o.met = append(o.met, col)
		}
		if next, code = wire.Skip(b, i, 1); code != wire.OK {
			return code.Problem("a value")
		}
		if i = wire.Space(b, next); wire.Is(b, i, ',') {
			i = wire.Space(b, i+1)
			if wire.Is(b, i, '}') {
				return "a comma before the closing brace"
			}
		} else if !wire.Is(b, i, '}') {
			return "no comma between members"
		}
	}
	if wire.Space(b, i+1) != len(b) {
		return "text behind the object"
	}
	o.row(b)
	return ""
}

// row counts a line that is good. What it lacks says nothing of kinds, and of the names that grow there may be many.
func (o *objectRows) row(b []byte) {
	if o.grow {
		for _, col := range o.met {
			o.seen[col] = true
			countJSON(o.sink, col, b, o.at[col])
		}
		return
	}
	for col, at := range o.at {
		if at < 0 {
			o.sink.Missing(col, 1)
			continue
		}
		o.seen[col] = true
		countJSON(o.sink, col, b, at)
	}
}

// widen adds a column.
func (o *objectRows) widen(name string) int {
	kinds := o.sink.(*kindSink)
	kinds.text = append(kinds.text, false)
	col := len(o.names)
	o.index[name] = col
	o.names = append(o.names, name)
	o.at, o.seen = append(o.at, -1), append(o.seen, false)
	return col
}

func (o *objectRows) columns() (extra, absent []string) {
	for i, seen := range o.seen {
		if !seen {
			absent = append(absent, o.names[i])
		}
	}
	return slices.Sorted(maps.Keys(o.extra)), absent
}

// countJSON counts one value whose text is known to be JSON.
func countJSON(s Sink, col int, b []byte, at int) {
	switch c := b[at]; {
	case c == 'n':
		s.Missing(col, 1)
	case c == '"':
		v, _, code := wire.String(b, at)
		if code != wire.OK {
			s.WrongType(col, 1)
			return
		}
		s.Text(col, v, 1)
	case c == 't' || c == 'f':
		countBool(s, col, c == 't', 1)
	case c == '-' || c >= '0' && c <= '9':
		if s.Kind(col) == Categorical {
			if v, _, code := wire.Int[int64](b, at); code == wire.OK {
				countInt(s, col, v, 1)
				return
			}
		}
		switch v, _, code := wire.Float64(b, at); {
		case code == wire.OK:
			s.Number(col, v, 1)
		case code == wire.Range && c == '-':
			s.Number(col, math.Inf(-1), 1)
		case code == wire.Range:
			s.Number(col, math.Inf(1), 1)
		default:
			s.WrongType(col, 1)
		}
	default:
		s.WrongType(col, 1)
	}
}

package registration

import (
	"encoding/csv"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/tidegate/tidegate/shared/fault"
)

// maxRecord bounds one CSV record, in bytes: an unclosed quote would otherwise read the file into memory.
const maxRecord = 4 << 20

// records streams a CSV file: a header, then records of as many fields (RFC 4180, UTF-8, with or without BOM).
type records struct {
	name   string
	header []string
	row    int // of the record that next returned last; the first is 1
	csv    *csv.Reader
	guard  *recordGuard
}

func (rs *records) columns() []string { return rs.header }

// newRecords reads the header of a CSV file. Its errors, and those of next, are InvalidArgument with the line.
func newRecords(name string, r io.Reader) (*records, error) {
	guard := &recordGuard{r: r}
	reader := csv.NewReader(guard)
	reader.ReuseRecord = true
	rs := &records{name: name, csv: reader, guard: guard}
	header, err := rs.read()
	if errors.Is(err, io.EOF) {
		return nil, fault.New(fault.InvalidArgument, "%s is empty; it needs a header line", name)
	}
	if err != nil {
		return nil, err
	}
	rs.header = append([]string(nil), header...)
	rs.header[0] = strings.TrimPrefix(rs.header[0], "\uFEFF")
	seen := map[string]bool{}
	for _, h := range rs.header {
		if seen[h] {
			return nil, fault.New(fault.InvalidArgument, "%s has two columns %s", name, quoted(h))
		}
		seen[h] = true
	}
	return rs, nil
}

// next returns the next record, which the call after it overwrites, or io.EOF.
func (rs *records) next() ([]string, error) {
	record, err := rs.read()
	if err == nil {
		rs.row++
	}
	return record, err
}

func (rs *records) read() ([]string, error) {
	rs.guard.n = 0
	record, err := rs.csv.Read()
	var syntax *csv.ParseError
	switch {
	case err == nil || errors.Is(err, io.EOF):
		return record, err
	case errors.Is(err, errLongRecord):
		return nil, fault.New(fault.InvalidArgument, "%s has a record of more than %d bytes after row %d; is a quote not closed?", rs.name, maxRecord, rs.row)
	case errors.As(err, &syntax) && errors.Is(err, csv.ErrFieldCount):
		return nil, fault.New(fault.InvalidArgument, "%s has another number of fields on line %d than its header", rs.name, syntax.Line)
	case errors.As(err, &syntax):
		return nil, fault.New(fault.InvalidArgument, "%s is not valid CSV on line %d (quoting)", rs.name, syntax.Line)
	}
	return nil, fault.Wrap(err, fault.Internal, "%s cannot be read", rs.name)
}

var errLongRecord = errors.New("record too long")

// recordGuard stops reading when one record took too many bytes. csv.Reader reads
// ahead by 4 KiB at most, which maxRecord makes irrelevant.
type recordGuard struct {
	r io.Reader
	n int
}

func (g *recordGuard) Read(p []byte) (int, error) {
	if g.n > maxRecord {
		return 0, errLongRecord
	}
	n, err := g.r.Read(p)
	g.n += n
	return n, err
}

// read opens the table for one pass.
func (t *table) read() (*records, io.Closer, error) {
	f, err := os.Open(t.path)
	if err != nil {
		return nil, nil, fault.Wrap(err, fault.Internal, "the copy of %s is gone", t.name)
	}
	rs, err := newRecords(t.name, f)
	if err != nil {
		_ = f.Close()
		return nil, nil, err
	}
	return rs, f, nil
}

package table

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/profile"
)

// csvReader reads records as encoding/csv does. A line without a quote, which is
// nearly every one, is cut at its commas where it lies; the others go to encoding/csv.
type csvReader struct {
	r      *bufio.Reader
	long   []byte // a line that does not fit into the buffer of r, or a record of several lines
	fields [][]byte
	line   int // of the record read last
	next   int // lines read
}

var errLine = errors.New("a record is longer than 16 MB; is a quote not closed?")

// read reads the next record that is not empty. Its fields are valid until the next read.
func (c *csvReader) read() ([][]byte, error) {
	for {
		c.line = c.next + 1
		text, err := c.physical(nil)
		if err != nil {
			return nil, err
		}
		if len(trimEnd(text)) == 0 {
			continue
		}
		if bytes.IndexByte(text, '"') >= 0 {
			return c.quoted(text)
		}
		text = trimEnd(text)
		c.fields = c.fields[:0]
		for {
			at := bytes.IndexByte(text, ',')
			if at < 0 {
				break
			}
			c.fields = append(c.fields, text[:at])
			text = text[at+1:]
		}
		c.fields = append(c.fields, text)
		return c.fields, nil
	}
}

// physical reads a line with its end, appended to before.
func (c *csvReader) physical(before []byte) ([]byte, error) {
	text, err := c.r.ReadSlice('\n')
	if err == nil && before == nil {
		c.next++
		return text, nil
	}
	had := len(before)
	before = append(before, text...)
	for errors.Is(err, bufio.ErrBufferFull) {
		if len(before) > profile.MaxLine {
			return nil, errLine
		}
		text, err = c.r.ReadSlice('\n')
		before = append(before, text...)
	}
	switch {
	case len(before) > profile.MaxLine:
		return nil, errLine
	case err == nil, errors.Is(err, io.EOF) && len(before) > had:
		c.next++
		return before, nil
	}
	return nil, err
}

// quoted reads a record that has quotes, over as many lines as they span.
func (c *csvReader) quoted(text []byte) ([][]byte, error) {
	c.long = append(c.long[:0], text...)
	for bytes.Count(c.long, []byte{'"'})%2 == 1 {
		more, err := c.physical(c.long)
		if errors.Is(err, io.EOF) {
			break // encoding/csv says what is wrong
		}
		if err != nil {
			return nil, err
		}
		c.long = more
	}
	r := csv.NewReader(bytes.NewReader(c.long))
	r.FieldsPerRecord = -1
	record, err := r.Read()
	if err != nil {
		var parse *csv.ParseError
		if errors.As(err, &parse) {
			err = parse.Err // its line is one of this record
		}
		return nil, fmt.Errorf("line %d: %w", c.line, err)
	}
	c.fields = c.fields[:0]
	for _, f := range record {
		c.fields = append(c.fields, []byte(f))
	}
	return c.fields, nil
}

// trimEnd cuts "\n" or "\r\n" off, and the "\r" of a last line.
func trimEnd(text []byte) []byte {
	return bytes.TrimSuffix(bytes.TrimSuffix(text, []byte{'\n'}), []byte{'\r'})
}

// newCSV reads the header: by field the column that it is, −1 for one that is not wanted.
func newCSV(r io.Reader, columns []Column) (c *csvReader, of []int, err error) {
	c = &csvReader{r: bufio.NewReaderSize(r, 256<<10)}
	fields, err := c.read()
	if errors.Is(err, io.EOF) {
		return nil, nil, fault.New(fault.InvalidArgument, "the file is empty; a CSV file begins with a header, the names of its columns")
	}
	if err != nil {
		return nil, nil, fault.Wrap(err, fault.InvalidArgument, "the header of the CSV file cannot be read")
	}
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = string(f)
	}
	names[0] = strings.TrimPrefix(names[0], "\ufeff") // spreadsheets write a byte order mark
	of = make([]int, len(names))
	at := map[string]int{}
	for i, name := range names {
		if _, twice := at[name]; twice {
			return nil, nil, fault.New(fault.InvalidArgument, "the header names column %q twice", profile.Cut(name))
		}
		at[name], of[i] = i, -1
	}
	for i, want := range columns {
		field, ok := at[want.Name]
		if !ok {
			return nil, nil, headerless(want.Name, names)
		}
		of[field] = i
	}
	return c, of, nil
}

// headerless is [lacks], unless the header looks like a row.
func headerless(column string, names []string) error {
	for _, name := range names {
		if _, isNumber := number(name); isNumber && name != "" {
			return fault.New(fault.InvalidArgument, "there is no column %q: the first line holds numbers, so it is no header; a CSV file begins with the names of its columns", column)
		}
	}
	return lacks(column, names)
}

func readCSV(ctx context.Context, r io.Reader, columns []Column, visit func(*Batch) error) (Report, error) {
	c, of, err := newCSV(r, columns)
	if err != nil {
		return Report{}, err
	}
	f := newFiller(ctx, columns, visit)
	for {
		fields, err := c.read()
		switch {
		case errors.Is(err, io.EOF):
			return f.rep, f.flush()
		case err != nil:
			return f.rep, fault.Wrap(err, fault.InvalidArgument, "the CSV file cannot be read on after line %d (%v)", c.line-1, err)
		case len(fields) != len(of):
			f.malformed(fmt.Sprintf("line %d: %d fields, the header has %d", c.line, len(fields), len(of)))
			continue
		}
		for i, col := range of {
			if col >= 0 {
				f.set(col, f.keep(fields[i]))
			}
		}
		if err := f.row(); err != nil {
			return f.rep, err
		}
	}
}

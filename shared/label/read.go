package label

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/oip/wire"
)

// maxInput bounds a line that arrives. A label is shorter by far, but objects may
// have other members.
const maxInput = 64 << 10

// Reader reads labels from a plain text of NDJSON or CSV, which it tells by the
// first character, one a line. Memory: one line.
type Reader struct {
	r       *bufio.Reader
	line    uint64
	columns *columns // of CSV
	objects Objects
	fields  []string
	scratch []byte
	in      Input
}

// NewReader reads the header, when r is CSV. Errors: InvalidArgument, the text is
// neither NDJSON nor CSV with a header; what r answers. An empty text is fine.
func NewReader(r io.Reader) (*Reader, error) {
	d := &Reader{r: bufio.NewReaderSize(r, maxInput)}
	if mark, _ := d.r.Peek(3); string(mark) == "\ufeff" {
		_, _ = d.r.Discard(3)
	}
	head, err := d.r.Peek(512)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	trimmed := bytes.TrimLeft(head, " \t\r\n")
	switch {
	case bytes.HasPrefix(head, []byte("PAR1")):
		return nil, fault.New(fault.InvalidArgument, "the file is Parquet; write labels as NDJSON or CSV")
	case len(head) == 0, len(trimmed) > 0 && trimmed[0] == '{':
		return d, nil
	}
	for {
		text, problem, err := d.next()
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		text = bytes.TrimSpace(text)
		if err == nil && problem == Fine && len(text) == 0 {
			continue
		}
		c, err := header(text)
		if err != nil {
			return nil, err
		}
		d.columns = &c
		return d, nil
	}
}

// Format is "csv" or "ndjson".
func (d *Reader) Format() string {
	if d.columns != nil {
		return "csv"
	}
	return "ndjson"
}

// Line is the number of the line that was read last, from 1.
func (d *Reader) Line() uint64 { return d.line }

// Next reads the next line that is not empty. A problem says that it is no label;
// reading goes on behind it. err is io.EOF at the end. The input is valid until the
// next call.
func (d *Reader) Next() (in *Input, problem Problem, err error) {
	for {
		text, problem, err := d.next()
		if err != nil || problem != Fine {
			return nil, problem, err
		}
		if text = bytes.TrimSpace(text); len(text) > 0 {
			in, problem = d.parse(text)
			return in, problem, nil
		}
	}
}

func (d *Reader) parse(text []byte) (*Input, Problem) {
	if d.columns == nil {
		in, end, code := d.objects.At(text, 0)
		if code != wire.OK || end != len(text) {
			return nil, Malformed
		}
		return in, Fine
	}
	d.scratch = d.scratch[:0]
	fields, ok := split(d.fields, text, &d.scratch)
	d.fields = fields
	if !ok || len(fields) != d.columns.width || !validText(fields) {
		return nil, Malformed
	}
	d.columns.input(fields, &d.in)
	return &d.in, Fine
}

// next reads a line without its end. One that is too long is passed over.
func (d *Reader) next() (text []byte, problem Problem, err error) {
	text, err = d.r.ReadSlice('\n')
	d.line++
	for errors.Is(err, bufio.ErrBufferFull) {
		problem = Malformed
		text, err = d.r.ReadSlice('\n')
	}
	if errors.Is(err, io.EOF) && (len(text) > 0 || problem != Fine) {
		err = nil
	}
	return text, problem, err
}

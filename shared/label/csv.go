package label

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"github.com/tidegate/tidegate/shared/fault"
)

// columns are the places of the members in a line of CSV, -1 for none.
type columns struct {
	id, request, predicted, label, ts int
	width                             int
}

// header reads the first line of a CSV file. Names are compared without regard to
// case; columns of other names are passed over.
func header(line []byte) (columns, error) {
	c := columns{-1, -1, -1, -1, -1, 0}
	names, ok := split(nil, line, nil)
	places := map[string]*int{"id": &c.id, "request_id": &c.request, "predicted_at": &c.predicted, "label": &c.label, "ts": &c.ts}
	for i, name := range names {
		at := places[strings.ToLower(strings.TrimSpace(name))]
		if at == nil {
			continue
		}
		if *at >= 0 {
			return c, fault.New(fault.InvalidArgument, "the header of the CSV names a column twice: %s", strings.ToLower(strings.TrimSpace(name)))
		}
		*at = i
	}
	c.width = len(names)
	if !ok || c.label < 0 || c.id < 0 && (c.request < 0 || c.predicted < 0) {
		return c, fault.New(fault.InvalidArgument, "the file begins neither with a JSON object nor with a CSV header: the first line must name id,label[,ts] or request_id,predicted_at,label[,ts]")
	}
	return c, nil
}

// input takes the members out of the fields of a line.
func (c *columns) input(fields []string, in *Input) {
	field := func(i int) string {
		if i < 0 {
			return ""
		}
		return strings.TrimSpace(fields[i])
	}
	*in = Input{ID: field(c.id), RequestID: field(c.request), PredictedAt: field(c.predicted), Cell: field(c.label), TS: field(c.ts)}
}

// split cuts a line of CSV into its fields, by RFC 4180 but for line breaks within
// quotes, which no label has. Fields share memory with line, except those with
// quotes in them, which are put together in scratch. ok is false when a quote is
// out of place.
func split(fields []string, line []byte, scratch *[]byte) (_ []string, ok bool) {
	fields = fields[:0]
	for {
		if len(line) == 0 || line[0] != '"' {
			i := bytes.IndexByte(line, ',')
			if i < 0 {
				i = len(line)
			}
			if bytes.IndexByte(line[:i], '"') >= 0 {
				return fields, false
			}
			fields = append(fields, alias(line[:i]))
			if i == len(line) {
				return fields, true
			}
			line = line[i+1:]
			continue
		}
		field, rest, ok := quoted(line[1:], scratch)
		if !ok {
			return fields, false
		}
		fields = append(fields, field)
		if len(rest) == 0 {
			return fields, true
		}
		if rest[0] != ',' {
			return fields, false
		}
		line = rest[1:]
	}
}

// quoted reads a field behind its opening quote, and returns what is behind the
// closing one.
func quoted(b []byte, scratch *[]byte) (field string, rest []byte, ok bool) {
	var parts []byte
	if scratch != nil {
		parts = *scratch
	}
	start, whole := len(parts), true
	for {
		i := bytes.IndexByte(b, '"')
		if i < 0 {
			return "", nil, false
		}
		if i+1 < len(b) && b[i+1] == '"' { // "" is one quote
			parts, whole = append(parts, b[:i+1]...), false
			b = b[i+2:]
			continue
		}
		if whole {
			return alias(b[:i]), b[i+1:], true
		}
		parts = append(parts, b[:i]...)
		if scratch != nil {
			*scratch = parts
		}
		return alias(parts[start:]), b[i+1:], true
	}
}

func validText(fields []string) bool {
	for _, f := range fields {
		if !utf8.ValidString(f) {
			return false
		}
	}
	return true
}

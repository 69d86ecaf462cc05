package table

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unsafe"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/oip/wire"
	"github.com/tidegate/tidegate/shared/profile"
)

// ndjson reads one object a line.
type ndjson struct {
	*filler
	of     map[string]int // by name: the column
	values []string       // of the row, by column
	given  []bool
	ever   []bool   // columns that a row had
	names  []string // of the first rows, in their order
	b      []byte
	member func(key string, i int) (int, wire.Code)
}

// maxNames bounds the names that are kept for a message.
const maxNames = 100

func readNDJSON(ctx context.Context, r io.Reader, columns []Column, visit func(*Batch) error) (Report, error) {
	n := &ndjson{filler: newFiller(ctx, columns, visit), of: map[string]int{}, values: make([]string, len(columns)), given: make([]bool, len(columns)), ever: make([]bool, len(columns))}
	for i, c := range columns {
		n.of[c.Name] = i
	}
	n.member = n.readMember
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 256<<10), profile.MaxLine)
	line := 0
	for sc.Scan() {
		line++
		text := bytes.TrimSpace(sc.Bytes())
		if line == 1 {
			text = bytes.TrimPrefix(text, []byte("\ufeff"))
		}
		if len(text) == 0 {
			continue
		}
		if err := n.line(line, text); err != nil {
			return n.rep, err
		}
	}
	if err := sc.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			err = errLine
		}
		return n.rep, fault.Wrap(err, fault.InvalidArgument, "the NDJSON file cannot be read on after line %d (%v)", line, err)
	}
	for i, c := range columns {
		if !n.ever[i] && n.rep.Rows > 0 {
			return n.rep, lacks(c.Name, n.names)
		}
	}
	return n.rep, n.flush()
}

func (n *ndjson) line(line int, text []byte) error {
	n.b = text
	clear(n.values)
	clear(n.given)
	end, code := wire.Members(text, 0, n.member)
	switch {
	case code == wire.WrongKind:
		n.malformed(fmt.Sprintf("line %d: not a JSON object", line))
		return nil
	case code != wire.OK:
		n.malformed(fmt.Sprintf("line %d: it %s", line, code.Problem("a row")))
		return nil
	case wire.Space(text, end) != len(text):
		n.malformed(fmt.Sprintf("line %d: text behind the object", line))
		return nil
	}
	for col, v := range n.values {
		n.ever[col] = n.ever[col] || n.given[col]
		n.set(col, v)
	}
	return n.row()
}

func (n *ndjson) readMember(key string, i int) (int, wire.Code) {
	col, ok := n.of[key]
	if n.rep.Rows < 10 && len(n.names) < maxNames && !slices.Contains(n.names, key) {
		n.names = append(n.names, strings.Clone(key))
	}
	if !ok {
		return wire.Skip(n.b, i, 1)
	}
	n.given[col] = true
	text, next, code := wire.String(n.b, i)
	if code == wire.OK {
		n.values[col] = n.keep(unsafe.Slice(unsafe.StringData(text), len(text)))
		return next, code
	}
	next, code = wire.Skip(n.b, i, 1)
	if code != wire.OK {
		return next, code
	}
	n.values[col] = ""
	if !wire.IsNull(n.b, i) { // a list or an object is no value of any column; as text it is none either
		n.values[col] = n.keep(n.b[i:next])
	}
	return next, wire.OK
}

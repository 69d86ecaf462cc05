package profile

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/tidegate/tidegate/shared/oip/wire"
)

// Reasons why a column of a captured record is not counted.
const (
	notCaptured = "not in the captured records: dropped by the capture settings, or no column of the model"
	redacted    = "redacted by the capture settings"
	digested    = "captured as a digest: the record was too large"
	noRows      = "captured as a tensor without one value a row"
	pseudonyms  = "captured as pseudonyms (redact: hash), which the baseline's values cannot be compared with"
)

// cells holds the values of one column of one record until the whole line is
// known to be good. Texts share memory with the line.
type cells struct {
	kind    Kind
	numbers []float64 // of a numeric column; NaN is missing
	texts   []string  // of a categorical column; "" is missing
	wrong   int64     // values of another type
	misfits []int     // where among the values those were
	reason  string    // why the column is not counted
	seen    bool
}

func (c *cells) reset() {
	*c = cells{kind: c.kind, numbers: c.numbers[:0], texts: c.texts[:0], misfits: c.misfits[:0]}
}

func (c *cells) len() int64 { return int64(len(c.numbers)) + int64(len(c.texts)) + c.wrong }

func (c *cells) mistyped() {
	c.misfits = append(c.misfits, int(c.len()))
	c.wrong++
}

// fit checks that every column has one value a row.
func (t *target) fit(rows int64) (problem string) {
	for i := range t.cells {
		c := &t.cells[i]
		if !c.seen {
			c.reason = notCaptured
		}
		if c.reason == "" && c.len() != rows {
			return fmt.Sprintf("column %q has %d values for %d rows", Cut(t.baseline.Columns[i].Name), c.len(), rows)
		}
	}
	return ""
}

// readColumn reads one member of inputs or outputs.
func (p *parser) readColumn(key string, i int) (int, wire.Code) {
	pl, ok := p.names[key]
	if !ok {
		if extra := p.parsed.extra; len(extra) < maxExtra && !extra[key] {
			extra[string(append([]byte(nil), Cut(key)...))] = true
		}
		return wire.Skip(p.B, i, 2)
	}
	t := p.parsed
	switch {
	case wire.Is(p.B, i, '{'):
		return p.tensor(pl, i)
	case !wire.Is(p.B, i, '['):
		return p.Bad(i, fmt.Sprintf("column %q is neither a list nor a tensor", Cut(key)))
	case wire.Is(p.B, wire.Space(p.B, i+1), '[') && pl.wide != nil:
		return p.wide(key, pl, i)
	case pl.col < 0:
		return wire.Skip(p.B, i, 2)
	}
	c := &t.cells[pl.col]
	if c.seen {
		return p.Bad(i, fmt.Sprintf("column %q is given twice", Cut(key)))
	}
	c.seen = true
	c.kind = t.baseline.Columns[pl.col].Kind
	if c.kind == Numeric {
		return c.readNumbers(p.B, i)
	}
	return c.readTexts(p.B, i)
}

// tensor reads {"shape", …}, which no column can be counted from, for the reason why.
func (p *parser) tensor(pl place, i int) (int, wire.Code) {
	reason := noRows
	next, code := wire.Members(p.B, i, func(key string, i int) (int, wire.Code) {
		switch key {
		case "redacted":
			reason = redacted
		case "sha256":
			reason = digested
		}
		return wire.Skip(p.B, i, 3)
	})
	t := p.parsed
	for _, col := range append([]int{pl.col}, pl.wide...) {
		if col >= 0 {
			t.cells[col].seen, t.cells[col].reason = true, reason
		}
	}
	return next, code
}

// wide reads a list of rows of several values.
func (p *parser) wide(key string, pl place, i int) (int, wire.Code) {
	t := p.parsed
	for _, col := range pl.wide {
		if col < 0 {
			continue
		}
		c := &t.cells[col]
		if c.seen {
			return p.Bad(i, fmt.Sprintf("column %q is given twice", Cut(key)))
		}
		c.seen, c.kind = true, t.baseline.Columns[col].Kind
	}
	b := p.B
	i = wire.Space(b, i+1)
	for {
		if !wire.Is(b, i, '[') {
			return p.Bad(i, fmt.Sprintf("a row of %q is not a list", Cut(key)))
		}
		var code wire.Code
		if i, code = t.row(b, i, pl.wide); code != wire.OK {
			return i, code
		}
		switch i = wire.Space(b, i); {
		case wire.Is(b, i, ','):
			i = wire.Space(b, i+1)
		case wire.Is(b, i, ']'):
			return i + 1, wire.OK
		default:
			return i, wire.Syntax
		}
	}
}

// row reads one row of several values.
func (t *target) row(b []byte, i int, columns []int) (int, wire.Code) {
	i = wire.Space(b, i+1)
	if wire.Is(b, i, ']') {
		return i + 1, wire.OK
	}
	for k := 0; ; k++ {
		var code wire.Code
		switch {
		case k >= len(columns) || columns[k] < 0:
			i, code = wire.Skip(b, i, 3)
		case t.cells[columns[k]].kind == Numeric:
			i, code = t.cells[columns[k]].number(b, i)
		default:
			i, code = t.cells[columns[k]].text(b, i)
		}
		if code != wire.OK {
			return i, code
		}
		switch i = wire.Space(b, i); {
		case wire.Is(b, i, ','):
			i = wire.Space(b, i+1)
		case wire.Is(b, i, ']'):
			return i + 1, wire.OK
		default:
			return i, wire.Syntax
		}
	}
}

// readNumbers reads a list into a numeric column. It is the innermost loop.
func (c *cells) readNumbers(b []byte, i int) (int, wire.Code) {
	if i = wire.Space(b, i+1); wire.Is(b, i, ']') {
		return i + 1, wire.OK
	}
	for {
		v, next, code := wire.Float64(b, i)
		if code == wire.OK {
			c.numbers = append(c.numbers, v)
			i = next
		} else if i, code = c.odd(b, i, code); code != wire.OK {
			return i, code
		}
		if i < len(b) && b[i] == ',' {
			i++
			if i < len(b) && b[i] <= ' ' {
				i = wire.Space(b, i)
			}
			continue
		}
		if i = wire.Space(b, i); wire.Is(b, i, ']') {
			return i + 1, wire.OK
		}
		if !wire.Is(b, i, ',') {
			return i, wire.Syntax
		}
		i = wire.Space(b, i+1)
	}
}

func (c *cells) number(b []byte, i int) (int, wire.Code) {
	v, next, code := wire.Float64(b, i)
	if code != wire.OK {
		return c.odd(b, i, code)
	}
	c.numbers = append(c.numbers, v)
	return next, wire.OK
}

// odd reads a value of a numeric column that is no number of its range.
func (c *cells) odd(b []byte, i int, code wire.Code) (int, wire.Code) {
	next, skipped := wire.Skip(b, i, 3)
	if skipped != wire.OK {
		return next, skipped
	}
	switch {
	case code == wire.Range && b[i] == '-':
		c.numbers = append(c.numbers, math.Inf(-1))
	case code == wire.Range:
		c.numbers = append(c.numbers, math.Inf(1))
	case b[i] == 't':
		c.numbers = append(c.numbers, 1)
	case b[i] == 'f':
		c.numbers = append(c.numbers, 0)
	default:
		if v, _, code := wire.String(b, i); code == wire.OK && pseudonym(v) && !slices.ContainsFunc(c.numbers, func(x float64) bool { return x == x }) {
			c.reason = pseudonyms
		}
		c.mistyped()
	}
	return next, wire.OK
}

func (c *cells) readTexts(b []byte, i int) (int, wire.Code) {
	return wire.Elements(b, i, func(_, i int) (int, wire.Code) { return c.text(b, i) })
}

// text reads a value of a categorical column: numbers and truth values as their text.
func (c *cells) text(b []byte, i int) (int, wire.Code) {
	v, next, code := wire.String(b, i)
	if code == wire.OK {
		c.texts = append(c.texts, v)
		return next, wire.OK
	}
	next, skipped := wire.Skip(b, i, 3)
	if skipped != wire.OK {
		return next, skipped
	}
	switch b[i] {
	case 'n':
		c.texts = append(c.texts, "")
	case 't':
		c.texts = append(c.texts, "true")
	case 'f':
		c.texts = append(c.texts, "false")
	case '"', '[', '{':
		c.mistyped()
	default:
		if v, _, code := wire.Int[int64](b, i); code == wire.OK {
			c.texts = append(c.texts, strconv.FormatInt(v, 10))
		} else if v, _, code := wire.Float64(b, i); code == wire.OK {
			c.texts = append(c.texts, strconv.FormatFloat(v, 'f', -1, 64))
		} else {
			c.mistyped()
		}
	}
	return next, wire.OK
}

// settle finds out whether the texts are pseudonyms, which are not counted.
func (c *cells) settle(column *Column) {
	if c.reason != "" || c.kind == Numeric || column.Identifier {
		return
	}
	if i := slices.IndexFunc(c.texts, func(v string) bool { return v != "" }); i >= 0 && pseudonym(c.texts[i]) &&
		column.Cells.Index(c.texts[i]) == column.Cells.Unseen() {
		c.reason = pseudonyms
	}
}

// count adds the column to t, or says why not.
func (c *cells) count(t *Tally, col int) (reason string) {
	if c.reason != "" {
		return c.reason
	}
	if c.kind == Numeric {
		countNumbers(t, col, c.numbers)
	} else {
		for _, v := range c.texts {
			t.Text(col, v, 1)
		}
	}
	if c.wrong > 0 {
		t.WrongType(col, uint64(c.wrong))
	}
	return ""
}

// countNumbers counts numbers; NaN is null, a missing value.
func countNumbers(t *Tally, col int, values []float64) {
	present := values[:0]
	for _, x := range values {
		if x == x {
			present = append(present, x)
		}
	}
	if missing := len(values) - len(present); missing > 0 {
		t.Missing(col, uint64(missing))
	}
	countFloats(t, col, present)
}

// pseudonym says whether v has the form that redact: hash writes, 32 digits of a hash.
func pseudonym(v string) bool {
	if len(v) != 32 {
		return false
	}
	for _, d := range []byte(v) {
		if d-'0' > 9 && d-'a' > 5 {
			return false
		}
	}
	return true
}

// take takes the values of the rows over.
func (v *values) take(c *cells, as coder) {
	v.reset()
	odd, value := 0, 0
	for row := range int(c.len()) {
		switch {
		case odd < len(c.misfits) && c.misfits[odd] == row:
			odd++
			as.WrongType(0, 1)
		case c.kind == Numeric && c.numbers[value] != c.numbers[value]:
			value++
			as.Missing(0, 1) // null
		case c.kind == Numeric:
			as.Number(0, c.numbers[value], 1)
			value++
		default:
			as.Text(0, c.texts[value], 1)
			value++
		}
		v.add(&as)
	}
}

// split attributes the rows of a record to segments and clusters. A column that is
// not counted is in none, nor are rows whose segment column or cluster is not.
func (c *captures) split(t *target, into *Tally) {
	b := t.baseline
	c.keys.reset(len(b.Segments))
	for s := range b.Segments {
		by := &b.Segments[s]
		key := &t.cells[by.col]
		if c.keys.segments[s] = nil; key.reason != "" {
			continue
		}
		c.values.take(key, coder{column: &b.Columns[by.col]})
		for _, code := range c.values.codes {
			c.keys.segments[s] = append(c.keys.segments[s], by.segment(code))
		}
	}
	c.keys.groups = nil
	if cl := b.Cluster; cl != nil && t.cells[cl.col].reason == "" {
		c.values.take(&t.cells[cl.col], coder{column: &b.Columns[cl.col]})
		c.keys.groups = append(c.keys.groups, c.values.groups...)
	}
	for col := range t.cells {
		if t.cells[col].reason == "" {
			c.values.take(&t.cells[col], coder{column: &b.Columns[col]})
			into.attribute(col, &c.values, &c.keys, 0)
		}
	}
}

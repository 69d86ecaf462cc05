package table

import (
	"math"
	"strconv"
	"unsafe"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding"
)

// cursor reads the pages of one column chunk, some rows at a time.
type cursor struct {
	leaf
	want  Kind
	pages parquet.Pages
	page  parquet.Page
	rows  int    // of the page
	row   int    // that comes next
	value int    // that comes next: fewer than rows when some are null
	nulls []byte // definition levels by row; nil when no row of the page is null
	wrong uint64

	indices []int32 // into the dictionary; nil for a plain page
	dict    parquet.Dictionary
	floats  []float32 // the values of the page, or of its dictionary
	doubles []float64
	ints    []int32
	longs   []int64
	bits    []byte
	bytes   []byte
	offsets []uint32
	texts   []string // of the dictionary
}

// left is how many rows of the page are left; it reads the next page when there are none. io.EOF: there is no page.
func (c *cursor) left() (int, error) {
	for c.row == c.rows {
		c.release()
		page, err := c.pages.ReadPage()
		if err != nil {
			return 0, err
		}
		c.begin(page)
	}
	return c.rows - c.row, nil
}

func (c *cursor) release() {
	if c.page != nil {
		parquet.Release(c.page)
		c.page = nil
	}
}

func (c *cursor) close() {
	c.release()
	if c.pages != nil {
		_ = c.pages.Close()
	}
}

func (c *cursor) begin(page parquet.Page) {
	c.page, c.rows, c.row, c.value, c.nulls, c.indices = page, int(page.NumValues()), 0, 0, nil, nil
	if page.NumNulls() > 0 {
		c.nulls = page.DefinitionLevels()
	}
	data := page.Data()
	if dict := page.Dictionary(); dict != nil {
		c.indices = data.Int32()
		if dict == c.dict {
			return
		}
		c.dict = dict
		data = dict.Page().Data()
		c.load(&data)
		if c.kind == parquet.ByteArray {
			c.texts = make([]string, len(c.offsets)-1)
			for i := range c.texts {
				c.texts[i] = c.text(i)
			}
		}
		return
	}
	c.dict = nil
	c.load(&data)
}

func (c *cursor) load(data *encoding.Values) {
	switch c.kind {
	case parquet.Double:
		c.doubles = data.Double()
	case parquet.Float:
		c.floats = data.Float()
	case parquet.Int64:
		c.longs = data.Int64()
	case parquet.Int32:
		c.ints = data.Int32()
	case parquet.Boolean:
		c.bits = data.Boolean()
	case parquet.FixedLenByteArray:
		c.bytes, _ = data.FixedLenByteArray()
	default:
		c.bytes, c.offsets = data.ByteArray()
	}
}

func (c *cursor) text(i int) string {
	from, to := c.offsets[i], c.offsets[i+1]
	if from == to {
		return ""
	}
	return unsafe.String(&c.bytes[from:to][0], to-from)
}

// take moves n rows into v.
func (c *cursor) take(n int, v *Values) {
	v.Null = v.Null[:0]
	switch c.kind {
	case parquet.Double:
		numbers(c, v, n, c.doubles)
	case parquet.Float:
		numbers(c, v, n, c.floats)
	case parquet.Int64:
		numbers(c, v, n, c.longs)
	case parquet.Int32:
		numbers(c, v, n, c.ints)
	default:
		c.takeTexts(n, v)
	}
	c.row += n
	if len(v.Null) == 0 {
		v.Null = nil
	}
}

// numbers moves numbers: floats stay floats, integers are wanted as one or the other.
func numbers[T int32 | int64 | float32 | float64](c *cursor, v *Values, n int, values []T) {
	if c.want == Number || c.want == Natural && (c.kind == parquet.Double || c.kind == parquet.Float) {
		v.Form, v.Floats = Floats, sized(v.Floats, n)
		spread(c, v.Floats, values, math.NaN())
		return
	}
	v.Form, v.Ints = Ints, sized(v.Ints, n)
	if c.nulls != nil {
		v.Null = sized(v.Null, n)
		for i, level := range c.nulls[c.row : c.row+n] {
			v.Null[i] = level != c.level
		}
	}
	spread(c, v.Ints, values, 0)
	if c.want != Time {
		return
	}
	for i, t := range v.Ints {
		if c.days {
			v.Ints[i] = t * 86_400_000
		} else {
			v.Ints[i] = floorDiv(t, c.unit)
		}
	}
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

func sized[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n, max(n, batchRows))
	}
	return s[:n]
}

// spread copies the next values to dst, through the dictionary and around nulls. It is the innermost loop.
func spread[D int64 | float64, S int32 | int64 | float32 | float64](c *cursor, dst []D, values []S, null D) {
	switch {
	case c.nulls == nil && c.indices == nil:
		for i, x := range values[c.value : c.value+len(dst)] {
			dst[i] = D(x)
		}
		c.value += len(dst)
	case c.nulls == nil:
		for i, at := range c.indices[c.value : c.value+len(dst)] {
			dst[i] = D(values[at])
		}
		c.value += len(dst)
	default:
		for i, level := range c.nulls[c.row : c.row+len(dst)] {
			if level != c.level {
				dst[i] = null
				continue
			}
			at := c.value
			if c.indices != nil {
				at = int(c.indices[at])
			}
			dst[i] = D(values[at])
			c.value++
		}
	}
}

// takeTexts moves texts, truth values and UUIDs.
func (c *cursor) takeTexts(n int, v *Values) {
	v.Form, v.Texts = Texts, sized(v.Texts, n)
	if c.uuid {
		v.Form = UUIDs
	}
	for i := range v.Texts {
		if c.nulls != nil && c.nulls[c.row+i] != c.level {
			v.Texts[i] = ""
			continue
		}
		at := c.value
		c.value++
		if c.indices != nil {
			at = int(c.indices[at])
		}
		switch {
		case c.kind == parquet.Boolean:
			v.Texts[i] = strconv.FormatBool(c.bits[at/8]>>(at%8)&1 == 1)
		case c.kind == parquet.FixedLenByteArray:
			v.Texts[i] = unsafe.String(&c.bytes[at*16 : at*16+16][0], 16)
		case c.indices != nil:
			v.Texts[i] = c.texts[at]
		default:
			v.Texts[i] = c.text(at)
		}
	}
	if c.want != Natural {
		c.wrong += v.convert(c.want)
	}
}

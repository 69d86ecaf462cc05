package profile

import (
	"context"
	"fmt"
	"sync"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding"
)

// pageCoder turns the pages of one column into codes, a dictionary at a time.
type pageCoder struct {
	as     coder
	dict   parquet.Dictionary
	known  values // of the dictionary
	filled values // of the page that is being read, without nulls
	rows   values // with them
}

// read returns what the rows of a page hold, until the next is read.
func (p *pageCoder) read(page parquet.Page) *values {
	p.filled.reset()
	if dict := page.Dictionary(); dict != nil {
		p.learn(dict)
		data := page.Data()
		for _, i := range data.Int32() {
			p.filled.copy(&p.known, int(i))
		}
	} else {
		p.plain(page)
	}
	levels := page.DefinitionLevels()
	if len(levels) == 0 {
		return &p.filled
	}
	p.rows.reset()
	next := 0
	for _, level := range levels {
		if level == 0 { // the columns that are counted have one level
			p.as.Missing(0, 1)
			p.rows.add(&p.as)
			continue
		}
		p.rows.copy(&p.filled, next)
		next++
	}
	return &p.rows
}

// copy appends value i of o.
func (v *values) copy(o *values, i int) {
	v.codes, v.groups, v.hashes = append(v.codes, o.codes[i]), append(v.groups, o.groups[i]), append(v.hashes, o.hashes[i])
}

func (p *pageCoder) learn(dict parquet.Dictionary) {
	if dict == p.dict {
		return
	}
	p.dict = dict
	p.known.reset()
	for i := range dict.Len() {
		countValue(&p.as, 0, dict.Index(int32(i)), 1)
		p.known.add(&p.as)
	}
}

func (p *pageCoder) plain(page parquet.Page) {
	data := page.Data()
	numeric := p.as.column.Kind == Numeric
	switch kind := page.Type().Kind(); {
	case kind == parquet.Double && numeric:
		plainCodes(p, data.Double())
	case kind == parquet.Float && numeric:
		plainCodes(p, data.Float())
	case kind == parquet.Int32 && numeric:
		plainCodes(p, data.Int32())
	case kind == parquet.Int64 && numeric:
		plainCodes(p, data.Int64())
	case kind == parquet.ByteArray:
		p.texts(&data)
	default:
		countEach(&appender{&p.as, p}, 0, page)
	}
}

func plainCodes[T number](p *pageCoder, values []T) {
	for _, v := range values {
		p.as.Number(0, float64(v), 1)
		p.filled.add(&p.as)
	}
}

func (p *pageCoder) texts(data *encoding.Values) {
	bytes, offsets := data.ByteArray()
	for i := 1; i < len(offsets); i++ {
		p.as.Text(0, string(bytes[offsets[i-1]:offsets[i]]), 1)
		p.filled.add(&p.as)
	}
}

// appender is a coder that appends each value's code.
type appender struct {
	*coder
	to *pageCoder
}

func (a *appender) append() { a.to.filled.add(a.coder) }

func (a *appender) Number(col int, x float64, n uint64) { a.coder.Number(col, x, n); a.append() }
func (a *appender) Text(col int, v string, n uint64)    { a.coder.Text(col, v, n); a.append() }
func (a *appender) Missing(col int, n uint64)           { a.coder.Missing(col, n); a.append() }
func (a *appender) WrongType(col int, n uint64)         { a.coder.WrongType(col, n); a.append() }

// splitKeys keeps the keys of the row groups that are being read: of each, a byte
// a row for every segment column and the cluster.
type splitKeys struct {
	mu   sync.Mutex
	last [2]struct { // workers that share a row group may be in two of them
		group int
		keys  *keys
	}
}

// keysOf are the keys of row group g.
func (pf *ParquetFile) keysOf(ctx context.Context, b *Baseline, g int) (*keys, error) {
	pf.split.mu.Lock()
	defer pf.split.mu.Unlock()
	for _, l := range pf.split.last {
		if l.keys != nil && l.group == g {
			return l.keys, nil
		}
	}
	k := &keys{segments: make([][]uint8, len(b.Segments))}
	for s := range b.Segments {
		by := &b.Segments[s]
		err := pf.codes(ctx, g, &b.Columns[by.col], func(v *values) {
			for _, code := range v.codes {
				k.segments[s] = append(k.segments[s], by.segment(code))
			}
		})
		if err != nil {
			return nil, err
		}
	}
	if cl := b.Cluster; cl != nil {
		err := pf.codes(ctx, g, &b.Columns[cl.col], func(v *values) { k.groups = append(k.groups, v.groups...) })
		if err != nil {
			return nil, err
		}
	}
	pf.split.last[1] = pf.split.last[0]
	pf.split.last[0].group, pf.split.last[0].keys = g, k
	return k, nil
}

// codes hands what the rows hold of a column of a row group to take, page by page.
func (pf *ParquetFile) codes(ctx context.Context, g int, c *Column, take func(v *values)) (err error) {
	group := pf.file.RowGroups()[g]
	rows := group.NumRows()
	leaf := -1
	for i, name := range pf.names {
		if name == c.Name {
			leaf = pf.columns[i]
		}
	}
	p := &pageCoder{as: coder{column: c}}
	if leaf < 0 {
		p.missing(uint64(rows), take)
		return nil
	}
	pages := group.ColumnChunks()[leaf].Pages()
	defer func() {
		if e := pages.Close(); err == nil {
			err = e
		}
	}()
	var read int64
	err = eachPage(ctx, pages, func(page parquet.Page) {
		v := p.read(page)
		read += int64(len(v.codes))
		take(v)
	})
	if err == nil && read != rows {
		err = fmt.Errorf("profile: row group %d, column %q holds %d values for %d rows", g, Cut(c.Name), read, rows)
	}
	return err
}

// missing hands out rows without a value.
func (p *pageCoder) missing(rows uint64, take func(v *values)) {
	const block = 1 << 12
	for ; rows > 0; rows -= min(rows, block) {
		p.rows.reset()
		p.as.Missing(0, 1)
		for range min(rows, block) {
			p.rows.add(&p.as)
		}
		take(&p.rows)
	}
}

// visit sees each page of a column in turn; nil with the number of rows of a column without pages.
type visit func(page parquet.Page, rows uint64)

func noVisits(int) visit { return func(parquet.Page, uint64) {} }

// visits attributes the pages of a column of the rows in k.
func (t *Tally) visits(k *keys) func(col int) visit {
	return func(col int) visit {
		p := &pageCoder{as: coder{column: &t.baseline.Columns[col]}}
		at := 0
		take := func(v *values) {
			t.attribute(col, v, k, at)
			at += len(v.codes)
		}
		return func(page parquet.Page, rows uint64) {
			if page == nil {
				p.missing(rows, take)
				return
			}
			take(p.read(page))
		}
	}
}

package rows

import (
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"github.com/tidegate/tidegate/shared/fault"
)

// parquetBatch is how many rows are decoded at once.
const parquetBatch = 256

type parquetSource struct {
	name   string
	file   io.Closer
	groups []group
	rows   parquet.Rows
	row    int64 // number of the row last returned, from 1
	leaves []leaf
	buffer []parquet.Row
	ready  []parquet.Row
	read   atomic.Int64
	total  int64
}

// group is a row group that is to be read, behind so many rows of the file.
type group struct {
	parquet.RowGroup
	before int64
}

// leaf is one flat column; others are left out and reported when a model needs them.
type leaf struct {
	name string
	kind parquet.Kind
	text bool // bytes that are a string
	flat bool
}

func openParquet(name string, closer io.Closer, r io.ReaderAt, size int64, groups []int) (src Numbered, err error) {
	defer func() { // parquet-go panics on some damaged footers
		if p := recover(); p != nil {
			src, err = nil, fault.Wrap(fmt.Errorf("panic: %v", p), fault.InvalidArgument, "%s is not a readable Parquet file", name)
		}
	}()
	file, err := parquet.OpenFile(r, size)
	if err != nil {
		return nil, broken(err, "%s is not a readable Parquet file", name)
	}
	p := &parquetSource{name: name, file: closer, buffer: make([]parquet.Row, parquetBatch)}
	if err := p.choose(file.RowGroups(), groups); err != nil {
		return nil, err
	}
	for _, path := range file.Schema().Columns() {
		column, _ := file.Schema().Lookup(path...)
		l := leaf{name: path[0], kind: column.Node.Type().Kind(), flat: len(path) == 1 && !column.Node.Repeated()}
		if decimal(column.Node) {
			l.flat = false // an unscaled integer is not the number that the column means
		}
		l.text = l.kind == parquet.ByteArray || l.kind == parquet.FixedLenByteArray
		p.leaves = append(p.leaves, l)
	}
	return p, nil
}

// choose notes which row groups are read; nil is all of them.
func (p *parquetSource) choose(all []parquet.RowGroup, which []int) error {
	before := make([]int64, len(all)+1)
	for i, g := range all {
		before[i+1] = before[i] + g.NumRows()
	}
	if which == nil {
		for i := range all {
			which = append(which, i)
		}
	}
	for _, i := range which {
		if i < 0 || i >= len(all) {
			return fault.New(fault.InvalidArgument, "%s has no row group %d, only %d of them", p.name, i, len(all))
		}
		p.groups = append(p.groups, group{all[i], before[i]})
		p.total += all[i].NumRows()
	}
	return nil
}

func decimal(n parquet.Node) bool {
	logical := n.Type().LogicalType()
	if logical == nil {
		return false
	}
	_, is := logical.Value.(*format.DecimalType)
	return is
}

func (p *parquetSource) Next() (row Row, err error) {
	defer func() {
		if r := recover(); r != nil {
			row, err = nil, fault.Wrap(fmt.Errorf("panic: %v", r), fault.InvalidArgument, "%s is damaged after row %d", p.name, p.row)
		}
	}()
	for len(p.ready) == 0 {
		if err := p.fill(); err != nil {
			return nil, err
		}
	}
	values := p.ready[0]
	p.ready = p.ready[1:]
	p.read.Add(1)
	p.row++
	row = make(Row, len(p.leaves))
	for _, v := range values {
		l := p.leaves[v.Column()]
		if l.flat {
			row[l.name] = l.cell(v)
		}
	}
	return row, nil
}

func (p *parquetSource) fill() error {
	if p.rows == nil {
		if len(p.groups) == 0 {
			return io.EOF
		}
		p.rows, p.row, p.groups = p.groups[0].Rows(), p.groups[0].before, p.groups[1:]
	}
	n, err := p.rows.ReadRows(p.buffer)
	p.ready = p.buffer[:n]
	if errors.Is(err, io.EOF) {
		err = p.rows.Close()
		p.rows = nil
	}
	if err != nil {
		return broken(err, "%s is damaged after row %d", p.name, p.row)
	}
	return nil
}

func (l leaf) cell(v parquet.Value) any {
	if v.IsNull() {
		return nil
	}
	switch l.kind {
	case parquet.Boolean:
		return v.Boolean()
	case parquet.Int32:
		return int64(v.Int32())
	case parquet.Int64:
		return v.Int64()
	case parquet.Float:
		return float64(v.Float())
	case parquet.Double:
		return v.Double()
	}
	if l.text {
		return string(v.ByteArray())
	}
	return nil
}

func (p *parquetSource) Close() error {
	if p.rows != nil {
		p.rows.Close()
	}
	return p.file.Close()
}

// Row implements [Numbered].
func (p *parquetSource) Row() int64 { return p.row }

func (p *parquetSource) Position() int64 { return p.read.Load() }
func (p *parquetSource) Total() int64    { return p.total }

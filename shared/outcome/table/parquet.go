package table

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/profile"
)

type parquetFile struct {
	file    *parquet.File
	columns []Column
	leaves  []leaf
}

// leaf is where a column is, and how its values are to be read.
type leaf struct {
	index int
	kind  parquet.Kind
	level byte  // definition level of a value that is there
	unit  int64 // of a time: what a millisecond is divided into; 0 for no time
	days  bool  // of a date
	uuid  bool
}

func openParquet(src profile.ReaderAtSize, columns []Column) (p *parquetFile, err error) {
	defer recoverDamage("footer", &err)
	f, err := parquet.OpenFile(src, src.Size(), parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true), parquet.ReadBufferSize(64<<10))
	if err != nil {
		return nil, fault.Wrap(err, fault.InvalidArgument, "it is no readable Parquet file (truncated, or no Parquet at all)")
	}
	p = &parquetFile{file: f, columns: columns}
	var names []string
	found := map[string]*parquet.Column{}
	for _, c := range f.Root().Columns() {
		names = append(names, c.Name())
		found[c.Name()] = c
	}
	for _, want := range columns {
		c, ok := found[want.Name]
		if !ok {
			return nil, lacks(want.Name, names)
		}
		l, problem := leafOf(c, want.Kind)
		if problem != "" {
			return nil, fault.New(fault.InvalidArgument, "column %q %s", want.Name, problem)
		}
		p.leaves = append(p.leaves, l)
	}
	return p, nil
}

// leafOf finds out how to read a column, or why it cannot be read.
func leafOf(c *parquet.Column, want Kind) (l leaf, problem string) {
	if !c.Leaf() || c.MaxRepetitionLevel() > 0 {
		return l, "is nested or repeated: flatten it to one value a row"
	}
	l = leaf{index: int(c.Index()), kind: c.Type().Kind(), level: byte(c.MaxDefinitionLevel())}
	if lt := c.Type().LogicalType(); lt != nil {
		switch t := lt.Value.(type) {
		case *format.DecimalType:
			return l, "is a decimal: write it as a double"
		case *format.DateType:
			l.days = true
		case *format.TimestampType:
			l.unit = unitOf(t)
		case *format.UUIDType:
			l.uuid = true
		}
	}
	switch {
	case l.kind == parquet.Int96:
		return l, "is a time of the form INT96: write it as INT64"
	case l.kind == parquet.FixedLenByteArray && (c.Type().Length() != 16 || want != Natural):
		return l, "is binary of fixed length: write text or a number"
	case l.kind == parquet.FixedLenByteArray:
		l.uuid = true
	case want == Time && l.unit == 0 && !l.days && l.kind != parquet.ByteArray:
		return l, "is no time: write it as a timestamp, or as text of RFC 3339"
	}
	return l, ""
}

func unitOf(t *format.TimestampType) int64 {
	switch t.Unit.Value.(type) {
	case *format.MicroSeconds:
		return 1000
	case *format.NanoSeconds:
		return 1000_000
	}
	return 1
}

func (p *parquetFile) groups() int { return len(p.file.RowGroups()) }

// read hands out the rows of a row group. A batch ends where a page of any column
// does, so that texts can stay where they are.
func (p *parquetFile) read(ctx context.Context, group int, visit func(*Batch) error) (rep Report, err error) {
	defer recoverDamage(fmt.Sprintf("row group %d", group), &err)
	g := p.file.RowGroups()[group]
	chunks := g.ColumnChunks()
	cursors := make([]cursor, len(p.leaves))
	defer func() {
		for i := range cursors {
			cursors[i].close()
		}
	}()
	for i, l := range p.leaves {
		cursors[i] = cursor{leaf: l, want: p.columns[i].Kind, pages: chunks[l.index].Pages()}
	}
	b := &Batch{Columns: make([]Values, len(cursors))}
	rows := g.NumRows()
	for rep.Rows < rows {
		if err := ctx.Err(); err != nil {
			return rep, err
		}
		n := int(min(rows-rep.Rows, batchRows))
		for i := range cursors {
			left, err := cursors[i].left()
			if err != nil {
				return rep, damaged(err, group, p.columns[i].Name)
			}
			n = min(n, left)
		}
		for i := range cursors {
			cursors[i].take(n, &b.Columns[i])
		}
		b.First, b.Rows = rep.Rows, n
		if err := visit(b); err != nil {
			return rep, err
		}
		rep.Rows += int64(n)
	}
	for i := range cursors {
		if left, err := cursors[i].left(); left > 0 || err != nil && !errors.Is(err, io.EOF) {
			return rep, damaged(errors.New("more values than rows"), group, p.columns[i].Name)
		}
		rep.Wrong = append(rep.Wrong, cursors[i].wrong)
	}
	return rep, nil
}

func damaged(err error, group int, column string) error {
	return fault.Wrap(err, fault.InvalidArgument, "row group %d of the Parquet file is damaged in column %q", group, column)
}

// recoverDamage turns a panic of the Parquet library, which trusts lengths in the
// file, into an error.
func recoverDamage(where string, err *error) {
	if r := recover(); r != nil {
		*err = fault.Wrap(fmt.Errorf("panic: %v", r), fault.InvalidArgument, "the %s of the Parquet file is damaged", where)
	}
}

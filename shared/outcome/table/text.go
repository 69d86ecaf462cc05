package table

import (
	"context"
	"unsafe"
)

// filler gathers the rows of a text file into batches. The texts of a batch lie in
// one arena, so that a row allocates nothing.
type filler struct {
	ctx     context.Context
	columns []Column
	visit   func(*Batch) error
	batch   Batch
	arena   []byte
	rep     Report
}

func newFiller(ctx context.Context, columns []Column, visit func(*Batch) error) *filler {
	f := &filler{ctx: ctx, columns: columns, visit: visit, batch: Batch{Columns: make([]Values, len(columns))}}
	f.rep.Wrong = make([]uint64, len(columns))
	return f
}

// keep copies a text into the arena. When it is full a new one is begun: texts of before stay in the old one.
func (f *filler) keep(text []byte) string {
	if len(text) == 0 {
		return ""
	}
	if len(f.arena)+len(text) > cap(f.arena) {
		f.arena = make([]byte, 0, max(2*cap(f.arena), len(text), 64<<10))
	}
	at := len(f.arena)
	f.arena = append(f.arena, text...)
	return unsafe.String(&f.arena[at], len(text))
}

// set gives the row that is being filled its value in a column.
func (f *filler) set(col int, text string) {
	v := &f.batch.Columns[col]
	v.Texts = append(v.Texts, text)
}

// row ends a row, and hands out a full batch.
func (f *filler) row() error {
	f.batch.Rows++
	f.rep.Rows++
	if f.batch.Rows < batchRows {
		return nil
	}
	return f.flush()
}

func (f *filler) flush() error {
	if f.batch.Rows == 0 {
		return nil
	}
	if err := f.ctx.Err(); err != nil {
		return err
	}
	for i := range f.batch.Columns {
		v := &f.batch.Columns[i]
		v.Form, v.Null = Texts, v.Null[:0]
		if want := f.columns[i].Kind; want != Natural {
			f.rep.Wrong[i] += v.convert(want)
		}
	}
	err := f.visit(&f.batch)
	f.batch.First += int64(f.batch.Rows)
	f.batch.Rows, f.arena = 0, f.arena[:0]
	for i := range f.batch.Columns {
		f.batch.Columns[i].Texts = f.batch.Columns[i].Texts[:0]
	}
	return err
}

func (f *filler) malformed(place string) {
	if f.rep.Malformed == 0 {
		f.rep.First = place
	}
	f.rep.Malformed++
}

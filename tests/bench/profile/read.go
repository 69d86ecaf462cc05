package main

import (
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/parquet-go/parquet-go"

	"github.com/tidegate/tidegate/shared/profile"
)

// each runs work(worker, 0…n−1) on so many goroutines.
func each(workers, n int, work func(worker, i int) error) error {
	var at atomic.Int64
	var group sync.WaitGroup
	errs := make([]error, workers)
	for w := range workers {
		group.Go(func() {
			for i := int(at.Add(1)) - 1; i < n && errs[w] == nil; i = int(at.Add(1)) - 1 {
				errs[w] = work(w, i)
			}
		})
	}
	group.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// count profiles the file: footer, all columns of all row groups, and the merge.
func (t *table) count(ctx context.Context, workers int) error {
	_, err := t.tally(ctx, workers)
	return err
}

// tally deals columns of row groups out, as the command line does.
func (t *table) tally(ctx context.Context, workers int) (*profile.Tally, error) {
	total := profile.NewTally(t.base)
	pf, err := profile.OpenParquet(t.file, t.size, total.Columns())
	if err != nil {
		return nil, err
	}
	tallies := make([]*profile.Tally, workers)
	for i := range tallies {
		tallies[i] = profile.NewTally(t.base)
	}
	n := len(t.base.Columns)
	err = each(workers, n*pf.RowGroups(), func(w, i int) error {
		_, err := pf.CountColumns(ctx, tallies[w], i/n, []int{i % n})
		return err
	})
	for _, one := range tallies {
		if err == nil {
			err = total.Merge(one)
		}
	}
	return total, err
}

// bare reads the same columns with parquet-go and nothing else: it decodes the pages and looks at each typed value, in
// the dictionary where there is one, to add it up or to take its length.
func (t *table) bare(_ context.Context, workers int) error {
	f, err := parquet.OpenFile(t.file, t.size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true), parquet.ReadBufferSize(64<<10))
	if err != nil {
		return err
	}
	groups, n := f.RowGroups(), len(t.base.Columns)
	leaves := make([]int, n)
	for i := range leaves {
		leaf, ok := f.Schema().Lookup(t.base.Columns[i].Name)
		if !ok {
			return fmt.Errorf("bench: %s has no column %s", t.name, t.base.Columns[i].Name)
		}
		leaves[i] = leaf.ColumnIndex
	}
	return each(workers, n*len(groups), func(_, i int) error {
		chunk := groups[i/n].ColumnChunks()[leaves[i%n]]
		rows, err := readChunk(chunk)
		if err == nil && rows != groups[i/n].NumRows() {
			err = fmt.Errorf("bench: a bare read found %d rows of %d", rows, groups[i/n].NumRows())
		}
		return err
	})
}

func readChunk(chunk parquet.ColumnChunk) (rows int64, err error) {
	pages := chunk.Pages()
	defer func() { _ = pages.Close() }()
	for {
		page, err := pages.ReadPage()
		if err == io.EOF {
			return rows, nil
		}
		if err != nil {
			return rows, err
		}
		rows += page.NumValues()
		data := page.Data()
		if dict := page.Dictionary(); dict != nil {
			values := dict.Page().Data()
			look(page.Type().Kind(), &values, data.Int32())
		} else {
			look(page.Type().Kind(), &data, nil)
		}
		parquet.Release(page)
	}
}

// typed is the typed slices of a page.
type typed interface {
	Int64() []int64
	Double() []float64
	ByteArray() ([]byte, []uint32)
}

// sink keeps the compiler from leaving the look out.
var sink atomic.Uint64

func look(kind parquet.Kind, values typed, indices []int32) {
	switch kind {
	case parquet.Int64:
		sink.Add(uint64(add(values.Int64(), indices)))
	case parquet.Double:
		sink.Add(uint64(add(values.Double(), indices)))
	case parquet.ByteArray:
		_, offsets := values.ByteArray()
		sink.Add(uint64(lengths(offsets, indices)))
	}
}

func add[T int64 | float64](values []T, indices []int32) (sum T) {
	if indices == nil {
		for _, v := range values {
			sum += v
		}
	}
	for _, i := range indices {
		sum += values[i]
	}
	return sum
}

func lengths(offsets []uint32, indices []int32) (sum uint32) {
	if indices == nil {
		for i := 1; i < len(offsets); i++ {
			sum += offsets[i] - offsets[i-1]
		}
	}
	for _, i := range indices {
		sum += offsets[i+1] - offsets[i]
	}
	return sum
}

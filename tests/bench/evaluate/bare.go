package main

import (
	"io"
	"os"
	"sync"
	"sync/atomic"

	"github.com/parquet-go/parquet-go"
)

// bareRead decodes the pages of the columns that are joined with parquet-go, and
// adds up their values or lengths; no row is put together.
func bareRead(paths []string, workers int) (answer, error) {
	var chunks []parquet.ColumnChunk
	for i, columns := range [][]string{{"id", "score", "prediction"}, {"id", "label"}} {
		f, err := os.Open(paths[i]) // #nosec G304
		if err != nil {
			return answer{}, err
		}
		defer func() { _ = f.Close() }()
		info, err := f.Stat()
		if err != nil {
			return answer{}, err
		}
		table, err := parquet.OpenFile(f, info.Size(), parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true), parquet.ReadBufferSize(64<<10))
		if err != nil {
			return answer{}, err
		}
		for _, g := range table.RowGroups() {
			for _, name := range columns {
				leaf, ok := table.Schema().Lookup(name)
				if !ok {
					return answer{}, os.ErrNotExist
				}
				chunks = append(chunks, g.ColumnChunks()[leaf.ColumnIndex])
			}
		}
	}
	var at atomic.Int64
	var group sync.WaitGroup
	sums, errs := make([]float64, workers), make([]error, workers)
	for w := range workers {
		group.Go(func() {
			for i := int(at.Add(1)) - 1; i < len(chunks) && errs[w] == nil; i = int(at.Add(1)) - 1 {
				errs[w] = readChunk(chunks[i], &sums[w])
			}
		})
	}
	group.Wait()
	total := 0.0
	for w := range workers {
		if errs[w] != nil {
			return answer{}, errs[w]
		}
		total += sums[w]
	}
	return answer{Found: map[string]float64{"sum": total}}, nil
}

func readChunk(chunk parquet.ColumnChunk, sum *float64) error {
	pages := chunk.Pages()
	defer func() { _ = pages.Close() }()
	for {
		page, err := pages.ReadPage()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		data := page.Data()
		switch {
		case page.Dictionary() != nil:
			for _, i := range data.Int32() {
				*sum += float64(i)
			}
		case page.Type().Kind() == parquet.Int64:
			for _, v := range data.Int64() {
				*sum += float64(v)
			}
		case page.Type().Kind() == parquet.Double:
			for _, v := range data.Double() {
				*sum += v
			}
		default:
			_, offsets := data.ByteArray()
			for i := 1; i < len(offsets); i++ {
				*sum += float64(offsets[i] - offsets[i-1])
			}
		}
		parquet.Release(page)
	}
}

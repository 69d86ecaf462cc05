package outcome

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/outcome/table"
)

// filesJoin is one run of Join.
type filesJoin struct {
	*Files
	ctx     context.Context
	visit   func(int, *Batch) error
	workers int
	parts   []filePart
	layout  layout
	spread  spread
	labels  []partitions
	rowsOf  []partitions // by worker
	readers []*fileReader
	rows    atomic.Int64 // of predictions
	counts  Counts
}

// filePart is one part of one file.
type filePart struct {
	file   File
	table  *table.Table
	part   int
	source int // of the predictions; −1 for labels
	wanted []wanted
}

// open opens all files and finds their parts.
func (j *filesJoin) open() error {
	var rows int64
	add := func(file File, source int, columns []wanted) error {
		want := make([]table.Column, len(columns))
		for i, c := range columns {
			want[i] = c.Column
		}
		t, err := table.Open(file, want)
		if err != nil {
			return inFile(err, file)
		}
		rows += t.Rows()
		for p := range t.Parts() {
			j.parts = append(j.parts, filePart{file, t, p, source, columns})
		}
		return nil
	}
	same := len(j.Labels) == 0
	for i, p := range j.Predictions {
		for _, file := range p.Files {
			if err := add(file, i, j.predictionColumns(same)); err != nil {
				return err
			}
		}
	}
	for _, file := range j.Labels {
		if err := add(file, -1, j.labelColumns()); err != nil {
			return err
		}
	}
	// A text file is one part, and takes longest: it comes first.
	slices.SortStableFunc(j.parts, func(a, b filePart) int { return a.table.Parts() - b.table.Parts() })
	j.layout = newLayout(&j.spec, &j.Names, same)
	j.spread = spreadOver(int(max(1, min(maxPartitions, rows/max(j.perPartition, 1)))))
	return nil
}

// inFile names the file that an error is of.
func inFile(err error, file File) error {
	var f *fault.Error
	if errors.As(err, &f) {
		return fault.Wrap(err, f.Kind, "%s: %s", file.Name, f.Message)
	}
	return fmt.Errorf("%s: %w", file.Name, err)
}

// each runs work on the workers until there is none left, or one fails.
func (j *filesJoin) each(n int, work func(worker, i int) error) error {
	var at atomic.Int64
	var failed atomic.Bool
	var group sync.WaitGroup
	errs := make([]error, j.workers)
	for w := range j.workers {
		group.Go(func() {
			for !failed.Load() {
				i := int(at.Add(1)) - 1
				if i >= n {
					return
				}
				if errs[w] = work(w, i); errs[w] != nil {
					failed.Store(true)
				}
			}
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

// read reads all parts into the partitions of each worker, or hands them out.
func (j *filesJoin) read() error {
	n := j.spread.partitions()
	for w := range j.workers {
		j.labels = append(j.labels, newPartitions(n, j.layout.labelWords))
		j.rowsOf = append(j.rowsOf, newPartitions(n, j.layout.words))
		j.readers = append(j.readers, newFileReader(j, w))
	}
	err := j.each(len(j.parts), func(worker, i int) error {
		p := &j.parts[i]
		r := j.readers[worker]
		r.begin(p)
		rep, err := p.table.Read(j.ctx, p.part, r.batch)
		r.note(p, &rep)
		if err != nil {
			return inFile(err, p.file)
		}
		if p.source >= 0 {
			j.rows.Add(rep.Rows)
		}
		return nil
	})
	for _, r := range j.readers {
		if err == nil {
			err = r.out.flush()
		}
		j.counts.Merge(&r.counts)
		r.counts = Counts{}
	}
	return err
}

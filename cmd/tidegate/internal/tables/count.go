package tables

import (
	"context"
	"io"
	"sync"

	"github.com/tidegate/tidegate/shared/profile"
)

// Count counts the rows of the set on b's cells.
func (s *Set) Count(ctx context.Context, b *profile.Baseline, o Options) (*profile.Tally, Report, error) {
	return s.count(ctx, b, func() *profile.Tally { return profile.NewTally(b) }, o)
}

func (s *Set) count(ctx context.Context, b *profile.Baseline, empty func() *profile.Tally, o Options) (*profile.Tally, Report, error) {
	s.watch(o.Read)
	jobs, err := s.jobs(b, o.workers())
	if err != nil {
		return nil, Report{}, err
	}
	inside := max(1, o.workers()/len(jobs)) // workers of one job, where there are few
	total := empty()
	var mu sync.Mutex // of total
	err = each(ctx, o.workers(), len(jobs), func(ctx context.Context, next func() (int, bool)) error {
		own := empty()
		for i, ok := next(); ok; i, ok = next() {
			if err := jobs[i].count(ctx, own, inside, empty); err != nil {
				return jobs[i].file.refused(err)
			}
		}
		mu.Lock()
		defer mu.Unlock()
		return total.Merge(own)
	})
	if err != nil {
		return nil, Report{}, err
	}
	return total, summed(jobs), nil
}

// Watch calls read with the number of bytes whenever some of a file are read, from any goroutine.
func (s *Set) Watch(read func(int64)) { s.watch(read) }

func (s *Set) watch(read func(int64)) {
	for _, f := range s.Files {
		f.read = read
	}
}

// job is a part of the set that one worker reads: columns of a row group, or a whole text file.
type job struct {
	file    *File
	parquet *profile.ParquetFile // nil for text
	group   int
	columns []int
	lead    bool // of the jobs of a row group: reports its rows
	report  profile.Report
}

// share is the number of jobs that a worker gets at least where columns can be dealt out, so that all end together.
const share = 8

// jobs splits the set: by row groups, and by columns where those are few.
func (s *Set) jobs(b *profile.Baseline, workers int) ([]*job, error) {
	names := profile.NewTally(b).Columns()
	opened := make([]*profile.ParquetFile, len(s.Files)) // nil for text
	total := 0
	for i, f := range s.Files {
		if f.footer == nil {
			if _, err := f.format(); err != nil {
				return nil, f.refused(err)
			}
			continue
		}
		pf, err := f.footer()
		if err != nil {
			return nil, f.refused(err)
		}
		opened[i] = pf.With(names)
		total += pf.RowGroups()
	}
	dealt := deal(len(names), share*workers/max(total, 1))
	var jobs []*job
	for i, f := range s.Files {
		if opened[i] == nil || opened[i].RowGroups() == 0 { // one job, so that it is reported
			jobs = append(jobs, &job{file: f, parquet: opened[i]})
			continue
		}
		for g := range opened[i].RowGroups() {
			for k, columns := range dealt {
				jobs = append(jobs, &job{file: f, parquet: opened[i], group: g, columns: columns, lead: k == 0})
			}
		}
	}
	return jobs, nil
}

// deal deals 0…n−1 out to so many hands, at least one and at most n; neighbours go to different ones.
func deal(n, hands int) [][]int {
	dealt := make([][]int, max(1, min(hands, n)))
	for i := range n {
		k := i % len(dealt)
		dealt[k] = append(dealt[k], i)
	}
	return dealt
}

func (j *job) count(ctx context.Context, t *profile.Tally, workers int, empty func() *profile.Tally) (err error) {
	if j.parquet == nil {
		tallies, sinks := []*profile.Tally{t}, []profile.Sink{t}
		for range workers - 1 {
			tallies = append(tallies, empty())
			sinks = append(sinks, tallies[len(tallies)-1])
		}
		if j.report, err = profile.CountParts(ctx, j.file, sinks); err != nil {
			return err
		}
		for _, o := range tallies[1:] {
			if err := t.Merge(o); err != nil {
				return err
			}
		}
		return nil
	}
	j.report = profile.Report{LeftOut: j.parquet.LeftOut, Extra: j.parquet.Extra, Absent: j.parquet.Absent}
	if j.group >= j.parquet.RowGroups() {
		return nil
	}
	rows, err := j.parquet.CountColumns(ctx, t, j.group, j.columns)
	if j.lead {
		j.report.Rows = rows
	}
	return err
}

// summed makes the report of the set from those of its jobs, file by file.
func summed(jobs []*job) Report {
	var out Report
	absent := newAbsences()
	for i := 0; i < len(jobs); {
		one := jobs[i].report
		k := i + 1
		for ; k < len(jobs) && jobs[k].file == jobs[i].file; k++ {
			one.Rows += jobs[k].report.Rows
		}
		out.add(jobs[i].file, one, absent)
		i = k
	}
	out.finish(absent)
	return out
}

// isParquet looks at the first bytes, as profile.Detect does.
func (f *File) isParquet() bool {
	var magic [4]byte
	n, err := f.f.ReadAt(magic[:], 0)
	return (err == nil || err == io.EOF) && string(magic[:n]) == "PAR1"
}

// each runs work on so many workers; next hands out 0…n−1, each once. The first
// error ends all.
func each(ctx context.Context, workers, n int, work func(ctx context.Context, next func() (int, bool)) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var mu sync.Mutex
	at := 0
	next := func() (int, bool) {
		mu.Lock()
		defer mu.Unlock()
		if at >= n || ctx.Err() != nil {
			return 0, false
		}
		at++
		return at - 1, true
	}
	var group sync.WaitGroup
	for range min(workers, max(n, 1)) {
		group.Go(func() {
			if err := work(ctx, next); err != nil {
				cancel(err)
			}
		})
	}
	group.Wait()
	if ctx.Err() == nil {
		return nil
	}
	return context.Cause(ctx)
}

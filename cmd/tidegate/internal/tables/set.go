// Package tables turns files of rows into profiles: several files are one set,
// read in parallel over the cores.
//
// Formats are those of shared/profile: Parquet, CSV and NDJSON, told by content,
// the last two also compressed. It counts with that package and judges nothing.
// Its invariant: what it returns depends on the rows alone, not on how they are
// spread over files, on the order of the files, or on the number of workers.
//
//	set, err := tables.Open([]string{"april.parquet", "may.csv.gz"})
//	baseline, report, err := set.Freeze(ctx, tables.Options{})
//	counts, report, err := set.Count(ctx, baseline, tables.Options{})
package tables

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/profile"
)

// Set is files that are read as one table.
type Set struct {
	Files []*File
}

// File is one opened file.
type File struct {
	Path string
	size int64
	f    *os.File
	read func(bytes int64) // progress; may be nil
	// footer opens the file as Parquet, once; nil of text.
	footer func() (*profile.ParquetFile, error)
}

// Options say what to count and how.
type Options struct {
	Columns []string                // only these; nil = all
	Kinds   map[string]profile.Kind // instead of what the values look like
	By      profile.By              // what a baseline is split by
	Workers int                     // 0 = one for each core
	Read    func(bytes int64)       // called with the bytes that were read, from any goroutine
}

func (o Options) workers() int {
	if o.Workers > 0 {
		return o.Workers
	}
	return runtime.GOMAXPROCS(0)
}

// Open opens files and the regular files of folders, each once.
func Open(paths []string) (*Set, error) {
	s := &Set{}
	for _, path := range paths {
		if err := s.add(path); err != nil {
			s.Close()
			return nil, err
		}
	}
	if len(s.Files) == 0 {
		return nil, fault.New(fault.InvalidArgument, "%s holds no files", strings.Join(paths, ", "))
	}
	return s, nil
}

func (s *Set) add(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fault.Wrap(err, fault.InvalidArgument, "%s cannot be opened; check the path", path)
	}
	if info.IsDir() {
		entries, err := os.ReadDir(path)
		if err != nil {
			return fault.Wrap(err, fault.InvalidArgument, "folder %s cannot be read; check its permissions", path)
		}
		for _, e := range entries {
			if e.IsDir() || strings.HasPrefix(e.Name(), ".") || strings.HasPrefix(e.Name(), "_") { // _SUCCESS and the like
				continue
			}
			if err := s.add(filepath.Join(path, e.Name())); err != nil {
				return err
			}
		}
		return nil
	}
	if !info.Mode().IsRegular() {
		return fault.New(fault.InvalidArgument, "%s is no regular file: rows are read twice, so write a stream to a file first", path)
	}
	for _, have := range s.Files {
		if have.Path == path {
			return fault.New(fault.InvalidArgument, "%s is named twice: its rows would count twice", path)
		}
	}
	f, err := os.Open(path)
	if err != nil {
		return fault.Wrap(err, fault.InvalidArgument, "%s cannot be opened; check its permissions", path)
	}
	file := &File{Path: path, size: info.Size(), f: f}
	if file.isParquet() {
		file.footer = sync.OnceValues(func() (*profile.ParquetFile, error) { return profile.OpenParquet(file, file.size, nil) })
	}
	s.Files = append(s.Files, file)
	return nil
}

// Close closes the files.
func (s *Set) Close() {
	for _, f := range s.Files {
		f.f.Close()
	}
}

// Size is the sum of the files' sizes.
func (s *Set) Size() int64 {
	var n int64
	for _, f := range s.Files {
		n += f.size
	}
	return n
}

// Paths are the files' paths.
func (s *Set) Paths() []string {
	paths := make([]string, len(s.Files))
	for i, f := range s.Files {
		paths[i] = f.Path
	}
	return paths
}

// Size is the file's size.
func (f *File) Size() int64 { return f.size }

// ReadAt reads anywhere.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.f.ReadAt(p, off)
	if f.read != nil && n > 0 {
		f.read(int64(n))
	}
	return n, err
}

// refused names the file and what to do about it.
func (f *File) refused(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, context.Canceled) {
		return fault.Wrap(err, fault.Unavailable, "interrupted")
	}
	message := strings.ReplaceAll(said(err), "profile: ", "")
	if errors.Is(err, io.ErrUnexpectedEOF) {
		message += "; the file is cut short: copy or write it again"
	}
	return fault.Wrap(err, fault.InvalidArgument, "%s: %s", f.Path, message)
}

func said(err error) string {
	var known *fault.Error
	if errors.As(err, &known) {
		return known.Message
	}
	return err.Error()
}

// Report says what reading a set found beside its rows. Its lists are sorted and
// depend on the rows alone.
type Report struct {
	Rows      uint64            `json:"rows"`
	Malformed uint64            `json:"malformed,omitempty"` // lines that are no rows
	LeftOut   []profile.LeftOut `json:"left_out,omitempty"`  // columns that cannot be counted
	Extra     []string          `json:"extra,omitempty"`     // columns that are not monitored
	Absent    []string          `json:"absent,omitempty"`    // monitored columns that no file holds
	// Notes are about single files: what is malformed in them, and columns that they lack and others have.
	Notes []string `json:"-"`
}

// merge adds what one source of a file reported.
func (r *Report) add(f *File, one profile.Report, parts *absences) {
	r.Rows += one.Rows
	r.Malformed += one.Malformed
	if one.Malformed > 0 {
		r.note("%s: %d lines are no rows and were left out; the first: %s", f.Path, one.Malformed, one.First)
	}
	for _, l := range one.LeftOut {
		if !slices.Contains(r.LeftOut, l) {
			r.LeftOut = append(r.LeftOut, l)
		}
	}
	for _, name := range one.Extra {
		if !slices.Contains(r.Extra, name) {
			r.Extra = append(r.Extra, name)
		}
	}
	parts.add(f, one)
}

package tables

import (
	"bytes"
	"context"
	"io"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/profile"
)

// part is what one builder froze: some of the columns, over all rows.
type part struct {
	columns []profile.Column
	report  Report
}

// deal deals the columns out to builders. Parquet columns lie apart, so a worker
// reads a few at a time, which also keeps few builders in memory at once; a text
// file is read as a whole, by all.
func (s *Set) deal(specs []profile.Spec, workers int) [][]profile.Spec {
	hands := share * workers
	for _, f := range s.Files {
		if f.footer == nil {
			hands = 1
		}
	}
	dealt := deal(len(specs), hands)
	parts := make([][]profile.Spec, len(dealt))
	for k, columns := range dealt {
		for _, i := range columns {
			parts[k] = append(parts[k], specs[i])
		}
	}
	return parts
}

// build freezes some columns of all files. Text is read by so many workers at once, each with a builder of its own.
func (s *Set) build(ctx context.Context, specs []profile.Spec, workers int) (*part, error) {
	builders, sinks := make([]*profile.Builder, workers), make([]profile.Sink, workers)
	for i := range builders {
		var err error
		if builders[i], err = profile.NewBuilder(specs); err != nil {
			return nil, err
		}
		sinks[i] = builders[i]
	}
	p := &part{}
	absent := newAbsences()
	for _, f := range s.Files {
		one, err := f.countParts(ctx, sinks)
		if err != nil {
			return nil, f.refused(err)
		}
		one.LeftOut, one.Extra = nil, nil // found with the kinds, for all columns at once
		p.report.add(f, one, absent)
	}
	p.report.finish(absent)
	for _, b := range builders[1:] {
		if err := builders[0].Merge(b); err != nil {
			return nil, err
		}
	}
	p.columns = builders[0].Freeze(p.report.Rows).Columns
	return p, nil
}

// countParts hands all rows of the file to the sinks, which are of the same columns.
func (f *File) countParts(ctx context.Context, sinks []profile.Sink) (profile.Report, error) {
	if f.footer == nil {
		return profile.CountParts(ctx, f, sinks)
	}
	pf, err := f.footer()
	if err != nil {
		return profile.Report{}, err
	}
	return pf.With(sinks[0].Columns()).CountGroups(ctx, sinks[0], nil, nil)
}

// format tells CSV from NDJSON, and refuses what is no text at all. Damaged
// compression is told when the rows are read.
func (f *File) format() (profile.Format, error) {
	r, err := profile.Decompress(io.NewSectionReader(f.f, 0, f.size))
	if err != nil {
		return "", fault.Wrap(err, fault.InvalidArgument, "the file looks compressed, but cannot be read: %v", err)
	}
	defer r.Close()
	format, text := profile.Detect(r)
	head := make([]byte, 512)
	n, _ := io.ReadFull(text, head) // an error shows again when the rows are read
	if bytes.IndexByte(head[:n], 0) >= 0 {
		return "", fault.New(fault.InvalidArgument, "neither Parquet nor text (CSV with a header, or NDJSON); convert it to one of them")
	}
	return format, nil
}

package tables

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/profile"
)

// Freeze makes a baseline of the set's rows: one pass for the columns and their
// kinds, one for the values.
func (s *Set) Freeze(ctx context.Context, o Options) (*profile.Baseline, Report, error) {
	s.watch(o.Read)
	specs, leftOut, err := s.specs(ctx, o)
	if err != nil {
		return nil, Report{}, err
	}
	specs, err = o.choose(specs, leftOut)
	if err != nil {
		return nil, Report{}, err
	}
	parts := s.deal(specs, o.workers())
	inside := max(1, o.workers()/len(parts))
	built := make([]*part, len(parts))
	err = each(ctx, o.workers(), len(parts), func(ctx context.Context, next func() (int, bool)) error {
		for i, ok := next(); ok; i, ok = next() {
			var err error
			if built[i], err = s.build(ctx, parts[i], inside); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, Report{}, err
	}
	b := &profile.Baseline{V: profile.BaselineVersion}
	var report Report
	for _, p := range built {
		report = p.report.with(report)
		b.Rows = p.report.Rows
		b.Columns = append(b.Columns, p.columns...)
	}
	inOrder(b.Columns, specs)
	for _, l := range leftOut {
		if o.Columns == nil || slices.Contains(o.Columns, l.Column) {
			report.LeftOut = append(report.LeftOut, l)
		}
	}
	report.Extra, report.Absent = nil, nil
	report.finish(newAbsences())
	return b, report, s.split(ctx, b, o)
}

// split counts the rows once more, on the cells that they have been given, where the baseline is to be split.
func (s *Set) split(ctx context.Context, b *profile.Baseline, o Options) error {
	if err := b.SplitBy(o.By); err != nil || b.Segments == nil && b.Cluster == nil {
		return err
	}
	counts, _, err := s.count(ctx, b, b.Splitter, o)
	if err == nil {
		b.Keep(counts)
	}
	return err
}

func inOrder(columns []profile.Column, specs []profile.Spec) {
	at := map[string]int{}
	for i, s := range specs {
		at[s.Name] = i
	}
	slices.SortFunc(columns, func(a, b profile.Column) int { return at[a.Name] - at[b.Name] })
}

// with keeps the lists of two reports on the same rows.
func (r Report) with(o Report) Report {
	for _, n := range o.Notes {
		if !slices.Contains(r.Notes, n) {
			r.Notes = append(r.Notes, n)
		}
	}
	r.LeftOut = append(r.LeftOut, o.LeftOut...)
	return r
}

// specs are the columns of all files: in the files' own order where they agree,
// else by name. A column is categorical if it is in any file.
func (s *Set) specs(ctx context.Context, o Options) ([]profile.Spec, []profile.LeftOut, error) {
	found := make([][]profile.Spec, len(s.Files))
	left := make([][]profile.LeftOut, len(s.Files))
	err := each(ctx, o.workers(), len(s.Files), func(ctx context.Context, next func() (int, bool)) error {
		for i, ok := next(); ok; i, ok = next() {
			var err error
			if found[i], left[i], err = s.Files[i].specs(ctx, max(1, o.workers()/len(s.Files))); err != nil {
				return s.Files[i].refused(err)
			}
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	return union(found), slices.Concat(left...), nil
}

// specs are the columns of the file, in an order of their own where they have one (the keys of objects have none), and
// those that cannot be counted.
func (f *File) specs(ctx context.Context, workers int) ([]profile.Spec, []profile.LeftOut, error) {
	k := profile.NewKinds()
	if f.footer != nil {
		pf, err := f.footer()
		if err != nil {
			return nil, nil, err
		}
		k.Parquet(pf)
		return k.Specs(), pf.With(pf.Extra).LeftOut, nil
	}
	format, err := f.format()
	if err != nil {
		return nil, nil, err
	}
	k.Workers = workers
	if err := k.Observe(ctx, f); err != nil {
		return nil, nil, err
	}
	found := k.Specs()
	if format != profile.CSV {
		slices.SortFunc(found, func(a, b profile.Spec) int { return strings.Compare(a.Name, b.Name) })
	}
	return found, nil, nil
}

// union puts the files' columns together. Numbers are rounded to floats of 32 bits where every file has those.
func union(found [][]profile.Spec) []profile.Spec {
	kinds := map[string]profile.Kind{}
	bits := map[string]int{}
	agree := true
	for _, specs := range found {
		agree = agree && slices.EqualFunc(specs, found[0], func(a, b profile.Spec) bool { return a.Name == b.Name })
		for _, spec := range specs {
			if have, ok := bits[spec.Name]; ok && have != spec.Bits {
				bits[spec.Name] = 0
			} else {
				bits[spec.Name] = spec.Bits
			}
			if kinds[spec.Name] != profile.Categorical {
				kinds[spec.Name] = spec.Kind
			}
		}
	}
	names := slices.Sorted(maps.Keys(kinds))
	if agree {
		names = names[:0]
		for _, spec := range found[0] {
			names = append(names, spec.Name)
		}
	}
	out := make([]profile.Spec, len(names))
	for i, name := range names {
		out[i] = profile.Spec{Name: name, Kind: kinds[name], Bits: bits[name]}
	}
	return out
}

// choose applies --columns and --kind.
func (o Options) choose(specs []profile.Spec, leftOut []profile.LeftOut) (chosen []profile.Spec, err error) {
	at := map[string]int{}
	for i, s := range specs {
		at[s.Name] = i
	}
	for name, kind := range o.Kinds {
		i, ok := at[name]
		if !ok {
			return nil, unknown(name, specs, leftOut)
		}
		specs[i].Kind = kind
	}
	if o.Columns == nil {
		return specs, nil
	}
	wanted := map[string]bool{}
	for _, name := range o.Columns {
		if _, ok := at[name]; !ok {
			if slices.ContainsFunc(leftOut, func(l profile.LeftOut) bool { return l.Column == name }) {
				continue // it is reported, and the others go on
			}
			return nil, unknown(name, specs, leftOut)
		}
		wanted[name] = true
	}
	for _, s := range specs {
		if wanted[s.Name] {
			chosen = append(chosen, s)
		}
	}
	return chosen, nil
}

func unknown(name string, specs []profile.Spec, leftOut []profile.LeftOut) error {
	for _, l := range leftOut {
		if l.Column == name {
			return fault.New(fault.InvalidArgument, "column %q cannot be counted: %s", profile.Cut(name), l.Reason)
		}
	}
	names := make([]string, len(specs))
	for i, s := range specs {
		names[i] = profile.Cut(s.Name)
	}
	return fault.New(fault.InvalidArgument, "no file has a column %q; there are %s", profile.Cut(name), strings.Join(names, ", "))
}

package scoring

import (
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/profile"
	"github.com/tidegate/tidegate/shared/rows"
	"github.com/tidegate/tidegate/shared/schema"
)

// table is the source of an item, open.
type table struct {
	*profile.Object
	ctx    context.Context
	failed error // of the store: a reader may hide it behind a fault of the format
	rows   rows.Numbered
	spare  rows.Row // read and not yet in a batch
	number int64    // of spare, from 0
	done   bool
}

// open reads the beginning of the item's table. The object's version and ETag are noted in the item.
func (s *Scorer) open(ctx context.Context, src *Source) (*table, string, error) {
	object, err := profile.OpenObject(ctx, s.store(src), src.Key)
	if fault.Is(err, fault.NotFound) {
		return nil, "", fault.Wrap(err, fault.NotFound, "%s is not there", profile.Cut(src.Key))
	}
	if err != nil {
		return nil, "", err
	}
	info := object.Info()
	if src.VersionID != "" && info.VersionID != "" && info.VersionID != src.VersionID {
		return nil, "", fault.New(fault.FailedPrecondition, "%s was replaced after the item was made; plan the run again", profile.Cut(src.Key))
	}
	src.VersionID = info.VersionID
	t := &table{Object: object, ctx: ctx}
	if t.rows, err = rows.At(profile.Cut(src.Key), t, src.RowGroups); err != nil {
		return nil, "", t.reason(err)
	}
	return t, info.ETag, nil
}

// ReadAt notes failures of the store.
func (t *table) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("a length in the file is wrong")
	}
	n, err := t.Object.ReadAt(p, off)
	if err != nil && !errors.Is(err, io.EOF) && t.failed == nil {
		t.failed = err
	}
	return n, err
}

// reason is what made reading fail.
func (t *table) reason(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	if fault.Is(t.ctx.Err(), fault.DeadlineExceeded) {
		return t.ctx.Err()
	}
	if t.failed != nil {
		return t.failed
	}
	return err
}

// batch appends up to most rows to dst[:0], which follow each other in the table.
// first is the number of the first of them, from 0. No rows: the table has ended.
func (t *table) batch(dst []rows.Row, most int) (batch []rows.Row, first int64, err error) {
	dst = dst[:0]
	for len(dst) < most {
		if t.spare == nil {
			if t.done {
				break
			}
			row, err := t.rows.Next()
			if errors.Is(err, io.EOF) {
				t.done = true
				break
			}
			if err != nil {
				return nil, 0, t.reason(err)
			}
			t.spare, t.number = row, t.rows.Row()-1
		}
		if len(dst) == 0 {
			first = t.number
		} else if t.number != first+int64(len(dst)) {
			break // the next row group is not the one behind the last
		}
		dst = append(dst, t.spare)
		t.spare = nil
	}
	return dst, first, nil
}

// columns checks, on the first batch, that the columns are there: an input's may be
// absent if its contract accepts missing values, which absent names. A column that
// no row of the batch has is taken for a typing error.
func (v *version) columns(in *In, batch []rows.Row) (absent []string, err error) {
	have := map[string]bool{}
	for _, row := range batch {
		for name := range row {
			have[name] = true
		}
	}
	all := rows.Row{}
	for name := range have {
		all[name] = nil
	}
	var faults []fault.Violation
	for _, name := range rows.Missing(v.specs, all) {
		if v.accepts(name) {
			absent = append(absent, name)
			continue
		}
		faults = append(faults, fault.Violation{Path: "source", Problem: "has no column for input " + quoted(name)})
	}
	if in.IDColumn != "" && !have[in.IDColumn] {
		faults = append(faults, fault.Violation{Path: "id_column", Problem: "is not a column of the source"})
	}
	for _, name := range in.Keep {
		if !have[name] {
			faults = append(faults, fault.Violation{Path: "keep", Problem: "names a column that the source does not have: " + quoted(name)})
		}
	}
	if len(faults) == 0 {
		return absent, nil
	}
	names := slices.Sorted(maps.Keys(have))
	if len(names) > 50 {
		names = append(names[:50], "…")
	}
	faults[len(faults)-1].Problem += " (its columns are " + profile.Cut(strings.Join(names, ", ")) + ")"
	return nil, fault.Invalid(faults...)
}

// accepts says whether all of an input may be missing.
func (v *version) accepts(input string) bool {
	for _, spec := range v.specs {
		if spec.Name != input {
			continue
		}
		names := spec.Columns
		if len(names) == 0 {
			names = []string{spec.Name}
		}
		for _, name := range names {
			if v.checker.Schema().Contract.Columns[name].Missing != schema.Accept {
				return false
			}
		}
		return true
	}
	return false
}

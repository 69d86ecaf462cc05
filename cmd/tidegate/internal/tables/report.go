package tables

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/tidegate/tidegate/shared/profile"
)

func (r *Report) note(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}

// absences collects which files lack which columns: a column that every file
// lacks is absent, one that some lack is worth a note.
type absences struct {
	files  int
	absent map[string][]string // column → files
	rows   map[string]uint64   // column → rows of these files
}

func newAbsences() *absences {
	return &absences{absent: map[string][]string{}, rows: map[string]uint64{}}
}

func (a *absences) add(f *File, one profile.Report) {
	a.files++
	for _, name := range one.Absent {
		a.absent[name] = append(a.absent[name], f.Path)
		a.rows[name] += one.Rows
	}
}

// finish sorts the report and fills in what is known only when every file is read.
func (r *Report) finish(a *absences) {
	for name, files := range a.absent {
		if len(files) == a.files {
			r.Absent = append(r.Absent, name)
			continue
		}
		slices.Sort(files)
		r.note("column %q is not in %d of %d files, first %s: their %d rows count as missing", profile.Cut(name), len(files), a.files, files[0], a.rows[name])
	}
	slices.SortFunc(r.LeftOut, func(x, y profile.LeftOut) int {
		return cmp.Or(cmp.Compare(x.Column, y.Column), cmp.Compare(x.Reason, y.Reason))
	})
	slices.Sort(r.Extra)
	slices.Sort(r.Absent)
	slices.Sort(r.Notes)
}

// Stored is the report as a profile keeps it: nothing in it names a file or a line,
// so that it does not depend on how rows are spread over files.
func (r *Report) Stored() profile.Report {
	out := profile.Report{Rows: r.Rows, LeftOut: r.LeftOut, Extra: r.Extra, Absent: r.Absent}
	if r.Malformed > 0 {
		out.Uncounted = []profile.Uncounted{{Rows: r.Malformed, Reason: "lines that are no rows"}}
	}
	return out
}

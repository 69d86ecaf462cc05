package rows

import (
	"errors"
	"strconv"
	"strings"

	"github.com/tidegate/tidegate/shared/fault"
)

// Locate names rows of the table where the violations of err, which is about a
// batch made with specs, name those of the batch: `instances[3].delay` and
// `inputs["delay"].data[3]` become `row 1004, column "delay"`. first is the number
// of the batch's first row, from 1. Errors without such a place are returned as
// they are; see [Located].
func Locate(err error, specs []Spec, first int) error {
	if !Located(err) {
		return err
	}
	public := fault.Public(err)
	found := make([]fault.Violation, len(public.Violations))
	for i, v := range public.Violations {
		found[i] = fault.Violation{Path: rowPath(v.Path, specs, first), Problem: v.Problem}
	}
	return fault.Invalid(found...)
}

// Located says whether err has violations, so that it says itself where it is.
func Located(err error) bool {
	var known *fault.Error
	return errors.As(err, &known) && known.Kind == fault.InvalidArgument && len(known.Violations) > 0
}

func rowPath(path string, specs []Spec, first int) string {
	if rest, ok := strings.CutPrefix(path, "instances["); ok {
		number, column, ok := strings.Cut(rest, "].")
		if !ok {
			return path
		}
		if number == "" {
			return "column " + quoted(column)
		}
		return place(path, number, column, 1, first)
	}
	rest, ok := strings.CutPrefix(path, "inputs[")
	if !ok {
		return path
	}
	name, err := strconv.QuotedPrefix(rest)
	if err != nil {
		return path
	}
	number, ok := strings.CutPrefix(strings.TrimSuffix(rest[len(name):], "]"), "].data[")
	column, err := strconv.Unquote(name)
	if !ok || err != nil {
		return path
	}
	for _, s := range specs {
		if width, err := s.Width(); s.Name == column && err == nil && width > 0 {
			return place(path, number, column, width, first)
		}
	}
	return path
}

// place is the row of element number of a column with so many values in a row.
func place(path, number, column string, width, first int) string {
	n, err := strconv.Atoi(number)
	if err != nil || n < 0 {
		return path
	}
	return "row " + strconv.Itoa(first+n/width) + ", column " + quoted(column)
}

// quoted shows a name of the caller's in a message, shortened.
func quoted(name string) string {
	const most = 80
	if len(name) > most {
		name = strings.ToValidUTF8(name[:most], "") + "…"
	}
	return strconv.Quote(name)
}

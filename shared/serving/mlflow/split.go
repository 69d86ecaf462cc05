package mlflow

import (
	"fmt"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/oip"
	"github.com/tidegate/tidegate/shared/oip/wire"
)

// FromSplit makes the rows of a dataframe_split for a model of the given columns,
// in memory of dst and of at most limit bytes. Columns that it lacks are missing
// values; "index" is ignored. Errors: InvalidArgument, PayloadTooLarge.
func FromSplit(b Body, columns []Column, limit int, dst []byte) ([]byte, error) {
	text := b.split
	var names []string
	data, named := -1, false
	at, code := wire.Members(text, 0, func(key string, i int) (int, wire.Code) {
		switch key {
		case "columns":
			named = true
			return wire.Elements(text, i, func(_, k int) (int, wire.Code) {
				name, next, code := wire.String(text, k)
				names = append(names, name)
				return next, code
			})
		case "data":
			data = i
		}
		return wire.Skip(text, i, depth)
	})
	switch {
	case code == wire.WrongKind:
		return nil, fault.Invalid(fault.Violation{Path: "dataframe_split", Problem: "must be an object with the names in \"columns\" and rows in \"data\""})
	case code != wire.OK:
		return nil, oip.Broken(code, at)
	case !named:
		return nil, fault.Invalid(fault.Violation{Path: "dataframe_split.columns", Problem: "is missing: name the columns of the rows"})
	case data < 0:
		return nil, fault.Invalid(fault.Violation{Path: "dataframe_split.data", Problem: "is missing: send rows, e.g. [[1,2],[3,4]]"})
	}
	a, err := arrange("dataframe_split.columns", names, columns, limit, dst)
	if err != nil {
		return nil, err
	}
	if err := a.split(text, data); err != nil {
		return nil, err
	}
	return a.body(), nil
}

// split appends the rows of data, an array of arrays at text[data].
func (a *arranger) split(text []byte, data int) error {
	type span struct{ from, to int }
	fields := make([]span, 0, a.fields)
	var wrong error
	at, code := wire.Elements(text, data, func(n, i int) (int, wire.Code) {
		fields = fields[:0]
		next, code := wire.Elements(text, i, func(k, j int) (int, wire.Code) {
			end, code := wire.Skip(text, j, depth+2)
			if k < a.fields {
				fields = append(fields, span{j, end})
			} else {
				wrong = fault.Invalid(fault.Violation{Path: fmt.Sprintf("dataframe_split.data[%d]", n), Problem: fmt.Sprintf("has more values than the %d columns", a.fields)})
				return end, wire.Stop
			}
			return end, code
		})
		if code != wire.OK {
			if code == wire.WrongKind {
				wrong = fault.Invalid(fault.Violation{Path: fmt.Sprintf("dataframe_split.data[%d]", n), Problem: "must be an array, the values of a row"})
				code = wire.Stop
			}
			return next, code
		}
		if len(fields) < a.fields {
			wrong = fault.Invalid(fault.Violation{Path: fmt.Sprintf("dataframe_split.data[%d]", n), Problem: fmt.Sprintf("has %d values for %d columns", len(fields), a.fields)})
			return next, wire.Stop
		}
		wrong = a.row(n, func(dst []byte, _, f int) []byte { return append(dst, text[fields[f].from:fields[f].to]...) })
		if wrong != nil {
			return next, wire.Stop
		}
		return next, wire.OK
	})
	switch {
	case wrong != nil:
		return wrong
	case code == wire.WrongKind:
		return fault.Invalid(fault.Violation{Path: "dataframe_split.data", Problem: "must be an array of rows"})
	case code != wire.OK:
		return oip.Broken(code, at)
	}
	return nil
}

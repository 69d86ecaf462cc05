package mlflow

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/oip"
	"github.com/tidegate/tidegate/shared/oip/wire"
)

// FromCSV makes the rows of a CSV table (RFC 4180) for a model of the given
// columns, in memory of dst and of at most limit bytes. header says whether the
// first line names the columns: "present", "absent", or "" for "it does if each of
// its fields is the name of a column". Without names, fields are in the order of
// the model's columns, Width of each. A name stands for one field, so that wide
// columns have none. An empty field is a missing value, except that a quoted one
// cannot be told apart: text columns take both as missing.
//
// Errors: InvalidArgument, PayloadTooLarge.
func FromCSV(body []byte, columns []Column, header string, limit int, dst []byte) ([]byte, error) {
	switch header {
	case "", "present", "absent":
	default:
		return nil, fault.Invalid(fault.Violation{Path: "Content-Type", Problem: "has a parameter header that is neither present nor absent"})
	}
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))))
	r.ReuseRecord, r.TrimLeadingSpace, r.FieldsPerRecord = true, true, -1
	record, err := r.Read()
	if errors.Is(err, io.EOF) {
		return nil, fault.New(fault.InvalidArgument, "the CSV body has no line")
	}
	if err != nil {
		return nil, broken(err)
	}
	named := header == "present" || header == "" && allNames(record, columns)
	t := &table{columns: columns}
	if named {
		if err = scalars(record, columns); err == nil {
			t.arranger, err = arrange("header", append([]string(nil), record...), columns, limit, dst)
		}
	} else {
		t.arranger = inOrder(columns, limit, dst)
	}
	for n := 0; err == nil; {
		if !named {
			if err = t.add(record, n); err != nil {
				return nil, err
			}
			n++
		}
		named = false
		record, err = r.Read()
		if errors.Is(err, io.EOF) {
			return t.body(), nil
		}
		if err != nil {
			err = broken(err)
		}
	}
	return nil, err
}

// table arranges records.
type table struct {
	*arranger
	columns []Column
}

// inOrder arranges fields that stand in the order of the columns.
func inOrder(columns []Column, limit int, dst []byte) *arranger {
	a := &arranger{columns: columns, limit: limit, out: append(dst[:0], `{"instances":[`...)}
	for _, c := range columns {
		a.from = append(a.from, a.fields)
		a.fields += c.Width
	}
	return a
}

func (t *table) add(record []string, n int) error {
	if len(record) != t.fields {
		return fault.Invalid(fault.Violation{Path: fmt.Sprintf("row[%d]", n), Problem: fmt.Sprintf("has %d fields, want %d", len(record), t.fields)})
	}
	return t.row(n, func(dst []byte, column, at int) []byte {
		c := &t.columns[column]
		if c.Width == 1 {
			return appendField(dst, record[at], c.Kind)
		}
		for i, f := range record[at : at+c.Width] {
			dst = append(dst, "[,"[min(i, 1)])
			dst = appendField(dst, f, c.Kind)
		}
		return append(dst, ']')
	})
}

// scalars checks that no field of a header names a wide column.
func scalars(header []string, columns []Column) error {
	var bad []fault.Violation
	for i, name := range header {
		k := slices.IndexFunc(columns, func(c Column) bool { return c.Name == name })
		if k >= 0 && columns[k].Width > 1 && len(bad) < oip.MaxViolations {
			bad = append(bad, fault.Violation{Path: fmt.Sprintf("header[%d]", i), Problem: fmt.Sprintf("names input %q, which takes %d values a row and not one field; "+
				"send dataframe_split with an array for it, or all fields in the order of the model with text/csv;header=absent", columns[k].Name, columns[k].Width)})
		}
	}
	if len(bad) > 0 {
		return fault.Invalid(bad...)
	}
	return nil
}

func allNames(record []string, columns []Column) bool {
	for _, f := range record {
		known := false
		for i := range columns {
			known = known || columns[i].Name == f
		}
		if !known {
			return false
		}
	}
	return true
}

// appendField appends a field as JSON of its column's kind. What is no such value
// is passed on as a string, for the row decoder to refuse with its place.
func appendField(dst []byte, field string, kind Kind) []byte {
	if kind == Text {
		if field == "" {
			return append(dst, "null"...)
		}
		return wire.AppendString(dst, field)
	}
	field = strings.TrimSpace(field)
	switch {
	case field == "" || strings.EqualFold(field, "nan"):
		return append(dst, "null"...)
	case kind == Bool:
		if v, err := strconv.ParseBool(field); err == nil {
			return strconv.AppendBool(dst, v)
		}
		return wire.AppendString(dst, field)
	}
	if isNumber(field) && (kind == Number || !strings.ContainsAny(field, ".eE")) {
		return append(dst, field...)
	}
	v, err := strconv.ParseFloat(field, 64)
	switch {
	case err != nil || math.IsInf(v, 0) || math.IsNaN(v) || strings.ContainsAny(field, "xX_pP"):
		return wire.AppendString(dst, field)
	case kind == Integer && v == math.Trunc(v) && math.Abs(v) < 1<<53: // 3.0, as data frames write integers beside missing values
		return strconv.AppendInt(dst, int64(v), 10)
	}
	return strconv.AppendFloat(dst, v, 'g', -1, 64)
}

// isNumber says whether text is a number of JSON.
func isNumber(text string) bool {
	_, next, code := wire.Float64([]byte(text), 0)
	return code == wire.OK && next == len(text)
}

func broken(err error) error {
	var at *csv.ParseError
	if errors.As(err, &at) {
		return fault.Wrap(errors.New(at.Err.Error()), fault.InvalidArgument, "the CSV body is broken in line %d", at.Line)
	}
	return fault.Wrap(err, fault.InvalidArgument, "the CSV body cannot be read")
}

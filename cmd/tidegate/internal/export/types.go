package export

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/tidegate/tidegate/shared/capture"
)

// kind is the type of a column: what holds all of its values.
type kind uint8

const (
	none kind = iota // no value yet
	number
	integer // whole numbers, some of them beyond what a double holds
	boolean
	text
)

func (k kind) String() string {
	return [...]string{"double", "double", "int64", "boolean", "string"}[k]
}

// exact is up to where every whole number is a double of its own.
const exact = 1 << 53

// seen is what is known of a field of inputs or outputs.
type seen struct {
	kind         kind
	width        int // values in a row; 0 = not known yet
	whole        bool
	large        bool // some whole number is beyond exact
	mixed, wider bool // several types; several widths
}

// fieldKey names a field: inputs and outputs can share names.
type fieldKey struct {
	output bool
	name   string
}

// types are the fields of all records.
type types struct {
	fields  map[fieldKey]*seen
	models  map[string]bool
	leftOut map[string]string
}

func newTypes() *types {
	return &types{fields: map[fieldKey]*seen{}, models: map[string]bool{}, leftOut: map[string]string{}}
}

func (t *types) observe(r *capture.Record) error {
	t.columns(false, r.Inputs)
	t.columns(true, r.Outputs)
	return nil
}

func (t *types) columns(output bool, columns map[string]any) {
	for name, v := range columns {
		list, ok := v.([]any)
		if !ok {
			t.leftOut[name] = "captured as shape and digest, or of more than two dimensions"
			continue
		}
		f, ok := t.fields[fieldKey{output, name}]
		if !ok {
			f = &seen{whole: true}
			t.fields[fieldKey{output, name}] = f
		}
		for _, cell := range list {
			inner, vector := cell.([]any)
			if !vector {
				inner = []any{cell}
			}
			if cell != nil || vector {
				f.wider = f.wider || f.width != 0 && f.width != len(inner)
				f.width = len(inner)
			}
			for _, x := range inner {
				f.value(x)
			}
		}
	}
}

func (f *seen) value(x any) {
	k := text
	switch v := x.(type) {
	case nil:
		return
	case bool:
		k = boolean
	case json.Number:
		k = number
		i, err := v.Int64()
		f.whole = f.whole && err == nil
		f.large = f.large || err == nil && (i > exact || i < -exact)
	case string:
	default:
		f.mixed = true // nested deeper: written as JSON
	}
	f.mixed = f.mixed || f.kind != none && f.kind != k
	f.kind = k
}

// settled is the type that holds every value.
func (f *seen) settled() kind {
	switch {
	case f.mixed || f.wider:
		return text
	case f.kind == number && f.whole && f.large:
		return integer
	}
	return f.kind
}

// column is one column of the file.
type column struct {
	name   string
	key    fieldKey
	at     int // position in a row of several values, −1 for a single one
	kind   kind
	index  int  // in the schema
	single bool // rows hold one value, or an array of one
}

// reserved are the columns that every file has.
var reserved = []string{"id", "ts", "version", "slot"}

// named are the columns of the fields, by name. A name that is taken is told apart
// by what it is: "input_id", "output_label".
func (t *types) named() []column {
	taken := map[string]bool{}
	for _, name := range reserved {
		taken[name] = true
	}
	keys := slices.SortedFunc(maps.Keys(t.fields), func(a, b fieldKey) int {
		if a.output != b.output {
			if a.output {
				return 1
			}
			return -1
		}
		return strings.Compare(a.name, b.name)
	})
	var out []column
	add := func(c column) {
		prefix := "input_"
		if c.key.output {
			prefix = "output_"
		}
		for taken[c.name] {
			c.name = prefix + c.name
		}
		taken[c.name] = true
		out = append(out, c)
	}
	for _, key := range keys {
		f := t.fields[key]
		if f.width <= 1 || f.wider {
			add(column{name: key.name, key: key, at: -1, kind: f.settled(), single: !f.wider && !f.mixed})
			continue
		}
		for i := range f.width {
			add(column{name: key.name + "_" + strconv.Itoa(i), key: key, at: i, kind: f.settled()})
		}
	}
	return out
}

// float reads a number; one out of range is infinite.
func float(v json.Number) (float64, bool) {
	x, err := v.Float64()
	return x, err == nil || math.IsInf(x, 0)
}

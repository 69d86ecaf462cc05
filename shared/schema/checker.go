package schema

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/tensor"
)

// Checker is a contract compiled for the hot path. It is immutable and safe for
// concurrent use.
type Checker struct {
	schema *Schema
	inputs []input
	byName map[string]int // input by name
	places map[string]*Place
	order  []Place // columns, in the signature's order
}

// Place says where the values of a column go: Width entries from Offset on, in
// each row of input Input.
type Place struct {
	Name                 string
	Input, Offset, Width int
	// First and Count say which of [Checker.Columns] it is: one, or all columns of an input that is named as a whole.
	First, Count int
}

// input is one input of the signature with the rules of its columns. rules has
// one entry, for all values, or one per entry of the last dimension.
type input struct {
	spec  Spec
	rules []rule
	plain bool // no rule but "finite": one tight loop decides
}

// rule is a Column ready for comparison.
type rule struct {
	name    string // "" when the input has no named columns
	accept  bool   // missing values
	lo, hi  float64
	bounded bool
	known   map[string]struct{} // nil = any string
}

// Compile makes a checker of s with the columns of overrides in place of the
// contract's own. Overrides of columns that s does not have are ignored, because
// settings outlive versions; [UnknownColumns] finds them. Errors: InvalidArgument
// when s or an override is not valid.
func Compile(s *Schema, overrides map[string]Column) (*Checker, error) {
	s = s.With(overrides)
	if err := s.Validate(); err != nil {
		return nil, err
	}
	c := &Checker{schema: s, byName: make(map[string]int), places: make(map[string]*Place)}
	for i, spec := range s.Signature.Inputs {
		in := input{spec: spec}
		c.byName[spec.Name] = i
		if len(spec.Columns) == 0 {
			in.rules = []rule{compile("", s.Contract.Columns[spec.Name])}
			c.place(Place{Name: spec.Name, Input: i, Width: spec.Width()})
		}
		for j, name := range spec.Columns {
			in.rules = append(in.rules, compile(name, s.Contract.Columns[name]))
			c.place(Place{Name: name, Input: i, Offset: j, Width: 1})
		}
		in.plain = true
		for _, r := range in.rules {
			in.plain = in.plain && !r.accept && !r.bounded && r.known == nil
		}
		c.inputs = append(c.inputs, in)
	}
	c.wholes()
	return c, nil
}

func (c *Checker) place(p Place) {
	p.First, p.Count = len(c.order), 1
	c.places[p.Name] = &p
	c.order = append(c.order, p)
}

// wholes lets inputs with named columns be addressed by their own name too,
// where no column is called so.
func (c *Checker) wholes() {
	for i, spec := range c.schema.Signature.Inputs {
		if _, taken := c.places[spec.Name]; !taken {
			first := c.places[spec.Columns[0]].First
			c.places[spec.Name] = &Place{Name: spec.Name, Input: i, Width: spec.Width(), First: first, Count: len(spec.Columns)}
		}
	}
}

func compile(name string, col Column) rule {
	r := rule{name: name, accept: col.Missing == Accept, lo: -math.MaxFloat64, hi: math.MaxFloat64}
	if col.Min != nil {
		r.lo, r.bounded = *col.Min, true
	}
	if col.Max != nil {
		r.hi, r.bounded = *col.Max, true
	}
	if col.RefuseUnknown {
		r.known = make(map[string]struct{}, len(col.Categories))
		for _, v := range col.Categories {
			r.known[v] = struct{}{}
		}
	}
	return r
}

// Schema is the schema checked against, with the overrides in it. Read only.
func (c *Checker) Schema() *Schema { return c.schema }

// Place finds a column, or an input as a whole, by name. Read only.
func (c *Checker) Place(column string) (*Place, bool) {
	p, ok := c.places[column]
	return p, ok
}

// Columns lists the columns in the order of the signature. Read only.
func (c *Checker) Columns() []Place { return c.order }

// Check verifies inputs against signature and contract and returns them in the
// signature's order. It reorders inputs in place and may append to it: columns
// that are absent and may be are added with missing values, up to [SpareElements]
// more than there are. Errors: InvalidArgument with all faults, at most 100 of them listed.
func (c *Checker) Check(inputs []tensor.Tensor) ([]tensor.Tensor, error) {
	return c.check(inputs, false)
}

// CheckRows is Check for inputs that came as rows: faults are named
// instances[i].column instead of inputs["column"].data[i].
func (c *Checker) CheckRows(inputs []tensor.Tensor) ([]tensor.Tensor, error) {
	return c.check(inputs, true)
}

func (c *Checker) check(inputs []tensor.Tensor, rows bool) ([]tensor.Tensor, error) {
	f := faults{rows: rows}
	inputs = c.arrange(inputs, &f)
	if f.count > 0 || len(inputs) < len(c.inputs) {
		// Without all inputs in place the batch cannot be judged, but each input there can.
		c.values(inputs, &f)
		return nil, f.err()
	}
	c.batch(inputs, &f)
	c.values(inputs, &f)
	if f.count > 0 {
		return nil, f.err()
	}
	return inputs, nil
}

// arrange puts inputs into the signature's order and fills in those that may be
// absent. After faults the order is that of the signature for those present.
func (c *Checker) arrange(inputs []tensor.Tensor, f *faults) []tensor.Tensor {
	c.strangers(inputs, f)
	n := 0 // inputs[:n] are in place
	var absent []int
	for want := range c.inputs {
		name := c.inputs[want].spec.Name
		at := n
		for at < len(inputs) && inputs[at].Name != name {
			at++
		}
		if at == len(inputs) {
			absent = append(absent, want)
			continue
		}
		if at != n {
			inputs[n], inputs[at] = inputs[at], inputs[n]
		}
		inputs[n].Name = name // let go of the body
		n++
	}
	inputs = inputs[:n]
	if len(absent) == 0 {
		return inputs
	}
	return c.fill(inputs, absent, f)
}

// strangers notes inputs that the signature does not have, and repeated ones.
func (c *Checker) strangers(inputs []tensor.Tensor, f *faults) {
	var seen map[string]bool
	for j := range inputs {
		name := inputs[j].Name
		if seen == nil && j < len(c.inputs) && c.inputs[j].spec.Name == name {
			continue // the signature's own order so far: no name can repeat
		}
		if seen == nil {
			seen = make(map[string]bool, len(inputs))
			for i := range inputs[:j] {
				seen[inputs[i].Name] = true
			}
		}
		path := "inputs[" + strconv.Itoa(j) + "]"
		if _, ok := c.byName[name]; !ok {
			f.add(path, "is not an input of the model; its inputs are "+c.names())
		} else if seen[name] {
			f.add(path, "repeats the input "+quoted(name))
		}
		seen[name] = true
	}
}

// SpareElements is how many missing values absent columns may add to what a
// request holds: one column must not be multiplied by all others of the model.
const SpareElements = 4 << 20

// fill inserts the absent inputs, in ascending order, as missing values. It judges
// all of them before it makes one, and makes none beside a fault.
func (c *Checker) fill(inputs []tensor.Tensor, absent []int, f *faults) []tensor.Tensor {
	batch, room, fit := c.extent(inputs)
	for _, want := range absent {
		in := &c.inputs[want]
		rows, width := int64(1), int64(in.spec.Width())
		if in.spec.Batched() {
			rows = batch
		}
		switch {
		case !in.optional() || width == 0 || rows < 0:
			f.add(f.input(in), "is missing")
		case width > room/max(rows, 1):
			f.add(f.input(in), "is missing, and has too many values to be filled in; send it, or fewer rows a request")
		default:
			room -= width * rows
		}
	}
	if f.count > 0 || !fit {
		return inputs
	}
	for _, want := range absent {
		inputs = slices.Insert(inputs, want, c.inputs[want].missing(batch))
	}
	return inputs
}

// extent is the number of rows sent, -1 when no input says it, and how many elements
// may be filled in beside them. Only inputs that all fit the signature say something:
// a shape that does not may claim any number of rows and hold no element.
func (c *Checker) extent(inputs []tensor.Tensor) (batch, room int64, fit bool) {
	batch, room = -1, SpareElements
	for i := range inputs {
		in, t := &c.inputs[c.byName[inputs[i].Name]], &inputs[i]
		if len(t.Shape) != len(in.spec.Shape) || in.misfit(t.Shape) >= 0 {
			return 0, SpareElements, false
		}
		if batch < 0 && in.spec.Batched() {
			batch = t.Shape[0]
		}
		room += int64(t.Len())
	}
	return batch, room, true
}

// optional says whether the contract accepts missing values in the whole input.
func (in *input) optional() bool {
	for i := range in.rules {
		if !in.rules[i].accept {
			return false
		}
	}
	return true
}

// missing is the input filled with missing values for batch rows.
func (in *input) missing(batch int64) tensor.Tensor {
	t := tensor.Tensor{Name: in.spec.Name, Datatype: in.spec.Datatype, Shape: slices.Clone(in.spec.Shape)}
	n := in.spec.Width()
	if in.spec.Batched() {
		t.Shape[0] = batch
		n *= int(batch)
	}
	t.Resize(n)
	miss(&t)
	return t
}

// miss sets every element of t to the missing value: NaN, or "" marked as missing.
// Other datatypes have none, and their columns do not accept it ([Schema.Validate]).
func miss(t *tensor.Tensor) {
	switch t.Datatype {
	case tensor.FP32:
		fill(t.FP32s, float32(math.NaN()))
	case tensor.FP64:
		fill(t.FP64s, math.NaN())
	case tensor.FP16:
		fill(t.U16s, 0x7e00)
	case tensor.Bytes:
		fill(t.Strings, "")
		t.Missing = slices.Grow(t.Missing[:0], len(t.Strings))
		for i := range t.Strings {
			t.Missing = append(t.Missing, i)
		}
	}
}

func fill[T any](s []T, v T) {
	for i := range s {
		s[i] = v
	}
}

// batch checks that the free first dimensions agree and are at least one row.
func (c *Checker) batch(inputs []tensor.Tensor, f *faults) {
	rows, from := int64(-1), 0
	for i := range inputs {
		if !c.inputs[i].spec.Batched() || len(inputs[i].Shape) == 0 {
			continue
		}
		switch n := inputs[i].Shape[0]; {
		case rows < 0:
			rows, from = n, i
			if n == 0 {
				f.add(f.input(&c.inputs[i])+".shape", "has no rows; send at least one")
				return
			}
		case n != rows:
			f.add(f.input(&c.inputs[i])+".shape", "has other rows than "+f.input(&c.inputs[from]))
		}
	}
}

func (c *Checker) names() string {
	const most = 50
	var b strings.Builder
	for i := range c.inputs {
		if i == most {
			fmt.Fprintf(&b, " and %d more", len(c.inputs)-most)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(quoted(c.inputs[i].spec.Name))
	}
	return b.String()
}

func quoted(name string) string { return strconv.Quote(name) }

// Listed is the most violations that one error lists; the rest is counted.
const Listed = 100

// listedPerInput keeps one bad column from hiding the faults of the others.
const listedPerInput = 10

// faults collects violations.
type faults struct {
	rows  bool
	found []fault.Violation
	count int
}

func (f *faults) add(path, problem string) {
	if f.count++; len(f.found) < Listed {
		f.found = append(f.found, fault.Violation{Path: path, Problem: problem})
	}
}

// input is the path of an input or column as a whole.
func (f *faults) input(in *input) string {
	if f.rows {
		return "instances[]." + in.spec.Name
	}
	return "inputs[" + quoted(in.spec.Name) + "]"
}

// value is the path of element i of an input, whose rows hold width entries.
func (f *faults) value(in *input, r *rule, i, width int) string {
	if !f.rows {
		return f.input(in) + ".data[" + strconv.Itoa(i) + "]"
	}
	name := r.name
	if name == "" {
		name = in.spec.Name
	}
	return "instances[" + strconv.Itoa(i/width) + "]." + name
}

func (f *faults) err() error {
	err := fault.Invalid(f.found...)
	if f.count > 1 {
		err.Message = fmt.Sprintf("%d faults: %s %s; …", f.count, f.found[0].Path, f.found[0].Problem)
	}
	return err
}

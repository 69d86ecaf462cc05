package rows

import (
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/tensor"
)

// Spec is one input of a model's signature.
type Spec struct {
	Name     string
	Datatype tensor.Datatype
	Shape    []int64 // the first dimension is the batch; -1 is free
	// Columns name the values of a row, where the signature does: each is a column of the table.
	Columns []string
}

// Width returns the number of values that one row has in s.
func (s Spec) Width() (int, error) {
	width := int64(1)
	for _, d := range s.Shape[min(1, len(s.Shape)):] {
		if d <= 0 || width > math.MaxInt32/d {
			return 0, fault.New(fault.Unimplemented, "input %q has a free dimension beside the batch; a table cannot fill it: use a client of the Open Inference Protocol", s.Name)
		}
		width *= d
	}
	return int(width), nil
}

// Columns turns batch into the tensors of specs. An input of one value per row is
// the column of its name. A wider one is a JSON array in that column, or the
// columns that the signature names, else <name>_0, <name>_1, …. A cell that is absent, null or empty is missing: NaN
// for floats, "" with a mark for strings; other datatypes have no missing value.
//
// first is the number of the first row, from 1, for messages; they name row and
// column and never the value.
func Columns(specs []Spec, batch []Row, first int) ([]tensor.Tensor, error) {
	out := make([]tensor.Tensor, len(specs))
	for i, s := range specs {
		width, err := s.Width()
		if err != nil {
			return nil, err
		}
		t := &out[i]
		t.Name, t.Datatype = s.Name, s.Datatype
		t.Shape = append([]int64{int64(len(batch))}, s.Shape[min(1, len(s.Shape)):]...)
		t.Resize(len(batch) * width)
		for r, row := range batch {
			if width == 1 && len(s.Columns) == 0 { // nearly all
				c, ok := row[s.Name]
				if !ok {
					c = row[s.Name+"_0"]
				}
				if list, is := c.([]any); is && len(list) == 1 {
					c = list[0]
				}
				if problem := Set(t, r, c); problem != "" {
					return nil, fault.New(fault.InvalidArgument, "row %d, column %q %s", first+r, s.Name, problem)
				}
				continue
			}
			for j, c := range s.cells(row, width) {
				if problem := Set(t, r*width+j, c); problem != "" {
					return nil, fault.New(fault.InvalidArgument, "row %d, column %q %s", first+r, s.column(j), problem)
				}
			}
		}
	}
	return out, nil
}

// Missing names the inputs that no column of row can fill, so that a misspelt
// header is told before the first request and not taken for missing values.
func Missing(specs []Spec, row Row) []string {
	var names []string
	for _, s := range specs {
		_, own := row[s.Name]
		_, spread := row[s.column(0)]
		if !own && !spread {
			names = append(names, s.Name)
		}
	}
	return names
}

// column is the name of a value in a row of an input that is spread over several.
func (s *Spec) column(j int) string {
	if j < len(s.Columns) {
		return s.Columns[j]
	}
	return s.Name + "_" + strconv.Itoa(j)
}

func (s *Spec) cells(row Row, width int) []any {
	if list, is := row[s.Name].([]any); is {
		if len(list) == width {
			return list
		}
		bad := make([]any, width)
		bad[0] = list // refused by Set, as no datatype takes a list
		return bad
	}
	spread := make([]any, width)
	for j := range spread {
		spread[j] = row[s.column(j)]
	}
	return spread
}

// Set writes cell c as element i of t and says what is wrong with it, or "". The
// text never repeats the value. A decimal is rounded once, to t's datatype.
func Set(t *tensor.Tensor, i int, c any) string {
	if s, ok := c.(string); ok && s == "" {
		c = nil
	}
	switch t.Datatype {
	case tensor.Bytes:
		return setString(t, i, c)
	case tensor.Bool:
		return setBool(t, i, c)
	case tensor.FP32, tensor.FP64, tensor.FP16:
		return setFloat(t, i, c)
	}
	return setInt(t, i, c)
}

func setFloat(t *tensor.Tensor, i int, c any) string {
	bits := 64
	if t.Datatype == tensor.FP32 {
		bits = 32
	}
	v, ok := number(c, bits)
	if !ok {
		return "is not a number"
	}
	const infinite = "is not a finite number, or outside of the datatype's range"
	switch {
	case math.IsInf(v, 0):
		return infinite
	case t.Datatype == tensor.FP64:
		t.FP64s[i] = v
	case t.Datatype == tensor.FP32:
		if t.FP32s[i] = float32(v); math.IsInf(float64(t.FP32s[i]), 0) {
			return infinite
		}
	default:
		if t.U16s[i] = tensor.HalfFromFloat64(v); math.IsInf(float64(tensor.HalfToFloat32(t.U16s[i])), 0) {
			return infinite
		}
	}
	return ""
}

func setString(t *tensor.Tensor, i int, c any) string {
	switch v := c.(type) {
	case nil:
		t.Strings[i] = ""
		t.Missing = append(t.Missing, i)
	case string:
		t.Strings[i] = v
	case json.Number:
		t.Strings[i] = v.String()
	case int64:
		t.Strings[i] = strconv.FormatInt(v, 10)
	case float64:
		t.Strings[i] = strconv.FormatFloat(v, 'g', -1, 64)
	case bool:
		t.Strings[i] = strconv.FormatBool(v)
	default:
		return "is not text"
	}
	return ""
}

func setBool(t *tensor.Tensor, i int, c any) string {
	switch v := c.(type) {
	case bool:
		t.Bools[i] = v
		return ""
	case string:
		b, err := strconv.ParseBool(strings.ToLower(v))
		if err == nil {
			t.Bools[i] = b
			return ""
		}
	}
	return "is not true or false"
}

// number reads a float, rounded to so many bits; a missing cell is NaN. NA and NaN are how R and pandas write a missing number.
// A number beyond the range is infinite.
func number(c any, bits int) (float64, bool) {
	switch v := c.(type) {
	case nil:
		return math.NaN(), true
	case float64:
		return v, true
	case int64:
		return float64(v), true
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	case json.Number:
		return parseFloat(v.String(), bits)
	case string:
		if v == "NA" {
			return math.NaN(), true
		}
		return parseFloat(strings.TrimSpace(v), bits)
	}
	return 0, false
}

func parseFloat(text string, bits int) (float64, bool) {
	f, err := strconv.ParseFloat(text, bits)
	return f, err == nil || errors.Is(err, strconv.ErrRange)
}

func setInt(t *tensor.Tensor, i int, c any) string {
	const problem = "is not a whole number of the input's datatype"
	if c == nil {
		return "is missing, and a whole number has no missing value"
	}
	var text string
	switch v := c.(type) {
	case string:
		text = strings.TrimSpace(v)
	case json.Number:
		text = v.String()
	case int64:
		text = strconv.FormatInt(v, 10)
	case float64:
		if v != math.Trunc(v) {
			return problem
		}
		text = strconv.FormatFloat(v, 'f', 0, 64)
	default:
		return problem
	}
	bits := 8 * t.Datatype.Size()
	var signed int64
	var unsigned uint64
	var err error
	switch t.Datatype {
	case tensor.Uint8, tensor.Uint16, tensor.Uint32, tensor.Uint64:
		unsigned, err = strconv.ParseUint(text, 10, bits)
	case tensor.Int8, tensor.Int16, tensor.Int32, tensor.Int64:
		signed, err = strconv.ParseInt(text, 10, bits)
	default:
		return "has a datatype that a table cannot fill"
	}
	if err != nil {
		return problem
	}
	switch t.Datatype {
	case tensor.Uint8:
		t.U8s[i] = uint8(unsigned)
	case tensor.Uint16:
		t.U16s[i] = uint16(unsigned)
	case tensor.Uint32:
		t.U32s[i] = uint32(unsigned)
	case tensor.Uint64:
		t.U64s[i] = unsigned
	case tensor.Int8:
		t.I8s[i] = int8(signed)
	case tensor.Int16:
		t.I16s[i] = int16(signed)
	case tensor.Int32:
		t.I32s[i] = int32(signed)
	case tensor.Int64:
		t.I64s[i] = signed
	}
	return ""
}

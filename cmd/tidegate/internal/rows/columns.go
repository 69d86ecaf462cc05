package rows

import (
	"encoding/json"
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
// columns <name>_0, <name>_1, …. A cell that is absent, null or empty is missing: NaN
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
			for j, c := range cells(row, s.Name, width) {
				if problem := set(t, r*width+j, c); problem != "" {
					return nil, fault.New(fault.InvalidArgument, "row %d, column %q %s", first+r, s.Name, problem)
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
		_, spread := row[s.Name+"_0"]
		if !own && !spread {
			names = append(names, s.Name)
		}
	}
	return names
}

func cells(row Row, name string, width int) []any {
	v, ok := row[name]
	if list, isList := v.([]any); isList {
		if len(list) == width {
			return list
		}
		bad := make([]any, width)
		bad[0] = list // refused by set, as no datatype takes a list
		return bad
	}
	if width == 1 && ok {
		return []any{v}
	}
	spread := make([]any, width)
	for i := range spread {
		spread[i] = row[name+"_"+strconv.Itoa(i)]
	}
	return spread
}

// set writes cell c as element i of t and says what is wrong with it, or "".
func set(t *tensor.Tensor, i int, c any) string {
	if s, ok := c.(string); ok && s == "" {
		c = nil
	}
	switch t.Datatype {
	case tensor.Bytes:
		return setString(t, i, c)
	case tensor.Bool:
		return setBool(t, i, c)
	case tensor.FP32, tensor.FP64:
		v, ok := number(c)
		if !ok {
			return "is not a number"
		}
		if math.IsInf(v, 0) || t.Datatype == tensor.FP32 && math.IsInf(float64(float32(v)), 0) {
			return "is outside of the datatype's range"
		}
		if t.Datatype == tensor.FP32 {
			t.FP32s[i] = float32(v)
		} else {
			t.FP64s[i] = v
		}
		return ""
	}
	return setInt(t, i, c)
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

// number reads a float; a missing cell is NaN. NA and NaN are how R and pandas write a missing number.
func number(c any) (float64, bool) {
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
		f, err := v.Float64()
		return f, err == nil
	case string:
		if v == "NA" {
			return math.NaN(), true
		}
		f, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
		return f, err == nil
	}
	return 0, false
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

package capture

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"

	"github.com/tidegate/tidegate/shared/oip"
	"github.com/tidegate/tidegate/shared/oip/wire"
	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/shared/tensor"
)

// timeFormat is RFC 3339 to the microsecond.
const timeFormat = "2006-01-02T15:04:05.000000Z"

// form is how the tensors of a record are written.
type form struct {
	sampled  float64
	redact   map[string]string // column → hash | drop
	maxBytes int               // above it a tensor of rank > 2 is written as shape and sha256
	digests  bool              // every tensor is: the values would not fit
}

// appendRecord appends rows [first, first+rows) of p as one line. It writes what
// [Record] reads. It is not encoding/json, because columns lie strided in tensors
// and would have to be copied into values first.
func appendRecord(dst []byte, p *Prediction, f form, first, rows int) []byte {
	v := &p.Version
	dst = append(dst, `{"v":1,"id":`...)
	dst = wire.AppendString(dst, p.ID)
	dst = appendText(dst, `,"request_id":`, p.RequestID)
	dst = append(dst, `,"ts":"`...)
	dst = p.At.UTC().AppendFormat(dst, timeFormat)
	dst = append(dst, `","model":`...)
	dst = wire.AppendString(dst, v.Model)
	dst = appendInt(dst, `,"version":`, int64(v.Number))
	dst = append(dst, `,"digest":`...)
	dst = wire.AppendString(dst, v.Digest)
	dst = append(dst, `,"slot":"`...)
	dst = append(dst, v.Slot...)
	dst = append(dst, `","role":"`...)
	dst = append(dst, p.Role...)
	dst = appendInt(append(dst, '"'), `,"generation":`, v.Generation)
	dst = appendText(dst, `,"rollout_id":`, v.RolloutID)
	dst = appendText(dst, `,"key":`, p.Key)
	dst = appendInt(dst, `,"first_row":`, int64(first))
	dst = appendInt(dst, `,"rows":`, int64(rows))
	dst = appendInt(dst, `,"total_rows":`, int64(p.Rows))
	if len(p.Inputs) > 0 {
		dst = appendInputs(append(dst, `,"inputs":`...), p, f, first, rows)
	}
	if len(p.Outputs) > 0 {
		dst = appendOutputs(append(dst, `,"outputs":`...), v.Model, p.Outputs, p.Rows, f, first, rows)
	}
	dst = appendInt(dst, `,"status":`, int64(p.Status))
	dst = appendText(dst, `,"error_kind":`, p.ErrorKind)
	dst = appendInt(dst, `,"latency_us":`, p.Latency.Microseconds())
	dst = append(dst, `,"served_by":`...)
	dst = wire.AppendString(dst, v.ServedBy)
	dst = append(dst, `,"sampled":`...)
	dst = wire.AppendFloat64(dst, f.sampled)
	return append(dst, "}\n"...)
}

// appendInputs writes a column per input, or per named entry of an input.
func appendInputs(dst []byte, p *Prediction, f form, first, rows int) []byte {
	open := byte('{')
	var places []schema.Place
	if p.Version.Columns != nil {
		places = p.Version.Columns.Columns()
	}
	for _, place := range places {
		t := &p.Inputs[place.Input]
		c := column{name: place.Name, tensor: t, width: width(t, p.Rows)}
		if spec := &p.Version.Schema.Signature.Inputs[place.Input]; len(spec.Columns) > 0 && c.width == len(spec.Columns) {
			c.offset, c.stride, c.width = place.Offset, c.width, 1
		}
		dst, open = appendColumn(dst, open, c, p.Version.Model, f, first, rows)
	}
	return closeObject(dst, open)
}

func appendOutputs(dst []byte, model string, outputs []tensor.Tensor, total int, f form, first, rows int) []byte {
	open := byte('{')
	for i := range outputs {
		t := &outputs[i]
		dst, open = appendColumn(dst, open, column{name: t.Name, tensor: t, width: width(t, total)}, model, f, first, rows)
	}
	return closeObject(dst, open)
}

// AppendOutputs appends rows [first, first+rows) of outputs, which have total rows,
// as "outputs" of a record holds them: an array for each output, by name. redact is
// that of [registry.CaptureSettings]. Scored rows are stored in this form, too.
func AppendOutputs(dst []byte, model string, outputs []tensor.Tensor, redact map[string]string, total, first, rows int) []byte {
	return appendOutputs(dst, model, outputs, total, form{redact: redact, maxBytes: defaultMaxBytes}, first, rows)
}

// column is the part of a tensor that is written under one name.
type column struct {
	name   string
	tensor *tensor.Tensor
	width  int // values in a row; 0 = the tensor has no rows of the request
	offset int // of the column in a row of the tensor
	stride int // values in a row of the tensor; 0 = width
}

// width is how many values of t belong to each of the request's rows, 0 when t
// has no entry per row.
func width(t *tensor.Tensor, rows int) int {
	if rows == 0 || len(t.Shape) == 0 || t.Shape[0] != int64(rows) {
		return 0
	}
	return t.Len() / rows
}

func appendColumn(dst []byte, open byte, c column, model string, f form, first, rows int) ([]byte, byte) {
	redact := f.redact[c.name]
	if redact == "drop" {
		return dst, open
	}
	dst = append(dst, open)
	dst = append(wire.AppendString(dst, c.name), ':')
	t := c.tensor
	switch {
	case c.stride == 0 && (f.digests || c.width == 0 || len(t.Shape) > 2):
		return appendTensor(dst, t, c.width, f, redact != "", first, rows), ','
	case f.digests:
		return appendTensor(dst, t, 0, f, redact != "", 0, 0), ','
	}
	if c.stride == 0 {
		c.stride = c.width
	}
	if redact == "hash" {
		return appendHashes(dst, c, model, first, rows), ','
	}
	if c.width == 1 {
		return appendFlat(dst, t, first*c.stride+c.offset, c.stride, rows), ','
	}
	dst = append(dst, '[')
	for row := first; row < first+rows; row++ {
		if row > first {
			dst = append(dst, ',')
		}
		dst = appendFlat(dst, t, row*c.stride+c.offset, 1, c.width)
	}
	return append(dst, ']'), ','
}

func closeObject(dst []byte, open byte) []byte {
	if open == '{' {
		dst = append(dst, '{')
	}
	return append(dst, '}')
}

// appendFlat writes n elements of t from k on, stride apart; what is missing is null.
func appendFlat(dst []byte, t *tensor.Tensor, k, stride, n int) []byte {
	dst = append(dst, '[')
	switch {
	case t.Datatype == tensor.FP32: // most of what is captured
		for i := range n {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = wire.AppendFloat32(dst, t.FP32s[k+i*stride])
		}
	default:
		for i := range n {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendElement(dst, t, k+i*stride)
		}
	}
	return append(dst, ']')
}

func appendElement(dst []byte, t *tensor.Tensor, i int) []byte {
	if t.Datatype == tensor.Bytes && missing(t, i) {
		return append(dst, "null"...)
	}
	return oip.AppendElement(dst, t, i)
}

// missing says whether element i of a BYTES tensor is, by bisection: t.Missing ascends.
func missing(t *tensor.Tensor, i int) bool {
	lo, hi := 0, len(t.Missing)
	for lo < hi {
		if mid := (lo + hi) / 2; t.Missing[mid] < i {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo < len(t.Missing) && t.Missing[lo] == i
}

// appendTensor writes {"shape","data"}, or {"shape","sha256"} when the values are too many or must not be seen.
// Only tensors without rows of the request are written whole.
func appendTensor(dst []byte, t *tensor.Tensor, width int, f form, redacted bool, first, rows int) []byte {
	from, to := 0, t.Len()
	shape := t.Shape
	dst = append(dst, `{"shape":[`...)
	if width > 0 {
		from, to = first*width, (first+rows)*width
		dst = strconv.AppendInt(dst, int64(rows), 10)
		shape = shape[1:]
		if len(shape) > 0 {
			dst = append(dst, ',')
		}
	}
	for i, d := range shape {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendInt(dst, d, 10)
	}
	dst = append(dst, ']')
	if !redacted && !f.digests && oip.RawSize(t)/max(t.Len(), 1)*(to-from) <= f.maxBytes {
		dst = append(dst, `,"data":`...)
		return append(appendFlat(dst, t, from, 1, to-from), '}')
	}
	if redacted { // a digest of few values gives them away
		return append(dst, `,"redacted":true}`...)
	}
	part := slice(t, from, to)
	sum := sha256.Sum256(oip.AppendRaw(make([]byte, 0, oip.RawSize(&part)), &part))
	dst = append(dst, `,"sha256":"`...)
	return append(hex.AppendEncode(dst, sum[:]), `"}`...)
}

// slice is elements [from, to) of t, sharing its memory.
func slice(t *tensor.Tensor, from, to int) tensor.Tensor {
	s := tensor.Tensor{Datatype: t.Datatype}
	switch t.Datatype {
	case tensor.Bool:
		s.Bools = t.Bools[from:to]
	case tensor.Uint8:
		s.U8s = t.U8s[from:to]
	case tensor.Uint16, tensor.FP16:
		s.U16s = t.U16s[from:to]
	case tensor.Uint32:
		s.U32s = t.U32s[from:to]
	case tensor.Uint64:
		s.U64s = t.U64s[from:to]
	case tensor.Int8:
		s.I8s = t.I8s[from:to]
	case tensor.Int16:
		s.I16s = t.I16s[from:to]
	case tensor.Int32:
		s.I32s = t.I32s[from:to]
	case tensor.Int64:
		s.I64s = t.I64s[from:to]
	case tensor.FP32:
		s.FP32s = t.FP32s[from:to]
	case tensor.FP64:
		s.FP64s = t.FP64s[from:to]
	case tensor.Bytes:
		s.Strings = t.Strings[from:to]
	}
	return s
}

// appendHashes writes pseudonyms: equal values of a model's column have equal
// ones, so that drift can still be seen. Values that can be guessed can be found
// out; what must not be known is dropped instead.
func appendHashes(dst []byte, c column, model string, first, rows int) []byte {
	var room [128]byte
	salt := append(append(append(append(room[:0], "capture\x00"...), model...), 0), c.name...)
	salt = append(salt, 0)
	one := func(dst []byte, k int) []byte {
		if c.tensor.Datatype == tensor.Bytes && missing(c.tensor, k) {
			return append(dst, "null"...)
		}
		value := appendElement(salt, c.tensor, k)
		if string(value[len(salt):]) == "null" { // NaN
			return append(dst, "null"...)
		}
		sum := sha256.Sum256(value)
		return append(hex.AppendEncode(append(dst, '"'), sum[:16]), '"')
	}
	dst = append(dst, '[')
	for row := first; row < first+rows; row++ {
		if row > first {
			dst = append(dst, ',')
		}
		k := row*c.stride + c.offset
		if c.width == 1 {
			dst = one(dst, k)
			continue
		}
		dst = append(dst, '[')
		for i := range c.width {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = one(dst, k+i)
		}
		dst = append(dst, ']')
	}
	return append(dst, ']')
}

// appendText appends a field that is left out when it is empty.
func appendText(dst []byte, name, value string) []byte {
	if value == "" {
		return dst
	}
	return wire.AppendString(append(dst, name...), value)
}

func appendInt(dst []byte, name string, v int64) []byte {
	return strconv.AppendInt(append(dst, name...), v, 10)
}

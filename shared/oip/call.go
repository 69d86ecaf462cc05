package oip

import (
	"strconv"
	"strings"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/oip/wire"
	"github.com/tidegate/tidegate/shared/tensor"
)

// Call is an inference request to another server: the client's side of [Decoder.Decode].
type Call struct {
	ID     string
	Inputs []tensor.Tensor
	Want   []string // outputs asked for; nil = all
	Text   bool     // JSON both ways instead of binary tensors
}

// AppendCall appends the body of a request to dst, with inputs as binary tensors,
// and asks for binary outputs, unless c says Text. Texts that are missing have no binary form: such an
// input goes as JSON, with null. jsonLength is as for [AppendAnswer].
func AppendCall(dst []byte, c *Call) (body []byte, jsonLength int) {
	start, raw := len(dst), false
	dst = append(dst, '{')
	if c.ID != "" {
		dst = append(wire.AppendString(append(dst, `"id":`...), c.ID), ',')
	}
	if !c.Text {
		dst = append(dst, `"parameters":{"binary_data_output":true},`...)
	}
	dst = append(dst, `"inputs":[`...)
	for i := range c.Inputs {
		t := &c.Inputs[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendHead(dst, t)
		if c.Text || len(t.Missing) > 0 {
			dst = append(dst, `,"data":`...)
			if len(t.Missing) > 0 {
				dst = appendTexts(dst, t)
			} else {
				dst = AppendData(dst, t, 0, t.Len())
			}
			dst = append(dst, '}')
			continue
		}
		raw = true
		dst = append(dst, `,"parameters":{"binary_data_size":`...)
		dst = strconv.AppendInt(dst, int64(RawSize(t)), 10)
		dst = append(dst, `}}`...)
	}
	dst = append(dst, ']')
	for i, name := range c.Want {
		if i == 0 {
			dst = append(dst, `,"outputs":[`...)
		} else {
			dst = append(dst, ',')
		}
		dst = wire.AppendString(append(dst, `{"name":`...), name)
		if !c.Text {
			dst = append(dst, `,"parameters":{"binary_data":true}`...)
		}
		dst = append(dst, '}')
	}
	if len(c.Want) > 0 {
		dst = append(dst, ']')
	}
	dst = append(dst, '}')
	if !raw {
		return dst, AllJSON
	}
	jsonLength = len(dst) - start
	for i := range c.Inputs {
		if len(c.Inputs[i].Missing) == 0 {
			dst = AppendRaw(dst, &c.Inputs[i])
		}
	}
	return dst, jsonLength
}

// appendTexts appends BYTES with its missing elements as null.
func appendTexts(dst []byte, t *tensor.Tensor) []byte {
	dst = append(dst, '[')
	missing := t.Missing
	for i, s := range t.Strings {
		if i > 0 {
			dst = append(dst, ',')
		}
		if len(missing) > 0 && missing[0] == i {
			dst, missing = append(dst, "null"...), missing[1:]
			continue
		}
		dst = wire.AppendString(dst, s)
	}
	return append(dst, ']')
}

// DecodeAnswer reads an answer, the other side of [AppendAnswer]: JSON, binary
// tensors or both. Outputs share memory with body and with d, as those of Decode.
// Model and version are "" where the server does not name them, as some do not; a
// version may be a number. Errors: InvalidArgument, body is no answer.
func (d *Decoder) DecodeAnswer(body []byte, jsonLength int) (Answer, error) {
	d.reset(body, jsonLength, "outputs")
	var a Answer
	var seen uint
	named := func(bit uint, key string, i int, v *string) (int, wire.Code) {
		if !d.once(&seen, bit, key) || wire.IsNull(d.text, i) {
			return d.skip(i, 1)
		}
		if key == "model_version" && !wire.Is(d.text, i, '"') {
			n, next, code := wire.Int[int64](d.text, i)
			if code == wire.OK {
				*v = strconv.FormatInt(n, 10)
				return next, code
			}
		}
		next, code := d.string(i, key, v)
		*v = strings.Clone(*v)
		return next, code
	}
	i, code := d.members(wire.Space(d.text, 0), "the answer", func(key string, i int) (int, wire.Code) {
		switch key {
		case "model_name":
			return named(0, key, i, &a.Model)
		case "model_version":
			return named(1, key, i, &a.Version)
		case "id":
			return named(2, key, i, &a.ID)
		case "outputs":
			if d.once(&seen, 3, key) {
				return d.elements(i, key, d.input)
			}
		}
		return d.skip(i, 1)
	})
	if code == wire.OK {
		if i = wire.Space(d.text, i); i != len(d.text) {
			code = wire.Syntax
		}
	}
	if code == wire.Stop {
		return Answer{}, d.faults()
	} else if code != wire.OK {
		return Answer{}, fault.New(fault.InvalidArgument, "the answer is not valid JSON, or is cut off, at byte %d", i)
	}
	if seen&(1<<3) == 0 {
		d.fault("outputs", "is missing")
	}
	d.duplicates()
	d.exhausted()
	a.Outputs = d.req.Inputs
	return a, d.faults()
}

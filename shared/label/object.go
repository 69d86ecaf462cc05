package label

import "github.com/tidegate/tidegate/shared/oip/wire"

// Objects reads labels written as JSON objects. Members it does not know are passed
// over; of a member that is there twice the last counts.
type Objects struct {
	b      []byte
	in     Input
	member func(key string, i int) (int, wire.Code)
}

// At reads the object at i of b and returns the position behind it. The input is
// valid until the next call, and its texts as long as b. A code that is not OK says
// that there is no well-formed object; a member of the wrong type is a problem of
// the input and not of the text.
func (o *Objects) At(b []byte, i int) (in *Input, next int, code wire.Code) {
	if o.member == nil {
		o.member = o.read
	}
	o.b, o.in = b, Input{}
	next, code = wire.Members(b, i, o.member)
	return &o.in, next, code
}

func (o *Objects) read(key string, i int) (int, wire.Code) {
	in := &o.in
	switch key {
	case "label":
		return o.label(i)
	case "id":
		return o.text(i, &in.ID, func() { in.wrong = BadID })
	case "request_id":
		return o.text(i, &in.RequestID, func() { in.wrong = BadRequestID })
	case "predicted_at":
		return o.text(i, &in.PredictedAt, func() { in.wrong = BadPredictedAt })
	case "ts":
		return o.text(i, &in.TS, func() { in.late = true })
	case "received":
		return o.text(i, &in.Received, func() { in.late = true })
	case "model":
		return o.text(i, &in.Model, func() { in.Model = "" })
	}
	return wire.Skip(o.b, i, 1)
}

// text reads a string; null is as good as absent, an empty one is not.
func (o *Objects) text(i int, into *string, wrong func()) (int, wire.Code) {
	if wire.IsNull(o.b, i) {
		*into = ""
		return i + len("null"), wire.OK
	}
	v, next, code := wire.String(o.b, i)
	if code != wire.OK || v == "" {
		wrong()
		return wire.Skip(o.b, i, 1)
	}
	*into = v
	return next, wire.OK
}

func (o *Objects) label(i int) (int, wire.Code) {
	o.in.odd = false
	if wire.IsNull(o.b, i) {
		o.in.Label = Value{}
		return i + len("null"), wire.OK
	}
	next, code := value(o.b, i, &o.in.Label)
	switch code {
	case wire.OK, wire.NotFinite: // NaN is no JSON, which is more than a wrong type
		return next, code
	}
	o.in.Label, o.in.odd = Value{}, true
	return wire.Skip(o.b, i, 1)
}

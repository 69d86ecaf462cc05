package feedback

import (
	"bytes"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/label"
	"github.com/tidegate/tidegate/shared/oip/wire"
	"github.com/tidegate/tidegate/shared/schema"
)

const (
	// MaxRecord is the most bytes of a record that a stream takes (Amazon Firehose quotas: 1,000 KiB before encoding).
	MaxRecord = 1000 << 10
	// maxEcho bounds the id that an error repeats, in bytes: a client finds its label by it.
	maxEcho = 64
)

// batch is the labels of one request.
type batch struct {
	model string
	task  schema.Task
	now   time.Time

	objects  label.Objects
	items    int
	accepted int
	rejected []rejection
	data     []byte // lines of what is accepted
	ends     []int  // of the records in data
}

// rejection is one label that is none.
type rejection struct {
	index int // among the labels of the request, from 0
	id    string
	why   string
}

// read takes a body in any of its three forms. Errors: InvalidArgument, there are
// no labels to look at; PayloadTooLarge, there are too many.
func (b *batch) read(body []byte) error {
	body = bytes.TrimPrefix(body, []byte("\ufeff"))
	i := wire.Space(body, 0)
	if found, err := b.list(body, i); found {
		return err
	}
	err := b.lines(body[i:])
	if err == nil && b.items == 0 {
		err = fault.New(fault.InvalidArgument, `the body is empty; send {"id","label"}, {"labels":[…]} or one label a line`)
	}
	return err
}

// list reads the labels of an object that has them in a list.
func (b *batch) list(body []byte, i int) (found bool, err error) {
	end, code := wire.Members(body, i, func(key string, i int) (int, wire.Code) {
		if key != "labels" {
			return wire.Skip(body, i, 1)
		}
		found = true
		return wire.Elements(body, i, func(_, i int) (int, wire.Code) {
			if err = b.room(); err != nil {
				return i, wire.Stop
			}
			in, next, code := b.objects.At(body, i)
			switch code {
			case wire.OK:
				b.item(in)
			case wire.WrongKind, wire.Null:
				b.reject("", label.Malformed.Text())
				code = wire.OK
			}
			return next, code
		})
	})
	if code == wire.OK && wire.Space(body, end) != len(body) {
		code = wire.Syntax
	}
	switch {
	case !found || err != nil:
		return found, err
	case code != wire.OK:
		return true, fault.Invalid(fault.Violation{Path: "labels", Problem: code.Problem("a list of labels")})
	case b.items == 0:
		return true, fault.Invalid(fault.Violation{Path: "labels", Problem: "is empty"})
	}
	return true, nil
}

// lines reads one label a line; one label alone may take several lines.
func (b *batch) lines(body []byte) error {
	if in, end, code := b.objects.At(body, 0); code == wire.OK && wire.Space(body, end) == len(body) {
		b.item(in)
		return nil
	}
	for line := range bytes.Lines(body) {
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		if err := b.room(); err != nil {
			return err
		}
		in, end, code := b.objects.At(line, 0)
		if code != wire.OK || end != len(line) {
			b.reject("", label.Malformed.Text())
			continue
		}
		b.item(in)
	}
	return nil
}

func (b *batch) room() error {
	if b.items >= MaxLabels {
		return fault.New(fault.PayloadTooLarge, "the request has more than %d labels; send them in several requests", MaxLabels)
	}
	return nil
}

// item checks one label and keeps its line.
func (b *batch) item(in *label.Input) {
	in.Model, in.Received = "", "" // ours to say
	rec, _, problems := in.Record(b.task, b.now, b.now)
	if problems.First() != label.Fine {
		id := in.ID
		if id == "" {
			id = in.RequestID
		}
		b.reject(cut(id), problems.Text(b.task))
		return
	}
	b.items++
	b.accepted++
	b.data = label.AppendLanded(b.data, &label.Landed{Model: b.model, Record: rec, PredictedAt: in.PredictedAt, Received: b.now})
	if n := len(b.ends); n > 0 && len(b.data)-b.start(n-1) <= MaxRecord {
		b.ends[n-1] = len(b.data)
		return
	}
	b.ends = append(b.ends, len(b.data))
}

func (b *batch) reject(id, why string) {
	b.rejected = append(b.rejected, rejection{b.items, id, why})
	b.items++
}

func (b *batch) start(i int) int {
	if i == 0 {
		return 0
	}
	return b.ends[i-1]
}

// records are the parts of data: a stream counts, and bills, each as at least 5 KB.
func (b *batch) records() [][]byte {
	parts := make([][]byte, len(b.ends))
	for i, end := range b.ends {
		parts[i] = b.data[b.start(i):end]
	}
	return parts
}

// answer is {"accepted","rejected":[{"index","id"?,"error"}]}, with "error" and
// "request_id" when nothing was accepted.
func (b *batch) answer(requestID string) []byte {
	out := strconv.AppendInt([]byte(`{"accepted":`), int64(b.accepted), 10)
	out = append(out, `,"rejected":[`...)
	for i, r := range b.rejected {
		if i > 0 {
			out = append(out, ',')
		}
		out = strconv.AppendInt(append(out, `{"index":`...), int64(r.index), 10)
		if r.id != "" {
			out = wire.AppendString(append(out, `,"id":`...), r.id)
		}
		out = wire.AppendString(append(out, `,"error":`...), r.why)
		out = append(out, '}')
	}
	out = append(out, ']')
	if b.accepted == 0 {
		out = append(out, `,"error":"none of the labels can be one; see rejected"`...)
		if requestID != "" {
			out = wire.AppendString(append(out, `,"request_id":`...), requestID)
		}
	}
	return append(out, '}')
}

// cut bounds what is repeated of an id.
func cut(id string) string {
	if len(id) <= maxEcho {
		return id
	}
	end := maxEcho
	for end > 0 && !utf8.RuneStart(id[end]) {
		end--
	}
	return id[:end] + "…"
}

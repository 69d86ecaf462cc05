package label

import (
	"time"

	"github.com/tidegate/tidegate/shared/oip/wire"
)

// The members of a filed line, in their order and without spaces:
//
//	{"id":"0198c2a7-…#3","label":1,"ts":"2026-04-06T14:31:15.123Z"}
//	{"request_id":"order-17","label":"late","ts":"2026-04-06T14:31:15.123Z"}
const (
	openID      = `{"id":`
	openRequest = `{"request_id":`
	thenLabel   = `,"label":`
	thenTS      = `,"ts":"`
	closing     = `"}`
)

// Append appends the filed line of r, with its newline.
func Append(dst []byte, r *Record) []byte {
	dst = appendHead(dst, r.ID, r.Request)
	return appendTail(r.Label.Append(dst), r.TS)
}

// AppendRaw is [Append] for a value that is JSON already, by Value.Append.
func AppendRaw(dst []byte, id string, request bool, value []byte, ts time.Time) []byte {
	return appendTail(append(appendHead(dst, id, request), value...), ts)
}

func appendHead(dst []byte, id string, request bool) []byte {
	open := openID
	if request {
		open = openRequest
	}
	return append(wire.AppendString(append(dst, open...), id), thenLabel...)
}

func appendTail(dst []byte, ts time.Time) []byte {
	dst = appendTime(append(dst, thenTS...), ts)
	return append(append(dst, closing...), '\n')
}

// TimeLength is that of a time in a filed line: RFC 3339 in UTC with milliseconds,
// whose bytes sort as the times do.
const TimeLength = len("2026-04-06T14:31:15.123Z")

func appendTime(dst []byte, t time.Time) []byte {
	return t.UTC().AppendFormat(dst, "2006-01-02T15:04:05.000Z")
}

// clock reads such times, and remembers the last day: lines beside each other are
// of one time.
type clock struct {
	day   [10]byte
	start int64 // milliseconds since 1970
	known bool
}

func (c *clock) parse(text []byte) (time.Time, bool) {
	if len(text) != TimeLength || text[10] != 'T' || text[13] != ':' || text[16] != ':' || text[19] != '.' || text[23] != 'Z' {
		return time.Time{}, false
	}
	if !c.known || string(c.day[:]) != string(text[:10]) {
		t, err := time.Parse("2006-01-02", string(text[:10]))
		if err != nil || !plausibleYear(t.Year()) {
			return time.Time{}, false
		}
		copy(c.day[:], text)
		c.start, c.known = t.UnixMilli(), true
	}
	h, okH := two(text[11:])
	m, okM := two(text[14:])
	s, okS := two(text[17:])
	ms, okMS := two(text[20:])
	last := text[22] - '0'
	if !okH || !okM || !okS || !okMS || last > 9 || h > 23 || m > 59 || s > 59 {
		return time.Time{}, false
	}
	return time.UnixMilli(c.start + ((h*60+m)*60+s)*1000 + ms*10 + int64(last)).UTC(), true
}

// two reads two digits.
func two(b []byte) (int64, bool) {
	hi, lo := b[0]-'0', b[1]-'0'
	return int64(hi)*10 + int64(lo), hi <= 9 && lo <= 9
}

// plausibleYear keeps times within what RFC 3339 can write and S3 keys sort.
func plausibleYear(y int) bool { return y >= 1970 && y <= 9999 }

// Landed is a label that feedback took: what stands in a line of an object under
// [LandedAPI], which also says of which model it is and when it came.
type Landed struct {
	Model       string
	Record      Record
	PredictedAt string // as the client wrote it; of a request id only
	Received    time.Time
}

// AppendLanded appends the line of l, with its newline.
func AppendLanded(dst []byte, l *Landed) []byte {
	dst = wire.AppendString(append(dst, `{"model":`...), l.Model)
	if l.Record.Request {
		dst = wire.AppendString(append(dst, `,"request_id":`...), l.Record.ID)
		dst = wire.AppendString(append(dst, `,"predicted_at":`...), l.PredictedAt)
	} else {
		dst = wire.AppendString(append(dst, `,"id":`...), l.Record.ID)
	}
	dst = l.Record.Label.Append(append(dst, thenLabel...))
	dst = appendTime(append(dst, thenTS...), l.Record.TS)
	dst = appendTime(append(dst, `","received":"`...), l.Received)
	return append(append(dst, closing...), '\n')
}

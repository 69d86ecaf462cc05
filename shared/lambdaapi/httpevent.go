package lambdaapi

import (
	"bytes"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/segmentio/asm/base64"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/httpapi"
)

// httpEvent is what predict needs of an API Gateway HTTP API event, payload
// format 2.0. The other fields are skipped without being looked at.
type httpEvent struct {
	request httpapi.Request
	arrived time.Time // requestContext.timeEpoch; zero when absent
	stage   string
	base64  bool
	headers map[string]string // reused from event to event
}

// decode reads payload, which it overwrites: strings are unescaped in place, and
// the body is a part of it. The event is valid until payload is used again.
//
// Errors: InvalidArgument when payload is not such an event.
func (e *httpEvent) decode(payload []byte) error {
	headers := e.headers
	if headers == nil {
		headers = make(map[string]string, 32)
	}
	clear(headers)
	*e = httpEvent{headers: headers}
	s := scanner{b: payload}
	ok := s.object(func(key string) bool {
		switch key {
		case "rawPath":
			return s.text(&e.request.Path)
		case "rawQueryString":
			return s.text(&e.request.Query)
		case "headers":
			clear(headers)
			return s.null() || s.strings(headers)
		case "requestContext":
			e.request.Method, e.arrived, e.stage = "", time.Time{}, ""
			return s.null() || e.context(&s)
		case "body":
			e.request.Body = nil
			return s.null() || s.bytes(&e.request.Body)
		case "isBase64Encoded":
			return s.bool(&e.base64)
		}
		return s.skip()
	})
	if s.space(); !ok || s.i != len(s.b) {
		return fault.New(fault.InvalidArgument, "the event is not JSON of an HTTP API event at byte %d", s.i)
	}
	if e.request.Method == "" || e.request.Path == "" {
		return fault.New(fault.InvalidArgument, "the event is not of an HTTP API with payload format 2.0: it has no rawPath or requestContext.http.method")
	}
	e.request.Header = headers
	e.stripStage()
	if e.base64 {
		// In place: three bytes out of four never reach what is still to be read.
		n, err := base64.StdEncoding.Decode(e.request.Body, e.request.Body)
		if err != nil {
			return fault.New(fault.InvalidArgument, "isBase64Encoded is set, but the body is not base64")
		}
		e.request.Body = e.request.Body[:n]
	}
	return nil
}

func (e *httpEvent) context(s *scanner) bool {
	return s.object(func(key string) bool {
		switch key {
		case "http":
			e.request.Method = ""
			return s.null() || s.object(func(key string) bool {
				if key == "method" {
					return s.text(&e.request.Method)
				}
				return s.skip()
			})
		case "stage":
			return s.text(&e.stage)
		case "timeEpoch":
			return s.time(&e.arrived)
		}
		return s.skip()
	})
}

// stripStage removes "/<stage>" from the path, where a named stage puts it.
func (e *httpEvent) stripStage() {
	if e.stage == "" || e.stage == "$default" {
		return
	}
	rest, found := strings.CutPrefix(e.request.Path, "/"+e.stage)
	if found && (rest == "" || rest[0] == '/') {
		e.request.Path = rest
	}
	if e.request.Path == "" {
		e.request.Path = "/"
	}
}

// scanner walks JSON without building it. It trusts its input to be JSON (the
// platform's is) and only finds its way: what it skips is not checked. Methods
// return false where the input is not what they read.
type scanner struct {
	b []byte
	i int
}

func (s *scanner) space() {
	for s.i < len(s.b) && (s.b[s.i] == ' ' || s.b[s.i] == '\n' || s.b[s.i] == '\t' || s.b[s.i] == '\r') {
		s.i++
	}
}

// next takes c, after space.
func (s *scanner) next(c byte) bool {
	s.space()
	if s.i < len(s.b) && s.b[s.i] == c {
		s.i++
		return true
	}
	return false
}

func (s *scanner) word(w string) bool {
	s.space()
	if bytes.HasPrefix(s.b[s.i:], []byte(w)) {
		s.i += len(w)
		return true
	}
	return false
}

func (s *scanner) null() bool { return s.word("null") }

func (s *scanner) bool(v *bool) bool {
	switch {
	case s.word("true"):
		*v = true
	case s.word("false"):
		*v = false
	default:
		return s.null()
	}
	return true
}

// object calls member for each key, with the scanner before the value. The key is
// valid during the call.
func (s *scanner) object(member func(key string) bool) bool {
	if !s.next('{') {
		return false
	}
	if s.next('}') {
		return true
	}
	for {
		var key []byte
		if !s.bytes(&key) || !s.next(':') {
			return false
		}
		s.space()
		if !member(string(key)) {
			return false
		}
		if s.next('}') {
			return true
		}
		if !s.next(',') {
			return false
		}
	}
}

// strings reads an object of strings into m.
func (s *scanner) strings(m map[string]string) bool {
	return s.object(func(key string) bool {
		var v string
		if !s.text(&v) {
			return false
		}
		m[key] = v
		return true
	})
}

// text reads a string into v; null leaves v alone, as encoding/json does.
func (s *scanner) text(v *string) bool {
	if s.null() {
		return true
	}
	var raw []byte
	if !s.bytes(&raw) {
		return false
	}
	*v = string(raw)
	return true
}

// time reads milliseconds since 1970.
func (s *scanner) time(v *time.Time) bool {
	if s.null() {
		return true
	}
	s.space()
	start := s.i
	for s.i < len(s.b) && (s.b[s.i] >= '0' && s.b[s.i] <= '9' || s.b[s.i] == '-') {
		s.i++
	}
	ms, err := strconv.ParseInt(string(s.b[start:s.i]), 10, 64)
	if err != nil {
		return false
	}
	*v = time.UnixMilli(ms)
	return true
}

// bytes reads a string, unescaped in place. Without escapes, which is nearly all
// of a large body, it only looks for the next quote and backslash.
func (s *scanner) bytes(v *[]byte) bool {
	s.space()
	if s.i >= len(s.b) || s.b[s.i] != '"' {
		return false
	}
	s.i++
	start := s.i
	end := start // of what is unescaped so far
	quote := -1
	for {
		if quote < s.i { // a quote that is still ahead need not be looked for again
			n := bytes.IndexByte(s.b[s.i:], '"')
			if n < 0 {
				s.i = len(s.b)
				return false
			}
			quote = s.i + n
		}
		plain := bytes.IndexByte(s.b[s.i:quote], '\\')
		if plain < 0 {
			plain = quote - s.i
		}
		if end != s.i {
			copy(s.b[end:], s.b[s.i:s.i+plain])
		}
		end += plain
		s.i += plain
		if s.i == quote {
			s.i++
			*v = s.b[start:end:end]
			return true
		}
		n, width, ok := unescape(s.b[end:], s.b[s.i:])
		if !ok {
			return false
		}
		end += n
		s.i += width
	}
}

// escapes are the characters that stand after a backslash for one byte.
var escapes = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// unescape writes what the escape at the start of from stands for to the start of
// to, which may be the same memory, and says how many bytes it wrote and read.
func unescape(to, from []byte) (n, width int, ok bool) {
	if len(from) < 2 {
		return 0, 0, false
	}
	if c := escapes[from[1]]; c != 0 {
		to[0] = c
		return 1, 2, true
	}
	r, ok := unit(from)
	if !ok {
		return 0, 0, false
	}
	width = 6
	if utf16.IsSurrogate(r) {
		if low, ok := unit(from[6:]); ok {
			if both := utf16.DecodeRune(r, low); both != utf8.RuneError {
				return utf8.EncodeRune(to, both), 12, true
			}
		}
		r = utf8.RuneError // as encoding/json reads half a pair
	}
	return utf8.EncodeRune(to, r), width, true
}

// unit reads \uXXXX.
func unit(b []byte) (rune, bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(b[2:6]), 16, 16)
	return rune(n), err == nil
}

// skip passes over any value.
func (s *scanner) skip() bool {
	depth := 0
	for {
		s.space()
		if s.i >= len(s.b) {
			return false
		}
		switch c := s.b[s.i]; c {
		case '"':
			if !s.skipString() {
				return false
			}
		case '{', '[':
			depth++
			s.i++
		case '}', ']':
			depth--
			s.i++
		case ',', ':':
			if depth == 0 {
				return false
			}
			s.i++
			continue
		default:
			start := s.i
			for s.i < len(s.b) && !bytes.ContainsRune([]byte(",:]} \n\t\r\"[{"), rune(s.b[s.i])) {
				s.i++
			}
			if s.i == start {
				return false
			}
		}
		if depth <= 0 {
			return depth == 0
		}
	}
}

func (s *scanner) skipString() bool {
	for s.i++; s.i < len(s.b); s.i++ {
		switch s.b[s.i] {
		case '\\':
			s.i++
		case '"':
			s.i++
			return true
		}
	}
	return false
}

// Package wire reads JSON in one pass over the bytes, straight into typed
// slices, and appends JSON to byte slices. It is what the request path uses
// instead of encoding/json, whose reflection costs several times the model's run.
//
// It is not a general JSON library: there is no tree, no struct mapping, no
// stream. Callers walk the text with position functions of one form,
//
//	v, next, code := wire.Float32(b, i)
//
// where b is the whole text, i the position of the value and next the position
// behind it. A [Code] says what is wrong; it never carries text of the input, so
// nothing a client sent can reach a message or a log.
//
// Invariant: what is accepted is JSON by RFC 8259 and reads to the same value
// as by encoding/json; numbers equal strconv.ParseFloat bit for bit. Stricter than
// encoding/json on purpose: invalid UTF-8 and unpaired surrogates are refused,
// not replaced, so that no value changes silently.
package wire

// MaxDepth bounds the nesting of any value that is read or skipped.
const MaxDepth = 32

// Code says what is wrong with a value. The zero value is OK.
type Code uint8

// The codes.
const (
	OK        Code = iota
	Syntax         // not JSON, or cut off
	WrongKind      // JSON of another kind than asked for
	Null           // null where the datatype has no missing value
	Range          // a number outside of the datatype
	Fraction       // a number with a fraction or exponent for an integer datatype
	NotFinite      // NaN or Infinity, which JSON does not have
	UTF8           // a string that is not UTF-8
	Surrogate      // a string with an unpaired surrogate escape
	Depth          // nested deeper than MaxDepth
	TooFew         // an array shorter than its shape
	TooMany        // an array longer than its shape
	Nesting        // nested arrays that do not follow the shape
	Stop           // a caller's own: a fault it has noted ends the reading
)

// Fatal says whether the text cannot be read on behind the fault.
func (c Code) Fatal() bool { return c == Syntax || c == Depth || c == NotFinite || c == Stop }

// Problem is the safe text of c. want names the kind expected, e.g. "a number".
func (c Code) Problem(want string) string {
	switch c {
	case OK:
		return "is fine"
	case WrongKind:
		return "is not " + want
	case Null:
		return "is null, want " + want
	case Range:
		return "is out of the range of its datatype"
	case Fraction:
		return "is not written as an integer"
	case NotFinite:
		return "is not JSON: NaN and Infinity have no form in it; send null for a missing value"
	case UTF8:
		return "is not valid UTF-8"
	case Surrogate:
		return "has an unpaired surrogate"
	case Depth:
		return "is nested too deeply"
	case TooFew:
		return "has fewer values than its shape says"
	case TooMany:
		return "has more values than its shape says"
	case Nesting:
		return "is nested, but not as its shape says"
	}
	return "is not valid JSON"
}

// Space returns the position of the first byte at or behind i that is not white space.
func Space(b []byte, i int) int {
	for i < len(b) && b[i] <= ' ' && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
	}
	return i
}

// at is b[i], or 0 behind the end.
func at(b []byte, i int) byte {
	if i < len(b) {
		return b[i]
	}
	return 0
}

// Is says whether the value at i begins with c.
func Is(b []byte, i int, c byte) bool { return at(b, i) == c }

func literal(b []byte, i int, word string) bool {
	return len(b)-i >= len(word) && string(b[i:i+len(word)]) == word
}

// IsNull says whether the literal null is at i.
func IsNull(b []byte, i int) bool { return at(b, i) == 'n' && literal(b, i, "null") }

// Bool reads true or false.
func Bool(b []byte, i int) (bool, int, Code) {
	switch {
	case literal(b, i, "true"):
		return true, i + 4, OK
	case literal(b, i, "false"):
		return false, i + 5, OK
	}
	return false, i, misfit(b, i)
}

// misfit tells why the value at i is not of the kind asked for.
func misfit(b []byte, i int) Code {
	switch at(b, i) {
	case 'n':
		if literal(b, i, "null") {
			return Null
		}
	case 'N', 'I':
		if literal(b, i, "NaN") || literal(b, i, "Inf") {
			return NotFinite
		}
	case '-':
		if at(b, i+1) == 'I' {
			return NotFinite
		}
	}
	if _, code := Skip(b, i, 0); code != OK {
		return code
	}
	return WrongKind
}

// Skip checks the value at i and returns the position behind it. depth is the
// nesting around the value.
func Skip(b []byte, i, depth int) (int, Code) {
	switch c := at(b, i); c {
	case '"':
		return skipString(b, i)
	case '{', '[':
		if depth >= MaxDepth {
			return i, Depth
		}
		return skipGroup(b, i, depth, c == '{')
	case 't':
		if literal(b, i, "true") {
			return i + 4, OK
		}
	case 'f':
		if literal(b, i, "false") {
			return i + 5, OK
		}
	case 'n':
		if literal(b, i, "null") {
			return i + 4, OK
		}
	default:
		if c == '-' || c-'0' <= 9 {
			n := number{}
			end := n.scan(b, i)
			if end > i {
				return end, OK
			}
		}
	}
	return i, Syntax
}

func skipGroup(b []byte, i, depth int, object bool) (int, Code) {
	closing := byte(']')
	if object {
		closing = '}'
	}
	i = Space(b, i+1)
	if at(b, i) == closing {
		return i + 1, OK
	}
	var code Code
	for {
		if object {
			if i, code = skipString(b, i); code != OK {
				return i, code
			}
			if i = Space(b, i); at(b, i) != ':' {
				return i, Syntax
			}
			i = Space(b, i+1)
		}
		if i, code = Skip(b, i, depth+1); code != OK {
			return i, code
		}
		i = Space(b, i)
		switch at(b, i) {
		case ',':
			i = Space(b, i+1)
		case closing:
			return i + 1, OK
		default:
			return i, Syntax
		}
	}
}

package wire

// Members walks the object at i: member is called with each key and the position
// of its value, and returns the position behind the value. A code of member that
// is not OK ends the walk. WrongKind: there is no object at i.
func Members(b []byte, i int, member func(key string, i int) (int, Code)) (int, Code) {
	if at(b, i) != '{' {
		return notGroup(b, i)
	}
	if i = Space(b, i+1); at(b, i) == '}' {
		return i + 1, OK
	}
	for {
		if at(b, i) != '"' {
			return i, Syntax
		}
		key, next, code := String(b, i)
		if code != OK {
			return i, Syntax
		}
		if i = Space(b, next); at(b, i) != ':' {
			return i, Syntax
		}
		if i, code = member(key, Space(b, i+1)); code != OK {
			return i, code
		}
		i = Space(b, i)
		switch at(b, i) {
		case '}':
			return i + 1, OK
		case ',':
			i = Space(b, i+1)
		default:
			return i, Syntax
		}
	}
}

// Elements walks the array at i like [Members].
func Elements(b []byte, i int, element func(n, i int) (int, Code)) (int, Code) {
	if at(b, i) != '[' {
		return notGroup(b, i)
	}
	if i = Space(b, i+1); at(b, i) == ']' {
		return i + 1, OK
	}
	for n := 0; ; n++ {
		var code Code
		if i, code = element(n, i); code != OK {
			return i, code
		}
		i = Space(b, i)
		switch at(b, i) {
		case ']':
			return i + 1, OK
		case ',':
			i = Space(b, i+1)
		default:
			return i, Syntax
		}
	}
}

// notGroup tells a value of another kind from broken text; next is behind the value.
func notGroup(b []byte, i int) (int, Code) {
	next, code := Skip(b, i, 0)
	if code != OK {
		return next, code
	}
	return next, WrongKind
}

package wire

// Elem reads one element: [Float32], [Int], [String] and their like.
type Elem[T any] func(b []byte, i int) (T, int, Code)

// Array reads the array at i into dst, which must hold as many elements as
// shape says. The array is flat, or nested exactly as shape, row-major. bad is the
// flat index of the element that code is about; for TooFew, TooMany and Nesting
// it means nothing. missing, when not nil, takes the indexes of nulls that elem
// refuses; dst gets the zero value there.
func Array[T any](b []byte, i int, shape []int64, dst []T, elem Elem[T], missing *[]int) (next, bad int, code Code) {
	if at(b, i) != '[' {
		return i, 0, misfit(b, i)
	}
	f := fill[T]{b: b, dst: dst, elem: elem, missing: missing}
	if first := Space(b, i+1); at(b, first) == '[' && len(shape) > 1 {
		next, code = f.nested(i, shape)
	} else {
		next, code = f.run(i, len(dst))
	}
	return next, f.k, code
}

// fill is the state of one Array call: k elements of dst are read.
type fill[T any] struct {
	b       []byte
	dst     []T
	elem    Elem[T]
	missing *[]int
	k       int
}

// run reads an array of exactly n elements into dst[k:k+n].
func (f *fill[T]) run(i, n int) (int, Code) {
	b, k := f.b, f.k
	i = Space(b, i+1)
	if at(b, i) == ']' {
		if n != 0 {
			return i, TooFew
		}
		return i + 1, OK
	}
	floats, _ := any(f.dst).([]float32)
	misses := 0
	for end := k + n; k < end; k++ {
		if floats != nil {
			var read int
			if i, read = float32s(b, i, floats[k:end-1]); read == 0 {
				if misses++; misses > 16 && 2*misses > k {
					floats = nil // the next ones are likely to look otherwise, too
				}
			}
			k += read
		}
		v, next, code := f.elem(b, i)
		if code != OK {
			if code != Null || f.missing == nil {
				f.k = k
				return next, nesting(b, i, code)
			}
			*f.missing = append(*f.missing, k)
			next = i + len("null")
		}
		f.dst[k] = v
		if i = next; i >= len(b) || b[i] != ',' {
			if i = Space(b, i); at(b, i) != ',' {
				f.k = k + 1
				return f.closed(i, k+1 == end)
			}
		}
		if i++; i < len(b) && b[i] <= ' ' {
			i = Space(b, i)
		}
	}
	f.k = k
	return i, TooMany
}

// closed ends a run at i, where no comma is.
func (f *fill[T]) closed(i int, full bool) (int, Code) {
	if at(f.b, i) != ']' {
		return i, Syntax
	}
	if !full {
		return i, TooFew
	}
	return i + 1, OK
}

// nesting turns "not a number" into what it is when an array stands there.
func nesting(b []byte, i int, code Code) Code {
	if code == WrongKind && at(b, i) == '[' {
		return Nesting
	}
	return code
}

// nested reads an array of shape[0] arrays of shape[1:].
func (f *fill[T]) nested(i int, shape []int64) (int, Code) {
	if len(shape) == 1 {
		if at(f.b, i) != '[' {
			return i, Nesting
		}
		return f.run(i, int(shape[0]))
	}
	if at(f.b, i) != '[' {
		return i, Nesting
	}
	var code Code
	i = Space(f.b, i+1)
	if at(f.b, i) == ']' && shape[0] == 0 {
		return i + 1, OK
	}
	for n := int64(0); n < shape[0]; n++ {
		if i, code = f.nested(i, shape[1:]); code != OK {
			return i, code
		}
		if i = Space(f.b, i); at(f.b, i) != ',' {
			return f.closed(i, n+1 == shape[0])
		}
		i = Space(f.b, i+1)
	}
	return i, TooMany
}

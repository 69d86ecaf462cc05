package oip

// arena hands out slices of one growing buffer, so that a decoder that is used
// again does not allocate. Slices handed out stay valid when the buffer is
// replaced by a larger one; they end with the next reset.
type arena[T any] struct{ buf []T }

// keep bounds the elements that an arena holds between requests.
const keep = 1 << 20

func (a *arena[T]) reset() {
	if cap(a.buf) > keep {
		a.buf = nil
	}
	a.buf = a.buf[:0]
}

// take returns n elements of unspecified content.
func (a *arena[T]) take(n int) []T {
	if cap(a.buf)-len(a.buf) < n {
		a.buf = make([]T, 0, max(n, 2*cap(a.buf), 64))
	}
	from := len(a.buf)
	a.buf = a.buf[:from+n]
	return a.buf[from : from+n : from+n]
}

// arenas holds one arena per type of element.
type arenas struct {
	bools   arena[bool]
	u8s     arena[uint8]
	u16s    arena[uint16]
	u32s    arena[uint32]
	u64s    arena[uint64]
	i8s     arena[int8]
	i16s    arena[int16]
	i32s    arena[int32]
	i64s    arena[int64]
	f32s    arena[float32]
	f64s    arena[float64]
	strings arena[string]
	dims    arena[int64]
}

func (a *arenas) reset() {
	a.bools.reset()
	a.u8s.reset()
	a.u16s.reset()
	a.u32s.reset()
	a.u64s.reset()
	a.i8s.reset()
	a.i16s.reset()
	a.i32s.reset()
	a.i64s.reset()
	a.f32s.reset()
	a.f64s.reset()
	clear(a.strings.buf) // they point into the last body
	a.strings.reset()
	a.dims.reset()
}

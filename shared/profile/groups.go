package profile

import (
	"math"
	"math/bits"
	"slices"
	"sync"
)

const (
	// Values wait until there are half as many as groups, so that a pass over all groups costs each of them little.
	leastWaiting = 1 << 10
	mostWaiting  = 1 << 16
)

// groups holds runs of near values in ascending order. Values whose ordered form
// agrees in all but the lowest drop bits are one group. What most of the time of a
// baseline goes to are passes over memory in order, which a table by hash is not.
type groups struct {
	limit   int // of groups, when settled
	drop    uint
	sorted  []group
	waiting []weighted
}

// group is a run of near values. One value alone has lo = hi, however it is grouped.
type group struct {
	count  uint64
	lo, hi float64
}

// weighted is a value that count rows hold.
type weighted struct {
	value uint64 // in ordered form
	count uint64
}

// scratch is memory that settling needs for a moment, shared by all columns.
type scratch struct {
	waiting []weighted
	groups  []group // those of the waiting
	merged  []group
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// add counts a finite value, which must not be −0.
func (g *groups) add(x float64, n uint64) {
	g.waiting = append(g.waiting, weighted{ordered(x), n})
	if len(g.waiting) >= max(leastWaiting, min(len(g.sorted)/2, mostWaiting)) {
		g.settle()
	}
}

// settle counts the values that wait and leaves at most limit groups.
func (g *groups) settle() {
	if len(g.waiting) > 0 {
		tmp := scratches.Get().(*scratch)
		tmp.waiting = slices.Grow(tmp.waiting[:0], len(g.waiting))[:len(g.waiting)]
		radixSort(g.waiting, tmp.waiting, g.drop)
		tmp.groups = tmp.groups[:0]
		last := uint64(0)
		for i, w := range g.waiting {
			x := unordered(w.value)
			if k := w.value >> g.drop; i == 0 || k != last {
				tmp.groups, last = append(tmp.groups, group{w.count, x, x}), k
			} else {
				tmp.groups[len(tmp.groups)-1].add(group{w.count, x, x})
			}
		}
		g.waiting = g.waiting[:0]
		g.zip(tmp.groups, tmp)
		scratches.Put(tmp)
	}
	g.narrow()
}

// merge adds o, which it settles.
func (g *groups) merge(o *groups) {
	g.settle()
	o.settle()
	g.widen(max(g.drop, o.drop))
	tmp := scratches.Get().(*scratch)
	same := groups{drop: o.drop, sorted: slices.Clone(o.sorted)}
	same.widen(g.drop)
	g.zip(same.sorted, tmp)
	scratches.Put(tmp)
	g.narrow()
}

func (g *groups) key(one *group) uint64 { return ordered(one.lo) >> g.drop }

// zip puts other groups, in ascending order, among the groups.
func (g *groups) zip(other []group, tmp *scratch) {
	out := slices.Grow(tmp.merged[:0], len(g.sorted)+len(other))
	rest := g.sorted
	for i := range other {
		o := &other[i]
		key := g.key(o)
		before := 0
		for before < len(rest) && g.key(&rest[before]) < key {
			before++
		}
		out = append(out, rest[:before]...)
		rest = rest[before:]
		out = append(out, *o)
		if len(rest) > 0 && g.key(&rest[0]) == key {
			out[len(out)-1].add(rest[0])
			rest = rest[1:]
		}
	}
	out = append(out, rest...)
	if cap(out) <= 2*len(out) {
		g.sorted, tmp.merged = out, g.sorted
		return
	}
	g.sorted = append(g.sorted[:0], out...) // a short column would keep much memory
	tmp.merged = out
}

func (g *group) add(o group) {
	g.count += o.count
	g.lo, g.hi = min(g.lo, o.lo), max(g.hi, o.hi)
}

// narrow drops as few bits as leave at most limit groups.
func (g *groups) narrow() {
	if len(g.sorted) <= g.limit {
		return
	}
	var apart [65]int // neighbours by the number of bits whose dropping makes them one
	for i := 1; i < len(g.sorted); i++ {
		apart[bits.Len64(ordered(g.sorted[i-1].lo)^ordered(g.sorted[i].lo))]++
	}
	left, drop := len(g.sorted), uint(0)
	for ; left > g.limit; drop++ {
		left -= apart[drop]
	}
	g.widen(drop - 1)
}

// widen drops more bits.
func (g *groups) widen(drop uint) {
	if drop <= g.drop || len(g.sorted) == 0 {
		g.drop = max(g.drop, drop)
		return
	}
	g.drop = drop
	out := g.sorted[:1]
	for _, one := range g.sorted[1:] {
		if last := &out[len(out)-1]; ordered(last.lo)>>drop == ordered(one.lo)>>drop {
			last.add(one)
		} else {
			out = append(out, one)
		}
	}
	g.sorted = out
}

// ordered maps finite floats to integers in the same order.
func ordered(x float64) uint64 {
	b := math.Float64bits(x)
	if b>>63 != 0 {
		return ^b
	}
	return b | 1<<63
}

// unordered is the float of an ordered form.
func unordered(b uint64) float64 {
	if b>>63 != 0 {
		return math.Float64frombits(b &^ (1 << 63))
	}
	return math.Float64frombits(^b)
}

// radixSort sorts a by the values without their lowest drop bits or less, byte by
// byte from the lowest that counts. tmp is as long.
func radixSort(a, tmp []weighted, drop uint) {
	var counts [8][256]int32
	for _, w := range a {
		for d := range counts {
			counts[d][byte(w.value>>(8*d))]++
		}
	}
	from, to := a, tmp
	for d := int(drop / 8); d < len(counts); d++ {
		at, sum := &counts[d], int32(0)
		if at[byte(a[0].value>>(8*d))] == int32(len(a)) {
			continue // all values have this byte in common
		}
		for i, n := range at {
			at[i] = sum
			sum += n
		}
		for _, w := range from {
			p := &at[byte(w.value>>(8*d))]
			to[*p] = w
			*p++
		}
		from, to = to, from
	}
	if &from[0] != &a[0] {
		copy(a, from)
	}
}

package quality

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/tidegate/tidegate/shared/fault"
)

// magic begins a stored state: the format and its version.
const magic = "TGQS\x01"

// Encode is the stored form (docs/evaluation-quality.md): one text for one state.
func (s *State) Encode() []byte {
	out := append([]byte(magic), s.layout.digest[:]...)
	for _, f := range s.Counts.fields() {
		out = binary.AppendUvarint(out, *f)
	}
	for _, f := range s.lossSquares {
		out = f.encode(out)
	}
	out = binary.AppendUvarint(out, uint64(filled(s.hist, func(c cell) bool { return c.n > 0 })))
	last := -1
	for i, c := range s.hist {
		if c.n > 0 {
			out = binary.AppendUvarint(out, uint64(i-last))
			out = binary.AppendUvarint(out, c.n)
			out = c.sum.encode(out)
			last = i
		}
	}
	if s.keys == nil {
		return append(out, 0)
	}
	return s.blocks.encode(s.keys.encode(append(out, 1)))
}

func filled[T any](all []T, ok func(T) bool) int {
	n := 0
	for _, x := range all {
		if ok(x) {
			n++
		}
	}
	return n
}

func (f fixed) encode(out []byte) []byte {
	return binary.LittleEndian.AppendUint64(binary.AppendVarint(out, f.hi), f.lo)
}

func (gs groups) encode(out []byte) []byte {
	out = binary.AppendUvarint(out, uint64(filled(gs, func(g *group) bool { return g != nil })))
	last := -1
	for i, g := range gs {
		if g == nil {
			continue
		}
		out = binary.AppendUvarint(out, uint64(i-last))
		last = i
		out = g.encode(out)
	}
	return out
}

func (g *group) encode(out []byte) []byte {
	out = binary.AppendUvarint(out, g.rows)
	if g.numbers != nil {
		for i := range g.numbers {
			text, _ := g.numbers[i].MarshalText() // has no error
			out = append(binary.AppendUvarint(out, uint64(len(text))), text...)
		}
		return out
	}
	out = binary.AppendUvarint(out, g.scored)
	for _, f := range g.sums {
		out = f.encode(out)
	}
	n, last := 0, -1
	g.each(func(int, uint32) { n++ })
	out = binary.AppendUvarint(out, uint64(n))
	g.each(func(at int, n uint32) {
		out = binary.AppendUvarint(out, uint64(at-last))
		out = binary.AppendUvarint(out, uint64(n))
		last = at
	})
	return out
}

// DecodeState reads a stored state that was counted on l. Of another layout it is
// FailedPrecondition, damaged it is Internal.
func DecodeState(l *Layout, raw []byte) (*State, error) {
	rest, ok := bytes.CutPrefix(raw, []byte(magic))
	if !ok || len(rest) < len(l.digest) {
		return nil, fault.New(fault.Internal, "the stored counts are not of a format that this program reads")
	}
	if !bytes.Equal(rest[:len(l.digest)], l.digest[:]) {
		return nil, fault.New(fault.FailedPrecondition, "the stored counts are of another task, other classes or other score bins; count the rows again on the same reference")
	}
	r := &reader{rest: rest[len(l.digest):]}
	s := r.state(l)
	if r.err == nil {
		r.err = s.check()
	}
	if r.err == nil && !bytes.Equal(s.Encode(), raw) {
		r.err = fmt.Errorf("they are not in the one form of their value")
	}
	if r.err != nil {
		return nil, fault.Wrap(r.err, fault.Internal, "the stored counts are damaged: %v", r.err)
	}
	return s, nil
}

// check refuses counts that no rows can have given.
func (s *State) check() error {
	c := &s.Counts
	if c.Labelled > c.Predictions || c.Mature > c.Predictions || c.MatureLabel > min(c.Labelled, c.Mature) || c.Judged > c.MatureLabel {
		return fmt.Errorf("there are more labels than predictions")
	}
	if s.keys == nil {
		return nil
	}
	for _, gs := range []groups{s.keys, s.blocks} {
		var rows uint64
		for i, g := range gs {
			if g == nil {
				continue
			}
			rows += g.rows
			var cells uint64
			g.each(func(_ int, n uint32) { cells += uint64(n) })
			if g.rows == 0 || g.rows > c.Judged || g.scored > g.rows || g.numbers == nil && cells != g.rows {
				return fmt.Errorf("the counts of group %d do not add up", i)
			}
		}
		if rows != c.Judged {
			return fmt.Errorf("the groups hold %d rows and not %d", rows, c.Judged)
		}
	}
	return nil
}

// reader takes a stored state apart and remembers the first fault.
type reader struct {
	rest []byte
	err  error
}

func (r *reader) fail(what string) {
	if r.err == nil {
		r.err = fmt.Errorf("%s", what)
	}
}

func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.fail("they end too early")
		r.rest = nil
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// below is a number in [0, limit).
func (r *reader) below(limit int) int {
	v := r.uint()
	if v >= uint64(limit) {
		r.fail("a number is out of its range")
		return 0
	}
	return int(v)
}

// step is the next position after last in [0, limit).
func (r *reader) step(last, limit int) int {
	d := r.below(limit + 1)
	if d == 0 || last+d >= limit {
		r.fail("a position is out of its range")
		return 0
	}
	return last + d
}

func (r *reader) fixed() fixed {
	hi, n := binary.Varint(r.rest)
	if n <= 0 || len(r.rest) < n+8 {
		r.fail("they end too early")
		r.rest = nil
		return fixed{}
	}
	f := fixed{hi, binary.LittleEndian.Uint64(r.rest[n:])}
	r.rest = r.rest[n+8:]
	return f
}

func (r *reader) state(l *Layout) *State {
	s := NewState(l)
	for _, f := range s.Counts.fields() {
		*f = r.uint()
	}
	for i := range s.lossSquares {
		s.lossSquares[i] = r.fixed()
	}
	last := -1
	for n := r.below(len(s.hist) + 1); n > 0 && r.err == nil; n-- {
		if last = r.step(last, len(s.hist)); r.err == nil {
			s.hist[last] = cell{n: r.uint(), sum: r.fixed()}
		}
	}
	switch r.below(2) {
	case 1:
		r.groups(s.keys, l.groupWidth())
		r.groups(s.blocks, l.groupWidth())
	default:
		s.keys, s.blocks = nil, nil
	}
	if len(r.rest) > 0 {
		r.fail("something follows them")
	}
	return s
}

func (r *reader) groups(gs groups, width int) {
	last := -1
	for n := r.below(len(gs) + 1); n > 0 && r.err == nil; n-- {
		if last = r.step(last, len(gs)); r.err == nil {
			gs[last] = newGroup(width)
			r.group(gs[last], width)
		}
	}
}

func (r *reader) group(g *group, width int) {
	g.rows = r.uint()
	if g.numbers != nil {
		for i := range g.numbers {
			n := r.below(len(r.rest) + 1)
			if r.err != nil || n > len(r.rest) {
				r.fail("they end too early")
				return
			}
			if err := g.numbers[i].UnmarshalText(r.rest[:n]); err != nil {
				r.err = err
				return
			}
			r.rest = r.rest[n:]
		}
		return
	}
	g.scored = r.uint()
	for i := range g.sums {
		g.sums[i] = r.fixed()
	}
	last := -1
	for n := r.below(width + 1); n > 0 && r.err == nil; n-- {
		if last = r.step(last, width); r.err == nil {
			count := r.below(math.MaxUint32 + 1)
			g.count(last, uint32(count))
		}
	}
}

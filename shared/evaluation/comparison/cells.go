package comparison

import "slices"

// cells are sparse counts by a packed key: open addressing, half full at most. Few
// of the possible pairs of bins ever occur, and a map costs three times as much.
type cells struct {
	slots []cell
	shift uint // 64 − log₂ of the slots
	used  int
}

type cell struct {
	key   uint64 // of the count, and 1 more: 0 is a free slot
	count uint64
}

const leastCells = 1 << 6

func (c *cells) add(key, count uint64) {
	if 2*c.used >= len(c.slots) {
		c.grow()
	}
	key++
	mask := uint64(len(c.slots) - 1)
	// Fibonacci hashing: the high bits of the product depend on all of the key.
	for i := key * 0x9e3779b97f4a7c15 >> c.shift; ; i = (i + 1) & mask {
		s := &c.slots[i]
		switch s.key {
		case key:
			s.count += count
			return
		case 0:
			s.key, s.count = key, count
			c.used++
			return
		}
	}
}

func (c *cells) grow() {
	old := c.slots
	n := max(leastCells, 2*len(old))
	c.slots, c.used, c.shift = make([]cell, n), 0, 64
	for ; n > 1; n /= 2 {
		c.shift--
	}
	for _, s := range old {
		if s.key != 0 {
			c.add(s.key-1, s.count)
		}
	}
}

func (c *cells) merge(o *cells) {
	for _, s := range o.slots {
		if s.key != 0 {
			c.add(s.key-1, s.count)
		}
	}
}

// each visits the counts in no order: what is made of them must not depend on it.
func (c *cells) each(visit func(key, count uint64)) {
	for i := range c.slots {
		if k := c.slots[i].key; k != 0 {
			visit(k-1, c.slots[i].count)
		}
	}
}

// sorted are the counts by ascending key.
func (c *cells) sorted() []cell {
	out := make([]cell, 0, c.used)
	c.each(func(key, count uint64) { out = append(out, cell{key, count}) })
	slices.SortFunc(out, func(a, b cell) int {
		if a.key < b.key {
			return -1
		}
		return 1
	})
	return out
}

const binBits = 16 // score.Bins has about 3,000 bins at most

// jointKey is a segment, label, and bin of both sides.
func jointKey(segment, label, champion, challenger int) uint64 {
	return uint64(segment)<<(2*binBits+1) | uint64(label)<<(2*binBits) | uint64(champion)<<binBits | uint64(challenger)
}

func splitJoint(k uint64) (segment, label, champion, challenger int) {
	return int(k >> (2*binBits + 1)), int(k >> (2 * binBits) & 1), int(k >> binBits & (1<<binBits - 1)), int(k & (1<<binBits - 1))
}

// marginKey is a group's number, side, label and bin of that side.
func marginKey(group int, side Side, label, bin int) uint64 {
	return uint64(group)<<(binBits+2) | uint64(side)<<(binBits+1) | uint64(label)<<binBits | uint64(bin)
}

func splitMargin(k uint64) (group, side, label, bin int) {
	return int(k >> (binBits + 2)), int(k >> (binBits + 1) & 1), int(k >> binBits & 1), int(k & (1<<binBits - 1))
}

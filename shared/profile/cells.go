package profile

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/cespare/xxhash/v2"
)

const (
	// MaxNamed is the largest number of named cells of a categorical column: a named value holds at
	// least 1 % of the baseline's rows.
	MaxNamed = 100
	// leastNamed is the least number of baseline rows of a named value.
	leastNamed = 50
	// HashCells is the number of cells that the other seen values share.
	HashCells = 16
	// MaxName is the length at which names are cut, in bytes. Values are matched by the hash of their
	// whole text, so values that differ behind the cut stay apart.
	MaxName = 128
	// MaxDistinct is the number of distinct values above which a column is an identifier.
	MaxDistinct = 1_000_000
)

// seenBits keeps 48 bits of a hash: a new value is taken for one of a million
// seen ones with probability 4e-9.
const seenBits = 48

// Cells partitions strings into cells frozen at the baseline: the named values,
// then HashCells cells for the other seen values, then one for unseen values.
type Cells struct {
	Named []string // cut to MaxName bytes, by falling baseline count
	named map[uint64]int
	seen  map[uint64]struct{} // hashes of the seen values that are not named; see seenBits
}

// Len is the number of cells.
func (c *Cells) Len() int { return len(c.Named) + HashCells + 1 }

// Unseen is the index of the cell of values that the baseline does not hold.
func (c *Cells) Unseen() int { return len(c.Named) + HashCells }

// Index is the cell of value.
func (c *Cells) Index(value string) int { return c.index(hash(value)) }

// IndexBytes is Index without making a string.
func (c *Cells) IndexBytes(value []byte) int { return c.index(xxhash.Sum64(value) >> (64 - seenBits)) }

func (c *Cells) index(h uint64) int {
	if i, ok := c.named[h]; ok {
		return i
	}
	if _, ok := c.seen[h]; ok {
		return len(c.Named) + int(h%HashCells)
	}
	return c.Unseen()
}

func hash(value string) uint64 { return xxhash.Sum64String(value) >> (64 - seenBits) }

// Counter counts the distinct values of a categorical column at the baseline. Its
// memory is bounded: about 40 MB at MaxDistinct values, and names are kept only
// of values that could become named. Counters of parts of the rows merge to that of all.
type Counter struct {
	counts   map[uint64]uint64
	names    map[uint64]string
	rows     uint64
	overflow bool
}

// NewCounter returns an empty counter.
func NewCounter() *Counter {
	return &Counter{counts: map[uint64]uint64{}, names: map[uint64]string{}}
}

// Add counts value n times.
func (c *Counter) Add(value string, n uint64) {
	if n == 0 {
		return
	}
	c.rows += n
	h := hash(value)
	before, known := c.counts[h]
	if !known && len(c.counts) >= MaxDistinct {
		c.overflow = true
		return
	}
	c.counts[h] = before + n
	// A value that holds so much of all rows does when it is met for the last time, and in at least one of the counters
	// that are merged. Of r rows no more than 200·log₂(r) values ever do.
	if (before+n)*MaxNamed >= c.rows {
		if _, ok := c.names[h]; !ok {
			c.names[h] = strings.Clone(Cut(value)) // readers hand in views of their buffers
		}
	}
}

// Merge adds o.
func (c *Counter) Merge(o *Counter) {
	c.rows += o.rows
	c.overflow = c.overflow || o.overflow
	for h, n := range o.counts {
		if _, known := c.counts[h]; !known && len(c.counts) >= MaxDistinct {
			c.overflow = true
			continue
		}
		c.counts[h] += n
	}
	for h, name := range o.names {
		c.names[h] = name
	}
}

// Distinct is the number of distinct values, at most MaxDistinct.
func (c *Counter) Distinct() int { return len(c.counts) }

// Overflowed says whether there were more than MaxDistinct values: the column is an identifier.
func (c *Counter) Overflowed() bool { return c.overflow }

// Singles and Pairs are the numbers of values seen once and twice (N1, N2 of
// Good's estimate of the unseen mass).
func (c *Counter) Singles() (n1, n2 uint64) {
	for _, n := range c.counts {
		switch n {
		case 1:
			n1++
		case 2:
			n2++
		}
	}
	return n1, n2
}

// Freeze makes the cells and their baseline counts; distinct[i] is the number of
// distinct values in hash cell i.
func (c *Counter) Freeze() (cells Cells, counts []uint64, distinct [HashCells]int) {
	var named []uint64
	for h := range c.names {
		if n := c.counts[h]; n >= leastNamed && n*MaxNamed >= c.rows {
			named = append(named, h)
		}
	}
	slices.SortFunc(named, func(a, b uint64) int {
		return cmp.Or(cmp.Compare(c.counts[b], c.counts[a]), cmp.Compare(c.names[a], c.names[b]), cmp.Compare(a, b))
	})
	cells = Cells{named: map[uint64]int{}, seen: map[uint64]struct{}{}}
	for i, h := range named {
		cells.Named = append(cells.Named, c.names[h])
		cells.named[h] = i
	}
	counts = make([]uint64, cells.Len())
	for h, n := range c.counts {
		i := len(cells.Named) + int(h%HashCells)
		if at, ok := cells.named[h]; ok {
			i = at
		} else {
			cells.seen[h] = struct{}{}
			distinct[h%HashCells]++
		}
		counts[i] += n
	}
	return cells, counts, distinct
}

// storedCells is the JSON form: named values with their hashes, and the hashes of
// the other seen values as ascending 48-bit numbers, six bytes each, big-endian,
// in base64.
type storedCells struct {
	Named  []string `json:"named"`
	Hashes []byte   `json:"named_hashes"`
	Seen   []byte   `json:"seen_hashes"`
}

func (c *Cells) stored() storedCells {
	s := storedCells{Named: slices.Clone(c.Named)}
	byCell := make([]uint64, len(c.Named))
	for h, i := range c.named {
		byCell[i] = h
	}
	s.Hashes = appendHashes(nil, byCell)
	seen := make([]uint64, 0, len(c.seen))
	for h := range c.seen {
		seen = append(seen, h)
	}
	slices.Sort(seen)
	s.Seen = appendHashes(make([]byte, 0, len(seen)*seenBits/8), seen)
	return s
}

func (s storedCells) cells() (Cells, error) {
	c := Cells{Named: s.Named, named: make(map[uint64]int, len(s.Named))}
	hashes, err := readHashes(s.Hashes)
	if err != nil || len(hashes) != len(s.Named) || len(s.Named) > MaxNamed {
		return Cells{}, fmt.Errorf("profile: a categorical column has %d names and %d bytes of hashes", len(s.Named), len(s.Hashes))
	}
	for i, h := range hashes {
		c.named[h] = i
	}
	seen, err := readHashes(s.Seen)
	if err != nil || len(seen) > MaxDistinct {
		return Cells{}, fmt.Errorf("profile: the seen values of a categorical column are %d bytes, want six each and at most %d", len(s.Seen), MaxDistinct)
	}
	if len(c.named) != len(s.Named) {
		return Cells{}, fmt.Errorf("profile: a categorical column names a value twice")
	}
	c.seen = make(map[uint64]struct{}, len(seen))
	for _, h := range seen {
		c.seen[h] = struct{}{}
	}
	return c, nil
}

func appendHashes(out []byte, hashes []uint64) []byte {
	for _, h := range hashes {
		out = append(out, byte(h>>40), byte(h>>32), byte(h>>24), byte(h>>16), byte(h>>8), byte(h))
	}
	return out
}

func readHashes(raw []byte) ([]uint64, error) {
	const width = seenBits / 8
	if len(raw)%width != 0 {
		return nil, fmt.Errorf("profile: %d bytes of hashes are no multiple of %d", len(raw), width)
	}
	out := make([]uint64, 0, len(raw)/width)
	for i := 0; i < len(raw); i += width {
		b := raw[i : i+width]
		out = append(out, uint64(b[0])<<40|uint64(b[1])<<32|uint64(b[2])<<24|uint64(b[3])<<16|uint64(b[4])<<8|uint64(b[5]))
	}
	return out, nil
}

// Cut shortens a name to at most MaxName bytes at a character's border.
func Cut(name string) string {
	if len(name) <= MaxName {
		return name
	}
	end := MaxName
	for end > MaxName-utf8.UTFMax && !utf8.RuneStart(name[end]) {
		end--
	}
	return name[:end]
}

package outcome

import (
	"math"
	"math/bits"
	"unsafe"
)

// chunkBits is the size of a chunk of the store, as a power of two: growing copies nothing.
const chunkBits = 12

// held is one captured record of a part of an hour.
type held struct {
	id      Key    // of the request
	asked   uint64 // hash of the request id; 0 for none
	cluster uint64
	digest  uint64 // of the line, which decides between repeated records that differ
	at      int64  // milliseconds
	origin  uint32
	first   uint32
	rows    uint32 // in this record
	total   uint32
	latency uint32 // microseconds, cut at an hour
	offset  uint32 // of its first row in the store
	next    uint32 // place+1 of another record of this id; 0 for none
	unread  bool   // the record does not hold the outputs
	late    bool   // every copy of it came in a later hour
	differs bool   // copies of it differ
	grouped bool   // another record of its id is held
}

// Words of a row: its scores, then these, then two segments a word, then where the rows are keyed
// the hash of the key; 0 for none.
const (
	wordState = iota // predicted class in the lower half, flags above
	wordLabel
	wordAt    // when the label that counts became known
	wordSince // when the first label of the row did
	fixedWords
)

// Flags of a row.
const (
	flagLabelled = 1 << (32 + iota)
	flagConflict
	flagBadScore
)

// store holds the records and rows of a part of an hour, in chunks, and finds
// records by their id.
type store struct {
	scores, segments int // of a row
	keyed            bool
	width            int // words of a row

	records [][]held
	count   uint32
	rows    [][]uint64
	used    uint32 // rows

	heads     []uint32 // place+1 of the first record of an id, by open addressing
	ids       uint32   // used heads
	asked     []uint32 // the same by request id, made when a label asks by it; chains are in askedNext
	askedNext []uint32
}

func newStore(spec *Spec) *store {
	s := &store{scores: spec.width(), segments: len(spec.Segments), keyed: spec.Key != "", heads: make([]uint32, 1<<10)}
	s.width = s.scores + fixedWords + (s.segments+1)/2
	if s.keyed {
		s.width++
	}
	return s
}

// bytes is the memory that the store holds, up to a chunk.
func (s *store) bytes() int64 {
	const record = int64(unsafe.Sizeof(held{}))
	return int64(s.count)*record + int64(s.used)*int64(s.width)*8 + int64(len(s.heads)+len(s.asked)+len(s.askedNext))*4
}

func (s *store) record(i uint32) *held { return &s.records[i>>chunkBits][i&(1<<chunkBits-1)] }

// row is the words of a row, scores first.
func (s *store) row(i uint32) []uint64 {
	at := int(i&(1<<chunkBits-1)) * s.width
	return s.rows[i>>chunkBits][at : at+s.width]
}

// grow makes room for n more rows and returns the first; false when there are too many to number.
func (s *store) grow(n int) (first uint32, ok bool) {
	first = s.used
	if uint64(first)+uint64(n) > math.MaxUint32 {
		return 0, false
	}
	s.used += uint32(n)
	for uint64(len(s.rows))<<chunkBits < uint64(s.used) {
		s.rows = append(s.rows, make([]uint64, s.width<<chunkBits))
	}
	return first, true
}

// add appends a record behind those of its id.
func (s *store) add(r held) {
	place := s.count
	if place&(1<<chunkBits-1) == 0 {
		s.records = append(s.records, make([]held, 1<<chunkBits))
	}
	s.count++
	if int(s.ids)*4 > len(s.heads)*3 {
		s.rehash()
	}
	slot := s.slot(r.id)
	if head := s.heads[slot]; head == 0 {
		s.ids++
	} else {
		s.record(head - 1).grouped = true
	}
	r.next = s.heads[slot]
	*s.record(place) = r
	s.heads[slot] = place + 1
}

// slot is where the records of an id hang, or could.
func (s *store) slot(id Key) int {
	mask := len(s.heads) - 1
	i := int(id.Hash()>>8) & mask
	for s.heads[i] != 0 && s.record(s.heads[i]-1).id != id {
		i = (i + 1) & mask
	}
	return i
}

// find is the place+1 of the first record of an id.
func (s *store) find(id Key) uint32 { return s.heads[s.slot(id)] }

func (s *store) rehash() {
	old := s.heads
	s.heads = make([]uint32, 2*len(old))
	for _, head := range old {
		if head != 0 {
			s.heads[s.slot(s.record(head-1).id)] = head
		}
	}
}

// askedFor is the place+1 of the first record whose request id has the hash; more follow in askedNext.
func (s *store) askedFor(hash uint64) uint32 {
	if s.asked == nil {
		s.asked = make([]uint32, 1<<bits.Len32(s.count+s.count/2|1<<10))
		s.askedNext = make([]uint32, s.count)
		for i := range s.count {
			if h := s.record(i).asked; h != 0 {
				slot := s.askedSlot(h)
				s.askedNext[i], s.asked[slot] = s.asked[slot], i+1
			}
		}
	}
	return s.asked[s.askedSlot(hash)]
}

func (s *store) askedSlot(hash uint64) int {
	mask := len(s.asked) - 1
	i := int(hash>>8) & mask
	for s.asked[i] != 0 && s.record(s.asked[i]-1).asked != hash {
		i = (i + 1) & mask
	}
	return i
}

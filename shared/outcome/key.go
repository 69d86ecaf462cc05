package outcome

import (
	"encoding/binary"
	"math/bits"
	"strconv"

	"github.com/cespare/xxhash/v2"
)

// Key stands for an id in 128 bits. Of a UUID and of a whole number it is exact; of
// any other text it is a hash: of ten million ids two have the same one with
// probability 1e-25. Equal ids have equal keys wherever they come from: "17" in a
// CSV file is the number 17 of a Parquet file, a UUID in text is one of 16 bytes.
type Key struct{ Hi, Lo uint64 }

// numberTag marks the key of a whole number: as a UUID it would have the variant
// bits 111, which are reserved.
const numberTag = 0xffff_ffff_ffff_0000

// KeyOfNumber is the key of a whole number.
func KeyOfNumber(v int64) Key { return Key{numberTag, uint64(v)} }

// KeyOfBytes is the key of a UUID in its 16 bytes.
func KeyOfBytes(b *[16]byte) Key {
	return Key{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

// KeyOf is the key of an id.
func KeyOf(id string) Key {
	if len(id) == 36 {
		if k, ok := uuidKey(id); ok {
			return k
		}
	}
	if len(id) <= 20 && id != "" && (id[0] == '-' || id[0]-'0' <= 9) {
		if v, err := strconv.ParseInt(id, 10, 64); err == nil && plainNumber(id) {
			return KeyOfNumber(v)
		}
	}
	return Key{xxhash.Sum64String(id), second(id)}
}

// plainNumber says whether a text that is a number is the one form of it: ids "07" and "7" are two.
func plainNumber(id string) bool {
	if id[0] == '-' {
		id = id[1:]
		return id[0] != '0'
	}
	return id[0] != '0' || len(id) == 1
}

// RowKey is the key of row i of a request of several rows, whose own key is k.
func (k Key) RowKey(i int) Key { return Key{k.Hi, k.Lo ^ (uint64(i)+1)*0x9e3779b97f4a7c15} }

// Hash spreads the key over 64 bits: in ids of UUIDv7 the high bits are the time.
func (k Key) Hash() uint64 {
	h := (k.Lo ^ bits.RotateLeft64(k.Hi, 29)*0xbf58476d1ce4e5b9) * 0x94d049bb133111eb
	return h ^ h>>32
}

// uuidKey reads a UUID in its text of 36 bytes, in either case.
func uuidKey(id string) (k Key, ok bool) {
	if len(id) != 36 || id[8] != '-' || id[13] != '-' || id[18] != '-' || id[23] != '-' {
		return Key{}, false
	}
	a, okA := hexWord(word(id))
	b, okB := hexWord(half(id[9:]) | half(id[14:])<<32)
	c, okC := hexWord(half(id[19:]) | half(id[24:])<<32)
	d, okD := hexWord(word(id[28:]))
	return Key{a<<32 | b, c<<32 | d}, okA && okB && okC && okD
}

// Each byte of a word has one of these.
const (
	bytesOf01 = 0x0101010101010101
	bytesOf0f = 0x0f * bytesOf01
	bytesOf20 = 0x20 * bytesOf01
	bytesOf80 = 0x80 * bytesOf01
)

// hexWord is the value of eight hex digits, the first in the lowest byte: all at once, since ids are half of the
// work of a join by UUIDs.
func hexWord(v uint64) (uint64, bool) {
	d := v&bytesOf0f + v>>6&bytesOf01*9              // letters have bit 6
	letters := (d + 0x76*bytesOf01) & bytesOf80 >> 7 // of the values above 9
	again := d + 0x30*bytesOf01 + letters*0x27       // the digits, in lower case, that have these values
	ok := again == v|bytesOf20 && (v|v>>1)&bytesOf20 == bytesOf20 && d&^bytesOf0f == 0
	d = bits.ReverseBytes64(d)
	d = (d | d>>4) & 0x00ff00ff00ff00ff
	d = (d | d>>8) & 0x0000ffff0000ffff
	return (d | d>>16) & 0xffffffff, ok
}

// second is a hash of 64 bits beside xxHash: words multiplied into one another and
// folded, as wyhash does (Wang Yi, 2019).
func second(s string) uint64 {
	h := uint64(len(s)) ^ 0xa0761d6478bd642f
	for len(s) > 8 {
		h = fold(h^word(s), 0xe7037ed1a0b428db)
		s = s[8:]
	}
	var last uint64
	for i := range len(s) {
		last |= uint64(s[i]) << (8 * i)
	}
	return fold(h^last, 0x8ebc6af09c88c6e3)
}

func word(s string) uint64 {
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 | uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

func half(s string) uint64 {
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24
}

func fold(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

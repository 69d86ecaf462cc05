package ingestion

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"io"
	"os"
	"slices"
	"unsafe"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/label"
)

// sorter sorts more labels than fit into memory: an arena of them at a time is
// sorted and written to a file as a run, and runs are merged as they are read.
//
// The order is place, inference ids before request ids, id, and of one id the label
// that counts first (label.Newer): what follows of that id is a duplicate.
type sorter struct {
	dir   string
	count uint64

	arena   []byte  // ts, id and value of each entry
	entries []entry // of the arena

	file *os.File // all runs, one behind the other; it has no name, so nothing is left behind
	out  *bufio.Writer
	size int64
	runs []int64 // ends of the runs in file
}

// entry is a label in the arena.
type entry struct {
	head  uint64 // place, and whether it is a request id
	at    uint32
	id    uint16 // length
	value uint16 // length
}

const tsSize = 8

func newSorter(dir string, arena int) *sorter {
	return &sorter{dir: dir, arena: make([]byte, 0, arena)}
}

func (s *sorter) close() {
	if s.file != nil {
		_ = s.file.Close()
	}
}

// add takes one label. id and value are copied.
func (s *sorter) add(place uint64, request bool, id string, ts int64, value []byte) error {
	if len(s.arena)+tsSize+len(id)+len(value) > cap(s.arena) {
		if err := s.spill(); err != nil {
			return err
		}
	}
	e := entry{head: place << 1, at: uint32(len(s.arena)), id: uint16(len(id)), value: uint16(len(value))}
	if request {
		e.head |= 1
	}
	s.arena = binary.LittleEndian.AppendUint64(s.arena, uint64(ts))
	s.arena = append(append(s.arena, id...), value...)
	s.entries = append(s.entries, e)
	s.count++
	return nil
}

// item is a label on its way out. Its bytes are valid until the next one is read.
type item struct {
	head  uint64
	ts    int64
	id    []byte
	value []byte
}

func (s *sorter) item(e *entry) item {
	b := s.arena[e.at:]
	mid := tsSize + int(e.id)
	return item{head: e.head, ts: int64(binary.LittleEndian.Uint64(b)), id: b[tsSize:mid], value: b[mid : mid+int(e.value)]}
}

// compare is the order of labels.
func compare(a, b *item) int {
	if c := cmp.Or(cmp.Compare(a.head, b.head), bytes.Compare(a.id, b.id), cmp.Compare(b.ts, a.ts)); c != 0 {
		return c
	}
	if bytes.Equal(a.value, b.value) {
		return 0
	}
	return label.Compare(label.ValueOf(b.value), label.ValueOf(a.value))
}

func (s *sorter) sort() {
	slices.SortFunc(s.entries, func(x, y entry) int {
		if c := cmp.Compare(x.head, y.head); c != 0 {
			return c
		}
		a, b := s.item(&x), s.item(&y)
		return compare(&a, &b)
	})
}

// spill sorts what is in memory and writes it as a run.
func (s *sorter) spill() error {
	if s.file == nil {
		f, err := nameless(s.dir)
		if err != nil {
			return err
		}
		s.file, s.out = f, bufio.NewWriterSize(f, 1<<20)
	}
	s.sort()
	for i := range s.entries {
		e := &s.entries[i]
		n := tsSize + int(e.id) + int(e.value)
		var head [headSize]byte
		binary.LittleEndian.PutUint64(head[:], e.head)
		binary.LittleEndian.PutUint16(head[8:], e.id)
		binary.LittleEndian.PutUint16(head[10:], e.value)
		_, err := s.out.Write(head[:])
		if err == nil {
			_, err = s.out.Write(s.arena[e.at : int(e.at)+n])
		}
		if err != nil {
			return onDisk(err)
		}
		s.size += int64(headSize + n)
	}
	if err := s.out.Flush(); err != nil {
		return onDisk(err)
	}
	s.runs = append(s.runs, s.size)
	s.arena, s.entries = s.arena[:0], s.entries[:0]
	return nil
}

const headSize = 12

// nameless makes a file that vanishes when it is closed, also when the process is killed.
func nameless(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, "ingest-")
	if err == nil {
		err = os.Remove(f.Name())
	}
	return f, onDisk(err)
}

func onDisk(err error) error {
	return fault.Wrap(err, fault.Internal, "labels cannot be sorted on disk; is there room for five times the source?")
}

// run is a source of labels in order: a part of the file, or the memory.
type run struct {
	item
	r       *bufio.Reader
	buf     []byte
	memory  *sorter
	entries []entry
}

// next reads the next label; ok is false at the end.
func (r *run) next() (ok bool, err error) {
	if r.memory != nil {
		if len(r.entries) == 0 {
			return false, nil
		}
		r.item, r.entries = r.memory.item(&r.entries[0]), r.entries[1:]
		return true, nil
	}
	var head [headSize]byte
	if _, err := io.ReadFull(r.r, head[:]); err != nil {
		if err == io.EOF {
			return false, nil
		}
		return false, onDisk(err)
	}
	id, value := int(binary.LittleEndian.Uint16(head[8:])), int(binary.LittleEndian.Uint16(head[10:]))
	r.buf = slices.Grow(r.buf[:0], tsSize+id+value)[:tsSize+id+value]
	if _, err := io.ReadFull(r.r, r.buf); err != nil {
		return false, onDisk(err)
	}
	r.item = item{head: binary.LittleEndian.Uint64(head[:]), ts: int64(binary.LittleEndian.Uint64(r.buf)), id: r.buf[tsSize : tsSize+id], value: r.buf[tsSize+id:]}
	return true, nil
}

// text shares memory with b.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

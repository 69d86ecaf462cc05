package dataset

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"math"
	"os"
	"slices"
	"syscall"

	"github.com/tidegate/tidegate/shared/fault"
)

// spool takes rows in any order and becomes a CSV file in time order. In memory
// there are 24 bytes a row; the rows are in a temporary file.
type spool struct {
	dir    string
	file   *os.File
	out    *bufio.Writer
	hash   hash.Hash
	row    bytes.Buffer
	csv    *csv.Writer
	index  []place
	header int64
	size   int64
	sorted bool
}

// place is where a row lies in the file, and where in time it belongs.
type place struct {
	at     float64
	offset int64
	length int32
}

func newSpool(dir string, header []string) (*spool, error) {
	f, err := os.CreateTemp(dir, "dataset-*.csv")
	if err != nil {
		return nil, noSpace(err)
	}
	s := &spool{dir: dir, file: f, out: bufio.NewWriterSize(f, 1<<20), hash: sha256.New(), sorted: true}
	s.csv = csv.NewWriter(&s.row)
	if _, err := s.write(header); err != nil {
		s.close()
		return nil, err
	}
	s.header = s.size
	return s, nil
}

func (s *spool) close() {
	_ = s.file.Close()
	_ = os.Remove(s.file.Name()) // the environment's /tmp outlives the call; a failure costs space only
}

// add appends a row that belongs to a moment.
func (s *spool) add(at float64, row []string) error {
	offset := s.size
	n, err := s.write(row)
	if err != nil {
		return err
	}
	if k := len(s.index); k > 0 && at < s.index[k-1].at {
		s.sorted = false
	}
	s.index = append(s.index, place{at, offset, n})
	return nil
}

func (s *spool) write(row []string) (int32, error) {
	s.row.Reset()
	if err := s.csv.Write(row); err != nil {
		return 0, fault.Wrap(err, fault.Internal, "a row cannot be written as CSV")
	}
	if s.csv.Flush(); s.row.Len() > math.MaxInt32 {
		return 0, fault.New(fault.PayloadTooLarge, "a row has more than two gigabytes")
	}
	s.hash.Write(s.row.Bytes())
	if _, err := s.out.Write(s.row.Bytes()); err != nil {
		return 0, noSpace(err)
	}
	s.size += int64(s.row.Len())
	return int32(s.row.Len()), nil
}

// finish returns the file in time order, read from its start, and its digest. Rows of
// one moment stay in the order in which they came. The file is the spool's.
func (s *spool) finish() (*os.File, string, error) {
	if err := s.out.Flush(); err != nil {
		return nil, "", noSpace(err)
	}
	if !s.sorted {
		if err := s.reorder(); err != nil {
			return nil, "", err
		}
	}
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return nil, "", noSpace(err)
	}
	return s.file, "sha256:" + hex.EncodeToString(s.hash.Sum(nil)), nil
}

func (s *spool) reorder() error {
	slices.SortStableFunc(s.index, func(a, b place) int { return cmp.Compare(a.at, b.at) })
	f, err := os.CreateTemp(s.dir, "dataset-*.csv")
	if err != nil {
		return noSpace(err)
	}
	old := s.file
	defer func() {
		_ = old.Close()
		_ = os.Remove(old.Name())
	}()
	s.file, s.hash = f, sha256.New()
	s.out.Reset(f)
	both := io.MultiWriter(s.out, s.hash)
	if _, err := io.Copy(both, io.NewSectionReader(old, 0, s.header)); err != nil {
		return noSpace(err)
	}
	var row []byte
	for i := 0; i < len(s.index); {
		// Rows that follow each other in both orders are read at once: files of a month each are a few runs.
		from, length := s.index[i].offset, int64(0)
		for ; i < len(s.index) && s.index[i].offset == from+length && length < 1<<20; i++ {
			length += int64(s.index[i].length)
		}
		row = slices.Grow(row[:0], int(length))[:length]
		if _, err := old.ReadAt(row, from); err != nil {
			return noSpace(err)
		}
		if _, err := both.Write(row); err != nil {
			return noSpace(err)
		}
	}
	if err := s.out.Flush(); err != nil {
		return noSpace(err)
	}
	return nil
}

// noSpace is the error of the temporary storage.
func noSpace(err error) error {
	if errors.Is(err, syscall.ENOSPC) {
		return fault.Wrap(err, fault.PayloadTooLarge, "the training data does not fit the function's temporary storage, which takes the rows twice and one source; give it more (SnapshotStorage), or take fewer rows or columns")
	}
	return fault.Wrap(err, fault.Internal, "the temporary storage cannot be used")
}

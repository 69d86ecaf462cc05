package archive

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
)

// maxWindow bounds the memory that a compressed archive can ask for; Write needs 8 MiB.
const maxWindow = 64 << 20

// Archive is an archive of which every byte was checked.
type Archive struct {
	Index    Index
	Manifest registry.Manifest

	tar io.ReaderAt
	at  map[string]int64 // offsets of contents
}

// Source is a file, or what stands for one.
type Source interface {
	io.Reader
	io.ReaderAt
}

// Scratch is an empty temporary file: a compressed archive is unpacked into it.
type Scratch interface {
	io.Writer
	io.ReaderAt
}

// Read checks an archive from its first byte to its last: sizes, digests, and that
// nothing is in it but what its index and its manifest say. Errors: InvalidArgument, with the
// entry that is at fault; Unimplemented for a newer format; Unavailable when a file cannot be read or written.
func Read(from Source, scratch Scratch) (*Archive, error) {
	var magic [4]byte
	if n, err := from.ReadAt(magic[:], 0); err != nil && n < len(magic) && !errors.Is(err, io.EOF) {
		return nil, fault.Wrap(err, fault.Unavailable, "the archive cannot be read")
	}
	if !bytes.Equal(magic[:], []byte{0x28, 0xb5, 0x2f, 0xfd}) { // RFC 8878 3.1.1
		return scan(from, from)
	}
	z, err := zstd.NewReader(from, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, fault.Wrap(err, fault.InvalidArgument, "the archive cannot be unpacked; copy it again")
	}
	defer z.Close()
	copied := &spool{to: scratch}
	a, err := scan(io.TeeReader(z, copied), scratch)
	if copied.err != nil {
		return nil, fault.Wrap(copied.err, fault.Unavailable, "the archive cannot be unpacked; is the folder for temporary files (TMPDIR) full?")
	}
	return a, err
}

// spool remembers a failure to write, which is not the archive's.
type spool struct {
	to  io.Writer
	err error
}

func (s *spool) Write(p []byte) (n int, err error) {
	n, s.err = s.to.Write(p)
	return n, s.err
}

// Open reads a file of the archive.
func (a *Archive) Open(f File) io.ReadSeeker { return io.NewSectionReader(a.tar, a.at[f.Path], f.Size) }

// scan reads a tar in order; at is where its bytes can be read again.
func scan(r io.Reader, at io.ReaderAt) (*Archive, error) {
	s := &scanner{r: r}
	a := &Archive{tar: at, at: map[string]int64{}}
	encoded, err := s.index()
	if err != nil {
		return nil, err
	}
	if err := a.Index.parse(encoded); err != nil {
		return nil, err
	}
	for i, f := range a.Index.Files {
		if err := s.header(f.Path, f.Size); err != nil {
			return nil, err
		}
		a.at[f.Path] = s.n
		var body bytes.Buffer
		if err := s.content(f, i == 0, &body); err != nil {
			return nil, err
		}
		if i > 0 {
			continue
		}
		if a.Manifest, err = registry.ReadManifest(body.Bytes()); err != nil {
			return nil, err
		}
		if err := a.Index.agrees(&a.Manifest); err != nil {
			return nil, err
		}
	}
	return a, s.end()
}

// parse reads an index and checks that a version could have it.
func (x *Index) parse(encoded []byte) error {
	bad := func(format string, args ...any) error {
		return fault.New(fault.InvalidArgument, "%s of the archive %s", indexName, fmt.Sprintf(format, args...))
	}
	if err := json.Unmarshal(encoded, x); err != nil || x.Kind != Kind {
		return bad("does not describe a version; is it an archive of tidegate version export?")
	}
	if x.V > Version {
		return fault.New(fault.Unimplemented, "the archive has format %d, this program reads up to %d; use the newer release", x.V, Version)
	}
	switch {
	case registry.CheckName(x.Model.Name) != nil || !x.Model.Task.Valid():
		return bad("names no model, or a task that does not exist")
	case len(x.Files) == 0 || x.Files[0].Path != manifestName || x.Files[0].Size > maxManifest:
		return bad("does not begin with a %s of at most %d bytes", manifestName, maxManifest)
	}
	total := int64(0)
	for i, f := range x.Files {
		switch total += f.Size; {
		case i > 0 && !strings.HasPrefix(f.Path, filesFolder):
			return bad("lists %q, which is not under %s", f.Path, filesFolder)
		case i > 1 && f.Path <= x.Files[i-1].Path:
			return bad("lists %q twice or out of order", f.Path)
		case f.Size < 0 || f.Size > MaxFile:
			return bad("gives %q %d bytes; a file has 0 to %d", f.Path, f.Size, int64(MaxFile))
		case total > maxTotal:
			return bad("lists more than %d bytes", int64(maxTotal))
		case registry.CheckDigest(f.SHA256) != nil || strings.Contains(f.SHA256, ":"):
			return bad("gives %q no sha256", f.Path)
		}
	}
	return nil
}

// agrees compares the index with the manifest, whose paths are those of a version.
func (x *Index) agrees(m *registry.Manifest) error {
	want := ordered(m)
	same := slices.EqualFunc(x.Files[1:], want, func(f File, of registry.File) bool {
		return f.Name() == of.Path && f.Size == of.Size && f.SHA256 == registry.Hex(of.SHA256)
	})
	if !same || x.Model.Name != m.Model || x.Version != m.Version || x.Digest != m.Digest {
		return fault.New(fault.InvalidArgument, "%s and %s of the archive describe different versions", indexName, manifestName)
	}
	return nil
}

// scanner reads a tar of which it knows, at any time, what must come next.
type scanner struct {
	r io.Reader
	n int64
}

func (s *scanner) read(p []byte, entry string) error {
	n, err := io.ReadFull(s.r, p)
	s.n += int64(n)
	return broken(err, entry)
}

// broken says in which entry an archive ends, or stops making sense.
func broken(err error, entry string) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fault.Wrap(err, fault.InvalidArgument, "the archive ends in %s; copy it again", entry)
	}
	return fault.Wrap(err, fault.InvalidArgument, "the archive cannot be read in %s; copy it again", entry)
}

// index reads the first entry, the only one whose size is not known.
func (s *scanner) index() ([]byte, error) {
	var head [block]byte
	if err := s.read(head[:], indexName); err != nil {
		return nil, err
	}
	size, err := strconv.ParseInt(strings.Trim(string(head[124:136]), " \x00"), 8, 64) // POSIX 1003.1 ustar: size
	want, herr := header(indexName, size)
	if err != nil || herr != nil || size > maxIndex || !bytes.Equal(head[:], want) {
		return nil, fault.New(fault.InvalidArgument, "the file does not begin with the %s of an archive of tidegate version export", indexName)
	}
	encoded := make([]byte, size)
	if err := s.read(encoded, indexName); err != nil {
		return nil, err
	}
	if err := s.padding(indexName); err != nil {
		return nil, err
	}
	want = sum(encoded)
	if err := s.header(sumName, int64(len(want))); err != nil {
		return nil, err
	}
	said := make([]byte, len(want))
	if err := s.read(said, sumName); err != nil {
		return nil, err
	}
	if !bytes.Equal(said, want) {
		return nil, fault.New(fault.InvalidArgument, "%s in the archive does not have the digest in %s; copy the archive again", indexName, sumName)
	}
	return encoded, s.padding(sumName)
}

func (s *scanner) header(name string, size int64) error {
	want, err := header(name, size)
	if err != nil {
		return fault.Wrap(err, fault.InvalidArgument, "%s cannot be in an archive", name)
	}
	var head [block]byte
	if err := s.read(head[:], name); err != nil {
		return err
	}
	if !bytes.Equal(head[:], want) {
		return fault.New(fault.InvalidArgument, "the archive has something else where its index says %s; copy it again, and do not pack it yourself", name)
	}
	return nil
}

// content reads an entry, into keep if it is to be kept, and checks its digest.
func (s *scanner) content(f File, kept bool, keep io.Writer) error {
	if !kept {
		keep = io.Discard
	}
	h := sha256.New()
	n, err := io.CopyN(io.MultiWriter(h, keep), s.r, f.Size)
	s.n += n
	if err != nil {
		return broken(err, f.Path)
	}
	if hex.EncodeToString(h.Sum(nil)) != f.SHA256 {
		return fault.New(fault.InvalidArgument, "%s in the archive does not have its digest; copy the archive again", f.Path)
	}
	return s.padding(f.Path)
}

func (s *scanner) padding(name string) error {
	return s.zeros(padded(s.n)-s.n, name)
}

func (s *scanner) zeros(n int64, entry string) error {
	rest := make([]byte, n)
	if err := s.read(rest, entry); err != nil {
		return err
	}
	if !bytes.Equal(rest, make([]byte, n)) {
		return fault.New(fault.InvalidArgument, "the archive has bytes after %s that belong to nothing; copy it again", entry)
	}
	return nil
}

// end reads the two blocks of zeros that end a tar, after which nothing may come.
func (s *scanner) end() error {
	const end = "its end"
	if err := s.zeros(2*block, end); err != nil {
		return err
	}
	var more [1]byte
	switch n, err := io.ReadFull(s.r, more[:]); {
	case n > 0:
		return fault.New(fault.InvalidArgument, "the archive goes on after its end; copy it again")
	case !errors.Is(err, io.EOF):
		return broken(err, end)
	}
	return nil
}

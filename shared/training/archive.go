package training

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"path"
	"strings"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/validate"
)

// Bounds of an archive: what is above is no model of ours, or one made to fill a disk.
const (
	maxEntries  = 1000
	maxUnpacked = 8 << 30
)

// files of an archive that are taken: those at its top.
var filePattern = validate.NewPattern(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$`)

// unpack puts the files of a job's model.tar.gz where a Lambda would have left them,
// run.json last. Folders, links and files below folders are passed over.
func (p *Planner) unpack(ctx context.Context, j job, artifact string) error {
	key, ok := strings.CutPrefix(artifact, p.uri(j.out()+"/"))
	if !ok || strings.Contains(key, "..") {
		return fault.Invalid(fault.Violation{Path: "artifact", Problem: "must be the archive of a job of this run, under " + p.uri(j.out()+"/")})
	}
	body, _, err := p.Uploads.Open(ctx, j.out()+"/"+key, 0, -1)
	if fault.Is(err, fault.NotFound) {
		return fault.Wrap(err, fault.FailedPrecondition, "the archive %s is not there (any more); train again", artifact)
	}
	if err != nil {
		return err
	}
	defer body.Close()
	from := &watched{r: body}
	err = p.each(from, func(name string, f *os.File, size int64) error {
		_, err := p.Uploads.PutStream(ctx, j.trained()+name, f, size, blob.Always())
		return err
	})
	if from.err != nil {
		return fault.Wrap(from.err, fault.Unavailable, "the archive %s could not be read to its end; try again", artifact)
	}
	var broken *archiveError
	if errors.As(err, &broken) {
		return fault.Wrap(broken, fault.FailedPrecondition, "the archive %s %s", artifact, broken.problem)
	}
	return err
}

// archiveError is a fault of the archive itself.
type archiveError struct {
	problem string
	cause   error
}

func (e *archiveError) Error() string { return e.problem }
func (e *archiveError) Unwrap() error { return e.cause }

// each hands out the files at the top of a tar.gz one after the other, run.json last.
func (p *Planner) each(r io.Reader, take func(name string, f *os.File, size int64) error) error {
	plain, err := gzip.NewReader(r)
	if err != nil {
		return &archiveError{"is not a gzip file", err}
	}
	entries, left := tar.NewReader(plain), int64(maxUnpacked)
	var last *os.File
	var lastSize int64
	defer func() {
		if last != nil {
			discard(last)
		}
	}()
	for n := 0; ; n++ {
		head, err := entries.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return &archiveError{"is damaged, or no tar.gz file", err}
		}
		name := path.Clean(head.Name)
		if left -= head.Size; n >= maxEntries || left < 0 {
			return &archiveError{"holds more than 1,000 files or 8 GiB", nil}
		}
		if head.Typeflag != tar.TypeReg || !filePattern.MatchString(name) || name == RecordFile {
			continue
		}
		f, err := p.entry(entries, head.Size)
		if err != nil {
			return err
		}
		if name == runFile && last == nil {
			last, lastSize = f, head.Size
			continue
		}
		err = take(name, f, head.Size)
		discard(f)
		if err != nil {
			return err
		}
	}
	if last == nil {
		return nil
	}
	return take(runFile, last, lastSize)
}

// entry copies a file of an archive to a temporary one.
func (p *Planner) entry(r io.Reader, size int64) (*os.File, error) {
	f, err := os.CreateTemp(p.Dir, "training-*")
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the temporary storage cannot be used")
	}
	from := &watched{r: r}
	n, err := io.Copy(f, from)
	if err == nil && n != size {
		err, from.err = io.ErrUnexpectedEOF, io.ErrUnexpectedEOF
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err == nil {
		return f, nil
	}
	discard(f)
	if from.err != nil {
		return nil, &archiveError{"is cut off, or damaged", from.err}
	}
	return nil, fault.Wrap(err, fault.PayloadTooLarge, "a file of the archive does not fit the function's temporary storage; give it more (SnapshotStorage)")
}

// watched remembers the error of a reader, to tell it from one of what is read.
type watched struct {
	r   io.Reader
	err error
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		w.err = err
	}
	return n, err
}

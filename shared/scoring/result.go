package scoring

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash"
	"io"
	"os"
	"syscall"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/rows"
	"github.com/tidegate/tidegate/shared/tensor"
)

// Version is the format of predictions that is written (docs/formats/score.md).
const Version = 1

// maxLine is about how long a line of predictions gets; a single row may be longer.
const maxLine = 1 << 20

// result gathers predictions in a file. They are read row by row from a table that
// may be larger than the memory, and S3 wants to know the size of an object first.
type result struct {
	file *os.File
	out  *bufio.Writer
	sum  hash.Hash
	size int64
	most int64
	rows int64
	line []byte
}

func newResult(dir string, most int64) (*result, error) {
	f, err := os.CreateTemp(dir, "predictions-*")
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "no file for the predictions can be made")
	}
	_ = os.Remove(f.Name()) // it stays until it is closed, and not longer than the process
	return &result{file: f, out: bufio.NewWriterSize(f, 256<<10), sum: sha256.New(), most: most}, nil
}

func (r *result) close() { _ = r.file.Close() }

// write appends whole lines.
func (r *result) write(b []byte) error {
	if r.size += int64(len(b)); r.size > r.most {
		return fault.New(fault.PayloadTooLarge, "the predictions have more than %d bytes after %d rows; make items of fewer rows, or keep fewer columns", r.most, r.rows)
	}
	_, err := r.out.Write(b)
	return r.full(err)
}

// full gives an error of the file its kind.
func (r *result) full(err error) error {
	if errors.Is(err, syscall.ENOSPC) {
		return fault.Wrap(err, fault.PayloadTooLarge, "the function's temporary storage is full after %d rows; make items of fewer rows, or give it more storage", r.rows)
	}
	return fault.Wrap(err, fault.Internal, "the predictions cannot be gathered")
}

func (r *result) begin(h head) error {
	line, err := json.Marshal(h)
	if err != nil {
		return fault.Wrap(err, fault.Internal, "the head of the predictions cannot be encoded")
	}
	line = append(line, '\n')
	r.sum.Write(line)
	return r.write(line)
}

// add writes the rows of a batch, in lines of at most about maxLine.
func (r *result) add(in *In, v *version, batch []rows.Row, first int64, outputs []tensor.Tensor) error {
	for done, n := 0, len(batch); done < len(batch); {
		n = min(n, len(batch)-done)
		line, err := appendLine(r.line[:0], in, v, batch, first, outputs, done, n)
		if err != nil {
			return err
		}
		r.line = line
		if len(line) > maxLine && n > 1 {
			n = max(1, min(n/2, int(float64(n)*0.9*maxLine/float64(len(line)))))
			continue
		}
		r.sum.Write(line)
		r.rows += int64(n)
		if err := r.write(line); err != nil {
			return err
		}
		done += n
	}
	return nil
}

// end closes the predictions with their number and digest.
func (r *result) end() error {
	line, err := json.Marshal(tail{Kind: "end", Rows: r.rows, Digest: "sha256:" + hex.EncodeToString(r.sum.Sum(nil))})
	if err != nil {
		return fault.Wrap(err, fault.Internal, "the end of the predictions cannot be encoded")
	}
	if err := r.write(append(line, '\n')); err != nil {
		return err
	}
	return r.full(r.out.Flush())
}

// keep stores the result once. Where there is one already, that one is the answer.
func (s *Scorer) keep(ctx context.Context, key string, in *In, r *result) (Out, error) {
	if _, err := r.file.Seek(0, io.SeekStart); err != nil {
		return Out{}, fault.Wrap(err, fault.Internal, "the predictions cannot be read back")
	}
	_, err := s.Data.PutStream(ctx, key, r.file, r.size, blob.Once())
	if fault.Is(err, fault.FailedPrecondition) {
		return s.stored(ctx, key, in)
	}
	if err != nil {
		return Out{}, err
	}
	return Out{RowsIn: r.rows, RowsOut: r.rows, URI: s.uri(key), Digest: "sha256:" + hex.EncodeToString(r.sum.Sum(nil)), Created: true}, nil
}

func (s *Scorer) uri(key string) string { return "s3://" + s.DataBucket + "/" + key }

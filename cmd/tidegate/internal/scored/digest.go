package scored

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"strings"
	"time"

	"github.com/tidegate/tidegate/cmd/tidegate/internal/tables"
	"github.com/tidegate/tidegate/shared/fault"
)

// timeless is the end of a training that nobody has told.
var timeless time.Time

// digest is the sha256 of a file.
func digest(ctx context.Context, f *tables.File) (string, error) {
	h := sha256.New()
	_, err := io.Copy(h, &interruptible{ctx, io.NewSectionReader(f, 0, f.Size())})
	if err != nil {
		if ctx.Err() != nil {
			return "", said(ctx.Err())
		}
		return "", fault.Wrap(err, fault.InvalidArgument, "%s cannot be read to its end", f.Path)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// sumOf is the digest of a table of files with these digests.
func sumOf(sums []string) string {
	if len(sums) == 1 {
		return "sha256:" + sums[0]
	}
	all := sha256.Sum256([]byte(strings.Join(sums, "\n")))
	return "sha256:" + hex.EncodeToString(all[:])
}

// interruptible ends a reading when the context does.
type interruptible struct {
	ctx context.Context
	r   io.Reader
}

func (i *interruptible) Read(p []byte) (int, error) {
	if err := i.ctx.Err(); err != nil {
		return 0, err
	}
	return i.r.Read(p)
}

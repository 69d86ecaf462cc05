package scoring

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/tidegate/tidegate/shared/blob"
)

// endless is a bucket with one CSV object that is made while it is read, and that forgets what is stored.
type endless struct {
	*breakable
	rows int64
}

const endlessLine = 64

// Open implements Opener.
func (e *endless) Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, blob.Info, error) {
	if key != source {
		return e.breakable.Open(ctx, key, offset, length)
	}
	size := (e.rows + 1) * endlessLine
	length = max(0, min(length, size-offset))
	from, to := offset/endlessLine, (offset+length+endlessLine-1)/endlessLine
	var b bytes.Buffer
	for i := from; i < to; i++ {
		line := fmt.Sprintf("%d,%s", i-1, strings.Repeat("n", 30))
		if i == 0 {
			line = "x,name"
		}
		fmt.Fprintf(&b, "%s%s\n", line, strings.Repeat("n", endlessLine-1-len(line)))
	}
	part := b.Bytes()[offset-from*endlessLine:]
	return io.NopCloser(bytes.NewReader(part[:length])), blob.Info{Key: key, ETag: "e", Size: size}, nil
}

// PutStream implements Data.
func (e *endless) PutStream(_ context.Context, _ string, r io.ReadSeeker, size int64, _ blob.Condition) (blob.Info, error) {
	n, err := io.Copy(io.Discard, r)
	if err == nil && n != size {
		err = fmt.Errorf("%d of %d bytes", n, size)
	}
	return blob.Info{}, err
}

// TestMemoryIsBounded: a table of 192 MB is scored in less than half of that, nearly all of it the 32 MB of the table that are kept.
func TestMemoryIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	w := newWorld(t, nil)
	w.scorer.Data = &endless{w.data, 3_000_000}
	runtime.GC()
	var before, now runtime.MemStats
	runtime.ReadMemStats(&before)
	most, batches := uint64(0), 0
	w.runtime.slow = func(int) {
		if batches++; batches%100 == 0 {
			runtime.GC() // what is live, and not what waits to be collected
			runtime.ReadMemStats(&now)
			most = max(most, now.HeapAlloc-min(now.HeapAlloc, before.HeapAlloc))
		}
	}
	in := item()
	in.IDColumn = "name" + strings.Repeat("n", endlessLine-1-len("x,name"))
	out, err := w.scorer.Run(t.Context(), in)
	if err != nil || out.RowsOut != 3_000_000 {
		t.Fatalf("%+v, %v", out, err)
	}
	if most > 96<<20 {
		t.Errorf("%d MB of memory", most>>20)
	}
	t.Logf("at most %d MB live for %d MB of rows", most>>20, (int64(3_000_000)*endlessLine)>>20)
}

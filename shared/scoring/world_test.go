package scoring

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/inference"
	"github.com/tidegate/tidegate/shared/inference/inferencetest"
	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/shared/tensor"
)

// world is a registry with versions, a data bucket that can be broken and a runtime that counts its runs.
type world struct {
	*inferencetest.World
	t       testing.TB
	data    *breakable
	runtime *counting
	scorer  *Scorer
}

// counting is a runtime whose models add 5 to x, plus what a file has more than "model" in bytes.
type counting struct {
	inferencetest.Runtime
	runs atomic.Int64
	rows atomic.Int64
	slow func(rows int)
	fail func() error
	bend func(*tensor.Tensor)
}

func (c *counting) Load(ctx context.Context, model []byte, sig schema.Signature) (inference.Session, error) {
	s, err := c.Runtime.Load(ctx, model, sig)
	return &watched{s, c}, err
}

type watched struct {
	inference.Session
	c *counting
}

func (w *watched) Run(ctx context.Context, in []tensor.Tensor, want []string) ([]tensor.Tensor, func(), error) {
	w.c.runs.Add(1)
	w.c.rows.Add(in[0].Shape[0])
	if w.c.slow != nil {
		w.c.slow(int(in[0].Shape[0]))
	}
	if w.c.fail != nil {
		if err := w.c.fail(); err != nil {
			return nil, nil, err
		}
	}
	out, release, err := w.Session.Run(ctx, in, want)
	if err == nil && w.c.bend != nil {
		w.c.bend(&out[0])
	}
	return out, release, err
}

// breakable is a store whose reads can fail after a while and whose writes can lose their answer.
type breakable struct {
	*blob.Memory
	reads    atomic.Int64
	failAt   int64 // the read that fails, 0 = none
	loseNext bool
	before   func() // called before a result is stored
}

func (b *breakable) Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, blob.Info, error) {
	if n := b.reads.Add(1); b.failAt > 0 && n >= b.failAt {
		return nil, blob.Info{}, fault.New(fault.Unavailable, "the store is down")
	}
	return b.Memory.Open(ctx, key, offset, length)
}

func (b *breakable) PutStream(ctx context.Context, key string, r io.ReadSeeker, size int64, cond blob.Condition) (blob.Info, error) {
	if b.before != nil {
		b.before()
	}
	info, err := b.Memory.PutStream(ctx, key, r, size, cond)
	if b.loseNext {
		b.loseNext = false
		return blob.Info{}, fault.New(fault.Unavailable, "the answer was lost")
	}
	return info, err
}

const source = "batches/m/rows"

func newWorld(t testing.TB, change func(*schema.Schema)) *world {
	w := &world{World: inferencetest.New(t), t: t, data: &breakable{Memory: new(blob.Memory)}, runtime: new(counting)}
	s := inferencetest.Schema()
	if change != nil {
		change(&s)
	}
	w.Publish("m", 1, []byte("model"), s)
	w.Publish("m", 2, []byte("model.."), s)
	w.scorer = &Scorer{DataBucket: "data", RegistryBucket: "registry", Data: w.data, Models: w.Store, Registry: w.Registry, Runtime: w.runtime,
		Now: time.Now, Log: slog.New(slog.DiscardHandler), Dir: t.TempDir()}
	return w
}

func (w *world) put(key string, body []byte) {
	w.t.Helper()
	if _, err := w.data.Put(w.t.Context(), key, body, blob.Always()); err != nil {
		w.t.Fatal(err)
	}
}

func item() In {
	return In{Model: "m", Version: 2, Run: "r1", Item: "000000", Source: Source{Key: source}}
}

// ran scores, which must succeed, and reads what is stored.
func (w *world) ran(in In) (Out, lines) {
	w.t.Helper()
	out, err := w.scorer.Run(w.t.Context(), in)
	if err != nil {
		w.t.Fatal(err)
	}
	return out, w.read(out)
}

// lines are stored predictions, read the obvious way.
type lines struct {
	head    head
	parts   int
	numbers []int64 // of the rows, from 0
	ids     []string
	kept    map[string][]any
	y       []float64
}

func (w *world) read(out Out) lines {
	w.t.Helper()
	key, ok := strings.CutPrefix(out.URI, "s3://data/")
	if !ok {
		w.t.Fatalf("the predictions are at %s", out.URI)
	}
	object, err := w.data.Get(w.t.Context(), key)
	if err != nil {
		w.t.Fatal(err)
	}
	all := bytes.Split(bytes.TrimSuffix(object.Body, []byte("\n")), []byte("\n"))
	l := lines{kept: map[string][]any{}}
	if err := json.Unmarshal(all[0], &l.head); err != nil || l.head.Kind != "head" {
		w.t.Fatalf("the first line: %s", all[0])
	}
	for _, line := range all[1 : len(all)-1] {
		var part struct {
			FirstRow *int64           `json:"first_row"`
			Rows     int              `json:"rows"`
			IDs      []string         `json:"ids"`
			Kept     map[string][]any `json:"kept"`
			Outputs  map[string][]*float64
		}
		if err := json.Unmarshal(line, &part); err != nil || part.FirstRow == nil || len(part.Outputs["y"]) != part.Rows {
			w.t.Fatalf("a line of %d bytes: %v", len(line), err)
		}
		for i, y := range part.Outputs["y"] {
			l.numbers = append(l.numbers, *part.FirstRow+int64(i))
			l.y = append(l.y, *y)
		}
		l.ids = append(l.ids, part.IDs...)
		for name, cells := range part.Kept {
			l.kept[name] = append(l.kept[name], cells...)
		}
		l.parts++
	}
	var end tail
	last := all[len(all)-1]
	if err := json.Unmarshal(last, &end); err != nil || end.Kind != "end" {
		w.t.Fatalf("the last line: %s", last)
	}
	sum := sha256.Sum256(object.Body[:len(object.Body)-len(last)-1])
	if digest := "sha256:" + hex.EncodeToString(sum[:]); end.Digest != digest || out.Digest != digest {
		w.t.Errorf("digest %s in the object, %s in the answer, %s of the bytes", end.Digest, out.Digest, digest)
	}
	if n := int64(len(l.y)); end.Rows != n || out.RowsIn != n || out.RowsOut != n {
		w.t.Errorf("%d rows are stored: %+v, %+v", n, end, out)
	}
	return l
}

// csv has n rows whose x is their number from 0.
func csv(n int) []byte {
	var b bytes.Buffer
	b.WriteString("x,name,other\n")
	for i := range n {
		fmt.Fprintf(&b, "%d,n%d,\n", i, i)
	}
	return b.Bytes()
}

// wide is csv of long rows: 6 MB are 60,000.
func wide(n int) []byte {
	return bytes.ReplaceAll(csv(n), []byte(",\n"), []byte(","+strings.Repeat("w", 90)+"\n"))
}

func ndjson(n int) []byte {
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, `{"x":%d,"name":"n%d","other":null}`+"\n", i, i)
	}
	return b.Bytes()
}

func gzipped(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(b)
	_ = w.Close()
	return out.Bytes()
}

// verbatim is gzip that is as long as what is in it.
func verbatim(b []byte) []byte {
	var out bytes.Buffer
	w, _ := gzip.NewWriterLevel(&out, gzip.NoCompression)
	_, _ = w.Write(b)
	_ = w.Close()
	return out.Bytes()
}

func zipped(b []byte) []byte {
	w, _ := zstd.NewWriter(nil)
	return w.EncodeAll(b, nil)
}

// columnar has n rows in row groups of so many.
func columnar(n, group int) []byte {
	type row struct {
		X     float64 `parquet:"x"`
		Name  string  `parquet:"name"`
		Other *int64  `parquet:"other,optional"`
	}
	var out bytes.Buffer
	w := parquet.NewGenericWriter[row](&out, parquet.MaxRowsPerRowGroup(int64(group)))
	for i := range n {
		_, _ = w.Write([]row{{X: float64(i), Name: fmt.Sprintf("n%d", i)}})
	}
	_ = w.Close()
	return out.Bytes()
}

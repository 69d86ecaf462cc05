package tables

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/profile"
	"github.com/tidegate/tidegate/shared/rows"
)

// Chunk is the rows of one day or month.
type Chunk struct {
	Name   string // 2026-11-24 or 2026-11, UTC
	Rows   uint64
	Counts *profile.Tally
}

// maxChunks bounds what a wrong column of times can cost.
const maxChunks = 4096

// Chunks counts the rows of the set by the day or month that column holds. Rows
// are read one by one, as the columns of a row must stay together. unplaced are
// those without a time, and lines that are no rows.
func (s *Set) Chunks(ctx context.Context, b *profile.Baseline, column, chunk string, o Options) (chunks []Chunk, unplaced uint64, err error) {
	c := &chunker{baseline: b, column: column, layout: time.DateOnly, chunks: map[string]*Chunk{}}
	if chunk == "month" {
		c.layout = "2006-01"
	}
	s.watch(o.Read)
	for _, f := range s.Files {
		if err := c.file(ctx, f); err != nil {
			return nil, 0, err
		}
	}
	for _, one := range c.chunks {
		chunks = append(chunks, *one)
	}
	slices.SortFunc(chunks, func(a, b Chunk) int { return strings.Compare(a.Name, b.Name) })
	if len(chunks) == 0 && c.unplaced > 0 {
		return nil, 0, fault.New(fault.InvalidArgument, "column %q holds no times that can be read; write them like 2026-11-24 or 2026-11-24T12:00:00Z, or as seconds since 1970", profile.Cut(column))
	}
	return chunks, c.unplaced, nil
}

type chunker struct {
	baseline *profile.Baseline
	column   string
	layout   string
	chunks   map[string]*Chunk
	unplaced uint64
}

func (c *chunker) file(ctx context.Context, f *File) error {
	if f.footer != nil {
		src, err := rows.Open(f.Path, string(profile.Parquet))
		if err != nil {
			return err
		}
		defer src.Close()
		if err := c.rows(ctx, src); err != nil {
			return f.refused(err)
		}
		if f.read != nil {
			f.read(f.size) // the source reads by itself
		}
		return nil
	}
	plain, err := profile.Decompress(io.NewSectionReader(f, 0, f.size))
	if err != nil {
		return f.refused(err)
	}
	defer plain.Close()
	format, r := profile.Detect(plain)
	if format == profile.CSV {
		return f.refused(c.csv(ctx, r))
	}
	return f.refused(c.ndjson(ctx, r))
}

// csv reads fields in place. A line with another number of fields than the header
// is in no window.
func (c *chunker) csv(ctx context.Context, r io.Reader) error {
	cr := csv.NewReader(r)
	cr.ReuseRecord, cr.FieldsPerRecord = true, -1
	header, err := cr.Read()
	if err != nil {
		return fault.Wrap(err, fault.InvalidArgument, "the CSV file has no header")
	}
	at := map[string]int{}
	for i, name := range header {
		at[strings.TrimPrefix(name, "\ufeff")] = i
	}
	when, ok := at[c.column]
	if !ok {
		return c.noColumn()
	}
	fields := make([]int, len(c.baseline.Columns)) // by column; −1 for none
	for i := range fields {
		fields[i] = -1
		if k, ok := at[c.baseline.Columns[i].Name]; ok {
			fields[i] = k
		}
	}
	width := len(header)
	for n := 0; ; n++ {
		record, err := cr.Read()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if n%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if len(record) != width {
			c.unplaced++
			continue
		}
		one, err := c.place(record[when])
		if err != nil || one == nil {
			if err != nil {
				return err
			}
			continue
		}
		for col, k := range fields {
			if k < 0 {
				one.Counts.Missing(col, 1)
			} else {
				profile.Parse(one.Counts, col, record[k])
			}
		}
	}
}

func (c *chunker) noColumn() error {
	return fault.New(fault.InvalidArgument, "there is no column %q to cut by", profile.Cut(c.column))
}

// ndjson reads an object a line. A line that is none is in no window.
func (c *chunker) ndjson(ctx context.Context, r io.Reader) error {
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 64<<10), profile.MaxLine)
	met, n := false, 0
	for ; sc.Scan(); n++ {
		if n%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		text := bytes.TrimSpace(sc.Bytes())
		if len(text) == 0 {
			continue
		}
		dec := json.NewDecoder(bytes.NewReader(text))
		dec.UseNumber() // an int64 must not pass through a float
		var row map[string]any
		if dec.Decode(&row) != nil || row == nil {
			c.unplaced++
			continue
		}
		_, has := row[c.column]
		met = met || has
		if err := c.row(row); err != nil {
			return err
		}
	}
	if err := sc.Err(); err != nil {
		return err
	}
	if n > 0 && !met {
		return c.noColumn()
	}
	return nil
}

func (c *chunker) rows(ctx context.Context, src rows.Source) error {
	met := false
	for n := 0; ; n++ {
		if n%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		row, err := src.Next()
		if errors.Is(err, io.EOF) {
			if n > 0 && !met {
				return c.noColumn()
			}
			return nil
		}
		if err != nil {
			return err
		}
		_, has := row[c.column]
		met = met || has
		if err := c.row(row); err != nil {
			return err
		}
	}
}

func (c *chunker) row(row map[string]any) error {
	one, err := c.place(row[c.column])
	if err != nil || one == nil {
		return err
	}
	for i := range c.baseline.Columns {
		countCell(one.Counts, i, row[c.baseline.Columns[i].Name])
	}
	return nil
}

// place finds the chunk of a row and counts it; nil when it has no time.
func (c *chunker) place(cell any) (*Chunk, error) {
	at, ok := timeOf(cell)
	if !ok {
		c.unplaced++
		return nil, nil
	}
	one, err := c.chunk(at.UTC().Format(c.layout))
	if err == nil {
		one.Rows++
	}
	return one, err
}

func (c *chunker) chunk(name string) (*Chunk, error) {
	one, ok := c.chunks[name]
	if !ok {
		if len(c.chunks) == maxChunks {
			return nil, fault.New(fault.InvalidArgument, "column %q cuts the rows into more than %d windows; use --chunk month, or another column", profile.Cut(c.column), maxChunks)
		}
		one = &Chunk{Name: name, Counts: profile.NewTally(c.baseline)}
		c.chunks[name] = one
	}
	return one, nil
}

// countCell counts one cell of a row as the reader of its format would.
func countCell(t *profile.Tally, col int, cell any) {
	categorical := t.Kind(col) == profile.Categorical
	switch v := cell.(type) {
	case nil:
		t.Missing(col, 1)
	case string:
		t.Text(col, v, 1)
	case bool:
		switch {
		case categorical:
			t.Text(col, strconv.FormatBool(v), 1)
		case v:
			t.Number(col, 1, 1)
		default:
			t.Number(col, 0, 1)
		}
	case int64:
		if categorical {
			t.Text(col, strconv.FormatInt(v, 10), 1)
		} else {
			t.Number(col, float64(v), 1)
		}
	case float64:
		t.Number(col, v, 1)
	case json.Number:
		if i, err := v.Int64(); err == nil && categorical {
			t.Text(col, strconv.FormatInt(i, 10), 1)
		} else if x, err := v.Float64(); err == nil || math.IsInf(x, 0) {
			t.Number(col, x, 1)
		} else {
			t.WrongType(col, 1)
		}
	default:
		t.WrongType(col, 1)
	}
}

// layouts are the texts that are read as times; without a zone they are UTC.
var layouts = []string{time.RFC3339Nano, "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05", "2006-01-02T15:04:05", "2006-01-02 15:04", time.DateOnly, "2006-01"}

func timeOf(cell any) (time.Time, bool) {
	switch v := cell.(type) {
	case string:
		for _, layout := range layouts {
			if at, err := time.Parse(layout, v); err == nil {
				return at, true
			}
		}
		x, err := strconv.ParseFloat(v, 64)
		return sinceEpoch(x), err == nil && plausible(x)
	case json.Number:
		x, err := v.Float64()
		return sinceEpoch(x), err == nil && plausible(x)
	case int64:
		return sinceEpoch(float64(v)), plausible(float64(v))
	case float64:
		return sinceEpoch(v), plausible(v)
	}
	return time.Time{}, false
}

// sinceEpoch reads seconds, milli-, micro- or nanoseconds since 1970, told by their size.
func sinceEpoch(x float64) time.Time {
	unit := 1.0
	for unit < 1e9 && math.Abs(x)/unit > 1e11 {
		unit *= 1e3
	}
	return time.Unix(int64(x/unit), 0)
}

func plausible(x float64) bool { return x >= 1e8 && x < 1e20 }

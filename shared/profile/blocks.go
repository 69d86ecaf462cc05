package profile

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"io"
	"maps"
	"slices"
	"sync"
)

// textBlock is how much text one worker takes at a time: whole records.
const textBlock = 1 << 20

// passage is records of a text that follow one another.
type passage struct {
	number int
	lines  int // of the text before it
	text   []byte
	fail   error // what reading came to behind it
}

// reader reads the block behind head.
func (b *passage) reader(head []byte) io.Reader {
	readers := []io.Reader{bytes.NewReader(head), bytes.NewReader(b.text)}
	if b.fail != nil {
		readers = append(readers, failing{b.fail})
	}
	return io.MultiReader(readers...)
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// cut cuts a text into blocks at the ends of records, which with quotes are newlines
// outside of them. A record above MaxLine is a block that fails.
func cut(r io.Reader, quotes bool, size int, take func(passage) error) error {
	b := passage{}
	quoted := false
	var text []byte
	scanned, end := 0, 0 // how much of text is looked through, and the last end of a record in it
	for {
		if len(text) > end+MaxLine {
			b.fail = errLine
			end = len(text)
		} else {
			text = slices.Grow(text, size)
			// Not io.ReadFull: its ErrUnexpectedEOF could not be told from that of a compressed text that is cut off.
			var err error
			for want := len(text) + size; len(text) < want && err == nil; {
				var n int
				n, err = r.Read(text[len(text):want])
				text = text[:len(text)+n]
			}
			last, still := text[scanned:], quoted
			at := lastEnd(last, quotes, &still)
			if at >= 0 {
				end = scanned + at + 1
			}
			scanned, quoted = len(text), still
			switch {
			case err == io.EOF:
				b.fail, end = io.EOF, len(text)
			case err != nil:
				b.fail, end = err, len(text)
			case end == 0:
				continue // no record ends here
			}
		}
		b.text = text[:end]
		rest := append(make([]byte, 0, len(text)-end+size), text[end:]...)
		done := b.fail
		if done == io.EOF {
			b.fail = nil
		}
		lines := bytes.Count(b.text, []byte{'\n'})
		if err := take(b); err != nil || done != nil {
			return err
		}
		b.number++
		b.lines += lines
		text, scanned, end = rest, len(rest), 0
	}
}

// lastEnd is the last newline of text that is outside of quotes, −1 for none; quoted
// says whether text begins, and afterwards ends, inside.
func lastEnd(text []byte, quotes bool, quoted *bool) int {
	if !quotes {
		return bytes.LastIndexByte(text, '\n')
	}
	last := -1
	for from := 0; ; {
		to := bytes.IndexByte(text[from:], '"')
		part := text[from:]
		if to >= 0 {
			part = part[:to]
		}
		if !*quoted {
			if at := bytes.LastIndexByte(part, '\n'); at >= 0 {
				last = from + at
			}
		}
		if to < 0 {
			return last
		}
		*quoted = !*quoted
		from += to + 1
	}
}

// found is what one block reported.
type found struct {
	Report
	err error
}

// eachBlock hands the blocks of a text to workers, and returns what they reported in
// the text's order: up to the first that failed.
func eachBlock(ctx context.Context, r io.Reader, quotes bool, size, workers int, count func(worker int, b passage) (Report, error)) ([]found, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	blocks := make(chan passage, workers)
	var mu sync.Mutex
	var out []found
	var group sync.WaitGroup
	for w := range workers {
		group.Go(func() {
			for b := range blocks {
				rep, err := count(w, b)
				mu.Lock()
				for len(out) <= b.number {
					out = append(out, found{err: errors.New("profile: a block was not read")})
				}
				out[b.number] = found{rep, err}
				mu.Unlock()
				if err != nil {
					cancel() // the blocks before it are under way
				}
			}
		})
	}
	err := cut(r, quotes, size, func(b passage) error {
		select {
		case blocks <- b:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	close(blocks)
	group.Wait()
	for i := range out {
		if out[i].err != nil {
			return out[:i+1], out[i].err
		}
	}
	return out, err
}

// CountParts hands the rows of src to several sinks at once, each of which sees some
// of them: merged, they are what [CountSource] makes of one. The rows of a Parquet file
// go to the first.
func CountParts(ctx context.Context, src ReaderAtSize, sinks []Sink) (Report, error) {
	if len(sinks) == 1 {
		return CountSource(ctx, src, sinks[0], nil)
	}
	stream, format, err := open(src)
	if err != nil {
		return Report{}, err
	}
	defer stream.Close()
	switch format {
	case Parquet:
		return countParquetSource(ctx, src, sinks[0], nil, nil)
	case NDJSON:
		return ndjsonParts(ctx, stream, textBlock, len(sinks), func(w int) *objectRows { return newObjectRows(sinks[w]) })
	}
	return csvParts(ctx, stream, textBlock, sinks)
}

func csvParts(ctx context.Context, r io.Reader, size int, sinks []Sink) (Report, error) {
	header, rest, err := csvStart(r)
	if err != nil {
		return Report{}, err
	}
	all, err := eachBlock(ctx, rest, true, size, len(sinks), func(w int, b passage) (Report, error) {
		return countCSV(ctx, b.reader(header), sinks[w], b.lines)
	})
	return added(all, err, "CSV")
}

func ndjsonParts(ctx context.Context, r io.Reader, size, workers int, empty func(worker int) *objectRows) (Report, error) {
	rows := map[int]*objectRows{}
	for w := range workers {
		rows[w] = empty(w)
	}
	all, err := eachBlock(ctx, r, false, size, workers, func(w int, b passage) (Report, error) {
		sink, next, done := rowSink(rows[w].sink)
		o := *rows[w]
		o.sink, o.next = sink, next
		rep, err := o.read(ctx, b.reader(nil), b.lines)
		done()
		o.sink, o.next = rows[w].sink, rows[w].next
		*rows[w] = o // names that it has met
		return rep, err
	})
	rep, err := added(all, err, "NDJSON")
	extra, seen := map[string]bool{}, map[string]bool{}
	var names []string
	for w := range workers {
		o := rows[w]
		names = o.names
		maps.Copy(extra, o.extra)
		for i, is := range o.seen {
			seen[o.names[i]] = seen[o.names[i]] || is
		}
	}
	for _, name := range names {
		if !seen[name] {
			rep.Absent = append(rep.Absent, name)
		}
	}
	rep.Extra = slices.Sorted(maps.Keys(extra))
	rep.Extra = rep.Extra[:min(len(rep.Extra), maxExtra)]
	return rep, err
}

// added is the report of the whole.
func added(all []found, err error, what string) (rep Report, _ error) {
	for i := range all {
		one := &all[i]
		if i == 0 {
			rep.Extra, rep.Absent = one.Extra, one.Absent
		}
		rep.Rows += one.Rows
		if rep.Malformed == 0 {
			rep.First = one.First
		}
		rep.Malformed += one.Malformed
	}
	return rep, after(rep.Rows, what, err)
}

// csvStart reads the names of the columns: the text of the header, and what follows.
func csvStart(r io.Reader) (header []byte, rest io.Reader, err error) {
	var seen bytes.Buffer
	cr := csv.NewReader(io.TeeReader(&budget{r: r, left: MaxLine}, &seen))
	if _, err := headerOf(cr); err != nil {
		return nil, nil, err
	}
	header = seen.Next(int(cr.InputOffset()))
	return header, io.MultiReader(&seen, r), nil
}

package dataset

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/rows"
)

// addTable reads one pinned table and adds its rows. The source's digest and rows are noted.
func (c *channel) addTable(ctx context.Context, b *Builder, s *Source) error {
	file, err := b.download(ctx, s)
	if err != nil {
		return err
	}
	defer file.remove()
	src, err := rows.At(s.URI(), file, nil)
	if err != nil {
		return err
	}
	defer src.Close()
	seen := make([]bool, len(c.columns))
	for {
		if s.Rows%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		row, err := src.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		s.Rows++
		for i, name := range c.columns {
			cell, there := row[name]
			seen[i] = seen[i] || there
			if c.row[i], err = text(cell, c.kinds[i]); err != nil {
				return fault.New(fault.InvalidArgument, "training file %s: row %d, column %q %s", s.URI(), src.Row(), name, err)
			}
		}
		if err := c.add(func() string { return fmt.Sprintf("training file %s: row %d", s.URI(), src.Row()) }); err != nil {
			return err
		}
	}
	return c.missing(s, seen)
}

// missing refuses a table that has rows and not all columns. Rows of NDJSON may each
// leave out what is missing, so that is known at the end.
func (c *channel) missing(s *Source, seen []bool) error {
	if s.Rows == 0 {
		return nil
	}
	for i, name := range c.columns {
		if seen[i] {
			continue
		}
		what := "input"
		switch name {
		case c.schema.Target:
			what = "target"
		case c.schema.Time:
			what = "time"
		}
		return fault.New(fault.InvalidArgument, "training file %s has no column %q, which the training schema names as %s; add it, or change retrain.schema in the settings", s.URI(), name, what)
	}
	return nil
}

// kind says how truth values are written.
type kind int

const (
	textual kind = iota
	numeric
)

// text writes a cell as a field of the channel; the error says what is wrong with it.
func text(cell any, k kind) (string, error) {
	switch v := cell.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case json.Number:
		return v.String(), nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	case float64:
		switch {
		case math.IsNaN(v):
			return "", nil
		case math.IsInf(v, 0):
			return "", errors.New("is infinite; write a missing value or a number")
		}
		return strconv.FormatFloat(v, 'g', -1, 64), nil
	case bool:
		switch {
		case k == textual:
			return strconv.FormatBool(v), nil
		case v:
			return "1", nil
		}
		return "0", nil
	}
	return "", errors.New("holds a list or an object; training rows are flat")
}

// local is a copy of a source in a temporary file: Parquet is read in any order, and the digest is of all of it.
type local struct {
	*os.File
	size int64
}

// Size implements rows.ReaderAtSize.
func (l *local) Size() int64 { return l.size }

func (l *local) remove() {
	_ = l.Close()
	_ = os.Remove(l.Name())
}

func (b *Builder) download(ctx context.Context, s *Source) (_ *local, err error) {
	body, _, err := b.open(ctx, s, 0, -1)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	f, err := os.CreateTemp(b.Dir, "source-*")
	if err != nil {
		return nil, noSpace(err)
	}
	l := &local{File: f}
	defer func() {
		if err != nil {
			l.remove()
		}
	}()
	sum := sha256.New()
	from := &watched{r: body}
	l.size, err = io.Copy(io.MultiWriter(sum, f), from)
	switch {
	case from.err != nil, err == nil && l.size != s.Size:
		return nil, fault.Wrap(errors.Join(from.err, io.ErrUnexpectedEOF), fault.Unavailable, "training file %s could not be read to its end; try again", s.URI())
	case err != nil:
		return nil, noSpace(err)
	}
	s.SHA256 = hex.EncodeToString(sum.Sum(nil))
	return l, nil
}

// watched remembers the error of a reader, to tell it from one of the writer.
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

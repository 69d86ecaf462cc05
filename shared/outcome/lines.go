package outcome

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/profile"
)

// damaged is an object whose content cannot be read on.
type damaged struct {
	what string
	error
}

// lines hands the lines of a plain or compressed text to each, without blank ones.
func lines(ctx context.Context, body io.Reader, each func(n int, text []byte) error) error {
	src := &watched{r: body}
	broken := func(what string, err error) error {
		if src.err != nil { // the store's, not the content's
			return fault.Wrap(src.err, fault.Unavailable, "the object could not be read to its end; try again")
		}
		return &damaged{what, err}
	}
	plain, err := profile.Decompress(src)
	if err != nil {
		return broken("it looks compressed, but cannot be read", err)
	}
	defer plain.Close()
	sc := bufio.NewScanner(plain)
	sc.Buffer(make([]byte, 256<<10), profile.MaxLine)
	for n := 1; sc.Scan(); n++ {
		if n%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if text := bytes.TrimSpace(sc.Bytes()); len(text) > 0 {
			if err := each(n, text); err != nil {
				return err
			}
		}
	}
	switch err := sc.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return broken("a line is longer than 16 MB", err)
	case err != nil:
		return broken("it is cut off, or damaged", err)
	}
	return nil
}

// watched remembers the error of a reader, to tell it from one of what is read.
type watched struct {
	r   io.Reader
	err error
}

func (w *watched) Read(b []byte) (int, error) {
	n, err := w.r.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		w.err = err
	}
	return n, err
}

package outcome

import (
	"bytes"
	"context"
	"io"
)

const (
	// aheadObjects is how many objects are fetched at once, and aheadBytes up to which size: a burst of requests can
	// leave thousands of small objects, each of which costs a round trip to the store.
	aheadObjects = 16
	aheadBytes   = 1 << 20
)

// fetched is a small object in memory, or a larger one that is still to be opened.
type fetched struct {
	body io.Reader // nil: to be opened
	err  error     // of opening
}

// each hands objects to read in their order, small ones fetched while those before
// them are read. What is read, and in which order, does not depend on it.
func (p *part) each(objects []object, read func(o object, body io.Reader) error) error {
	ctx, cancel := context.WithCancel(p.ctx)
	defer cancel()
	queue := make(chan chan fetched, aheadObjects)
	go func() {
		for _, o := range objects {
			one := make(chan fetched, 1)
			select {
			case queue <- one:
			case <-ctx.Done():
				return
			}
			if o.Size > aheadBytes {
				one <- fetched{}
				continue
			}
			go func() { one <- p.fetch(ctx, o) }()
		}
	}()
	for _, o := range objects {
		var f fetched
		select {
		case one := <-queue:
			f = <-one // comes in any case: fetching ends with ctx
		case <-ctx.Done():
			return ctx.Err()
		}
		if f.err == nil && f.body == nil {
			body, _, err := p.h.Store.Open(p.ctx, o.Key, 0, -1)
			if err != nil {
				return err
			}
			err = read(o, body)
			_ = body.Close()
			if err != nil {
				return err
			}
			continue
		}
		if f.err != nil {
			return f.err
		}
		if err := read(o, f.body); err != nil {
			return err
		}
	}
	return nil
}

// fetch reads an object whole. An error in the middle comes where it would come from the store itself.
func (p *part) fetch(ctx context.Context, o object) fetched {
	body, _, err := p.h.Store.Open(ctx, o.Key, 0, -1)
	if err != nil {
		return fetched{err: err}
	}
	defer body.Close()
	content, err := io.ReadAll(body)
	if err != nil {
		return fetched{body: io.MultiReader(bytes.NewReader(content), broken{err})}
	}
	return fetched{body: bytes.NewReader(content)}
}

// broken is the end of a body that could not be read.
type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

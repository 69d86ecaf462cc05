package ingestion

import (
	"context"
	"io"
	"os"
	"sync"
	"time"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/label"
)

// maxPuts is how many objects are on their way at once. Each holds at most
// limits.inline bytes.
const maxPuts = 8

// write files what was read: one object for each place, in the order of places.
func (s *source) write(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w := &writer{source: s, ctx: ctx, cancel: cancel, slots: make(chan struct{}, maxPuts), free: make(chan []byte, maxPuts)}
	defer w.close()
	err := s.sorter.merge(w.label)
	if err == nil {
		err = w.finish()
	}
	w.pending.Wait()
	if w.failed != nil {
		return w.failed
	}
	return err
}

// writer puts the lines of one place after the other together.
type writer struct {
	*source
	ctx    context.Context
	cancel context.CancelFunc

	begun bool
	place uint64
	lines uint64 // of the place
	seen  uint64
	buf   []byte
	spool *os.File // the beginning of an object that is too large for buf
	size  int64    // of what is in spool

	slots   chan struct{}
	free    chan []byte
	pending sync.WaitGroup
	once    sync.Once
	failed  error // of a put, the first
}

func (w *writer) close() {
	w.pending.Wait()
	if w.spool != nil {
		_ = w.spool.Close()
	}
}

// label takes the next label in order.
func (w *writer) label(it *item, repeated, equal bool) error {
	if w.seen++; w.seen%4096 == 0 && w.ctx.Err() != nil {
		return w.ctx.Err()
	}
	place := it.head >> 1
	if w.begun && place != w.place {
		if err := w.finish(); err != nil {
			return err
		}
	}
	w.begun, w.place = true, place
	at, _ := parsePlace(place)
	m := &w.rep.Models[at]
	switch {
	case repeated && equal:
		w.rep.Duplicates++
		m.Duplicates++
		return nil
	case repeated:
		w.rep.Conflicts++
		m.Conflicts++
		return nil
	}
	w.rep.Filed++
	m.Filed++
	w.lines++
	w.buf = label.AppendRaw(w.buf, text(it.id), it.head&1 == 1, it.value, time.UnixMilli(it.ts))
	if len(w.buf) >= w.limits.inline {
		return w.toSpool()
	}
	return nil
}

func (w *writer) toSpool() error {
	if w.spool == nil {
		var err error
		if w.spool, err = nameless(w.job.Dir); err != nil {
			return err
		}
	}
	n, err := w.spool.Write(w.buf)
	w.size += int64(n)
	w.buf = w.buf[:0]
	return onDisk(err)
}

// finish puts the object of the place.
func (w *writer) finish() error {
	if w.lines == 0 {
		return nil
	}
	at, hour := parsePlace(w.place)
	m := &w.rep.Models[at]
	m.Hours = append(m.Hours, Hour{Hour: hour, Filed: w.lines})
	key := label.Key(m.Model, hour, w.rep.ID)
	w.lines = 0
	if w.size > 0 {
		return w.putSpool(key)
	}
	body := w.buf
	select {
	case w.buf = <-w.free:
	default:
		w.buf = nil
	}
	select {
	case w.slots <- struct{}{}:
	case <-w.ctx.Done():
		return w.ctx.Err()
	}
	w.pending.Go(func() {
		defer func() { <-w.slots }()
		if _, err := w.job.put(w.ctx, key, body); err != nil {
			w.once.Do(func() { w.failed = err })
			w.cancel()
			return
		}
		select {
		case w.free <- body[:0]:
		default:
		}
	})
	return nil
}

// putSpool puts an object that was too large for memory.
func (w *writer) putSpool(key string) error {
	if err := w.toSpool(); err != nil {
		return err
	}
	_, err := w.job.once(w.ctx, func() error {
		if _, err := w.spool.Seek(0, io.SeekStart); err != nil {
			return onDisk(err)
		}
		_, err := w.job.Data.PutStream(w.ctx, key, w.spool, w.size, blob.Once())
		return err
	})
	if err != nil {
		return err
	}
	w.size = 0
	if err := w.spool.Truncate(0); err != nil {
		return onDisk(err)
	}
	_, err = w.spool.Seek(0, io.SeekStart)
	return onDisk(err)
}

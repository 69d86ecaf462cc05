package proof

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/capture"
)

// Captures is the part of the data bucket that is read.
type Captures interface {
	Get(ctx context.Context, key string) (blob.Object, error)
	List(ctx context.Context, prefix, startAfter string) iter.Seq2[blob.Info, error]
}

// Collector reads captures as they land.
type Collector struct {
	Store Captures
	Since time.Time     // captures that arrived in an earlier hour are not looked at
	Poll  time.Duration // between two looks
	// Patience is how long no new capture of this run may land before the rest counts as missing.
	// Firehose holds records back for as long as its buffering hints say.
	Patience time.Duration
	// Settle is how long to look on when all have landed, for repeats.
	Settle time.Duration
	seen   map[string]bool
}

// Collect feeds ledger until every row has landed and Settle has passed, or until
// Patience is used up. progress is told the rows that are left.
func (c *Collector) Collect(ctx context.Context, ledger *Ledger, progress func(left int)) error {
	c.seen = map[string]bool{}
	last, complete := time.Now(), time.Time{}
	for {
		before := ledger.Left()
		if err := c.look(ctx, ledger); err != nil {
			return err
		}
		left, now := ledger.Left(), time.Now()
		progress(left)
		if left < before {
			last = now
		}
		if left == 0 && complete.IsZero() {
			complete = now
		}
		if left == 0 && now.Sub(complete) >= c.Settle || left > 0 && now.Sub(last) >= c.Patience {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(c.Poll):
		}
	}
}

// look reads every capture object that it has not read yet. Keys begin with the
// hour of arrival.
func (c *Collector) look(ctx context.Context, ledger *Ledger) error {
	after := c.Since.UTC().Add(-time.Hour).Format("captures/2006-01-02/15/")
	for info, err := range c.Store.List(ctx, "captures/", after) {
		if err != nil {
			return fmt.Errorf("list captures: %w", err)
		}
		if c.seen[info.Key] {
			continue
		}
		object, err := c.Store.Get(ctx, info.Key)
		if err != nil {
			return fmt.Errorf("read %s: %w", info.Key, err)
		}
		if err := records(object.Body, ledger.Add); err != nil {
			return fmt.Errorf("read %s: %w", info.Key, err)
		}
		c.seen[info.Key] = true
	}
	return nil
}

// records calls each with every line of an object, plain or gzip.
func records(body []byte, each func(*capture.Record)) error {
	var r io.Reader = bytes.NewReader(body)
	if bytes.HasPrefix(body, []byte{0x1f, 0x8b}) {
		plain, err := gzip.NewReader(r)
		if err != nil {
			return err
		}
		r = plain
	}
	dec := json.NewDecoder(bufio.NewReader(r))
	for dec.More() {
		var record capture.Record
		if err := dec.Decode(&record); err != nil {
			return err
		}
		each(&record)
	}
	return nil
}

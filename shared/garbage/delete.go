package garbage

import (
	"context"
	"fmt"

	"github.com/tidegate/tidegate/shared/fault"
)

// Outcome of an item that was to be removed.
type Outcome struct {
	Item    Item   `json:"item"`
	Objects int    `json:"objects"` // removed
	Bytes   int64  `json:"bytes"`
	Left    string `json:"left,omitempty"` // why something of it stays
}

// Delete removes what a report of this collector lists, in its order, and tells of each item when it is gone. It
// can be stopped at any time: what is left is found again.
//
// An object is removed version by version, as long as the newest one is older than the
// report's limit when it is looked at. One that was written meanwhile stays, and so
// does the write that comes between look and removal, since it makes another version.
//
// Errors: FailedPrecondition when the bucket keeps no versions or the report is too old to act
// upon, Unavailable, Internal (no permission to delete).
func (c *Collector) Delete(ctx context.Context, r *Report, tell func(Outcome)) error {
	for _, item := range r.Garbage {
		out := Outcome{Item: item}
		for _, key := range item.keys {
			if err := c.remove(ctx, r, key, &out); err != nil {
				return err
			}
		}
		if tell != nil {
			tell(out)
		}
	}
	return nil
}

func (c *Collector) remove(ctx context.Context, r *Report, key string, out *Outcome) error {
	for first := true; ; first = false {
		if age := c.Now().Sub(r.At); age > MaxRun {
			return fault.New(fault.FailedPrecondition, "the bucket was searched %s ago, and something may refer to what was found by now; run it again", age.Round(1e9))
		}
		info, err := c.Bucket.Head(ctx, key)
		switch {
		case fault.Is(err, fault.NotFound):
			return nil
		case err != nil:
			return fmt.Errorf("garbage: look at %s: %w", key, err)
		case !info.Modified.Before(r.Before):
			out.Left = "it was written again"
			return nil
		case info.VersionID == "":
			return fault.New(fault.FailedPrecondition, "the bucket keeps no versions of its objects, so a write that comes in between could be lost; switch versioning on")
		}
		if err := c.Bucket.DeleteVersion(ctx, key, info.VersionID); err != nil {
			return fmt.Errorf("garbage: remove %s: %w", key, err)
		}
		out.Bytes += info.Size
		if first {
			out.Objects++
		}
	}
}

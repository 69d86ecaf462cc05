package blob

import (
	"context"
	"fmt"

	"github.com/tidegate/tidegate/shared/fault"
)

// Putter is the part of Store that writes.
type Putter interface {
	Put(ctx context.Context, key string, body []byte, cond Condition) (Info, error)
}

// PutOnce writes a write-once object. That it is there already is no error: created
// is false then, and what is there stays.
func PutOnce(ctx context.Context, store Putter, key string, body []byte) (created bool, err error) {
	_, err = store.Put(ctx, key, body, Once())
	if err == nil {
		return true, nil
	}
	if fault.Is(err, fault.FailedPrecondition) {
		return false, nil
	}
	return false, fmt.Errorf("blob: write %s once: %w", key, err)
}

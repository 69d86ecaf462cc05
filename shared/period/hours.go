package period

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tidegate/tidegate/shared/blob"
)

const hourLayout = "2006-01-02/15"

// Hours lists the objects below prefix whose folder <date>/<hh>/ is in [from, to),
// one listing a day.
func Hours(ctx context.Context, store blob.Store, prefix string, from, to time.Time) ([]blob.Info, error) {
	var out []blob.Info
	for date := from.UTC().Truncate(Day); date.Before(to); date = date.Add(Day) {
		folder := prefix + date.Format(time.DateOnly) + "/"
		after := ""
		if from.After(date) {
			after = prefix + from.UTC().Format(hourLayout)
		}
		for info, err := range store.List(ctx, folder, after) {
			if err != nil {
				return nil, fmt.Errorf("period: list %s: %w", folder, err)
			}
			hour, ok := HourOf(prefix, info.Key)
			if ok && !hour.Before(to) {
				break
			}
			if ok && !hour.Before(from) {
				out = append(out, info)
			}
		}
	}
	return out, nil
}

// HourOf is the hour in a key prefix<date>/<hh>/….
func HourOf(prefix, key string) (time.Time, bool) {
	rest := strings.TrimPrefix(key, prefix)
	if len(rest) <= len(hourLayout) {
		return time.Time{}, false
	}
	hour, err := time.Parse(hourLayout, rest[:len(hourLayout)])
	return hour, err == nil
}

// Between are the entries of infos, as [Hours] lists them, whose hour is in [from, to).
// They are searched for: a week has thousands of windows, and of objects.
func Between(infos []blob.Info, prefix string, from, to time.Time) []blob.Info {
	first := func(t time.Time) int {
		at, _ := slices.BinarySearchFunc(infos, t, func(info blob.Info, t time.Time) int {
			hour, _ := HourOf(prefix, info.Key)
			return hour.Compare(t)
		})
		return at
	}
	begin := first(from)
	return slices.Clip(infos[begin:max(begin, first(to))])
}

// Digest names a listing: the same objects with the same content, the same digest.
func Digest(infos []blob.Info) string {
	h := sha256.New()
	for _, info := range infos {
		fmt.Fprintf(h, "%s %s\n", info.Key, info.ETag)
	}
	return hex.EncodeToString(h.Sum(nil)[:12])
}

// readers is how many objects are read at once: those of a window are small, and there are thousands.
const readers = 12

// Each calls do for every index below n, on several goroutines, and returns the first error.
func Each(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan int)
	var running sync.WaitGroup
	for range min(readers, n) {
		running.Go(func() {
			for i := range next {
				if err := do(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	for i := 0; i < n && ctx.Err() == nil; i++ {
		select {
		case next <- i:
		case <-ctx.Done():
		}
	}
	close(next)
	running.Wait()
	return context.Cause(ctx)
}

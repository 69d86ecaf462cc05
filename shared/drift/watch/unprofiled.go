package watch

import (
	"context"
	"fmt"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/drift"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/period"
	"github.com/tidegate/tidegate/shared/profile"
)

const (
	capturePrefix = "captures/"
	// maxAsked bounds the captures that are asked for their version, to find their profile among other models.
	maxAsked = 500
	// grace is the time in which profile may still be at work on a capture.
	grace = 2 * time.Minute
)

// unprofiled lists the captures that arrived in the window's hours and that no
// profile of any model was made of. A captures object belongs to no one model, so
// one that holds no row of this model is looked for among the others.
func (g *gathered) unprofiled(ctx context.Context, from, to time.Time) error {
	infos, err := period.Hours(ctx, g.w.Data, capturePrefix, from, to)
	if err != nil {
		return err
	}
	var open []blob.Info
	now := g.w.Now()
	for _, info := range infos {
		if !g.sources[info.Key] && now.Sub(info.Modified) > grace {
			open = append(open, info)
		}
	}
	if len(open) == 0 {
		return nil
	}
	known, err := g.elsewhere(ctx, from, to)
	if err != nil {
		return err
	}
	const detail = "captures without a profile: the dead-letter queue of profile says why; which models they are of is not known"
	var mu sync.Mutex
	return period.Each(ctx, len(open), func(ctx context.Context, i int) error {
		source := profile.Source{Bucket: g.w.Bucket, Key: open[i].Key, ETag: open[i].ETag}
		if len(known) > 0 && i < maxAsked {
			head, err := g.w.Data.Head(ctx, source.Key)
			if fault.Is(err, fault.NotFound) {
				return nil // expired since the listing
			}
			if err != nil {
				return fmt.Errorf("watch: look at a capture: %w", err)
			}
			source.VersionID, source.ETag = head.VersionID, head.ETag
			if known[source.ID()] {
				return nil
			}
		}
		mu.Lock()
		defer mu.Unlock()
		g.leave(drift.LeftNoProfile, detail, drift.UnitObjects, 1, source.Key)
		return nil
	})
}

// elsewhere are the ids of the sources that other models have profiles of.
func (g *gathered) elsewhere(ctx context.Context, from, to time.Time) (map[string]bool, error) {
	known := map[string]bool{}
	for m, err := range g.w.Registry.Models(ctx) {
		if err != nil {
			return nil, err
		}
		if m.Name == g.model.name {
			continue
		}
		infos, err := period.Hours(ctx, g.w.Data, profilePrefix(m.Name), from, to)
		if err != nil {
			return nil, err
		}
		for _, info := range infos {
			known[strings.TrimSuffix(path.Base(info.Key), ".json")] = true
		}
	}
	return known, nil
}

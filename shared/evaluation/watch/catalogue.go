package watch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"iter"
	"strings"
	"time"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/label"
	"github.com/tidegate/tidegate/shared/outcome"
	"github.com/tidegate/tidegate/shared/period"
)

const capturesRoot = "captures/"

// behind is how many hours behind an hour its captures are looked for.
const behind = int((outcome.DefaultLateness + time.Hour - 1) / time.Hour)

// folder is what lies in the folder of one hour: not the listing itself, of which a
// week has tens of thousands of entries, but what names it.
type folder struct {
	objects int
	bytes   int64 // plain, about
	digest  [sha256.Size]byte
}

// gathering adds up a folder, in the order of the listing.
type gathering struct {
	folder
	sum hash.Hash
}

// unzipped is about how much larger the lines of captures and labels are than their gzip.
const unzipped = 8

func (g *gathering) add(info *blob.Info) {
	if g.sum == nil {
		g.sum = sha256.New()
	}
	fmt.Fprintf(g.sum, "%s %s\n", info.Key, info.ETag)
	g.objects++
	if strings.HasSuffix(info.Key, ".gz") {
		g.bytes += unzipped * info.Size
	} else {
		g.bytes += info.Size
	}
}

func (g *gathering) done() folder {
	if g.sum != nil {
		g.sum.Sum(g.digest[:0])
	}
	return g.folder
}

// catalogue knows what lies in the folders of hours, listed once a day of them.
type catalogue struct {
	store  outcome.Store
	listed map[string]bool             // prefixes of days
	of     map[string]map[int64]folder // by root, by hour
}

func newCatalogue(store outcome.Store) *catalogue {
	return &catalogue{store: store, listed: map[string]bool{}, of: map[string]map[int64]folder{}}
}

// day lists one day of <root><date>/<hh>/…, unless it has been.
func (c *catalogue) day(ctx context.Context, root string, at time.Time) error {
	prefix := root + at.UTC().Format(time.DateOnly) + "/"
	if c.listed[prefix] {
		return nil
	}
	found := map[int64]*gathering{}
	for info, err := range c.store.List(ctx, prefix, "") {
		if err != nil {
			return fmt.Errorf("watch: list %s: %w", prefix, err)
		}
		hour, ok := period.HourOf(root, info.Key)
		if !ok || strings.HasSuffix(info.Key, "/") {
			continue
		}
		if found[hour.Unix()] == nil {
			found[hour.Unix()] = &gathering{}
		}
		found[hour.Unix()].add(&info)
	}
	if c.of[root] == nil {
		c.of[root] = map[int64]folder{}
	}
	for hour, g := range found {
		c.of[root][hour] = g.done()
	}
	c.listed[prefix] = true
	return nil
}

func (c *catalogue) folder(ctx context.Context, root string, hour time.Time) (folder, error) {
	if err := c.day(ctx, root, hour); err != nil {
		return folder{}, err
	}
	return c.of[root][hour.Unix()], nil
}

// sources is what one hour of predictions is joined from.
type sources struct {
	hour     time.Time
	captures [1 + behind]folder // those of the hour, and those behind it
	labels   folder
}

// hour looks up the sources of an hour of predictions.
func (c *catalogue) hour(ctx context.Context, model string, hour time.Time) (s sources, err error) {
	s.hour = hour
	for i := range s.captures {
		if s.captures[i], err = c.folder(ctx, capturesRoot, hour.Add(time.Duration(i)*time.Hour)); err != nil {
			return s, err
		}
	}
	s.labels, err = c.folder(ctx, label.Filed+model+"/", hour)
	return s, err
}

// forget drops what was listed of a model, whose labels nobody looks for again.
func (c *catalogue) forget(model string) {
	root := label.Filed + model + "/"
	delete(c.of, root)
	for prefix := range c.listed {
		if strings.HasPrefix(prefix, root) {
			delete(c.listed, prefix)
		}
	}
}

func (s *sources) empty() bool { return s.capturesObjects() == 0 && s.labels.objects == 0 }

func (s *sources) capturesObjects() (n int) {
	for i := range s.captures {
		n += s.captures[i].objects
	}
	return n
}

// bytes is about how much there is to read, as plain text.
func (s *sources) bytes() int64 {
	n := s.labels.bytes
	for i := range s.captures {
		n += s.captures[i].bytes
	}
	return n
}

// id names what an hour is made of: the same objects with the same content, counted
// on the same terms, the same id.
func (s *sources) id(terms string) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n", terms)
	for i := range s.captures {
		h.Write(s.captures[i].digest[:])
	}
	h.Write(s.labels.digest[:])
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// recorder is a store that notes which sources a join lists, so that its result can
// be kept under the name of what was read, and not of an earlier listing.
type recorder struct {
	outcome.Store
	seen map[string]*gathering // by folder
}

func (r *recorder) List(ctx context.Context, prefix, startAfter string) iter.Seq2[blob.Info, error] {
	return func(yield func(blob.Info, error) bool) {
		g := &gathering{}
		r.seen[prefix] = g
		for info, err := range r.Store.List(ctx, prefix, startAfter) {
			if err == nil && !strings.HasSuffix(info.Key, "/") {
				g.add(&info)
			}
			if !yield(info, err) {
				return
			}
		}
	}
}

// sources are those of the hour that was joined.
func (r *recorder) sources(model string, hour time.Time) sources {
	s := sources{hour: hour}
	of := func(prefix string) folder {
		if g := r.seen[prefix]; g != nil {
			return g.done()
		}
		return folder{}
	}
	for i := range s.captures {
		s.captures[i] = of(outcome.CapturesPrefix(hour.Add(time.Duration(i) * time.Hour)))
	}
	s.labels = of(label.Prefix(model, hour))
	return s
}

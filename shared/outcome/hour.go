package outcome

import (
	"context"
	"io"
	"iter"
	"strings"
	"time"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/label"
	"github.com/tidegate/tidegate/shared/registry"
)

const (
	// DefaultLateness is how long after a prediction its capture may arrive.
	DefaultLateness = time.Hour
	// DefaultBudget is the memory for the records of an hour, in bytes: what a function of 1,769 MB
	// has beside its buffers and the state of an evaluation.
	DefaultBudget = 700 << 20
	// maxParts bounds the passes over an hour.
	maxParts = 1 << 12
)

// Store is the part of blob.Store that a join needs. It opens several objects at a time.
type Store interface {
	List(ctx context.Context, prefix, startAfter string) iter.Seq2[blob.Info, error]
	Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, blob.Info, error)
}

// Hours joins the captures and labels of one model in a bucket, hour by hour of the
// predictions. It may be used by one goroutine at a time.
//
// Memory is bounded by Budget and one line. The records of an hour are held while
// its labels are read; when they are more than fit, the hour is read again and
// again, each time for the ids of one half, quarter, … only: rows of an id, and so
// pairs, stay together. A record of a single row takes about 110 bytes with a score
// and a class.
type Hours struct {
	Store    Store
	Model    string
	Spec     Spec
	Lateness time.Duration // how many hours behind an hour are looked through; rounded up; 0 = DefaultLateness
	Budget   int64         // bytes; 0 = DefaultBudget

	segments *Segments
	origins  map[Origin]*Origin
	byIndex  []*Origin
	last     *Origin
}

// Segments names the segments of the batches.
func (h *Hours) Segments() *Segments {
	if h.segments == nil {
		h.segments = newSegments(h.Spec.Segments)
	}
	return h.segments
}

// Join joins the hours from (included) to to (not included).
func (h *Hours) Join(ctx context.Context, from, to time.Time, visit func(*Batch) error) (Counts, error) {
	var total Counts
	for hour := from.UTC().Truncate(time.Hour); hour.Before(to); hour = hour.Add(time.Hour) {
		c, err := h.JoinHour(ctx, hour, visit)
		if err != nil {
			return total, err
		}
		total.Merge(&c)
	}
	return total, nil
}

// JoinHour joins the predictions whose id is of an hour with their labels and hands
// them to visit, which must not keep the batch. Outcomes of a request come
// together, pairs in one batch.
//
// Errors: InvalidArgument, the spec is not valid or a segment column has too many
// values; Internal, filed labels are damaged; PayloadTooLarge, the labels by
// request id or one id do not fit into Budget; what the store and visit return.
func (h *Hours) JoinHour(ctx context.Context, hour time.Time, visit func(*Batch) error) (Counts, error) {
	if err := h.Spec.Check(); err != nil {
		return Counts{}, err
	}
	if err := registry.CheckName(h.Model); err != nil {
		return Counts{}, err
	}
	hour = hour.UTC().Truncate(time.Hour)
	objects, err := h.list(ctx, hour)
	if err != nil {
		return Counts{}, err
	}
	p := newPart(ctx, h, hour, objects, visit)
	// A first guess of the parts; what turns out too large is halved.
	depth := 0
	for guess := objects.weight(); guess > p.budget && 1<<depth < maxParts; guess /= 2 {
		depth++
	}
	for prefix := range uint64(1) << depth {
		if err := p.join(depth, prefix); err != nil {
			return p.counts, err
		}
	}
	p.finish()
	return p.counts, nil
}

// object is a captures or labels object of an hour.
type object struct {
	blob.Info
	own bool // in the folder of the hour itself
}

type hourObjects struct{ captures, labels []object }

// list finds what an hour is joined from.
func (h *Hours) list(ctx context.Context, hour time.Time) (found hourObjects, err error) {
	lateness := h.Lateness
	if lateness <= 0 {
		lateness = DefaultLateness
	}
	add := func(into *[]object, prefix string, own bool) error {
		for info, err := range h.Store.List(ctx, prefix, "") {
			if err != nil {
				return err
			}
			if !strings.HasSuffix(info.Key, "/") {
				*into = append(*into, object{info, own})
			}
		}
		return nil
	}
	for at := hour; at.Before(hour.Add(time.Hour + lateness)); at = at.Add(time.Hour) {
		if err := add(&found.captures, CapturesPrefix(at), at.Equal(hour)); err != nil {
			return found, err
		}
	}
	return found, add(&found.labels, label.Prefix(h.Model, hour), true)
}

// CapturesPrefix is the folder of the captures that arrived within an hour.
func CapturesPrefix(hour time.Time) string {
	return "captures/" + hour.UTC().Format("2006-01-02/15") + "/"
}

// weight is a guess of the memory that the records take. Captures of a row are
// about 500 bytes plain and 60 compressed, in the store about 110; objects of the
// next hours hold few records of this one.
func (o *hourObjects) weight() (bytes int64) {
	for _, c := range o.captures {
		switch {
		case !c.own:
		case strings.HasSuffix(c.Key, ".gz"):
			bytes += 2 * c.Size
		default:
			bytes += c.Size / 4
		}
	}
	return bytes
}

// origin finds or makes the origin that is equal to o, whose texts may share memory with a line.
func (h *Hours) origin(o *Origin) *Origin {
	if h.last != nil { // records beside each other mostly have one
		if o.Index = h.last.Index; *o == *h.last {
			return h.last
		}
	}
	o.Index = 0
	if known, ok := h.origins[*o]; ok {
		h.last = known
		return known
	}
	if h.origins == nil {
		h.origins = map[Origin]*Origin{}
	}
	made := *o
	made.Rollout, made.ErrorKind = strings.Clone(o.Rollout), strings.Clone(o.ErrorKind)
	key := made
	made.Index = len(h.byIndex)
	h.origins[key] = &made
	h.byIndex = append(h.byIndex, &made)
	h.last = &made
	return &made
}

// errBudget says that the records of a part do not fit.
var errBudget = fault.New(fault.PayloadTooLarge, "the records of one id, or the labels by request id, of an hour do not fit into the memory of the join; give it more")

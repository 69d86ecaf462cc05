package outcome

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/tidegate/tidegate/shared/capture/scan"
)

// maxStrange bounds what is remembered of lines that are left out, so that a
// repeated one is not counted again.
const maxStrange = 1 << 20

// part joins an hour in parts, by the hash of the ids.
type part struct {
	ctx     context.Context
	h       *Hours
	hour    int64 // milliseconds
	objects hourObjects
	budget  int64
	classes *classes
	counts  Counts
	strange map[uint64]struct{} // hashes of lines that are left out
	asked   requested
	line    scan.Line
	columns *columns
	out     *emitter

	depth  int    // of the part that is being read: the ids whose hash begins
	prefix uint64 // with these bits
	store  *store
	own    bool // of the object that is being read
	id     Key
	late   time.Duration
}

func newPart(ctx context.Context, h *Hours, hour time.Time, objects hourObjects, visit func(*Batch) error) *part {
	p := &part{ctx: ctx, h: h, hour: hour.UnixMilli(), objects: objects, budget: h.Budget,
		classes: h.Spec.classes(), strange: map[uint64]struct{}{}, late: h.Lateness}
	if p.budget <= 0 {
		p.budget = DefaultBudget
	}
	if p.late <= 0 {
		p.late = DefaultLateness
	}
	p.columns = newColumns(&p.line, &h.Spec, p.classes, h.Segments())
	p.line.Done = p.notMine
	p.out = newEmitter(&h.Spec, &p.counts, visit)
	return p
}

// join joins the ids of a part; one that does not fit becomes two.
func (p *part) join(depth int, prefix uint64) error {
	p.depth, p.prefix = depth, prefix
	p.store = newStore(&p.h.Spec)
	before := p.counts
	err := p.captures()
	if errors.Is(err, errBudget) && 1<<depth < maxParts {
		// What is counted of lines that are left out stays: p.strange knows them.
		p.counts.Repeated, p.counts.Unreadable = before.Repeated, before.Unreadable
		p.store = nil // before two more are made
		if err := p.join(depth+1, prefix<<1); err != nil {
			return err
		}
		return p.join(depth+1, prefix<<1|1)
	}
	if err != nil {
		return err
	}
	if err := p.labels(); err != nil {
		return err
	}
	return p.emit()
}

// mine says whether an id is of this part.
func (p *part) mine(id Key) bool { return p.depth == 0 || id.Hash()>>(64-p.depth) == p.prefix }

// captures reads all captures of the hour.
func (p *part) captures() error {
	return p.each(p.objects.captures, p.capturesObject)
}

func (p *part) capturesObject(o object, body io.Reader) error {
	p.own = o.own
	number := 0
	err := lines(p.ctx, body, func(n int, text []byte) error {
		number = n
		problem, err := p.capture(text)
		if problem != "" && p.first(text) {
			p.counts.Malformed++
			least(&p.counts.First.Malformed, fmt.Sprintf("%s, line %d: %s", o.Key, n, problem))
		}
		return err
	})
	var damage *damaged
	if errors.As(err, &damage) {
		if p.prefix == 0 {
			p.counts.Unreadable++
			least(&p.counts.First.Unreadable, fmt.Sprintf("%s, after line %d: %s", o.Key, number, damage.what))
		}
		return nil
	}
	return err
}

// notMine ends the reading of a line of another model, hour or part. A line whose id
// is none is read on, and refused by capture, in the first part.
func (p *part) notMine() bool {
	if p.line.Model != p.h.Model {
		return true
	}
	at, ok := millis(p.line.ID)
	if !ok {
		return p.prefix != 0
	}
	p.id = KeyOf(p.line.ID)
	if at < p.hour || at >= p.hour+time.Hour.Milliseconds() {
		looked := time.Duration(p.hour-at)*time.Millisecond <= (p.late + time.Hour - 1).Truncate(time.Hour)
		if p.own && p.mine(p.id) && (at > p.hour || !looked) && p.first(p.line.B) {
			p.counts.OutOfHour++
		}
		return true
	}
	return !p.mine(p.id)
}

// first says whether a line is met for the first time.
func (p *part) first(line []byte) bool {
	h := xxhash.Sum64(line)
	if _, seen := p.strange[h]; seen {
		return false
	}
	if len(p.strange) < maxStrange {
		p.strange[h] = struct{}{}
	}
	return true
}

// millis is the time of a UUIDv7, in milliseconds.
func millis(id string) (int64, bool) {
	if len(id) != 36 {
		return 0, false
	}
	k, ok := uuidKey(id)
	return int64(k.Hi >> 16), ok && k.Hi>>12&0xf == 7 && k.Lo>>62 == 2
}

// capture reads a line and holds its record. problem says why it is none.
func (p *part) capture(text []byte) (problem string, err error) {
	p.columns.reset()
	problem = p.line.Read(text)
	r := &p.line.Record
	switch {
	case p.columns.err != nil:
		return "", p.columns.err
	case p.line.Ended || problem == "" && r.Model == "" && p.prefix != 0:
		return "", nil
	case problem != "":
		if !p.known() {
			return "", nil
		}
		return problem, nil
	}
	if r.Model == "" {
		return "there is no model", nil
	}
	if _, ok := millis(r.ID); !ok {
		return "its id is no UUIDv7", nil
	}
	if r.Total < r.Rows || r.First > math.MaxInt32 || r.Total > math.MaxInt32 || r.Version < 1 || r.Version > math.MaxInt32 {
		return "version, first_row or total_rows cannot be one", nil
	}
	rec := held{id: p.id, cluster: p.id.Hash(), digest: xxhash.Sum64(text), at: int64(p.id.Hi >> 16), first: uint32(r.First), total: uint32(r.Total),
		latency: uint32(min(max(r.LatencyUS, 0), time.Hour.Microseconds())), late: !p.own}
	if r.Key != "" {
		rec.cluster = KeyOf(r.Key).Hash()
	}
	if r.RequestID != "" {
		rec.asked = askedHash(r.RequestID)
	}
	if !r.Failed() {
		rec.rows = uint32(r.Rows)
		if rec.unread, problem = p.columns.fit(int(r.Rows)); problem != "" {
			return problem, nil
		}
	}
	rec.origin = uint32(p.h.origin(&Origin{Version: int(r.Version), Slot: r.Slot, Role: r.Role, Generation: r.Generation, Rollout: r.Rollout,
		Sampled: r.Sampled, Status: int(r.Status), ErrorKind: r.ErrorKind}).Index)
	return "", p.hold(rec)
}

// known says whether a line that is no record is one of this model and part, or could
// be: then it is counted in the first part.
func (p *part) known() bool {
	if p.line.Model != "" && p.line.Model != p.h.Model {
		return false
	}
	if _, ok := millis(p.line.ID); ok && p.line.Model != "" {
		return true // notMine has let it through
	}
	return p.prefix == 0
}

package outcome

import (
	"cmp"
	"math"
	"slices"

	"github.com/tidegate/tidegate/shared/capture"
)

// emitter fills batches and hands them out.
type emitter struct {
	Batch
	spec   *Spec
	counts *Counts
	visit  func(*Batch) error
	group  []*held // of one id

	sampled float64 // of the served rows that are not yet in counts.Strata
	run     uint64
}

func newEmitter(spec *Spec, counts *Counts, visit func(*Batch) error) *emitter {
	e := &emitter{spec: spec, counts: counts, visit: visit}
	e.Segments = make([][]uint32, len(spec.Segments))
	return e
}

// flush hands the batch out, if there is anything in it.
func (e *emitter) flush() error {
	if e.Rows == 0 && len(e.Requests) == 0 {
		return nil
	}
	e.settle()
	err := e.visit(&e.Batch)
	e.reset()
	return err
}

// emit hands out the rows of the part, those of an id together.
func (p *part) emit() error {
	s := p.store
	for i := range s.count {
		rec := s.record(i)
		switch {
		case rec.next != 0:
			continue // not the first one of its id
		case !rec.grouped:
			p.out.group = append(p.out.group[:0], rec)
		default:
			p.out.group = p.out.group[:0]
			for at := s.find(rec.id); at != 0; at = s.record(at - 1).next {
				p.out.group = append(p.out.group, s.record(at-1))
			}
			slices.SortFunc(p.out.group, p.before)
		}
		if err := p.emitGroup(); err != nil {
			return err
		}
		if i%4096 == 0 && p.ctx.Err() != nil {
			return p.ctx.Err()
		}
	}
	return p.out.flush()
}

// before orders the records of an id: the served ones before the paired ones, then by first row.
func (p *part) before(a, b *held) int {
	x, y := p.h.byIndex[a.origin], p.h.byIndex[b.origin]
	return cmp.Or(-cmp.Compare(x.Role, y.Role), cmp.Compare(a.first, b.first), cmp.Compare(x.Version, y.Version))
}

// emitGroup hands out the records of one id. Rows that are the same row of the
// request lie beside each other, so that a pair is within a batch however the
// records were split.
func (p *part) emitGroup() error {
	e := p.out
	for _, rec := range e.group {
		p.countRecord(rec)
	}
	e.openRequests(p, false)
	for row, more := e.next(0); more; row, more = e.next(row + 1) {
		if e.Rows >= batchRows {
			if err := e.flush(); err != nil {
				return err
			}
			e.openRequests(p, true)
		}
		p.emitRow(row)
	}
	if e.Rows >= batchRows || len(e.Requests) >= batchRows { // failed requests have no rows
		return e.flush()
	}
	return nil
}

// next is the first row at or behind row that a record of the group has.
func (e *emitter) next(row uint32) (next uint32, more bool) {
	next = math.MaxUint32
	for _, rec := range e.group {
		if !rec.unread && rec.first+rec.rows > row && rec.rows > 0 {
			next, more = min(next, max(row, rec.first)), true
		}
	}
	return next, more
}

// openRequests adds the requests of the group to the batch, the last of it.
func (e *emitter) openRequests(p *part, again bool) {
	for _, rec := range e.group {
		e.Requests = append(e.Requests, Request{Origin: p.h.byIndex[rec.origin], ID: rec.id, At: rec.at, Cluster: rec.cluster,
			First: int(rec.first), Rows: int(rec.rows), LatencyUS: int64(rec.latency), Again: again})
	}
}

// emitRow hands out one row of the request, of each record that has it.
func (p *part) emitRow(row uint32) {
	e := p.out
	served, pairs, paired := -1, 0, 0
	base := len(e.Requests) - len(e.group)
	for k, rec := range e.group {
		if row < rec.first || row-rec.first >= rec.rows || rec.unread {
			continue
		}
		origin := p.h.byIndex[rec.origin]
		if !p.append(rec, origin, uint32(base+k), row-rec.first) {
			continue
		}
		place := e.Rows - 1
		if origin.Role == capture.Served {
			served = place
			continue
		}
		paired++
		if served >= 0 && e.Requests[e.Request[served]].Origin.Version != origin.Version {
			e.Pairs = append(e.Pairs, Pair{uint32(served), uint32(place)})
			pairs++
		}
	}
	e.counts.Pairs += uint64(pairs)
	e.counts.Unpaired += uint64(paired - pairs)
}

// countRecord counts what is counted by record.
func (p *part) countRecord(rec *held) {
	c, origin := p.out.counts, p.h.byIndex[rec.origin]
	if origin.Failed() {
		c.Failed++
	} else {
		c.Requests++
	}
	if rec.late {
		c.Late++
	}
	if rec.differs {
		c.Differing++
	}
	if rec.unread {
		c.Unscored += uint64(rec.rows)
	}
}

// append adds a row to the batch; false when its scores cannot be counted.
func (p *part) append(rec *held, origin *Origin, request, i uint32) bool {
	e, s := p.out, p.store
	words := s.row(rec.offset + i)
	state := words[s.scores+wordState]
	if state&flagConflict != 0 && origin.Role == capture.Served {
		e.counts.LabelConflicts++
	}
	if state&flagBadScore != 0 {
		e.counts.BadScores++
		return false
	}
	e.Request = append(e.Request, request)
	id := rec.id
	if rec.total != 1 {
		id = id.RowKey(int(rec.first + i))
	}
	e.ID = append(e.ID, id)
	e.At = append(e.At, rec.at)
	e.Cluster = append(e.Cluster, p.cluster(rec, origin, words))
	e.Weight = append(e.Weight, 1/origin.Sampled)
	e.scores(words[:s.scores])
	e.predicted(int32(uint32(state)))
	value, labelled := math.NaN(), state&flagLabelled != 0
	if labelled {
		value = math.Float64frombits(words[s.scores+wordLabel])
	}
	e.Label = append(e.Label, value)
	e.LabelAt = append(e.LabelAt, int64(words[s.scores+wordSince]))
	for k := range e.Segments {
		n := uint32(words[s.scores+fixedWords+k/2] >> (k % 2 * 32))
		if n == Absent {
			e.counts.absent(e.spec.Segments[k], 1)
		}
		e.Segments[k] = append(e.Segments[k], n)
	}
	e.Rows++
	e.count(origin, labelled)
	return true
}

// cluster is what a row depends by: its key, else what its request does.
func (p *part) cluster(rec *held, origin *Origin, words []uint64) uint64 {
	s := p.store
	if !s.keyed {
		return rec.cluster
	}
	if key := words[s.width-1]; key != 0 {
		return key
	}
	if origin.Role == capture.Served {
		p.out.counts.Unkeyed++
	}
	return rec.cluster
}

func (e *emitter) scores(words []uint64) {
	if e.spec.multiclass() {
		for _, w := range words {
			e.Scores = append(e.Scores, math.Float64frombits(w))
		}
	} else if len(words) > 0 {
		e.Score = append(e.Score, math.Float64frombits(words[0]))
	}
}

func (e *emitter) predicted(class int32) {
	if e.spec.Prediction == "" || e.spec.regression() {
		return
	}
	if class == none {
		e.counts.BadClass++
	}
	e.Predicted = append(e.Predicted, class)
}

// count counts a row that is handed out.
func (e *emitter) count(origin *Origin, labelled bool) {
	c := e.counts
	switch {
	case origin.Role != capture.Served:
		c.Paired++
		return
	case labelled:
		c.Labelled++
	default:
		c.Unlabelled++
	}
	c.Predictions++
	if origin.Sampled != e.sampled {
		e.settle()
		e.sampled = origin.Sampled
	}
	e.run++
}

// settle adds the served rows since the last time to their stratum.
func (e *emitter) settle() {
	if e.run > 0 {
		e.counts.stratum(e.sampled, e.run)
		e.run = 0
	}
}

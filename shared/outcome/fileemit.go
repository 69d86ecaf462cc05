package outcome

import (
	"math"
	"slices"

	"github.com/tidegate/tidegate/shared/capture"
)

// fileEmitter fills the batches of one worker with rows of files.
type fileEmitter struct {
	emitter
	j       *filesJoin
	members []uint32
	places  []int
}

func newFileEmitter(j *filesJoin, worker int, counts *Counts) *fileEmitter {
	e := &fileEmitter{j: j}
	e.emitter = *newEmitter(&j.spec, counts, func(b *Batch) error { return j.visit(worker, b) })
	return e
}

// single hands out a row that is not joined.
func (e *fileEmitter) single(row []uint64, k Key, hasLabel bool) error {
	m, since := rowMore{labelled: hasLabel}, int64(0)
	if l := &e.j.layout; hasLabel {
		m.label = math.Float64frombits(row[l.label])
		if l.labelAt >= 0 {
			since = int64(row[l.labelAt])
		}
	}
	row[rowHi], row[rowLo] = k.Hi, k.Lo
	return e.row(row, &m, since)
}

// row hands out a row without a partner, whose first label became known at since.
func (e *fileEmitter) row(row []uint64, m *rowMore, since int64) error {
	if e.append(row, m, since) && e.Requests[row[rowState]>>stateSource].Origin.Role == capture.Paired {
		e.counts.Unpaired++
	}
	if e.Rows >= batchRows {
		return e.flush()
	}
	return nil
}

// several hands out the rows of one id of several sources, and their pairs.
func (e *fileEmitter) several(p *partJoin, head uint32) error {
	e.members, e.places = e.members[:0], e.places[:0]
	for at := head + 1; at != 0; at = p.more[at-1].next {
		e.members = append(e.members, at-1)
	}
	slices.SortFunc(e.members, func(a, b uint32) int { // the first source is the one that was served
		return int(p.row(a)[rowState]>>stateSource) - int(p.row(b)[rowState]>>stateSource)
	})
	served := -1
	for _, i := range e.members {
		row := p.row(i)
		if !e.append(row, &p.more[i], p.timesOf(i).since) {
			continue
		}
		switch place := e.Rows - 1; {
		case row[rowState]>>stateSource == 0:
			served = place
		case served < 0:
			e.counts.Unpaired++
		default:
			e.Pairs = append(e.Pairs, Pair{uint32(served), uint32(place)})
			e.counts.Pairs++
		}
	}
	if e.Rows >= batchRows {
		return e.flush()
	}
	return nil
}

// append adds a row to the batch; false when it is left out.
func (e *fileEmitter) append(row []uint64, m *rowMore, since int64) bool {
	if len(e.Requests) == 0 {
		for _, o := range e.j.origins {
			e.Requests = append(e.Requests, Request{Origin: o, Again: true})
		}
	}
	l := &e.j.layout
	state := row[rowState]
	source := state >> stateSource
	if m.differs {
		e.counts.Differing++
	}
	if m.conflict && source == 0 {
		e.counts.LabelConflicts++
	}
	if state&flagBadScore != 0 {
		e.counts.BadScores++
		return false
	}
	id := Key{row[rowHi], row[rowLo]}
	at, cluster, weight := int64(0), id.Hash(), 1.0
	if l.at >= 0 {
		at = int64(row[l.at])
	}
	if l.key >= 0 && row[l.key] != 0 {
		cluster = row[l.key]
	}
	if l.weight >= 0 {
		weight = math.Float64frombits(row[l.weight])
	}
	e.Request = append(e.Request, uint32(source))
	e.ID = append(e.ID, id)
	e.At = append(e.At, at)
	e.Cluster = append(e.Cluster, cluster)
	e.Weight = append(e.Weight, weight)
	if l.count > 0 {
		e.scores(row[l.scores : l.scores+l.count])
	}
	e.predicted(int32(uint32(state)))
	value := math.NaN()
	if m.labelled {
		value = m.label
	}
	e.Label = append(e.Label, value)
	e.LabelAt = append(e.LabelAt, since)
	for k := range e.Segments {
		e.Segments[k] = append(e.Segments[k], l.segment(row, k))
	}
	e.Rows++
	e.count(e.j.origins[source], m.labelled)
	return true
}

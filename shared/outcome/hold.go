package outcome

import "math"

// hold stores a record and its rows, or drops it when it is there already.
func (p *part) hold(rec held) error {
	s, origins := p.store, p.h.byIndex
	origin := origins[rec.origin]
	for at := s.find(rec.id); at != 0; at = s.record(at - 1).next {
		old := s.record(at - 1)
		if was := origins[old.origin]; old.first != rec.first || was.Version != origin.Version || was.Role != origin.Role {
			continue
		}
		p.counts.Repeated++
		old.late = old.late && rec.late
		if old.digest == rec.digest {
			return nil
		}
		old.differs = true
		if old.digest > rec.digest {
			return nil
		}
		rec.next, rec.grouped, rec.late, rec.differs = old.next, old.grouped, old.late, true
		if err := p.write(&rec); err != nil {
			return err
		}
		*old = rec
		return nil
	}
	if err := p.write(&rec); err != nil {
		return err
	}
	s.add(rec)
	if s.bytes() > p.budget {
		return errBudget
	}
	return nil
}

// write stores the rows of a record from the buffers of the columns.
func (p *part) write(rec *held) error {
	if rec.unread || rec.rows == 0 {
		return nil
	}
	s, c := p.store, p.columns
	first, ok := s.grow(int(rec.rows))
	if !ok {
		return errBudget
	}
	rec.offset = first
	from := c.place()
	for i := range int(rec.rows) {
		row := s.row(first + uint32(i))
		state := uint64(uint32(0xffff_ffff)) // no class
		if s.scores > 0 {
			scores := c.values[i*c.per+from : i*c.per+from+s.scores]
			for k, v := range scores {
				row[k] = math.Float64bits(v)
			}
			if !usable(scores, p.classes != nil) {
				state |= flagBadScore
			}
		}
		if c.classed {
			state = state&^0xffff_ffff | uint64(uint32(c.predicted[i]))
		}
		row[s.scores+wordState] = state
		row[s.scores+wordLabel], row[s.scores+wordAt], row[s.scores+wordSince] = 0, 0, 0
		segments := row[s.scores+fixedWords:]
		clear(segments)
		for k := range s.segments {
			n := uint32(Absent)
			if c.given[k] {
				n = c.of[k][i]
			}
			segments[k/2] |= uint64(n) << (k % 2 * 32)
		}
		if s.keyed && c.keyed {
			row[s.width-1] = c.keys[i]
		}
	}
	return nil
}

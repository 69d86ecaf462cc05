package profile

import (
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/tidegate/tidegate/shared/capture"
	"github.com/tidegate/tidegate/shared/capture/scan"
	"github.com/tidegate/tidegate/shared/oip/wire"
	"github.com/tidegate/tidegate/shared/registry"
)

// record is what is counted of one line. Texts share memory with the line.
type record struct {
	target   *target
	id       string
	slot     registry.Slot
	role     capture.Role
	first    int64 // row of the request
	rows     int64
	sampled  float64
	interval int64 // seconds since 1970
	skewed   bool
	failed   bool
}

// identity is what repeated deliveries of a record agree in, in one object or in two, as 64 bits.
func (r *record) identity() uint64 {
	h := xxhash.Sum64String(r.id)
	h = (h ^ uint64(r.first)) * 0x9e3779b97f4a7c15
	h ^= h >> 29
	h = (h ^ r.target.mark) * 0xbf58476d1ce4e5b9
	if r.role == capture.Paired {
		h ^= 0x94d049bb133111eb
	}
	return h ^ h>>32
}

// markOf stands for model and version in identities.
func markOf(model string, version int) uint64 {
	return xxhash.Sum64String(model) + uint64(version)*0x9e3779b97f4a7c15
}

// parser reads lines, and the columns of those whose version has a baseline.
type parser struct {
	scan.Line
	lookup  func(model string, version int) (*target, string, error)
	rec     record
	inputs  int // position of the value, 0 for none
	outputs int
	parsed  *target // whose columns are read already
	err     error   // of lookup

	column func(key string, i int) (int, wire.Code)
	names  map[string]place // of the object that is being read
}

// read reads one line. problem says why it is no record; err ends the reading.
func (p *parser) read(line []byte) (rec *record, problem string, err error) {
	if p.column == nil {
		p.Columns = p.columns
		p.column = p.readColumn
	}
	p.inputs, p.outputs, p.parsed, p.err = 0, 0, nil, nil
	problem = p.Read(line)
	if problem == "" {
		problem = p.finish()
	}
	if problem != "" || p.err != nil {
		return nil, problem, p.err
	}
	return &p.rec, "", nil
}

// columns reads inputs or outputs, right away when the version is known, which in
// the records that predict writes it is.
func (p *parser) columns(key string, i int) (int, wire.Code) {
	at := &p.inputs
	if key == "outputs" {
		at = &p.outputs
	}
	if *at != 0 {
		return p.Bad(i, key+" is given twice")
	}
	*at = i
	if p.Model == "" || p.Version == 0 {
		return wire.Skip(p.B, i, 1)
	}
	t, problem, err := p.lookup(p.Model, int(p.Version))
	if problem != "" || err != nil {
		p.err = err
		return p.Bad(i, problem)
	}
	if t.baseline == nil {
		return wire.Skip(p.B, i, 1)
	}
	if p.parsed == nil {
		p.begin(t)
	}
	if p.parsed != t {
		return wire.Skip(p.B, i, 1)
	}
	return p.object(key, i)
}

// begin empties the buffers of a target.
func (p *parser) begin(t *target) {
	for i := range t.cells {
		t.cells[i].reset()
	}
	p.parsed = t
}

func (p *parser) object(key string, i int) (int, wire.Code) {
	p.names = p.parsed.inputs
	if key == "outputs" {
		p.names = p.parsed.outputs
	}
	next, code := wire.Members(p.B, i, p.column)
	if code == wire.WrongKind || code == wire.Null {
		return p.Bad(i, key+" is not an object")
	}
	return next, code
}

// finish settles what a line that is a record counts for.
func (p *parser) finish() (problem string) {
	t, problem, err := p.lookup(p.Model, int(p.Version))
	if problem != "" || err != nil {
		p.err = err
		return problem
	}
	p.rec = record{target: t, id: p.ID, slot: p.Slot, role: p.Role, first: p.First, rows: p.Rows, sampled: p.Sampled, failed: p.Failed()}
	p.moment()
	if t.baseline == nil || p.rec.failed {
		return ""
	}
	if p.parsed != t && !p.reread(t) {
		return p.Problem()
	}
	return t.fit(p.rec.rows)
}

// reread reads the columns of a line whose version came behind them.
func (p *parser) reread(t *target) bool {
	p.begin(t)
	for _, part := range []struct {
		key string
		at  int
	}{{"inputs", p.inputs}, {"outputs", p.outputs}} {
		if part.at == 0 {
			continue
		}
		if _, code := p.object(part.key, part.at); code != wire.OK {
			if p.Problem() == "" {
				p.Bad(part.at, part.key+" "+code.Problem("an object"))
			}
			return false
		}
	}
	return true
}

// moment settles the interval: that of ts, unless the id's own time is more than
// maxSkew from it. Labels are filed by the time in the id, so that is what both agree on.
func (p *parser) moment() {
	at := p.TS.Seconds
	var made scan.Stamp
	if scan.UUIDTime(p.rec.id, &made) {
		if d := at - made.Seconds; d > int64(maxSkew/time.Second) || d < -int64(maxSkew/time.Second) {
			at, p.rec.skewed = made.Seconds, true
		}
	}
	const width = int64(Interval / time.Second)
	p.rec.interval = at - (at%width+width)%width
}

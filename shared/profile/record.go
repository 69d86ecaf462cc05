package profile

import (
	"math"
	"strconv"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/tidegate/tidegate/shared/capture"
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

// identity is what repeated deliveries of a record agree in, as 64 bits.
func (r *record) identity() uint64 {
	h := xxhash.Sum64String(r.id)
	h = (h ^ uint64(r.first)) * 0x9e3779b97f4a7c15
	h ^= h >> 29
	h = (h ^ r.target.index<<1) * 0xbf58476d1ce4e5b9
	if r.role == capture.Paired {
		h ^= 0x94d049bb133111eb
	}
	return h ^ h>>32
}

// parser reads lines. Its methods are called by position in the line, as wire's are.
type parser struct {
	lookup  func(model string, version int) (*target, string, error)
	b       []byte
	rec     record
	model   string
	version int64
	v       int64
	status  int64
	ts      stamp
	inputs  int // position of the value, 0 for none
	outputs int
	parsed  *target // whose columns are read already
	field   string  // that is wrong
	err     error   // of lookup

	member func(key string, i int) (int, wire.Code)
	column func(key string, i int) (int, wire.Code)
	names  map[string]place // of the object that is being read
	clock  clock
}

// read reads one line. problem says why it is no record; err ends the reading.
func (p *parser) read(line []byte) (rec *record, problem string, err error) {
	if p.member == nil {
		p.member = p.readMember
		p.column = p.readColumn
	}
	p.b, p.rec = line, record{sampled: math.NaN(), rows: -1, first: -1}
	p.model, p.version, p.v, p.status, p.ts = "", 0, 0, 0, stamp{}
	p.inputs, p.outputs, p.parsed, p.field, p.err = 0, 0, nil, "", nil
	end, code := wire.Members(line, 0, p.member)
	switch {
	case p.err != nil:
		return nil, "", p.err
	case p.field != "":
		return nil, p.field, nil
	case code == wire.WrongKind:
		return nil, "not a JSON object", nil
	case code != wire.OK:
		return nil, "the line " + code.Problem("a record"), nil
	case wire.Space(line, end) != len(line):
		return nil, "text behind the object", nil
	}
	if problem := p.finish(); problem != "" || p.err != nil {
		return nil, problem, p.err
	}
	return &p.rec, "", nil
}

// bad notes what is wrong with a member and ends the walk.
func (p *parser) bad(i int, problem string) (int, wire.Code) {
	p.field = problem
	return i, wire.Stop
}

func (p *parser) readMember(key string, i int) (int, wire.Code) {
	r := &p.rec
	switch key {
	case "id":
		return p.text(key, i, &r.id)
	case "model":
		return p.text(key, i, &p.model)
	case "version":
		return p.integer(key, i, &p.version)
	case "v":
		return p.integer(key, i, &p.v)
	case "first_row":
		return p.integer(key, i, &r.first)
	case "rows":
		return p.integer(key, i, &r.rows)
	case "status":
		return p.integer(key, i, &p.status)
	case "ts":
		var text string
		next, code := p.text(key, i, &text)
		if code == wire.OK && !p.clock.parse(text, &p.ts) {
			return p.bad(i, "ts is not a time of RFC 3339")
		}
		return next, code
	case "slot":
		var text string
		next, code := p.text(key, i, &text)
		if r.slot = slotOf(text); code == wire.OK && r.slot == "" {
			return p.bad(i, "slot is none of champion, challenger, shadow, previous, pinned")
		}
		return next, code
	case "role":
		var text string
		next, code := p.text(key, i, &text)
		if r.role = roleOf(text); code == wire.OK && r.role == "" {
			return p.bad(i, "role is neither served nor paired")
		}
		return next, code
	case "error_kind":
		var text string
		next, code := p.text(key, i, &text)
		r.failed = r.failed || text != ""
		return next, code
	case "sampled":
		v, next, code := wire.Float64(p.b, i)
		if code != wire.OK {
			return p.bad(i, "sampled "+code.Problem("a number"))
		}
		r.sampled = v
		return next, wire.OK
	case "inputs", "outputs":
		return p.columns(key, i)
	}
	return wire.Skip(p.b, i, 1)
}

func (p *parser) text(key string, i int, into *string) (int, wire.Code) {
	v, next, code := wire.String(p.b, i)
	if code != wire.OK {
		return p.bad(i, key+" "+code.Problem("a string"))
	}
	*into = v
	return next, wire.OK
}

func (p *parser) integer(key string, i int, into *int64) (int, wire.Code) {
	v, next, code := wire.Int[int64](p.b, i)
	if code != wire.OK {
		return p.bad(i, key+" "+code.Problem("a whole number"))
	}
	*into = v
	return next, wire.OK
}

// columns reads inputs or outputs, right away when the version is known, which in
// the records that predict writes it is.
func (p *parser) columns(key string, i int) (int, wire.Code) {
	at := &p.inputs
	if key == "outputs" {
		at = &p.outputs
	}
	if *at != 0 {
		return p.bad(i, key+" is given twice")
	}
	*at = i
	if p.model == "" || p.version == 0 {
		return wire.Skip(p.b, i, 1)
	}
	t, problem, err := p.lookup(p.model, int(p.version))
	if problem != "" || err != nil {
		p.err = err
		return p.bad(i, problem)
	}
	if t.baseline == nil {
		return wire.Skip(p.b, i, 1)
	}
	if p.parsed == nil {
		p.begin(t)
	}
	if p.parsed != t {
		return wire.Skip(p.b, i, 1)
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
	next, code := wire.Members(p.b, i, p.column)
	if code == wire.WrongKind || code == wire.Null {
		return p.bad(i, key+" is not an object")
	}
	return next, code
}

// finish checks a line that has been read to its end.
func (p *parser) finish() (problem string) {
	r := &p.rec
	switch {
	case p.v < 1 || p.v > capture.Version:
		return "v is not a format of the record that this program reads"
	case r.id == "":
		return "there is no id"
	case r.slot == "" || r.role == "":
		return "slot or role is missing"
	case !(r.sampled > 0 && r.sampled <= 1):
		return "sampled is not above 0 and at most 1"
	case r.first < 0 || r.rows < 0 || r.rows > math.MaxInt32:
		return "first_row or rows is missing or no count"
	case !p.ts.ok:
		return "there is no ts"
	}
	t, problem, err := p.lookup(p.model, int(p.version))
	if problem != "" || err != nil {
		p.err = err
		return problem
	}
	r.target = t
	r.failed = r.failed || p.status >= 400
	p.moment()
	if t.baseline == nil || r.failed {
		return ""
	}
	if p.parsed != t && !p.reread(t) {
		return p.field
	}
	return t.fit(r.rows)
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
			if p.field == "" {
				p.field = part.key + " " + code.Problem("an object")
			}
			return false
		}
	}
	return true
}

// moment settles the interval: that of ts, unless the id's own time is more than
// maxSkew from it. Labels are filed by the time in the id, so that is what both agree on.
func (p *parser) moment() {
	at := p.ts.seconds
	var made stamp
	if uuidTime(p.rec.id, &made) {
		if d := at - made.seconds; d > int64(maxSkew/time.Second) || d < -int64(maxSkew/time.Second) {
			at, p.rec.skewed = made.seconds, true
		}
	}
	const width = int64(Interval / time.Second)
	p.rec.interval = at - (at%width+width)%width
}

// stamp is a moment to the second.
type stamp struct {
	seconds int64
	ok      bool
}

// clock remembers the last minute it read: lines beside each other are of one time.
type clock struct {
	minute [16]byte
	start  int64
	known  bool
}

// parse reads a time of RFC 3339.
func (c *clock) parse(text string, into *stamp) bool {
	if c.known && len(text) >= 20 && text[len(text)-1] == 'Z' && text[:16] == string(c.minute[:]) && plainSeconds(text[16:]) {
		into.seconds, into.ok = c.start+int64(text[17]-'0')*10+int64(text[18]-'0'), true
		return true
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || t.Year() < 1971 || t.Year() > 9000 {
		return false
	}
	into.seconds, into.ok = t.Unix(), true
	if len(text) >= 20 && text[len(text)-1] == 'Z' {
		copy(c.minute[:], text)
		c.start, c.known = t.Unix()-int64(t.Second()), true
	}
	return true
}

// plainSeconds says whether text is ":ss", or ":ss." and digits, and a Z.
func plainSeconds(text string) bool {
	if text[0] != ':' || text[1] > '5' || text[1] < '0' || text[2]-'0' > 9 {
		return false
	}
	if text[3] == 'Z' {
		return len(text) == 4
	}
	if text[3] != '.' || len(text) == 5 || len(text) > 14 {
		return false
	}
	for _, d := range []byte(text[4 : len(text)-1]) {
		if d-'0' > 9 {
			return false
		}
	}
	return true
}

// uuidTime reads the time of a UUIDv7; false for every other id.
func uuidTime(id string, into *stamp) bool {
	if len(id) != 36 || id[8] != '-' || id[14] != '7' {
		return false
	}
	ms, err := strconv.ParseUint(id[:8], 16, 64)
	if err != nil {
		return false
	}
	low, err := strconv.ParseUint(id[9:13], 16, 64)
	into.seconds, into.ok = int64((ms<<16|low)/1000), err == nil
	return err == nil
}

func slotOf(text string) registry.Slot {
	switch text {
	case "champion":
		return registry.Champion
	case "challenger":
		return registry.Challenger
	case "shadow":
		return registry.Shadow
	case "previous":
		return registry.Previous
	case "pinned":
		return registry.Pinned
	}
	return ""
}

func roleOf(text string) capture.Role {
	switch text {
	case "served":
		return capture.Served
	case "paired":
		return capture.Paired
	}
	return ""
}

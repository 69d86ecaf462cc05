package profile

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tidegate/tidegate/shared/capture"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
)

const (
	// MaxRecords is the most records that one captures object may hold: their identities are kept, 64 bits of a hash
	// each (about 40 MB for a million records), to tell repeated ones. Of four million different records two have the same
	// hash with probability 4e-7; the second would then be taken for a repetition.
	MaxRecords = 4 << 20
	// maxGroupBytes bounds the counts of one object: about 1,500 groups of 20 columns.
	maxGroupBytes = 128 << 20
	// maxSkew is how far a record's ts may be from the time in its id.
	maxSkew = time.Hour
)

// Baselines gives the baseline of a version, and its sha256. An error of the kind
// NotFound says that the version has none: its rows are left out, with the message
// as the reason. [LoadBaseline] is one, once it is bound to a registry.
type Baselines func(ctx context.Context, model string, version int) (*Baseline, string, error)

// CountCaptures reads one captures object, plain or compressed, and counts its
// rows by version, slot, role, sampling share and interval, on the cells of the
// version's baseline. It returns a document for each model, by name, and what was
// found in the object as a whole. Lines that are no records are counted in the
// report of every document, since they could have been of any model.
//
// Memory: one line, the identities of the records ([MaxRecords]) and the counts.
// Errors: a text that is cut off, a line above [MaxLine], an object above the
// limits (PayloadTooLarge), what baselines returns.
func CountCaptures(ctx context.Context, r io.Reader, src Source, baselines Baselines) ([]Document, Report, error) {
	plain, err := Decompress(r)
	if err != nil {
		return nil, Report{}, unreadable(err)
	}
	defer plain.Close()
	c := &captures{ctx: ctx, baselines: baselines, targets: map[targetKey]*target{}, seen: map[uint64]struct{}{}}
	c.parser.lookup = c.target
	sc := bufio.NewScanner(plain)
	sc.Buffer(make([]byte, 256<<10), MaxLine)
	for line := 1; sc.Scan(); line++ {
		if line%1024 == 0 && ctx.Err() != nil {
			return nil, c.rep, ctx.Err()
		}
		text := bytes.TrimSpace(sc.Bytes())
		if len(text) == 0 {
			continue
		}
		if err := c.line(line, text); err != nil {
			return nil, c.rep, err
		}
	}
	if err := sc.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			err = errLine
		}
		return nil, c.rep, fmt.Errorf("profile: after %d rows of the captures: %w", c.rep.Rows, err)
	}
	return c.documents(src), c.rep, nil
}

func unreadable(err error) error {
	return fmt.Errorf("profile: the file looks compressed, but cannot be read: %w", err)
}

// captures counts the lines of one object.
type captures struct {
	ctx       context.Context
	baselines Baselines
	parser    parser
	targets   map[targetKey]*target
	seen      map[uint64]struct{}
	rep       Report // of the object
	bytes     int    // of all groups
	values    values
	keys      keys
}

type targetKey struct {
	model   string
	version int
}

// target is one version of one model.
type target struct {
	targetKey
	mark       uint64    // of model and version, in identities
	baseline   *Baseline // nil: nothing of it can be counted
	digest     string
	reason     string // why not
	inputs     map[string]place
	outputs    map[string]place
	cells      []cells // of the record that is being read, by column of the baseline
	groups     map[groupKey]*captured
	last       *captured
	leftOut    map[LeftOut]bool
	extra      map[string]bool
	uncounted  uint64 // rows, when there is no baseline
	duplicates uint64
	skewed     uint64
}

type groupKey struct {
	slot     registry.Slot
	role     capture.Role
	sampled  float64
	interval int64
}

// captured is one group with its tally.
type captured struct {
	key groupKey
	Group
	tally *Tally
}

// line counts one line. Only errors that end the reading are returned.
func (c *captures) line(number int, text []byte) error {
	rec, problem, err := c.parser.read(text)
	if err != nil {
		return err
	}
	if problem != "" {
		c.rep.malformed(number, problem)
		return nil
	}
	t := rec.target
	id := rec.identity()
	if _, repeated := c.seen[id]; repeated {
		t.duplicates++
		return nil
	}
	if len(c.seen) >= MaxRecords {
		return fault.New(fault.PayloadTooLarge, "the captures object holds more than %d records; split it", MaxRecords)
	}
	c.seen[id] = struct{}{}
	if t.baseline == nil {
		if !rec.failed {
			t.uncounted += uint64(rec.rows)
			c.rep.leave(uint64(rec.rows), t.reason)
		}
		return nil
	}
	if rec.skewed {
		t.skewed++
	}
	g, err := c.group(t, rec)
	if err != nil {
		return err
	}
	if id>>56 == 0 {
		g.Sample = append(g.Sample, id)
	}
	if rec.first == 0 {
		g.Requests++
	}
	if rec.failed {
		if rec.first == 0 {
			g.Errors++
		}
		return nil
	}
	g.Rows += uint64(rec.rows)
	c.rep.Rows += uint64(rec.rows)
	for col := range t.cells {
		t.cells[col].settle(&t.baseline.Columns[col])
	}
	if g.Split != nil {
		c.split(t, g.tally)
	}
	for col := range t.cells {
		if reason := t.cells[col].count(g.tally, col); reason != "" {
			t.leftOut[LeftOut{t.baseline.Columns[col].Name, reason}] = true
		}
	}
	return nil
}

// target finds or makes the target of a version. A problem makes the line malformed.
func (c *captures) target(model string, version int) (t *target, problem string, err error) {
	if t, ok := c.targets[targetKey{model, version}]; ok {
		return t, "", nil
	}
	if registry.CheckName(model) != nil || registry.CheckVersion(version) != nil {
		return nil, "model or version cannot be one", nil
	}
	t = &target{targetKey: targetKey{strings.Clone(model), version}, mark: markOf(model, version),
		groups: map[groupKey]*captured{}, leftOut: map[LeftOut]bool{}, extra: map[string]bool{}}
	b, digest, err := c.baselines(c.ctx, t.model, version)
	switch {
	case fault.Is(err, fault.NotFound):
		t.reason = fault.Public(err).Message
	case err != nil:
		return nil, "", err
	default:
		t.baseline, t.digest = b, registry.Hex(digest)
		t.inputs, t.outputs = places(b)
		t.cells = make([]cells, len(b.Columns))
	}
	c.targets[t.targetKey] = t
	return t, "", nil
}

// group finds or makes the group of a record.
func (c *captures) group(t *target, rec *record) (*captured, error) {
	key := groupKey{rec.slot, rec.role, rec.sampled, rec.interval}
	if t.last != nil && t.last.key == key {
		return t.last, nil
	}
	g, ok := t.groups[key]
	if !ok {
		for i := range t.baseline.Columns {
			c.bytes += 1400 + 8*t.baseline.Columns[i].CellCount() // two exact sums and the cells
		}
		c.bytes += t.baseline.splitBytes()
		if c.bytes > maxGroupBytes {
			return nil, fault.New(fault.PayloadTooLarge, "the captures object holds more groups (version, slot, role, sampling, five minutes) than fit into %d MB of counts; split it by time", maxGroupBytes>>20)
		}
		g = &captured{key: key, tally: NewTally(t.baseline), Group: Group{Version: t.version, Baseline: t.digest, Slot: key.slot,
			Role: key.role, Sampled: key.sampled, Interval: time.Unix(key.interval, 0).UTC()}}
		g.Columns, g.Split = g.tally.States, g.tally.Split
		t.groups[key] = g
	}
	t.last = g
	return g, nil
}

// documents are the counts by model.
func (c *captures) documents(src Source) []Document {
	byModel := map[string]*Document{}
	for _, t := range c.targets {
		d, ok := byModel[t.model]
		if !ok {
			d = &Document{V: DocumentVersion, Model: t.model, Source: src}
			d.Report.Malformed, d.Report.First = c.rep.Malformed, c.rep.First
			byModel[t.model] = d
		}
		for _, g := range t.groups {
			d.Report.Rows += g.Rows
			slices.Sort(g.Sample)
			d.Groups = append(d.Groups, g.Group)
		}
		d.Duplicates += t.duplicates
		d.Skewed += t.skewed
		if t.baseline == nil {
			d.Report.leave(t.uncounted, t.reason)
		}
		for l := range t.leftOut {
			d.Report.leaveColumn(l.Column, l.Reason)
		}
		d.Report.Extra = union(d.Report.Extra, slices.Sorted(maps.Keys(t.extra)))
	}
	out := make([]Document, 0, len(byModel))
	for _, name := range slices.Sorted(maps.Keys(byModel)) {
		d := byModel[name]
		slices.SortFunc(d.Groups, compareGroups)
		out = append(out, *d)
	}
	return out
}

// place is where a name of a record's inputs or outputs is counted.
type place struct {
	col  int   // of the baseline, for one value a row; −1 for none
	wide []int // by position in a row of several values: the column, or −1
}

// places finds the columns of a baseline by the names that records use: a column
// "scores_1" is counted from a column of that name, or from the second value of each
// row of "scores".
func places(b *Baseline) (inputs, outputs map[string]place) {
	inputs, outputs = map[string]place{}, map[string]place{}
	for col := range b.Columns {
		c, in := &b.Columns[col], inputs
		if c.Score {
			in = outputs
		}
		p, ok := in[c.Name]
		if !ok {
			p.wide = nil
		}
		p.col = col
		in[c.Name] = p
		if name, at, ok := indexed(c.Name); ok {
			p, known := in[name]
			if !known {
				p.col = -1
			}
			for len(p.wide) <= at {
				p.wide = append(p.wide, -1)
			}
			p.wide[at] = col
			in[name] = p
		}
	}
	return inputs, outputs
}

// indexed takes "name_12" apart.
func indexed(name string) (string, int, bool) {
	i := strings.LastIndexByte(name, '_')
	if i < 0 || i == len(name)-1 || len(name)-i > 6 || name[i+1] == '0' && len(name)-i > 2 {
		return "", 0, false
	}
	at := 0
	for _, c := range []byte(name[i+1:]) {
		if c < '0' || c > '9' {
			return "", 0, false
		}
		at = at*10 + int(c-'0')
	}
	return name[:i], at, true
}

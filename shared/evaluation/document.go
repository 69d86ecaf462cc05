package evaluation

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"

	"github.com/tidegate/tidegate/shared/capture"
	"github.com/tidegate/tidegate/shared/evaluation/comparison"
	"github.com/tidegate/tidegate/shared/evaluation/quality"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/outcome"
	"github.com/tidegate/tidegate/shared/registry"
)

// TallyVersion is the format of a stored tally that this package writes.
const TallyVersion = 1

// document is a stored tally (docs/formats/evaluation.md): one text for one state.
type document struct {
	V       int             `json:"v"`
	Setup   string          `json:"setup"` // digest
	Cells   []cellDoc       `json:"cells"`
	Columns []columnDoc     `json:"columns,omitempty"`
	Pairs   json.RawMessage `json:"pairs,omitempty"` // comparison's own document
	Delays  [][2]uint64     `json:"label_delays,omitempty"`
	Notes   notes           `json:"left_out"`
	Join    outcome.Counts  `json:"join"`
}

type cellDoc struct {
	Version   int                  `json:"version"`
	Slot      registry.Slot        `json:"slot"`
	Role      capture.Role         `json:"role"`
	Sampled   float64              `json:"sampled"`
	Requests  uint64               `json:"requests,omitempty"`
	Errors    uint64               `json:"errors,omitempty"`
	Latencies comparison.Latencies `json:"latencies"`
	Counts    []byte               `json:"counts,omitempty"`
}

type columnDoc struct {
	Column string     `json:"column"`
	Cut    bool       `json:"cut"`
	Full   bool       `json:"full,omitempty"`
	Values []valueDoc `json:"values"` // by name
	Other  []stateDoc `json:"other,omitempty"`
}

type valueDoc struct {
	Value  string     `json:"value"`
	Rows   uint64     `json:"rows"`
	States []stateDoc `json:"states,omitempty"`
}

type stateDoc struct {
	Version int          `json:"version"`
	Role    capture.Role `json:"role"`
	Sampled float64      `json:"sampled"`
	Counts  []byte       `json:"counts"`
}

// Encode is the stored form: one text for one state, whatever the order of the rows
// and however they were divided.
func (t *Tally) Encode() ([]byte, error) {
	d := document{V: TallyVersion, Setup: t.plan.digest, Delays: t.delays.filled(), Notes: t.notes, Join: t.Join, Cells: []cellDoc{}}
	for _, k := range slices.SortedFunc(maps.Keys(t.cells), cellKey.compare) {
		c := t.cells[k]
		doc := cellDoc{Version: k.version, Slot: k.slot, Role: k.role, Sampled: k.sampled, Requests: c.requests, Errors: c.errors, Latencies: c.latencies}
		switch {
		case c.state != nil:
			doc.Counts = c.state.Encode()
		case c.requests == 0:
			continue // looked up and never counted
		}
		d.Cells = append(d.Cells, doc)
	}
	for _, c := range t.columns {
		doc := columnDoc{Column: c.name, Cut: c.cut, Full: c.full, Values: []valueDoc{}, Other: t.states(&c.other)}
		for _, v := range c.sorted() {
			if v.rows > 0 {
				doc.Values = append(doc.Values, valueDoc{v.name, v.rows, t.states(v)})
			}
		}
		d.Columns = append(d.Columns, doc)
	}
	if t.pairs != nil {
		raw, err := t.pairs.Encode()
		if err != nil {
			return nil, err
		}
		d.Pairs = raw
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(&d); err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the counts of an evaluation cannot be encoded")
	}
	return b.Bytes(), nil
}

// states are those of a value, in the order of their groups.
func (t *Tally) states(v *value) []stateDoc {
	var out []stateDoc
	for g, st := range v.states {
		if st != nil {
			k := t.groups[g]
			out = append(out, stateDoc{k.version, k.role, k.sampled, st.Encode()})
		}
	}
	slices.SortFunc(out, func(a, b stateDoc) int {
		return groupKey{a.Version, a.Role, a.Sampled}.compare(groupKey{b.Version, b.Role, b.Sampled})
	})
	return out
}

// DecodeTally reads a stored tally that was counted with s. Of another setup it is
// FailedPrecondition, damaged it is Internal.
func DecodeTally(s *Setup, raw []byte) (*Tally, error) {
	p, err := newPlan(s)
	if err != nil {
		return nil, err
	}
	return p.decode(raw)
}

// Decode is [DecodeTally] of another part of the window that t is of.
func (t *Tally) Decode(raw []byte) (*Tally, error) { return t.plan.decode(raw) }

func (p *plan) decode(raw []byte) (*Tally, error) {
	t, err := p.tally()
	if err != nil {
		return nil, err
	}
	var d document
	if err := json.Unmarshal(raw, &d); err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the stored counts of an evaluation are damaged")
	}
	if d.V < 1 || d.V > TallyVersion {
		return nil, fault.New(fault.Internal, "the stored counts of an evaluation have format %d; this program reads up to %d", d.V, TallyVersion)
	}
	if d.Setup != t.plan.digest {
		return nil, fault.New(fault.FailedPrecondition, "the stored counts are of another setup: references, segments, classes and maturity must be the same; count the rows again")
	}
	if err := t.fill(&d); err != nil {
		return nil, err
	}
	if again, err := t.Encode(); err != nil || !bytes.Equal(again, raw) {
		return nil, fault.New(fault.Internal, "the stored counts of an evaluation are damaged: they are not in the one form of their value")
	}
	return t, nil
}

func (t *Tally) fill(d *document) error {
	damaged := func(what string) error {
		return fault.New(fault.Internal, "the stored counts of an evaluation are damaged: %s", what)
	}
	for i := range d.Cells {
		c := &d.Cells[i]
		if !(c.Sampled > 0) || c.Errors > c.Requests {
			return damaged("a state cannot be")
		}
		own, err := t.cell(cellKey{c.Version, c.Slot, c.Role, c.Sampled})
		if err != nil {
			return damaged("there are too many states")
		}
		own.requests, own.errors, own.latencies = c.Requests, c.Errors, c.Latencies
		if c.Counts == nil {
			continue
		}
		if own.state, err = quality.DecodeState(own.layout, c.Counts); err != nil {
			return err
		}
	}
	if len(d.Columns) != len(t.columns) || (d.Pairs != nil) != (t.pairs != nil) {
		return damaged("segments or pairs are not those of the setup")
	}
	for i := range d.Columns {
		if err := t.columns[i].fill(t, &d.Columns[i]); err != nil {
			return err
		}
	}
	for _, cell := range d.Delays {
		if cell[0] >= delayCells {
			return damaged("a label delay is out of range")
		}
		t.delays[cell[0]] = cell[1]
	}
	t.notes, t.Join = d.Notes, d.Join
	if d.Pairs == nil {
		return nil
	}
	own := t.pairs
	var err error
	if t.pairs, err = comparison.Decode(append(bytes.Clone(d.Pairs), '\n')); err != nil {
		return err
	}
	if own.Merge(t.pairs) != nil { // its spec must be the setup's
		return damaged("the pairs are of another comparison")
	}
	return nil
}

func (c *column) fill(t *Tally, d *columnDoc) error {
	if d.Column != c.name || c.chosen && !d.Cut || d.Full && d.Cut && !c.chosen || len(d.Values) > maxValues {
		return fault.New(fault.Internal, "the stored counts of an evaluation are damaged: segment column %q cannot be", c.name)
	}
	c.cut, c.full = d.Cut, d.Full
	for i := range d.Values {
		doc := &d.Values[i]
		v := c.values[doc.Value]
		if v == nil {
			v = &value{name: doc.Value, kept: !c.chosen}
			c.values[doc.Value] = v
		}
		v.rows = doc.Rows
		if err := v.fill(t, doc.States); err != nil {
			return err
		}
	}
	return c.other.fill(t, d.Other)
}

func (v *value) fill(t *Tally, states []stateDoc) error {
	for _, s := range states {
		st, err := quality.DecodeState(t.plan.layout(s.Version), s.Counts)
		if err != nil {
			return err
		}
		g := t.group(groupKey{s.Version, s.Role, s.Sampled})
		for g >= len(v.states) {
			v.states = append(v.states, nil)
		}
		v.states[g] = st
	}
	return nil
}

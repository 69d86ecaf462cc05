package dataset

import (
	"context"
	"fmt"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
)

// Builder makes datasets. All fields but Limits are required.
type Builder struct {
	Buckets  map[string]Bucket // that sources may be in, by name
	Registry *registry.Registry
	Now      func() time.Time
	Dir      string // for the rows while they are put in order, and one source at a time
	Limits   Limits // zero fields take their defaults
}

// Limits bound what one dataset takes.
type Limits struct {
	Rows    int64 // 24 bytes each in memory; default 20,000,000
	Cells   int64 // values of input columns: what the trainer's memory takes; 0: not bounded here
	Bytes   int64 // of the channel, in Dir; default 0: until Dir is full
	Objects int   // default 10,000
}

func (b *Builder) limits() Limits {
	l := b.Limits
	if l.Rows <= 0 {
		l.Rows = 20_000_000
	}
	if l.Objects <= 0 {
		l.Objects = 10_000
	}
	return l
}

// Request says what a dataset is made of: prefixes, outcomes, or both.
type Request struct {
	Name     string // of the dataset
	Schema   *Schema
	Prefixes []Prefix
	Outcomes *Outcomes
	// Cells bounds the values of input columns, and Advice ends the message when there are more; 0: no bound.
	Cells  int64
	Advice string
}

// Built is a dataset that is stored.
type Built struct {
	Document
	Created bool // false: the same sources were pinned before, under this number
}

// Build pins the sources, and makes and stores the dataset that they are, unless it
// is there. Errors: InvalidArgument, a table is not as the schema says;
// FailedPrecondition, there are no rows, an object was deleted or replaced, or two
// hold the same bytes; PayloadTooLarge, with the limit; those of the stores.
func (b *Builder) Build(ctx context.Context, in Request) (Built, error) {
	if err := registry.CheckName(in.Name); err != nil {
		return Built{}, err
	}
	tables, err := b.tables(ctx, in.Prefixes)
	if err != nil {
		return Built{}, err
	}
	sources := tables
	if in.Outcomes != nil {
		records, err := b.records(ctx, in.Outcomes)
		if err != nil {
			return Built{}, err
		}
		if len(tables)+len(records) > b.limits().Objects {
			return Built{}, tooMany(b.limits().Objects)
		}
		sources = append(tables, records...)
	}
	if len(sources) == 0 {
		return Built{}, fault.New(fault.FailedPrecondition, "there is nothing to train on: set retrain.sources or retrain.outcomes in the settings")
	}
	id := pin(in.Schema, sources, in.Outcomes)
	known, ok, err := b.pinned(ctx, in.Name, id)
	if err != nil || ok {
		return Built{Document: known}, err
	}
	return b.make(ctx, &in, sources, len(tables), id)
}

func (b *Builder) make(ctx context.Context, in *Request, sources []Source, tables int, id string) (Built, error) {
	limits := b.limits()
	if in.Cells > 0 {
		limits.Cells = in.Cells
	}
	c, err := newChannel(in.Schema, b.Dir, limits, in.Advice)
	if err != nil {
		return Built{}, err
	}
	defer func() { c.spool.close() }()
	d := Document{V: Version, Name: in.Name, Pin: id, Columns: c.columns, SchemaDigest: in.Schema.Digest(), Sources: sources}
	for i := range sources[:tables] {
		if err := c.addTable(ctx, b, &sources[i]); err != nil {
			return Built{}, err
		}
	}
	if err := twins(sources[:tables]); err != nil {
		return Built{}, err
	}
	if in.Outcomes != nil {
		if d.Outcomes, err = c.addOutcomes(ctx, b, in.Outcomes, sources[tables:]); err != nil {
			return Built{}, err
		}
	}
	if c.rows == 0 {
		return Built{}, c.empty(sources[:tables], d.Outcomes)
	}
	file, digest, err := c.spool.finish()
	if err != nil {
		return Built{}, err
	}
	d.Digest, d.Size, d.Rows, d.MissingTarget, d.MissingTime = digest, c.spool.size, c.rows, c.missingTarget, c.missingTime
	if c.time >= 0 {
		d.First, d.Last = c.first.Text(), c.last.Text()
	}
	if err := b.Registry.PutBlob(ctx, digest, file, d.Size); err != nil {
		return Built{}, err
	}
	return b.store(ctx, d)
}

// twins refuses rows that would count twice.
func twins(tables []Source) error {
	bySum := map[string]*Source{}
	for i := range tables {
		s := &tables[i]
		if s.Rows == 0 {
			continue
		}
		if other := bySum[s.SHA256]; other != nil {
			return fault.New(fault.FailedPrecondition, "the training files %s and %s hold the same bytes, so their rows would count twice; remove one", other.URI(), s.URI())
		}
		bySum[s.SHA256] = s
	}
	return nil
}

// empty says why no row is left.
func (c *channel) empty(tables []Source, joined *Joined) error {
	var read int64
	for i := range tables {
		read += tables[i].Rows
	}
	text := fmt.Sprintf("no row is left to train on: %d in %d files, of these %d without a target and %d without a time", read, len(tables), c.missingTarget, c.missingTime)
	if joined != nil {
		text += fmt.Sprintf("; outcomes: %d predictions from %s to %s, %d of them labelled, %d without all columns of the schema",
			joined.Counts.Predictions, joined.From.Format(time.RFC3339), joined.To.Format(time.RFC3339), joined.Counts.Labelled, joined.Incomplete)
	}
	return fault.New(fault.FailedPrecondition, "%s", text)
}

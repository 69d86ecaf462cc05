package profile

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"io"
	"maps"
	"slices"

	"github.com/parquet-go/parquet-go"
)

// Kinds finds out, from all rows, which columns a source has and which of them are
// numbers: those whose every value is one. It is a pass of its own, so that the
// answer does not depend on which rows come first. It is not a [Sink]: the columns
// are not known beforehand.
type Kinds struct {
	order []string
	text  map[string]bool // by column: some value is no number
	// By column: every source so far holds floats of 32 bits. Then other forms of the same rows are rounded to them.
	single map[string]bool
	// Workers read a text at once; 0 is one.
	Workers int
}

// NewKinds returns an empty Kinds.
func NewKinds() *Kinds { return &Kinds{text: map[string]bool{}, single: map[string]bool{}} }

func (k *Kinds) column(name string, single bool) {
	if _, ok := k.text[name]; !ok {
		k.order = append(k.order, name)
		k.text[name] = false
		k.single[name] = single
	}
	k.single[name] = k.single[name] && single
}

// Specs are the columns in the order they were met. A column without any value
// is numeric.
func (k *Kinds) Specs() []Spec {
	specs := make([]Spec, len(k.order))
	for i, name := range k.order {
		specs[i] = Spec{Name: name, Kind: Numeric}
		switch {
		case k.text[name]:
			specs[i].Kind = Categorical
		case k.single[name]:
			specs[i].Bits = 32
		}
	}
	return specs
}

// kindSink watches the values of known columns.
type kindSink struct {
	names []string
	text  []bool
}

func (s *kindSink) Columns() []string                { return s.names }
func (s *kindSink) Kind(int) Kind                    { return Numeric }
func (s *kindSink) Number(int, float64, uint64)      {}
func (s *kindSink) Missing(int, uint64)              {}
func (s *kindSink) WrongType(int, uint64)            {}
func (s *kindSink) Text(col int, v string, _ uint64) { s.text[col] = s.text[col] || v != "" }

// csvSink is a kindSink of a format where numbers arrive as text.
type csvSink struct{ kindSink }

func (s *csvSink) Kind(int) Kind { return Categorical } // so that fields arrive as they are

func (s *csvSink) Text(col int, v string, _ uint64) {
	if s.text[col] || missingText(v) {
		return
	}
	_, number := parseNumber(v)
	s.text[col] = !number
}

// CSV reads a whole CSV file.
func (k *Kinds) CSV(ctx context.Context, r io.Reader) error {
	br := bufio.NewReaderSize(r, 64<<10)
	header, rest, err := csvHeader(br)
	if err != nil {
		return err
	}
	sinks := make([]Sink, max(1, k.Workers))
	for i := range sinks {
		sinks[i] = &csvSink{kindSink{names: header, text: make([]bool, len(header))}}
	}
	if len(sinks) == 1 {
		_, err = CountCSV(ctx, rest, sinks[0])
	} else {
		_, err = csvParts(ctx, rest, textBlock, sinks)
	}
	for _, s := range sinks {
		k.add(&s.(*csvSink).kindSink)
	}
	return err
}

// NDJSON reads a whole NDJSON file: once for the names, since any row may bring a
// new one, and the kinds with them. The keys of objects have no order: names are added by name.
// More than 100,000 of them are an error: then keys are values.
func (k *Kinds) NDJSON(ctx context.Context, r io.Reader) error {
	rows := make([]*objectRows, max(1, k.Workers))
	_, err := ndjsonParts(ctx, r, textBlock, len(rows), func(w int) *objectRows {
		rows[w] = newObjectRows(&kindSink{})
		rows[w].grow = true
		return rows[w]
	})
	if err != nil {
		return err
	}
	text := map[string]bool{}
	for _, o := range rows {
		s := o.sink.(*kindSink)
		for i, name := range o.names {
			text[name] = text[name] || s.text[i]
		}
	}
	if len(text) > maxNames { // of all workers together
		return errNames
	}
	all := &kindSink{names: slices.Sorted(maps.Keys(text))}
	for _, name := range all.names {
		all.text = append(all.text, text[name])
	}
	k.add(all)
	return nil
}

func (k *Kinds) add(s *kindSink) {
	for i, name := range s.names {
		k.column(name, false)
		k.text[name] = k.text[name] || s.text[i]
	}
}

// Parquet adds the columns that can be counted, by their types.
func (k *Kinds) Parquet(pf *ParquetFile) {
	for _, c := range pf.file.Root().Columns() {
		if unsupported(c) != "" {
			continue
		}
		k.column(c.Name(), c.Type().Kind() == parquet.Float)
		k.text[c.Name()] = k.text[c.Name()] || c.Type().Kind() == parquet.ByteArray
	}
}

// csvHeader reads the names of the columns and gives back the whole text.
func csvHeader(br *bufio.Reader) ([]string, io.Reader, error) {
	var seen bytes.Buffer
	header, err := headerOf(csv.NewReader(io.TeeReader(br, &seen)))
	return header, io.MultiReader(&seen, br), err
}

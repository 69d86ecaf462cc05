// Package export writes captured predictions as one Parquet file, a row for each
// predicted row, so that other tools (Evidently, pandas, DuckDB) can read a window.
//
// Columns are the inputs and outputs by name, and id, ts, version and slot. An
// output of several values a row becomes columns name_0, name_1, … Records are
// taken once each, by (id, first_row, version, role), since delivery is at least
// once. The sources are read twice: for the columns and their types, and for the
// rows; memory is bounded by the identities of the records.
//
// It computes nothing. Its invariant: rows written and rows left out, with their
// reasons, add up to the rows captured.
package export

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tidegate/tidegate/shared/capture"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/profile"
	"github.com/tidegate/tidegate/shared/registry"
)

// Source calls read for each object of captures, in the same order each time. An
// error of read ends it.
type Source func(ctx context.Context, read func(name string, r io.Reader) error) error

// Selection says which records are exported. Zero fields select everything.
type Selection struct {
	Model    string
	Version  int
	Role     capture.Role
	Slot     registry.Slot
	From, To time.Time // by ts, in [From, To)
}

// Summary is what was written and what was not.
type Summary struct {
	Rows       uint64            `json:"rows"`
	Records    uint64            `json:"records"`
	Duplicates uint64            `json:"duplicates"`         // records that were there before
	Failed     uint64            `json:"failed"`             // failed requests: they have no rows
	Other      uint64            `json:"other"`              // records that were not selected
	Malformed  uint64            `json:"malformed"`          // lines that are no records
	First      string            `json:"first_malformed"`    // where and why
	Columns    map[string]string `json:"columns"`            // type by name
	LeftOut    map[string]string `json:"left_out,omitempty"` // columns, and why
	Models     []string          `json:"models,omitempty"`   // of the records
}

// Run writes the selected records of src to w.
func Run(ctx context.Context, src Source, sel Selection, w io.Writer) (*Summary, error) {
	t := newTypes()
	if err := scan(ctx, src, sel, &Summary{}, t.models, t.observe); err != nil {
		return nil, err
	}
	if len(t.models) > 1 {
		return nil, fault.New(fault.InvalidArgument, "the captures are of several models (%s); choose one with --model", strings.Join(slices.Sorted(maps.Keys(t.models)), ", "))
	}
	out := &Summary{LeftOut: t.leftOut, Columns: map[string]string{}}
	table, err := newTable(t, w)
	if err != nil {
		return nil, err
	}
	for _, c := range table.columns {
		out.Columns[c.name] = c.kind.String()
	}
	if err := scan(ctx, src, sel, out, nil, table.write); err != nil {
		return nil, err
	}
	out.Rows = table.rows
	return out, fault.Wrap(table.writer.Close(), fault.Unavailable, "the Parquet file cannot be written; is the disk full?")
}

// scan hands each selected record to take, once.
func scan(ctx context.Context, src Source, sel Selection, out *Summary, models map[string]bool, take func(*capture.Record) error) error {
	seen := map[[16]byte]struct{}{}
	return src(ctx, func(name string, r io.Reader) error {
		plain, err := profile.Decompress(r)
		if err != nil {
			return fault.Wrap(err, fault.InvalidArgument, "%s looks compressed, but cannot be read", name)
		}
		defer plain.Close()
		sc := bufio.NewScanner(plain)
		sc.Buffer(make([]byte, 256<<10), profile.MaxLine)
		for line := 1; sc.Scan(); line++ {
			if ctx.Err() != nil {
				return fault.Wrap(ctx.Err(), fault.Unavailable, "interrupted")
			}
			text := bytes.TrimSpace(sc.Bytes())
			if len(text) == 0 {
				continue
			}
			rec, problem := parse(text)
			if problem != "" {
				if out.Malformed++; out.First == "" {
					out.First = fmt.Sprintf("%s, line %d: %s", name, line, problem)
				}
				continue
			}
			if !sel.takes(rec) {
				out.Other++
				continue
			}
			key := identity(rec)
			if _, repeated := seen[key]; repeated {
				out.Duplicates++
				continue
			}
			seen[key] = struct{}{}
			if models != nil {
				models[rec.Model] = true
			}
			if rec.Inputs == nil && (rec.ErrorKind != "" || rec.Status >= 400) {
				out.Failed++
				continue
			}
			out.Records++
			if err := take(rec); err != nil {
				return err
			}
		}
		err = sc.Err()
		if errors.Is(err, bufio.ErrTooLong) {
			return fault.New(fault.InvalidArgument, "%s: a line is longer than 16 MB; are these captures?", name)
		}
		return fault.Wrap(err, fault.InvalidArgument, "%s cannot be read to its end; it is cut short: copy it again", name)
	})
}

func (s *Selection) takes(r *capture.Record) bool {
	return (s.Model == "" || r.Model == s.Model) && (s.Version == 0 || r.Version == s.Version) &&
		(s.Role == "" || r.Role == s.Role) && (s.Slot == "" || r.Slot == s.Slot) &&
		(s.From.IsZero() || !r.TS.Before(s.From)) && (s.To.IsZero() || r.TS.Before(s.To))
}

func identity(r *capture.Record) (key [16]byte) {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d:%s,%s,%d,%d,%s", len(r.ID), r.ID, r.Model, r.FirstRow, r.Version, r.Role))
	copy(key[:], sum[:])
	return key
}

// parse reads one line. problem says why it is no record.
func parse(line []byte) (*capture.Record, string) {
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.UseNumber() // an integer id must not pass through a float
	var r capture.Record
	if err := dec.Decode(&r); err != nil {
		return nil, "not a record of captures"
	}
	switch {
	case r.V != capture.Version:
		return nil, "v is not 1"
	case r.ID == "" || r.Model == "" || r.Version < 1 || r.TS.IsZero():
		return nil, "id, model, version or ts is missing"
	case r.Rows < 0 || r.FirstRow < 0 || r.TotalRows < 0:
		return nil, "rows, first_row or total_rows is below 0"
	}
	for _, columns := range []map[string]any{r.Inputs, r.Outputs} {
		for name, v := range columns {
			if list, ok := v.([]any); ok && len(list) != r.Rows {
				return nil, fmt.Sprintf("column %q has %d values for %d rows", profile.Cut(name), len(list), r.Rows)
			}
		}
	}
	return &r, ""
}

package dataset

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/tidegate/tidegate/shared/capture"
	"github.com/tidegate/tidegate/shared/capture/scan"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/label"
	"github.com/tidegate/tidegate/shared/outcome"
	"github.com/tidegate/tidegate/shared/profile"
)

// Outcomes are the predictions of some hours whose label is known: the inputs that
// were captured and the label become rows.
type Outcomes struct {
	Bucket   string // the data bucket
	Model    string
	Spec     outcome.Spec  // without segments
	From, To time.Time     // hours of the predictions, To not included
	Lateness time.Duration // of captures; 0: an hour
}

// records lists and pins the captures and filed labels of the hours, captures first, each in the order of the keys.
func (b *Builder) records(ctx context.Context, o *Outcomes) ([]Source, error) {
	bucket, ok := b.Buckets[o.Bucket]
	if !ok {
		return nil, fault.New(fault.Internal, "captures are in a bucket that is not configured")
	}
	var captures, labels []Source
	add := func(into *[]Source, kind, prefix string) error {
		for info, err := range bucket.List(ctx, prefix, "") {
			if err != nil {
				return fmt.Errorf("dataset: list %s: %w", prefix, err)
			}
			if strings.HasSuffix(info.Key, "/") {
				continue
			}
			*into = append(*into, Source{Kind: kind, Bucket: o.Bucket, Key: info.Key})
			if len(captures)+len(labels) > b.limits().Objects {
				return tooMany(b.limits().Objects)
			}
		}
		return nil
	}
	for hour := o.From; hour.Before(o.To.Add(o.lateness())); hour = hour.Add(time.Hour) {
		if err := add(&captures, Captures, outcome.CapturesPrefix(hour)); err != nil {
			return nil, err
		}
	}
	for hour := o.From; hour.Before(o.To); hour = hour.Add(time.Hour) {
		if err := add(&labels, Labels, label.Prefix(o.Model, hour)); err != nil {
			return nil, err
		}
	}
	return b.pinAll(ctx, append(captures, labels...))
}

func (o *Outcomes) lateness() time.Duration {
	if o.Lateness <= 0 {
		return outcome.DefaultLateness
	}
	return o.Lateness
}

// addOutcomes joins hour by hour and adds the rows that are labelled.
func (c *channel) addOutcomes(ctx context.Context, b *Builder, o *Outcomes, sources []Source) (*Joined, error) {
	store := newPinned(b, sources)
	hours := outcome.Hours{Store: store, Model: o.Model, Spec: o.Spec, Lateness: o.lateness()}
	joined := &Joined{Model: o.Model, From: o.From.UTC(), To: o.To.UTC()}
	for hour := o.From; hour.Before(o.To); hour = hour.Add(time.Hour) {
		h := harvest{c: c, o: o, hour: hour, labels: map[outcome.Key]string{}, joined: joined}
		counts, err := hours.JoinHour(ctx, hour, h.collect)
		if err != nil {
			return nil, err
		}
		joined.Counts.Merge(&counts)
		for i := range sources {
			if s := &sources[i]; s.Kind == Captures && len(h.labels) > 0 && h.looksInto(s.Key) {
				if err := h.read(ctx, store, s); err != nil {
					return nil, err
				}
			}
		}
	}
	return joined, nil
}

// harvest takes the inputs of the labelled rows of an hour.
type harvest struct {
	c      *channel
	o      *Outcomes
	hour   time.Time
	labels map[outcome.Key]string // of rows whose inputs are not found yet: so no row comes twice
	joined *Joined
	line   scan.Line
	id     outcome.Key // of the record that is being read
}

// collect notes the labels of served rows.
func (h *harvest) collect(b *outcome.Batch) error {
	for i := range b.Rows {
		if math.IsNaN(b.Label[i]) || b.Requests[b.Request[i]].Origin.Role != capture.Served {
			continue
		}
		if int64(len(h.labels))+h.c.rows > h.c.limits.Rows {
			return fault.New(fault.PayloadTooLarge, "the outcomes hold more than %d rows, which is what snapshot sorts in its memory; narrow the window of outcomes", h.c.limits.Rows)
		}
		h.labels[b.ID[i]] = h.name(b.Label[i])
	}
	return nil
}

// name writes a label as tables do.
func (h *harvest) name(label float64) string {
	switch classes := h.o.Spec.Classes; {
	case h.c.schema.Task == "regression" || len(classes) == 0:
		return strconv.FormatFloat(label, 'g', -1, 64)
	default:
		return classes[int(label)]
	}
}

// looksInto says whether captures of the hour may lie in the object.
func (h *harvest) looksInto(key string) bool {
	for at := h.hour; at.Before(h.hour.Add(time.Hour + h.o.lateness())); at = at.Add(time.Hour) {
		if strings.HasPrefix(key, outcome.CapturesPrefix(at)) {
			return true
		}
	}
	return false
}

// read goes through an object of captures. What is damaged was counted by the join.
func (h *harvest) read(ctx context.Context, store *pinned, s *Source) error {
	body, _, err := store.Open(ctx, s.Key, 0, -1)
	if err != nil {
		return err
	}
	defer body.Close()
	from := &watched{r: body}
	plain, err := profile.Decompress(from)
	if err != nil {
		return lost(from)
	}
	defer plain.Close()
	h.line.Done = func() bool { return h.line.Model != h.o.Model }
	lines := bufio.NewScanner(plain)
	lines.Buffer(make([]byte, 256<<10), profile.MaxLine)
	for n := 1; lines.Scan(); n++ {
		if n%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if err := h.record(bytes.TrimSpace(lines.Bytes())); err != nil {
			return fmt.Errorf("dataset: %s, line %d: %w", s.URI(), n, err)
		}
	}
	return lost(from)
}

func lost(from *watched) error {
	return fault.Wrap(from.err, fault.Unavailable, "captures could not be read to their end; try again")
}

// record adds the labelled rows of a line.
func (h *harvest) record(text []byte) error {
	if len(text) == 0 || h.line.Read(text) != "" || h.line.Ended || h.line.Role != capture.Served || h.line.Failed() {
		return nil
	}
	h.id = outcome.KeyOf(h.line.ID)
	var inputs map[string]json.RawMessage
	for i := range int(h.line.Rows) {
		row := h.id
		if h.line.Total != 1 {
			row = h.id.RowKey(int(h.line.First) + i)
		}
		value, ok := h.labels[row]
		if !ok {
			continue
		}
		delete(h.labels, row)
		if inputs == nil {
			var envelope struct {
				Inputs map[string]json.RawMessage `json:"inputs"`
			}
			if err := json.Unmarshal(text, &envelope); err != nil {
				return fault.Wrap(err, fault.Internal, "a record that was read is not JSON")
			}
			inputs = envelope.Inputs
		}
		if err := h.row(inputs, i, value); err != nil {
			return err
		}
	}
	return nil
}

// row adds row i of a record. A record that does not hold a column (of another version, redacted, too large) is left out.
func (h *harvest) row(inputs map[string]json.RawMessage, i int, value string) error {
	for k, name := range h.c.columns {
		switch {
		case k == h.c.target:
			h.c.row[k] = value
			continue
		case name == h.c.schema.Time && k >= len(h.c.schema.Columns):
			h.c.row[k] = time.UnixMilli(int64(h.id.Hi >> 16)).UTC().Format(time.RFC3339Nano) // when the id, a UUIDv7, was made
			continue
		}
		cell, ok := at(inputs[name], i)
		if !ok {
			h.joined.Incomplete++
			return nil
		}
		field, err := text(cell, h.c.kinds[k])
		if err != nil {
			h.joined.Incomplete++
			return nil
		}
		h.c.row[k] = field
	}
	before := h.c.rows
	err := h.c.add(func() string { return "captured row" })
	h.joined.Rows += h.c.rows - before
	return err
}

// at is element i of a captured column: a value, or a list of one.
func at(column json.RawMessage, i int) (any, bool) {
	dec := json.NewDecoder(bytes.NewReader(column))
	dec.UseNumber()
	var values []any
	if err := dec.Decode(&values); err != nil || i >= len(values) {
		return nil, false
	}
	if list, is := values[i].([]any); is {
		if len(list) != 1 {
			return nil, false
		}
		return list[0], true
	}
	return values[i], true
}

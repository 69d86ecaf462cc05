package trial

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/tidegate/tidegate/shared/evaluation/comparison"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/label"
	"github.com/tidegate/tidegate/shared/outcome"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/schema"
)

// predictions are what one version said of the rows of one item.
type predictions struct {
	source string // equal sources have equal rows
	rows   []pinned
}

// pinned is a row with what one version said of it.
type pinned struct {
	at       time.Time
	key      string
	labelled bool
	label    int
	target   float64
	answer   comparison.Answer
}

// line is any line of predictions (docs/formats/score.md).
type line struct {
	V       int             `json:"v"`
	Kind    string          `json:"kind"`
	Model   string          `json:"model"`
	Version int             `json:"version"`
	Digest  string          `json:"version_digest"`
	Source  json.RawMessage `json:"source"`
	ETag    string          `json:"etag"`

	First   int64                        `json:"first_row"`
	Rows    int64                        `json:"rows"`
	Kept    map[string][]json.RawMessage `json:"kept"`
	Outputs map[string][]json.RawMessage `json:"outputs"`
}

// reading reads one object of predictions.
type reading struct {
	key   string
	in    *Start
	spec  *outcome.Spec
	class map[string]int // by the text of label.Value.Class
	out   predictions
}

// readPredictions reads the predictions of a version. Errors: NotFound;
// InvalidArgument, the object is none or lacks a column; FailedPrecondition, it is of
// another version, or was not finished.
func (j *Judge) readPredictions(ctx context.Context, model, key string, ref registry.Ref, in *Start, spec *outcome.Spec) (*predictions, error) {
	body, _, err := j.Data.Open(ctx, key, 0, -1)
	if err != nil {
		return nil, fmt.Errorf("trial: open %s: %w", key, err)
	}
	defer body.Close()
	r := &reading{key: key, in: in, spec: spec, class: classes(spec)}
	lines := bufio.NewReaderSize(body, 1<<20)
	ended := false
	for first := true; !ended; first = false {
		raw, err := lines.ReadBytes('\n')
		if len(bytes.TrimSpace(raw)) == 0 && errors.Is(err, io.EOF) {
			break
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fault.Wrap(err, fault.Unavailable, "%s could not be read to its end", key)
		}
		var l line
		if json.Unmarshal(raw, &l) != nil {
			return nil, fault.New(fault.InvalidArgument, "%s is no object of predictions: a line is no JSON object of that form", key)
		}
		switch {
		case first:
			err = r.head(&l, model, ref)
		case l.Kind == "end":
			ended, err = true, r.end(&l)
		default:
			err = r.add(&l)
		}
		if err != nil {
			return nil, err
		}
	}
	if !ended {
		return nil, fault.New(fault.FailedPrecondition, "%s has no last line: its scoring has not ended", key)
	}
	return &r.out, nil
}

func classes(spec *outcome.Spec) map[string]int {
	names := spec.Classes
	if len(names) == 0 {
		names = []string{"0", "1"}
	}
	out := map[string]int{}
	for i, name := range names {
		out[label.Cell(name).Class()] = i
	}
	if len(names) == 2 && names[0] == "0" && names[1] == "1" { // as labels of any other way have it
		out["false"], out["true"] = 0, 1
	}
	return out
}

func (r *reading) head(l *line, model string, ref registry.Ref) error {
	switch {
	case l.Kind != "head" || l.V != 1:
		return fault.New(fault.InvalidArgument, "%s is no object of predictions that this program reads", r.key)
	case l.Model != model || l.Version != ref.Version || registry.Hex(l.Digest) != registry.Hex(ref.Digest):
		return fault.New(fault.FailedPrecondition, "%s holds predictions of another version than %d of model %q", r.key, ref.Version, model)
	}
	var source bytes.Buffer
	if err := json.Compact(&source, l.Source); err != nil {
		return fault.New(fault.InvalidArgument, "%s does not say what it predicts", r.key)
	}
	r.out.source = source.String() + " " + l.ETag
	return nil
}

func (r *reading) end(l *line) error {
	if l.Rows != int64(len(r.out.rows)) {
		return fault.New(fault.Internal, "%s is damaged: it has %d of the %d rows that it speaks of", r.key, len(r.out.rows), l.Rows)
	}
	return nil
}

// add takes the rows of a line.
func (r *reading) add(l *line) error {
	n := int(l.Rows)
	column := func(of map[string][]json.RawMessage, name string) ([]json.RawMessage, error) {
		values, ok := of[name]
		if name == "" {
			return nil, nil
		}
		if !ok || len(values) != n {
			return nil, fault.New(fault.InvalidArgument, "%s lacks the column %q; score with it among those to keep", r.key, name)
		}
		return values, nil
	}
	var columns [5][]json.RawMessage
	for i, c := range []struct {
		of   map[string][]json.RawMessage
		name string
	}{{l.Kept, r.in.Label}, {l.Kept, r.in.Time}, {l.Kept, r.in.Key}, {l.Outputs, r.spec.Score}, {l.Outputs, r.spec.Prediction}} {
		var err error
		if columns[i], err = column(c.of, c.name); err != nil {
			return err
		}
	}
	at := func(c, i int) json.RawMessage {
		if columns[c] == nil {
			return nil
		}
		return columns[c][i]
	}
	for i := range n {
		row := pinned{}
		var ok bool
		if row.at, ok = moment(at(1, i)); !ok {
			return fault.New(fault.InvalidArgument, "%s: row %d has no time in %q: it must be RFC 3339, or milliseconds since 1970", r.key, l.First+int64(i)+1, r.in.Time)
		}
		row.key = fmt.Sprint(len(r.out.rows))
		if key := at(2, i); !missing(key) { // else the row is for itself
			row.key = string(key)
		}
		row.labelled, row.label, row.target = r.truth(at(0, i))
		row.answer, ok = r.answer(at(3, i), at(4, i), row.label)
		if !ok {
			return fault.New(fault.InvalidArgument, "%s: row %d has no usable prediction", r.key, l.First+int64(i)+1)
		}
		r.out.rows = append(r.out.rows, row)
	}
	return nil
}

func missing(raw json.RawMessage) bool {
	return len(raw) == 0 || string(raw) == "null" || string(raw) == `""`
}

// truth is the label of a row; one that is missing or no class is none.
func (r *reading) truth(raw json.RawMessage) (known bool, class int, value float64) {
	v, ok := cell(raw)
	if !ok {
		return false, 0, 0
	}
	if r.spec.Task == schema.Regression {
		return v.Kind == label.Number && !math.IsInf(v.Number, 0) && !math.IsNaN(v.Number), 0, v.Number
	}
	class, known = r.class[v.Class()]
	return known, class, 0
}

// cell is a value of a table: text as CSV has it is read as what it says.
func cell(raw json.RawMessage) (label.Value, bool) {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return label.Cell(text), text != "" && string(raw) != "null"
	}
	v := label.ValueOf(raw)
	return v, v.Kind != label.None
}

// answer is what was predicted of a row whose true class is truth.
func (r *reading) answer(score, class json.RawMessage, truth int) (comparison.Answer, bool) {
	a := comparison.Answer{Class: -1}
	if class != nil {
		v, ok := cell(class)
		n, known := r.class[v.Class()]
		if !ok || !known {
			return a, false
		}
		a.Class = n
	}
	if score == nil {
		return a, a.Class >= 0
	}
	var one float64
	var all []float64
	if json.Unmarshal(score, &one) != nil || string(score) == "null" {
		if json.Unmarshal(score, &all) != nil || len(all) == 0 {
			return a, false
		}
		one = all[len(all)-1]
	}
	switch r.spec.Task {
	case schema.Regression:
		return comparison.Answer{Score: one}, true
	case schema.Binary:
		if a.Score = one; a.Class < 0 {
			a.Class = 0
			if one >= 0.5 {
				a.Class = 1
			}
		}
		return a, true
	}
	if len(all) != len(r.spec.Classes) {
		return a, false
	}
	a.Score = all[truth]
	for c, p := range all {
		if a.Class < 0 || class == nil && p > all[a.Class] {
			a.Class = c
		}
	}
	return a, true
}

// moment is a time as tables have it.
func moment(raw json.RawMessage) (time.Time, bool) {
	var text string
	if json.Unmarshal(raw, &text) == nil && string(raw) != "null" {
		for _, layout := range []string{time.RFC3339, time.DateTime, "2006-01-02T15:04:05", time.DateOnly} {
			if at, err := time.Parse(layout, text); err == nil {
				return at.UTC(), true
			}
		}
		raw = json.RawMessage(text)
	}
	var ms int64
	if json.Unmarshal(raw, &ms) == nil && string(raw) != "null" && ms > 0 {
		return time.UnixMilli(ms).UTC(), true
	}
	return time.Time{}, false
}

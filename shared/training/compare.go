package training

import (
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
)

// Verdict is what a repeated training shows.
type Verdict string

// The verdicts.
const (
	Equal   Verdict = "equal"            // the same bytes, or no difference in any number
	Within  Verdict = "within_tolerance" // differences, none above the tolerance
	Differs Verdict = "differs"
)

// Replayed compares a repeated training with the version.
type Replayed struct {
	Model   string   `json:"model"`
	Version int      `json:"version"`
	Verdict Verdict  `json:"verdict"`
	Why     []string `json:"why"` // what is above the tolerance, or cannot be compared
	// SameModel says whether the ONNX file has the same bytes.
	SameModel  bool         `json:"same_model"`
	Metrics    []MetricDiff `json:"metrics"`
	Rows       int          `json:"rows"`         // of the holdout, compared one by one
	RowsDiffer int          `json:"rows_differ"`  // with a difference above the tolerance, or another label
	MaxAbsDiff float64      `json:"max_abs_diff"` // of all numbers in the predictions
	Where      string       `json:"where,omitempty"`
	Tolerance  Tolerance    `json:"tolerance"`
	Changed    []string     `json:"changed,omitempty"` // as the recipe has it
}

// MetricDiff is one metric of both trainings; nil: that one does not have it.
type MetricDiff struct {
	Name string   `json:"name"`
	Old  *float64 `json:"old"`
	New  *float64 `json:"new"`
	Diff float64  `json:"diff"` // absolute; 0 where one is missing
}

// Files opens what a training left, by name; NotFound for one that is not there.
type Files func(ctx context.Context, name string) (io.ReadCloser, error)

// Compare holds what a repeated training left to what the version has: model bytes,
// metrics, and predictions row by row on the same holdout.
func (r *Recipe) Compare(ctx context.Context, reg *registry.Registry, files Files, tolerance Tolerance) (*Replayed, error) {
	m, err := reg.Manifest(ctx, r.Model, r.Version)
	if err != nil {
		return nil, err
	}
	out := &Replayed{Model: r.Model, Version: r.Version, Why: []string{}, Metrics: []MetricDiff{}, Tolerance: tolerance, Changed: r.Changed}
	sums := map[string]bool{}
	for _, name := range []string{modelFile, holdoutFile} {
		f, ok := m.File(name)
		if !ok {
			return nil, fault.New(fault.FailedPrecondition, "version %d has no %s to compare with", r.Version, name)
		}
		sum, err := digest(ctx, files, name)
		if err != nil {
			return nil, err
		}
		sums[name] = sum == registry.Hex(f.SHA256)
	}
	out.SameModel = sums[modelFile]
	if err := out.metrics(ctx, &m, files); err != nil {
		return nil, err
	}
	if !sums[holdoutFile] {
		out.because("other rows are held out, so predictions cannot be compared row by row")
	} else if err := out.predictions(ctx, reg, &m, files); err != nil {
		return nil, err
	}
	switch {
	case len(out.Why) > 0:
		out.Verdict = Differs
	case out.MaxAbsDiff == 0 && !slices.ContainsFunc(out.Metrics, func(d MetricDiff) bool { return d.Diff != 0 }):
		out.Verdict = Equal
	default:
		out.Verdict = Within
	}
	return out, nil
}

func (o *Replayed) because(format string, args ...any) {
	o.Why = append(o.Why, fmt.Sprintf(format, args...))
}

func (o *Replayed) metrics(ctx context.Context, m *registry.Manifest, files Files) error {
	body, err := files(ctx, metricsFile)
	if err != nil {
		return err
	}
	defer body.Close()
	raw, err := io.ReadAll(io.LimitReader(body, maxDocument))
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, "%s could not be read to its end; try again", metricsFile)
	}
	var flat map[string]any
	if json.Unmarshal(raw, &flat) != nil {
		return fault.New(fault.FailedPrecondition, "%s of the repeated training is no JSON object", metricsFile)
	}
	fresh := numbers(flat)
	names := maps.Clone(m.Metrics)
	if names == nil {
		names = map[string]float64{}
	}
	maps.Copy(names, fresh)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		d := MetricDiff{Name: name}
		if v, ok := m.Metrics[name]; ok {
			d.Old = &v
		}
		if v, ok := fresh[name]; ok {
			d.New = &v
		}
		if d.Old == nil || d.New == nil {
			o.because("metric %s is there on one side only", name)
		} else if d.Diff = math.Abs(*d.New - *d.Old); !(d.Diff <= o.Tolerance.Metric) {
			o.because("metric %s differs by %.3g, more than %.3g", name, d.Diff, o.Tolerance.Metric)
		}
		o.Metrics = append(o.Metrics, d)
	}
	return nil
}

// numbers are the metrics of metrics.json as a manifest has them: those of an inner object are "object.name".
func numbers(raw map[string]any) map[string]float64 {
	flat := map[string]float64{}
	for name, v := range raw {
		switch v := v.(type) {
		case float64:
			if name != "v" {
				flat[name] = v
			}
		case map[string]any:
			for inner, n := range v {
				if n, ok := n.(float64); ok {
					flat[name+"."+inner] = n
				}
			}
		}
	}
	return flat
}

func (o *Replayed) predictions(ctx context.Context, reg *registry.Registry, m *registry.Manifest, files Files) error {
	f, ok := m.File(predictionsFile)
	if !ok {
		o.because("the version has no %s", predictionsFile)
		return nil
	}
	old, err := reg.OpenBlob(ctx, f.SHA256)
	if err != nil {
		return err
	}
	defer old.Close()
	fresh, err := files(ctx, predictionsFile)
	if err != nil {
		return err
	}
	defer fresh.Close()
	return o.rows(csv.NewReader(old), csv.NewReader(fresh))
}

// rows compares two tables of predictions; faults of either are told as differences.
func (o *Replayed) rows(old, fresh *csv.Reader) error {
	old.ReuseRecord, fresh.ReuseRecord = true, true
	header, err := old.Read()
	if err != nil {
		return broken("the version's", err)
	}
	names := slices.Clone(header)
	if header, err = fresh.Read(); err != nil {
		return broken("the repeated training's", err)
	}
	if !slices.Equal(names, header) {
		o.because("the predictions have other columns")
		return nil
	}
	for {
		a, errA := old.Read()
		b, errB := fresh.Read()
		switch {
		case errors.Is(errA, io.EOF) && errors.Is(errB, io.EOF):
			if o.RowsDiffer > 0 {
				o.because("%d of %d predictions differ by more than %.3g, at most by %.3g (%s)", o.RowsDiffer, o.Rows, o.Tolerance.Prediction, o.MaxAbsDiff, o.Where)
			}
			return nil
		case errors.Is(errA, io.EOF) || errors.Is(errB, io.EOF):
			o.because("the predictions have another number of rows")
			return nil
		case errA != nil:
			return broken("the version's", errA)
		case errB != nil:
			return broken("the repeated training's", errB)
		}
		o.Rows++
		if !o.row(names, a, b) {
			o.RowsDiffer++
		}
	}
}

// row says whether two predictions agree, and notes the largest difference.
func (o *Replayed) row(names, a, b []string) bool {
	agree := true
	for i, name := range names {
		if a[i] == b[i] {
			continue
		}
		x, errX := strconv.ParseFloat(a[i], 64)
		y, errY := strconv.ParseFloat(b[i], 64)
		diff := math.Abs(x - y)
		if errX != nil || errY != nil || math.IsNaN(diff) || name == "label" && diff != 0 { // another class is no small difference
			agree = false
			if o.Where == "" {
				o.Where = fmt.Sprintf("column %q, row %d", name, o.Rows)
			}
			continue
		}
		if diff > o.MaxAbsDiff {
			o.MaxAbsDiff, o.Where = diff, fmt.Sprintf("column %q, row %d", name, o.Rows)
		}
		agree = agree && diff <= o.Tolerance.Prediction
	}
	return agree
}

// digest is the sha256 of a file, in hex.
func digest(ctx context.Context, files Files, name string) (string, error) {
	body, err := files(ctx, name)
	if err != nil {
		return "", err
	}
	defer body.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, body); err != nil {
		return "", fault.Wrap(err, fault.Unavailable, "%s could not be read to its end; try again", name)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func broken(whose string, err error) error {
	var syntax *csv.ParseError
	if errors.As(err, &syntax) || errors.Is(err, io.EOF) {
		return fault.Wrap(err, fault.FailedPrecondition, "%s %s is no table", whose, predictionsFile)
	}
	return fault.Wrap(err, fault.Unavailable, "%s %s could not be read to its end; try again", whose, predictionsFile)
}

package registration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/profile"
	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/shared/tensor"
)

// What a baseline may hold. Columns beyond are left out with a warning: a model is never refused for its size.
const (
	maxMonitored = 1000     // input columns
	maxScores    = 20       // score columns, of which a builder keeps 10 MB each
	maxBaseline  = 32 << 20 // bytes of baseline.json, which every profile environment holds
)

// What a builder takes at most while it reads, in bytes.
const (
	numericCost     = 10 << 20
	categoricalCost = 40 << 20
)

// What the owner should know of a baseline.
const (
	noBaseline = "the version has no baseline, so drift cannot be measured: there are no training rows (training.csv.gz) and no holdout"
	ofHoldout  = "the baseline is made of the holdout, since there is no training.csv.gz: it has fewer rows, and they may be later ones"
)

// trainingRows are the names under which the rows that a model learned from may lie, of which there is one at most.
var trainingRows = []string{"training.csv", "training.csv.gz", "training.parquet"}

// baseline profiles the training rows, else the holdout, and the trainer's own
// scores of the holdout. raw is nil when there are neither rows nor scores.
//
// The scores are those of predictions.csv, not the ones that were just computed:
// those differ in the last bit from processor to processor, and a baseline counts for
// the digest. Parity has shown that they are the same within its tolerance, and
// profile counts a score next to a value of the baseline as that value.
func (r *Registrar) baseline(ctx context.Context, b *bundle, sig schema.Signature, p purpose) (raw []byte, warnings []string, err error) {
	inputs, warnings := inputColumns(sig)
	out := &profile.Baseline{V: profile.BaselineVersion}
	src, closeRows, name, err := r.openRows(ctx, b)
	if err != nil {
		return nil, nil, err
	}
	if src != nil {
		defer closeRows()
		more, err := r.addRows(ctx, out, src, name, inputs)
		if err != nil {
			return nil, nil, err
		}
		warnings = append(warnings, more...)
	}
	if b.predictions != nil {
		more, err := addScores(ctx, out, b.predictions, scoreColumns(sig, p.task))
		if err != nil {
			return nil, nil, err
		}
		warnings = append(warnings, more...)
	}
	if len(out.Columns) == 0 {
		return nil, append(warnings, noBaseline), nil
	}
	if src != nil {
		more, err := split(ctx, out, src, name, p.by)
		if err != nil {
			return nil, nil, err
		}
		warnings = append(warnings, more...)
	}
	if name == holdoutFile {
		warnings = append(warnings, ofHoldout)
	}
	raw, left, err := encodeBaseline(out, maxBaseline)
	return raw, append(warnings, left...), err
}

// inputColumns are the monitored columns: each one that a CSV file or a captured record has a value a row of.
func inputColumns(sig schema.Signature) (specs []profile.Spec, warnings []string) {
	left := 0
	for _, in := range sig.Inputs {
		names, err := columnNames(in, "input", inputWidth(in))
		if err != nil {
			warnings = append(warnings, fmt.Sprintf("input %s has no fixed number of values a row: its drift is not measured", quoted(in.Name)))
			continue
		}
		for _, name := range names {
			if len(specs) == maxMonitored {
				left++
				continue
			}
			s := profile.Spec{Name: name, Kind: profile.Numeric, Bits: bitsOf(in.Datatype)}
			if in.Datatype == tensor.Bytes {
				s.Kind = profile.Categorical
			}
			specs = append(specs, s)
		}
	}
	if left > 0 {
		warnings = append(warnings, fmt.Sprintf("%d input columns are not in the baseline, which has the first %d", left, maxMonitored))
	}
	return specs, warnings
}

func bitsOf(d tensor.Datatype) int {
	switch d {
	case tensor.FP16:
		return 16
	case tensor.FP32:
		return 32
	}
	return 0
}

// scoreColumns are the outputs that are numbers on a scale: of two classes the
// last one, which says it all; of more each; of a regression the prediction.
func scoreColumns(sig schema.Signature, task schema.Task) []profile.Spec {
	var specs []profile.Spec
	for _, out := range sig.Outputs {
		if out.Datatype != tensor.FP16 && out.Datatype != tensor.FP32 && out.Datatype != tensor.FP64 {
			continue
		}
		names, err := columnNames(out, "output", inputWidth(out))
		if err != nil || len(names) == 0 {
			continue // then there is no predictions.csv either
		}
		if task == schema.Binary {
			names = names[len(names)-1:]
		}
		for _, name := range names {
			specs = append(specs, profile.Spec{Name: name, Kind: profile.Numeric, Score: true, Bits: bitsOf(out.Datatype)})
		}
	}
	return specs
}

// openRows opens the rows to make a baseline of; src is nil when there are none.
func (r *Registrar) openRows(ctx context.Context, b *bundle) (src profile.ReaderAtSize, done func(), name string, err error) {
	if b.training == "" {
		if b.holdout == nil {
			return nil, nil, "", nil
		}
		f, err := openTable(b.holdout)
		if err != nil {
			return nil, nil, "", err
		}
		return f, func() { _ = f.Close() }, holdoutFile, nil
	}
	name = b.training[strings.LastIndexByte(b.training, '/')+1:]
	obj, err := profile.OpenObject(ctx, r.Uploads, b.training)
	switch {
	case fault.Is(err, fault.NotFound):
		return nil, nil, "", fault.Wrap(err, fault.NotFound, "%s is not in the source (any more); upload it again", name)
	case err != nil:
		return nil, nil, "", fmt.Errorf("registration: open %s: %w", name, err)
	case obj.Size() > r.Limits.TrainingBytes:
		return nil, nil, "", fault.New(fault.PayloadTooLarge, "%s has %d bytes, limit %d; leave a sample of the training rows", name, obj.Size(), r.Limits.TrainingBytes)
	}
	return obj, func() {}, name, nil
}

// addRows counts the columns in passes of as many as fit into memory.
func (r *Registrar) addRows(ctx context.Context, out *profile.Baseline, src profile.ReaderAtSize, name string, specs []profile.Spec) (warnings []string, err error) {
	for len(specs) > 0 {
		n := fitting(specs, r.Limits.BaselineBytes)
		builder, err := profile.NewBuilder(specs[:n])
		if err != nil {
			return nil, fault.Wrap(err, fault.InvalidArgument, "two input columns of the model have the same name")
		}
		rep, err := profile.CountSource(ctx, src, builder, nil)
		if err != nil {
			return nil, unreadable(err, name)
		}
		switch {
		case len(rep.Absent) > 0:
			return nil, fault.New(fault.InvalidArgument, "%s has no column %s, which is an input of the model", name, quoted(rep.Absent[0]))
		case rep.Malformed > 0:
			return nil, fault.New(fault.InvalidArgument, "%s has %d lines that are no rows; %s", name, rep.Malformed, rep.First)
		case rep.Rows == 0:
			return nil, fault.New(fault.InvalidArgument, "%s has no rows; leave it out to register without a baseline of training rows", name)
		}
		part := builder.Freeze(rep.Rows)
		out.Rows = rep.Rows
		for _, l := range rep.LeftOut {
			warnings = append(warnings, fmt.Sprintf("column %s of %s is not in the baseline: %s", quoted(l.Column), name, l.Reason))
		}
		for _, c := range part.Columns {
			if slices.ContainsFunc(rep.LeftOut, func(l profile.LeftOut) bool { return l.Column == c.Name }) {
				continue
			}
			if c.State.WrongType > 0 {
				warnings = append(warnings, fmt.Sprintf("column %s of %s has %d values that are not of its type", quoted(c.Name), name, c.State.WrongType))
			}
			out.Columns = append(out.Columns, c)
		}
		specs = specs[n:]
	}
	return warnings, nil
}

// fitting is the number of columns that can be counted in one pass.
func fitting(specs []profile.Spec, budget int64) int {
	var cost int64
	for i, s := range specs {
		if s.Kind == profile.Categorical {
			cost += categoricalCost
		} else {
			cost += numericCost
		}
		if cost > budget && i > 0 {
			return i
		}
	}
	return len(specs)
}

// addScores counts predictions.csv.
func addScores(ctx context.Context, out *profile.Baseline, predictions *table, specs []profile.Spec) (warnings []string, err error) {
	taken := func(s profile.Spec) bool {
		_, ok := out.Column(s.Name)
		if ok {
			warnings = append(warnings, fmt.Sprintf("output column %s has the name of an input: its drift is not measured", quoted(s.Name)))
		}
		return ok
	}
	specs = slices.DeleteFunc(specs, taken)
	if len(specs) > maxScores {
		warnings = append(warnings, fmt.Sprintf("%d score columns are not in the baseline, which has the first %d", len(specs)-maxScores, maxScores))
		specs = specs[:maxScores]
	}
	if len(specs) == 0 {
		return warnings, nil
	}
	f, err := openTable(predictions)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	builder, err := profile.NewBuilder(specs)
	if err != nil {
		return nil, fault.Wrap(err, fault.InvalidArgument, "two output columns of the model have the same name")
	}
	rep, err := profile.CountSource(ctx, f, builder, nil)
	if err != nil {
		return nil, unreadable(err, predictionsFile)
	}
	out.Columns = append(out.Columns, builder.Freeze(rep.Rows).Columns...)
	return warnings, nil
}

// encodeBaseline writes a baseline of at most limit bytes, leaving out the
// categorical columns with the most values where it would be larger.
func encodeBaseline(b *profile.Baseline, limit int) (raw []byte, warnings []string, err error) {
	for {
		if raw, err = json.Marshal(b); err != nil {
			return nil, nil, fault.Wrap(err, fault.Internal, "the baseline cannot be encoded")
		}
		raw = append(raw, '\n')
		most := -1
		for i, c := range b.Columns {
			if c.Kind == profile.Categorical && !c.Identifier && (most < 0 || c.Distinct > b.Columns[most].Distinct) {
				most = i
			}
		}
		if len(raw) <= limit || most < 0 {
			return raw, warnings, nil
		}
		if b.Split != nil {
			warnings = append(warnings, fmt.Sprintf("the baseline is not split by segments or clusters, with which it would have more than %d MB", limit>>20))
			*b = *b.Whole()
			continue
		}
		warnings = append(warnings, fmt.Sprintf("column %s has too many different values for a baseline of %d MB: its drift is not measured", quoted(b.Columns[most].Name), limit>>20))
		b.Columns = slices.Delete(b.Columns, most, most+1)
	}
}

// unreadable gives an error of reading a table its kind.
func unreadable(err error, name string) error {
	var known *fault.Error
	switch {
	case errors.As(err, &known):
		return fmt.Errorf("registration: read %s: %w", name, err)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return fault.Wrap(err, fault.DeadlineExceeded, "there was no time left to read %s to its end; leave a sample of the rows", name)
	}
	return fault.Wrap(err, fault.InvalidArgument, "%s cannot be read: %v", name, err)
}

// tableFile is a table as a source of rows.
type tableFile struct {
	*os.File
	size int64
}

func (f tableFile) Size() int64 { return f.size }

func openTable(t *table) (tableFile, error) {
	f, err := os.Open(t.path)
	if err != nil {
		return tableFile{}, fault.Wrap(err, fault.Internal, "the copy of %s is gone", t.name)
	}
	return tableFile{f, t.size}, nil
}

package registration

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"

	"github.com/tidegate/tidegate/shared/evaluation/quality"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/schema"
)

// noReference begins the warning of a version whose quality nothing can be compared with.
const noReference = "the version has no reference, so that its quality cannot be judged: "

const noHoldout = noReference + "there are no " + holdoutFile + " and " + predictionsFile

// maxFrozen is the number of scores, of all classes together, that the bins of a reference are made of at most:
// 64 MB. Of more every second, third, … row counts.
const maxFrozen = 8 << 20

// purpose is what a model is for: what facts say, with what the caller and the model say.
type purpose struct {
	task         schema.Task
	target, time string
	rows         int // of the holdout, as the parity check has counted them
	by           splits
}

// spare are the columns that a holdout may have beside the inputs.
func (p *purpose) spare() []string { return []string{p.target, p.time} }

// reference measures the trainer's own answers to the holdout, which are the
// runtime's within the tolerance of the parity check, against the target. raw is nil when that
// cannot be done; a warning says why. It does not count for the digest: another
// holdout is no other model.
func (r *Registrar) reference(ctx context.Context, b *bundle, sig schema.Signature, p purpose) (raw []byte, warnings []string, err error) {
	if b.holdout == nil {
		return nil, []string{noHoldout}, nil
	}
	c, why := answersOf(sig, p.task)
	if why != "" {
		return nil, []string{noReference + why}, nil
	}
	m := measuring{bundle: b, answers: c, purpose: p}
	why, err = m.prepare(ctx)
	if err == nil && why == "" {
		raw, why, err = m.measure(ctx)
	}
	if why != "" {
		m.warnings = append(m.warnings, noReference+why)
	}
	return raw, m.warnings, err
}

// measuring is one holdout on its way to a reference.
type measuring struct {
	*bundle
	*answers
	purpose       purpose
	target, clock int // fields of holdout.csv; −1 where there is none
	stride        int // every which row the bins are made of
	read          int // rows

	scores      [][]float64 // by column, of the rows that count for the bins
	classes     classNames
	first, last time.Time
	moments     int // rows with a time
	cluster     quality.Cluster
	warnings    []string
}

// pairs calls f with every row of holdout and predictions, which end together: the parity check saw to it.
func (m *measuring) pairs(ctx context.Context, open func(holdout, predictions []string) string, f func(row int, holdout, predictions []string) error) (why string, err error) {
	holdout, closeHoldout, err := m.holdout.read()
	if err != nil {
		return "", err
	}
	defer closeHoldout.Close()
	predictions, closePredictions, err := m.predictions.read()
	if err != nil {
		return "", err
	}
	defer closePredictions.Close()
	if why := open(holdout.header, predictions.header); why != "" {
		return why, nil
	}
	for {
		h, err := holdout.next()
		if errors.Is(err, io.EOF) {
			return "", nil
		}
		if err != nil {
			return "", err
		}
		p, err := predictions.next()
		if err != nil {
			return "", err
		}
		if holdout.row%4096 == 0 && ctx.Err() != nil {
			return "", fault.Wrap(ctx.Err(), fault.DeadlineExceeded, "there was no time left to measure the reference after %d rows; register a sample of the holdout", holdout.row)
		}
		if err := f(holdout.row, h, p); err != nil {
			return "", err
		}
	}
}

// prepare reads the files once, for what has to be known before rows are counted: the scores that the bins are made of, the
// names of the classes, the span of time.
func (m *measuring) prepare(ctx context.Context) (why string, err error) {
	m.scores = make([][]float64, len(m.names))
	m.stride = 1 + m.purpose.rows*len(m.names)/maxFrozen
	why, err = m.pairs(ctx, m.locate, func(row int, holdout, predictions []string) error {
		if row%m.stride == 0 {
			for k, at := range m.columns {
				m.scores[k] = append(m.scores[k], number(predictions[at]))
			}
		}
		if m.clock >= 0 {
			if t, ok := moment(holdout[m.clock]); ok {
				m.moment(t)
			}
		}
		m.classes.see(m.answers, holdout[m.target], predictions)
		m.read++
		return nil
	})
	if why != "" || err != nil {
		return why, err
	}
	switch {
	case m.moments == m.read && m.last.Sub(m.first) >= 10*24*time.Hour:
		m.cluster = quality.ClusterDay // docs/statistics.md: hours, or days of windows of ten days and more
	case m.moments == m.read:
		m.cluster = quality.ClusterHour
	case m.moments > 0:
		m.warnings = append(m.warnings, fmt.Sprintf("%d of %d rows of %s have no time that can be read (RFC 3339), so that the reference does not know how rows of an hour depend on each other", m.read-m.moments, m.read, holdoutFile))
	}
	return m.classes.settle(m.answers, m.small[runFile]), nil
}

func (m *measuring) moment(t time.Time) {
	if m.moments == 0 || t.Before(m.first) {
		m.first = t
	}
	if m.moments == 0 || t.After(m.last) {
		m.last = t
	}
	m.moments++
}

// locate finds the columns in the headers of both files.
func (m *measuring) locate(holdout, predictions []string) string {
	m.target, m.clock = index(holdout, m.purpose.target), index(holdout, m.purpose.time)
	switch {
	case m.purpose.target == "":
		return "no target is known; name it, in the request or in " + trainingFile
	case m.target < 0:
		return holdoutFile + " has no column " + quoted(m.purpose.target) + ", the target"
	}
	return m.bind(predictions)
}

// measure reads the files again and counts.
func (m *measuring) measure(ctx context.Context) (raw []byte, why string, err error) {
	layout, err := m.layout(m.classes.names, m.scores)
	if err != nil {
		return nil, fault.Public(err).Message, nil
	}
	m.scores = nil
	s := quality.NewState(layout)
	var q quality.Row
	_, err = m.pairs(ctx, m.locate, func(row int, holdout, predictions []string) error {
		q = quality.Row{Scores: q.Scores, Score: math.NaN(), Class: quality.NoClass, Mature: true, Key: quality.HashKey(strconv.Itoa(row))}
		m.fill(&q, predictions, m.classes.of)
		m.label(&q, holdout[m.target])
		if m.cluster != "" {
			t, _ := moment(holdout[m.clock])
			q.Block = m.cluster.Block(t)
		}
		s.Add(&q)
		return nil
	})
	if err != nil {
		return nil, "", err
	}
	m.count(&s.Counts)
	ref, err := quality.NewReference(s, "sha256:"+m.holdout.sha256, trainingEnd(m.small[runFile]))
	if fault.Is(err, fault.FailedPrecondition) || fault.Is(err, fault.PayloadTooLarge) {
		return nil, fault.Public(err).Message, nil
	}
	if err != nil {
		return nil, "", err
	}
	if primary := ref.Metric(quality.Primary(layout.Task)); primary.Value == nil {
		m.warnings = append(m.warnings, fmt.Sprintf("the reference has no %s: %s", primary.Name, primary.Reason))
	}
	raw, err = ref.Encode()
	return raw, "", err
}

// label sets what the row should have been predicted as.
func (m *measuring) label(q *quality.Row, text string) {
	if missing(text) {
		return
	}
	if m.task == schema.Regression {
		q.Truth = number(text)
		q.Labelled = !math.IsNaN(q.Truth)
		return
	}
	q.Label, q.Labelled = m.classes.of(text), true
}

// count warns of rows that are not judged.
func (m *measuring) count(c *quality.Counts) {
	warn := func(n uint64, format string) {
		if n > 0 {
			m.warnings = append(m.warnings, fmt.Sprintf(format, n, c.Predictions, holdoutFile))
		}
	}
	warn(c.Predictions-c.Labelled-c.BadLabels, "%d of %d rows of %s have no label, and are left out of the reference")
	warn(c.BadLabels, "%d of %d rows of %s have a label that is none of the model's classes, or too large, and are left out of the reference")
}

package outcome

import (
	"fmt"
	"math"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/tidegate/tidegate/shared/outcome/table"
)

// fileReader is what a worker makes rows of words with: column by column into a
// stage, row by row from there into the partitions.
type fileReader struct {
	j      *filesJoin
	worker int
	part   *filePart
	first  int64 // row of the file at which the part begins
	salt   uint64
	out    *fileEmitter
	counts Counts

	stage  []uint64
	width  int // words of a row in the stage
	keys   []Key
	noID   []bool
	labels []labelState // of the rows in the stage
	seen   []map[string]uint32
}

// labelState says whether a row of the stage has a label.
type labelState uint8

const (
	unlabelled labelState = iota
	labelled
	unusable
)

// noLabel is what is said of a label in a file of labels that is missing; of a regression, or no number.
const noLabel = "the label is missing, or no number"

func newFileReader(j *filesJoin, worker int) *fileReader {
	r := &fileReader{j: j, worker: worker, seen: make([]map[string]uint32, len(j.Names.Segments))}
	for i := range r.seen {
		r.seen[i] = map[string]uint32{}
	}
	r.out = newFileEmitter(j, worker, &r.counts)
	return r
}

// begin turns to another part.
func (r *fileReader) begin(p *filePart) {
	r.part, r.first = p, p.table.FirstRow(p.part)
	r.salt = xxhash.Sum64String(p.file.Name)
	r.width = r.j.layout.words
	if p.source < 0 {
		r.width = r.j.layout.labelWords
	}
}

// note counts what was found in a part beside its rows.
func (r *fileReader) note(p *filePart, rep *table.Report) {
	r.counts.Malformed += rep.Malformed
	if rep.Malformed > 0 {
		least(&r.counts.First.Malformed, p.file.Name+", "+rep.First)
	}
}

func (r *fileReader) place(i int, b *table.Batch, what string) string {
	return fmt.Sprintf("%s, row %d: %s", r.part.file.Name, r.first+b.First+int64(i)+1, what)
}

// batch takes the rows of a batch.
func (r *fileReader) batch(b *table.Batch) error {
	n := b.Rows
	r.stage = grown(r.stage, n*r.width)
	clear(r.stage)
	r.keys, r.noID, r.labels = grown(r.keys, n), grown(r.noID, n), grown(r.labels, n)
	clear(r.noID)
	clear(r.labels)
	if r.part.source < 0 {
		return r.labelBatch(b)
	}
	state := uint64(uint32(0xffff_ffff)) | uint64(r.part.source)<<stateSource
	for at := rowState; at < len(r.stage); at += r.width {
		r.stage[at] = state
	}
	if r.j.Names.ID == "" {
		for i := range r.keys {
			r.keys[i] = Key{r.salt, uint64(r.first+b.First) + uint64(i)}
		}
	}
	for c := range b.Columns {
		if err := r.column(b, r.part.wanted[c], &b.Columns[c]); err != nil {
			return err
		}
	}
	r.check(b)
	return r.scatter(n)
}

func grown[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// column moves one column into the stage.
func (r *fileReader) column(b *table.Batch, w wanted, v *table.Values) error {
	l := &r.j.layout
	switch w.role {
	case roleID:
		return r.identify(b, w, v)
	case roleScore:
		r.floats(l.scores+w.n, v.Floats)
	case rolePrediction:
		classOf(r.j.classes, b.Rows, v, func(i int, class int32) {
			at := i*r.width + rowState
			r.stage[at] = r.stage[at]&^0xffff_ffff | uint64(uint32(class))
		})
	case roleTime:
		r.times(l.at, v)
	case roleKey:
		return eachKey(w.Name, b.Rows, v, func(i int, k Key, missing bool) {
			if !missing {
				r.stage[i*r.width+l.key] = max(k.Hash(), 1) // 0 is none
			}
		})
	case roleWeight:
		r.floats(l.weight, v.Floats)
	case roleLabel:
		r.label(b, l.label, v)
	case roleLabelTime:
		r.times(l.labelAt, v)
	case roleSegment:
		return r.segment(w.n, b.Rows, v)
	}
	return nil
}

func (r *fileReader) floats(word int, values []float64) {
	for i, x := range values {
		r.stage[i*r.width+word] = math.Float64bits(x)
	}
}

func (r *fileReader) times(word int, v *table.Values) {
	for i, ms := range v.Ints {
		if v.Null == nil || !v.Null[i] {
			r.stage[i*r.width+word] = uint64(ms)
		}
	}
}

func (r *fileReader) identify(b *table.Batch, w wanted, v *table.Values) error {
	return eachKey(w.Name, b.Rows, v, func(i int, k Key, missing bool) {
		r.keys[i], r.noID[i] = k, missing
		if missing {
			r.counts.Malformed++
			if r.part.source < 0 {
				r.counts.Labels++
				r.counts.LabelsUnusable++
				r.counts.Malformed--
			}
			least(&r.counts.First.Malformed, r.place(i, b, "there is no id"))
		}
	})
}

// label moves the labels of a batch into the stage.
func (r *fileReader) label(b *table.Batch, word int, v *table.Values) {
	missing := func(i int) bool {
		switch v.Form {
		case table.Floats:
			return math.IsNaN(v.Floats[i])
		case table.Ints:
			return v.Null != nil && v.Null[i]
		}
		return v.Texts[i] == ""
	}
	set := func(i int, x float64) {
		r.stage[i*r.width+word] = math.Float64bits(x)
		r.labels[i] = labelled
	}
	if r.j.classes == nil {
		for i, x := range v.Floats[:b.Rows] {
			switch {
			case math.IsInf(x, 0):
				r.unusable(i, b)
			case !math.IsNaN(x):
				set(i, x)
			}
		}
		for _, i := range v.Wrong {
			r.unusable(i, b)
		}
		return
	}
	classOf(r.j.classes, b.Rows, v, func(i int, class int32) {
		switch {
		case class != none:
			set(i, float64(class))
		case !missing(i):
			r.unusable(i, b)
		}
	})
}

// unusable marks a label that is there and cannot be one.
func (r *fileReader) unusable(i int, b *table.Batch) {
	r.labels[i] = unusable
	what := "the label is no number"
	switch {
	case r.j.classes != nil:
		what = "the label is none of the classes"
	case r.part.source < 0:
		what = noLabel // as of the missing ones, so that the first of both is found
	}
	least(&r.counts.First.Label, r.place(i, b, what))
}

// segment numbers the values of a segment column.
func (r *fileReader) segment(n, rows int, v *table.Values) error {
	word := r.j.layout.segments + n/2
	shift := n % 2 * 32
	last, number := "", uint32(Missing)
	for i := range rows {
		text := segmentText(v, i)
		if text != last {
			var err error
			if number, err = r.number(n, text); err != nil {
				return err
			}
			last = text
		}
		r.stage[i*r.width+word] |= uint64(number) << shift
	}
	return nil
}

func (r *fileReader) number(column int, text string) (uint32, error) {
	if number, ok := r.seen[column][text]; ok {
		return number, nil
	}
	number, err := r.j.segments.number(column, text)
	if err == nil {
		r.seen[column][strings.Clone(text)] = number
	}
	return number, err
}

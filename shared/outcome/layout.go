package outcome

import (
	"math/bits"

	"github.com/tidegate/tidegate/shared/outcome/table"
	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/shared/stat"
)

// role is what a column of a file is for.
type columnRole uint8

const (
	roleID columnRole = iota
	roleScore
	rolePrediction
	roleLabel
	roleTime
	roleKey
	roleWeight
	roleLabelTime
	roleSegment
)

// wanted is a column of a file with what it is for.
type wanted struct {
	table.Column
	role columnRole
	n    int // of several scores or segments
}

// predictionColumns are those to read of a file of predictions.
func (j *filesJoin) predictionColumns(labels bool) (columns []wanted) {
	n := &j.Names
	add := func(name string, kind table.Kind, role columnRole, at int) {
		if name != "" {
			columns = append(columns, wanted{table.Column{Name: name, Kind: kind}, role, at})
		}
	}
	add(n.ID, table.Natural, roleID, 0)
	for i, name := range n.Scores {
		add(name, table.Number, roleScore, i)
	}
	if j.Task != schema.Regression {
		add(n.Prediction, table.Natural, rolePrediction, 0)
	}
	add(n.Time, table.Time, roleTime, 0)
	add(n.Key, table.Natural, roleKey, 0)
	add(n.Weight, table.Number, roleWeight, 0)
	for i, name := range n.Segments {
		add(name, table.Natural, roleSegment, i)
	}
	if labels {
		add(n.Label, j.labelKind(), roleLabel, 0)
		add(n.LabelTime, table.Time, roleLabelTime, 0)
	}
	return columns
}

// labelColumns are those to read of a file of labels.
func (j *filesJoin) labelColumns() []wanted {
	n := &j.Names
	id := n.LabelID
	if id == "" {
		id = n.ID
	}
	columns := []wanted{{table.Column{Name: id, Kind: table.Natural}, roleID, 0}, {table.Column{Name: n.Label, Kind: j.labelKind()}, roleLabel, 0}}
	if n.LabelTime != "" {
		columns = append(columns, wanted{table.Column{Name: n.LabelTime, Kind: table.Time}, roleLabelTime, 0})
	}
	return columns
}

func (j *filesJoin) labelKind() table.Kind {
	if j.Task == schema.Regression {
		return table.Number
	}
	return table.Natural
}

// layout is where the fields of a row lie in its words; −1 is not there. The first
// two words are the key, the third the predicted class in its lower half, and
// source and flags above.
type layout struct {
	words, labelWords                         int
	scores, count                             int
	label, labelAt, at, key, weight, segments int
}

const (
	rowHi = iota
	rowLo
	rowState
	rowFields
)

// stateSource is where the number of the source begins in the state of a row of a file.
const stateSource = 48

// Words of a label: the key, the number and the time.
const (
	labelHi = iota
	labelLo
	labelValue
	labelKnown
)

func newLayout(s *Spec, n *Names, labels bool) layout {
	l := layout{words: rowFields, label: -1, labelAt: -1, at: -1, key: -1, weight: -1, segments: -1, labelWords: labelValue + 1}
	place := func(present bool, words int) int {
		if !present {
			return -1
		}
		at := l.words
		l.words += words
		return at
	}
	l.count = s.width()
	l.scores = place(l.count > 0, l.count)
	l.label = place(labels && n.Label != "", 1)
	l.labelAt = place(labels && n.LabelTime != "", 1)
	l.at = place(n.Time != "", 1)
	l.key = place(n.Key != "", 1)
	l.weight = place(n.Weight != "", 1)
	l.segments = place(len(s.Segments) > 0, (len(s.Segments)+1)/2)
	if n.LabelTime != "" {
		l.labelWords++
	}
	return l
}

// segment is the number of a row's value in a segment column. Segments are the last words of a row.
func (l *layout) segment(row []uint64, column int) uint32 {
	return uint32(row[l.segments+column/2] >> (column % 2 * 32))
}

// timed says whether labels come with times.
func (l *layout) timed() bool { return l.labelAt >= 0 || l.labelWords > labelKnown }

const (
	// partitionRows is about how many rows a partition has: with its table it fits into a second-level cache.
	partitionRows = 32 << 10
	// maxPartitions bounds the chunks that each worker begins.
	maxPartitions = 2 * stat.KeyGroups
	// chunkRows is how many rows are held together.
	chunkRows = 512
)

// spread says which partition a hash falls into. In many partitions the rows of a key
// group stay together: where clusters are ids, the thousands of cells that a group counts
// on are then still in the cache for its next row.
type spread struct {
	grouped bool // by the group first
	bits    int  // of the hash's highest, how many tell the partition (of a group)
}

// spreadOver makes about n partitions.
func spreadOver(n int) spread {
	if n < stat.KeyGroups/2 {
		return spread{false, bits.Len(uint(n - 1))}
	}
	return spread{true, bits.Len(uint((n - 1) / stat.KeyGroups))}
}

func (s spread) partitions() int {
	if s.grouped {
		return stat.KeyGroups << s.bits
	}
	return 1 << s.bits
}

func (s spread) of(hash uint64) uint64 {
	part := hash >> (64 - s.bits)
	if s.grouped {
		part |= hash % stat.KeyGroups << s.bits
	}
	return part
}

// partitions hold rows of words by the hash of their key.
type partitions struct {
	width  int
	chunks [][][]uint64 // by partition
}

func newPartitions(n, width int) partitions { return partitions{width, make([][][]uint64, n)} }

// add makes room for a row of a partition, and returns its words.
func (p *partitions) add(partition uint64) []uint64 {
	chunks := p.chunks[partition]
	last := len(chunks) - 1
	if last < 0 || len(chunks[last]) == cap(chunks[last]) {
		chunks = append(chunks, make([]uint64, 0, p.width*chunkRows))
		p.chunks[partition] = chunks
		last++
	}
	c := &chunks[last]
	n := len(*c)
	*c = (*c)[:n+p.width]
	return (*c)[n:]
}

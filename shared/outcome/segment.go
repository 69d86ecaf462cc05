package outcome

import (
	"strings"
	"sync"

	"github.com/tidegate/tidegate/shared/fault"
)

// MaxSegmentValues is the most values that a segment column may have: above, it is
// an id and no segment.
const MaxSegmentValues = 100_000

// Numbers that every segment column has; both have the name "".
const (
	Missing = iota // the value is missing
	Absent         // the captured record does not hold the column
)

// Segments number the values of the segment columns in the order in which they
// come. The numbers hold for one join; across joins the names are what is equal.
type Segments struct {
	mu      sync.RWMutex
	columns []string
	numbers []map[string]uint32
	names   [][]string
}

func newSegments(columns []string) *Segments {
	s := &Segments{columns: columns, numbers: make([]map[string]uint32, len(columns)), names: make([][]string, len(columns))}
	for i := range columns {
		s.numbers[i] = map[string]uint32{"": Missing}
		s.names[i] = []string{Missing: "", Absent: ""}
	}
	return s
}

// Name is the value that number stands for in a segment column; "" is missing.
func (s *Segments) Name(column int, number uint32) string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.names[column][number]
}

// Len is the number of values that a column has so far, with the two that stand for none.
func (s *Segments) Len(column int) int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.names[column])
}

// number finds or makes the number of a value, which may share memory with a line.
func (s *Segments) number(column int, value string) (uint32, error) {
	s.mu.RLock()
	n, ok := s.numbers[column][value]
	s.mu.RUnlock()
	if ok {
		return n, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if n, ok := s.numbers[column][value]; ok {
		return n, nil
	}
	if len(s.names[column]) > MaxSegmentValues+Absent {
		return 0, fault.New(fault.InvalidArgument, "segment column %q has more than %d different values; it is no segment, leave it out", s.columns[column], MaxSegmentValues)
	}
	value = strings.Clone(value)
	n = uint32(len(s.names[column]))
	s.numbers[column][value] = n
	s.names[column] = append(s.names[column], value)
	return n, nil
}

package profile

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// maxCounts bounds one stored list of counts, whatever its runs claim.
const maxCounts = 1 << 14

// counts is a list of counts most of which are 0. Its JSON is a list in which −k
// stands for k zeros: [3,-4,1] is 3, 0, 0, 0, 0, 1.
type counts []uint64

// MarshalJSON writes the runs.
func (c counts) MarshalJSON() ([]byte, error) {
	out := []byte{'['}
	for i := 0; i < len(c); {
		if len(out) > 1 {
			out = append(out, ',')
		}
		if c[i] != 0 {
			out = strconv.AppendUint(out, c[i], 10)
			i++
			continue
		}
		from := i
		for ; i < len(c) && c[i] == 0; i++ {
		}
		out = append(out, '-')
		out = strconv.AppendInt(out, int64(i-from), 10)
	}
	return append(out, ']'), nil
}

// UnmarshalJSON reads the runs, at most maxCounts counts of them.
func (c *counts) UnmarshalJSON(raw []byte) error {
	var runs []int64
	if err := json.Unmarshal(raw, &runs); err != nil {
		return err
	}
	n := 0
	for _, r := range runs {
		switch {
		case r >= 0:
			n++
		case r < -maxCounts:
			n = maxCounts + 1
		default:
			n -= int(r)
		}
		if n > maxCounts {
			return fmt.Errorf("profile: a list of more than %d counts", maxCounts)
		}
	}
	out := make(counts, 0, n)
	for _, r := range runs {
		if r > 0 {
			out = append(out, uint64(r))
		} else {
			out = out[:len(out)+int(max(1, -r))] // 0 itself is one zero
		}
	}
	*c = out
	return nil
}

// Part is what is counted of one column over the rows of one segment: a [State]
// without sums and limits.
type Part struct {
	Rows, Missing, NaN, WrongType uint64
	Cells                         []uint64
}

// State is the part as a state, which shares its cells.
func (p *Part) State() State {
	return State{Rows: p.Rows, Missing: p.Missing, NaN: p.NaN, WrongType: p.WrongType, Cells: p.Cells}
}

// MarshalJSON writes rows, missing, NaN, wrong type and the cells as one list of counts.
func (p Part) MarshalJSON() ([]byte, error) {
	return append(counts{p.Rows, p.Missing, p.NaN, p.WrongType}, p.Cells...).MarshalJSON()
}

// UnmarshalJSON refuses counts that do not add up.
func (p *Part) UnmarshalJSON(raw []byte) error {
	var c counts
	if err := c.UnmarshalJSON(raw); err != nil {
		return err
	}
	if len(c) < 4 {
		return fmt.Errorf("profile: the counts of a segment are a list of %d", len(c))
	}
	*p = Part{Rows: c[0], Missing: c[1], NaN: c[2], WrongType: c[3], Cells: c[4:]}
	s := p.State()
	return s.check()
}

func (p *Part) merge(o *Part) error {
	if len(p.Cells) != len(o.Cells) {
		return errCells(len(o.Cells), len(p.Cells))
	}
	p.Rows += o.Rows
	p.Missing += o.Missing
	p.NaN += o.NaN
	p.WrongType += o.WrongType
	for i, n := range o.Cells {
		p.Cells[i] += n
	}
	return nil
}

func errCells(got, want int) error {
	return fmt.Errorf("profile: %d cells cannot be added to %d: the profiles are of different baselines", got, want)
}

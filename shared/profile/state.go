package profile

import (
	"fmt"
	"math"

	"github.com/tidegate/tidegate/shared/sketch"
)

// State is what is kept of one column over any set of rows: integers, two floats
// and two exact sums. States of disjoint sets of rows merge to the state of all,
// to the byte.
type State struct {
	Rows      uint64     `json:"rows"`                 // all rows, whatever they hold
	Missing   uint64     `json:"missing,omitempty"`    // null, empty text, absent column
	NaN       uint64     `json:"nan,omitempty"`        // counted apart, treated as missing by the gates
	PosInf    uint64     `json:"pos_inf,omitempty"`    // also in the last cell
	NegInf    uint64     `json:"neg_inf,omitempty"`    // also in the first cell
	WrongType uint64     `json:"wrong_type,omitempty"` // text in a numeric column, an object in any
	Min       *float64   `json:"min,omitempty"`        // of the finite values
	Max       *float64   `json:"max,omitempty"`
	Sum       sketch.Sum `json:"sum"`
	Squares   sketch.Sum `json:"squares"`
	Cells     []uint64   `json:"cells"`
}

// NewState returns an empty state of n cells.
func NewState(n int) State { return State{Cells: make([]uint64, n)} }

// Values is the number of rows that hold a value: the n of every distance.
func (s *State) Values() uint64 { return s.Rows - s.Missing - s.NaN - s.WrongType }

// number counts n rows that hold x, which is in cell.
func (s *State) number(x float64, cell int, n uint64) {
	s.Rows += n
	s.Cells[cell] += n
	if math.IsInf(x, 0) {
		if x > 0 {
			s.PosInf += n
		} else {
			s.NegInf += n
		}
		return
	}
	x += 0 // −0 becomes 0: which of the two came first must not show
	s.extend(x, x)
	s.Sum.AddN(x, n)
	// x²·n in one product would round; squares are added as high and low part.
	sq := x * x
	s.Squares.AddN(sq, n)
	s.Squares.AddN(math.FMA(x, x, -sq), n)
}

// one is number for one row, without the products: the loop over plain values.
func (s *State) one(x float64, cell int) {
	if math.IsInf(x, 0) {
		s.number(x, cell, 1)
		return
	}
	s.Rows++
	s.Cells[cell]++
	x += 0
	s.extend(x, x)
	s.Sum.Add(x)
	sq := x * x
	s.Squares.Add(sq)
	s.Squares.Add(math.FMA(x, x, -sq))
}

func (s *State) extend(lo, hi float64) {
	if s.Min == nil || lo < *s.Min {
		least := lo // a copy: the address of lo would put it on the heap in every call
		s.Min = &least
	}
	if s.Max == nil || hi > *s.Max {
		largest := hi
		s.Max = &largest
	}
}

// Merge adds o, which must have as many cells.
func (s *State) Merge(o *State) error {
	if len(s.Cells) != len(o.Cells) {
		return errCells(len(o.Cells), len(s.Cells))
	}
	s.Rows += o.Rows
	s.Missing += o.Missing
	s.NaN += o.NaN
	s.PosInf += o.PosInf
	s.NegInf += o.NegInf
	s.WrongType += o.WrongType
	if o.Min != nil {
		s.extend(*o.Min, *o.Max)
	}
	s.Sum.Merge(&o.Sum)
	s.Squares.Merge(&o.Squares)
	for i, n := range o.Cells {
		s.Cells[i] += n
	}
	return nil
}

// check refuses counts that cannot be: parsers call it on stored states.
func (s *State) check() error {
	var inCells uint64
	for _, n := range s.Cells {
		if inCells+n < inCells {
			return fmt.Errorf("profile: the cells of a column overflow")
		}
		inCells += n
	}
	gone := s.Missing + s.NaN + s.WrongType
	if gone > s.Rows || inCells != s.Rows-gone {
		return fmt.Errorf("profile: a column has %d rows, %d without a value and %d in cells", s.Rows, gone, inCells)
	}
	if (s.Min == nil) != (s.Max == nil) || s.Min != nil && !(*s.Min <= *s.Max) {
		return fmt.Errorf("profile: the least and largest value of a column do not fit")
	}
	return nil
}

package schema

import (
	"fmt"

	"github.com/tidegate/tidegate/shared/tensor"
)

// values checks datatype, shape and values of each input that is there.
func (c *Checker) values(inputs []tensor.Tensor, f *faults) {
	for i := range inputs {
		in := &c.inputs[i]
		if in.spec.Name != inputs[i].Name { // some are absent, which is a fault already noted
			in = &c.inputs[c.byName[inputs[i].Name]]
		}
		if in.typed(&inputs[i], f) {
			in.checkValues(&inputs[i], f)
		}
	}
}

// typed checks datatype and shape.
func (in *input) typed(t *tensor.Tensor, f *faults) bool {
	if t.Datatype != in.spec.Datatype {
		f.add(f.input(in)+".datatype", fmt.Sprintf("is %s, want %s", t.Datatype, in.spec.Datatype))
		return false
	}
	if len(t.Shape) != len(in.spec.Shape) {
		f.add(f.input(in)+".shape", fmt.Sprintf("has %d dimensions, want %d: %v", len(t.Shape), len(in.spec.Shape), in.spec.Shape))
		return false
	}
	if k := in.misfit(t.Shape); k >= 0 {
		f.add(f.input(in)+".shape", fmt.Sprintf("does not fit %v in dimension %d", in.spec.Shape, k))
		return false
	}
	return true
}

// misfit is the first dimension of a shape of the right rank that the signature
// does not have, or -1. Only the batch may be empty.
func (in *input) misfit(shape []int64) int {
	for k, want := range in.spec.Shape {
		if got := shape[k]; (want >= 0 && got != want) || (want < 0 && k > 0 && got == 0) {
			return k
		}
	}
	return -1
}

// checkValues applies the rules of the columns to every value.
func (in *input) checkValues(t *tensor.Tensor, f *faults) {
	l := lister{in: in, f: f, width: max(1, t.Len()/int(max(1, t.Rows())))}
	switch t.Datatype {
	case tensor.FP32:
		floats(in, t.FP32s, &l)
	case tensor.FP64:
		floats(in, t.FP64s, &l)
	case tensor.FP16:
		for i, h := range t.U16s {
			l.float(i, float64(tensor.HalfToFloat32(h)))
		}
	case tensor.Bytes:
		in.strings(t, &l)
	case tensor.Int64:
		integers(in, t.I64s, &l)
	case tensor.Int32:
		integers(in, t.I32s, &l)
	case tensor.Int16:
		integers(in, t.I16s, &l)
	case tensor.Int8:
		integers(in, t.I8s, &l)
	case tensor.Uint64:
		integers(in, t.U64s, &l)
	case tensor.Uint32:
		integers(in, t.U32s, &l)
	case tensor.Uint16:
		integers(in, t.U16s, &l)
	case tensor.Uint8:
		integers(in, t.U8s, &l)
	}
	l.close()
}

// floats checks each value; v-v is 0 exactly for finite ones.
func floats[T float32 | float64](in *input, s []T, l *lister) {
	if in.plain {
		for i, v := range s {
			if v-v != 0 {
				l.float(i, float64(v))
			}
		}
		return
	}
	if len(in.rules) == 1 {
		r := &in.rules[0]
		for i, v := range s {
			if x := float64(v); !(x >= r.lo && x <= r.hi) && !(v != v && r.accept) {
				l.float(i, x)
			}
		}
		return
	}
	for from := 0; from+len(in.rules) <= len(s); from += len(in.rules) {
		for j := range in.rules {
			r, v := &in.rules[j], s[from+j]
			if x := float64(v); !(x >= r.lo && x <= r.hi) && !(v != v && r.accept) {
				l.float(from+j, x)
			}
		}
	}
}

// integers checks bounds, in float64: beyond 2^53 a bound is as coarse as that.
func integers[T int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64](in *input, s []T, l *lister) {
	for j := range in.rules {
		if r := &in.rules[j]; r.bounded {
			for i := j; i < len(s); i += len(in.rules) {
				if x := float64(s[i]); x < r.lo || x > r.hi {
					l.float(i, x)
				}
			}
		}
	}
}

// strings checks missing marks and closed lists of categories.
func (in *input) strings(t *tensor.Tensor, l *lister) {
	for _, i := range t.Missing {
		if !l.rule(i).accept {
			l.add(i, "is missing")
		}
	}
	if in.plain {
		return
	}
	m := 0
	for i, s := range t.Strings {
		if m < len(t.Missing) && t.Missing[m] == i {
			m++
			continue
		}
		r := l.rule(i)
		if r.known == nil {
			continue
		}
		if _, ok := r.known[s]; !ok && !(s == "" && r.accept) {
			l.add(i, "is not one of the categories of the contract")
		}
	}
}

// lister notes the faults of one input, the first few each and the rest as a number.
type lister struct {
	in    *input
	f     *faults
	width int // values in a row
	count int
}

func (l *lister) rule(i int) *rule {
	if len(l.in.rules) == 1 {
		return &l.in.rules[0]
	}
	return &l.in.rules[i%len(l.in.rules)]
}

// float judges one value by the full rules and notes what is wrong with it.
func (l *lister) float(i int, v float64) {
	r := l.rule(i)
	switch {
	case v != v:
		if !r.accept {
			l.add(i, "is missing")
		}
	case v-v != 0:
		l.add(i, "is infinite")
	case v < r.lo:
		l.bound(i, "is below the minimum", r.lo)
	case v > r.hi:
		l.bound(i, "is above the maximum", r.hi)
	}
}

// bound notes a value beyond a bound; the text is only made when it is listed.
func (l *lister) bound(i int, problem string, at float64) {
	if l.count < listedPerInput {
		problem = fmt.Sprintf("%s %v", problem, at)
	}
	l.add(i, problem)
}

func (l *lister) add(i int, problem string) {
	if l.count++; l.count <= listedPerInput {
		l.f.add(l.f.value(l.in, l.rule(i), i, l.width), problem)
		return
	}
	l.f.count++
}

// close says how many faults of the input were not listed.
func (l *lister) close() {
	if more := l.count - listedPerInput; more > 0 {
		l.f.add(l.f.input(l.in), fmt.Sprintf("has %d more faults", more))
		l.f.count--
	}
}

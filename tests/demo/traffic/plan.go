// Package traffic sends flights through a prediction API the way several clients
// would, in mixed forms and sizes, and keeps what was sent and answered, row by row.
//
// It judges nothing: package proof compares what it kept with what was captured.
package traffic

import (
	"math/rand/v2"

	"github.com/tidegate/tidegate/tests/demo/flights"
)

// Form is how rows are written into a request.
type Form string

// The forms.
const (
	JSON   Form = "OIP JSON"
	Binary Form = "OIP binary"
	Rows   Form = "TF rows"
)

// Forms lists every form once.
func Forms() []Form { return []Form{JSON, Binary, Rows} }

// Request is a run of consecutive rows in one form.
type Request struct {
	Form  Form
	First int // index of the first row
	Rows  int
	Key   string // sticky; "": every request for itself
}

// Mix says how many requests of one and of a hundred rows a plan has; the rest go
// by the thousand. A single row costs as much time as a thousand on the local AWS,
// whose cost is per call.
type Mix struct{ Singles, Hundreds int }

// Plan cuts n rows, in order, into requests of mixed forms and sizes: every row is
// in exactly one. The same seed gives the same plan.
func Plan(n int, mix Mix, seed uint64) []Request {
	var sizes []int
	left := n
	take := func(count, size int) {
		for range count {
			if left >= size {
				sizes, left = append(sizes, size), left-size
			}
		}
	}
	take(mix.Singles, 1)
	take(mix.Hundreds, 100)
	take(left/1000, 1000)
	if left > 0 {
		sizes = append(sizes, left)
	}
	rng := rand.New(rand.NewPCG(seed, 0))
	rng.Shuffle(len(sizes), func(i, j int) { sizes[i], sizes[j] = sizes[j], sizes[i] })
	plan := make([]Request, len(sizes))
	seen := map[int]int{} // sizes take the forms in turn, so that each has all of them
	first := 0
	for i, size := range sizes {
		plan[i] = Request{Form: Forms()[seen[size]%len(Forms())], First: first, Rows: size}
		seen[size]++
		first += size
	}
	return plan
}

// Days cuts flights, which are in the order of their days, into requests of one day
// each and at most most rows. The day is the key: rows of one day resemble each other.
func Days(fs []flights.Flight, most int) []Request {
	var plan []Request
	for i := range fs {
		day := fs[i].Date()
		if last := len(plan) - 1; last >= 0 && plan[last].Key == day && plan[last].Rows < most {
			plan[last].Rows++
			continue
		}
		plan = append(plan, Request{Form: Forms()[len(plan)%len(Forms())], First: i, Rows: 1, Key: day})
	}
	return plan
}

package bulk

import (
	"sync"
	"time"

	"github.com/tidegate/tidegate/cmd/tidegate/endpoint"
)

const (
	// target is how long a request should take: long enough that what a request
	// costs beside its rows is little, short enough that an interrupt loses little.
	target = 200 * time.Millisecond
	// firstRows is what the first requests have.
	firstRows = 256
	// mostValues bounds the values of a request, and by it memory.
	mostValues = 1 << 18
	mostRows   = 1 << 14
)

// Pace is how many rows a request has. It is safe for concurrent use.
type Pace struct {
	mu    sync.Mutex
	size  int
	most  int
	fixed bool // not to be changed by what requests take
	whole bool // nor in parts
}

// Fixed is n rows, unless the server refuses as many.
func Fixed(n int) *Pace { return &Pace{size: n, most: n, fixed: true} }

// Whole is always n rows: the model takes no other number.
func Whole(n int) *Pace { return &Pace{size: n, most: n, fixed: true, whole: true} }

// Adaptive finds out what the server is quick with: more rows while requests take
// less than a fifth of a second, fewer when they take longer or are refused. width
// is the number of values of a row.
func Adaptive(width int) *Pace {
	most := max(1, min(mostRows, mostValues/max(1, width)))
	return &Pace{size: min(firstRows, most), most: most}
}

// Rows is the number of rows for the next request.
func (p *Pace) Rows() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.size
}

// divides says whether a batch may be sent in parts.
func (p *Pace) divides() bool { return !p.whole }

// took notes an answer for n rows. One that needed several tries says nothing of
// the rows.
func (p *Pace) took(n int, r *endpoint.Result) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fixed || r.Tries > 1 || n < p.size { // not of the present size: told before, or the last rows
		return
	}
	switch {
	case r.Latency < target/2:
		p.size = min(2*n, p.most)
	case r.Latency > 2*target:
		p.size = max(1, n/2)
	}
}

// refused notes that n rows at once were too many, and that half of them were not.
func (p *Pace) refused(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.most = max(1, min(p.most, (n+1)/2))
	p.size = min(p.size, p.most)
}

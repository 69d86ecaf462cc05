package batching

import (
	"math/bits"
	"time"
)

// cost is what runs have taken, by the number of rows in powers of two. It says
// how long a run is expected to take at least, and nothing while there is no evidence.
type cost struct {
	took [buckets]time.Duration // by bucket; 0 = unknown
}

// buckets are enough for more rows than a body can have.
const buckets = 32

// bucket of 1, 2, 3-4, 5-8, … rows.
func bucket(rows int) int { return min(bits.Len(uint(max(rows, 1)-1)), buckets-1) }

// observe takes a run into account: a moving mean with a memory of about eight runs.
func (c *cost) observe(rows int, d time.Duration) {
	t := &c.took[bucket(rows)]
	d = max(d, 1)
	if *t == 0 {
		*t = d
		return
	}
	*t += (d - *t) / 8
}

// known is the bucket whose time stands for rows: its own, or the next smaller one that has run.
func (c *cost) known(rows int) int {
	for i := bucket(rows); i >= 0; i-- {
		if c.took[i] > 0 {
			return i
		}
	}
	return -1
}

// expect is how long a run of rows takes at least, 0 when nothing tells.
func (c *cost) expect(rows int) time.Duration {
	if i := c.known(rows); i >= 0 {
		return c.took[i]
	}
	return 0
}

// doubt lowers what is expected of rows. It is called when a request was refused
// for it: a time measured once, on a bad day, must not refuse everything for ever,
// since what is refused is never measured again.
func (c *cost) doubt(rows int) {
	if i := c.known(rows); i >= 0 {
		c.took[i] -= c.took[i] / 8
	}
}

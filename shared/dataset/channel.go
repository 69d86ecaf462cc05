package dataset

import (
	"github.com/tidegate/tidegate/shared/fault"
)

// channel collects the rows of the training channel.
type channel struct {
	schema  *Schema
	columns []string
	kinds   []kind
	row     []string // the one that is being read, in the order of columns
	target  int
	time    int // -1: none
	spool   *spool
	limits  Limits
	advice  string // what helps when the trainer's limit is reached

	rows, missingTarget, missingTime int64
	clock                            bool // of the first row's time
	first, last                      Moment
}

func newChannel(schema *Schema, dir string, limits Limits, advice string) (*channel, error) {
	c := &channel{schema: schema, columns: schema.Used(), time: -1, limits: limits, advice: advice}
	c.row = make([]string, len(c.columns))
	c.kinds = make([]kind, len(c.columns))
	for i, name := range c.columns {
		if i < len(schema.Columns) && schema.Columns[i].Type == Number || name == schema.Target {
			c.kinds[i] = numeric
		}
		if name == schema.Time && name != "" {
			c.time = i
		}
	}
	c.target = len(c.columns) - 1
	var err error
	c.spool, err = newSpool(dir, c.columns)
	return c, err
}

// add takes the row that was read. where says which one it is, for messages.
func (c *channel) add(where func() string) error {
	if missingTarget(c.row[c.target]) {
		c.missingTarget++
		return nil
	}
	var at Moment
	if c.time >= 0 {
		if missingTime(c.row[c.time]) {
			c.missingTime++
			return nil
		}
		var ok bool
		if at, ok = ParseMoment(c.row[c.time]); !ok {
			return fault.New(fault.InvalidArgument, "%s: the time column %q must hold ISO 8601 times or finite numbers", where(), c.schema.Time)
		}
		if c.rows > 0 && at.clock != c.clock {
			return fault.New(fault.InvalidArgument, "%s: the time column %q holds times here and plain numbers in rows before, or the other way round; write it in one way everywhere", where(), c.schema.Time)
		}
	}
	if c.rows == 0 {
		c.clock, c.first, c.last = at.clock, at, at
	}
	if at.at < c.first.at {
		c.first = at
	}
	if at.at > c.last.at {
		c.last = at
	}
	c.rows++
	if err := c.bounded(); err != nil {
		return err
	}
	if err := c.spool.add(at.at, c.row); err != nil {
		return err
	}
	if c.limits.Bytes > 0 && c.spool.size > c.limits.Bytes {
		return fault.New(fault.PayloadTooLarge, "the training data has more than %d bytes, which is what snapshot's temporary storage takes; give it more (SnapshotStorage), or take fewer rows or columns", c.limits.Bytes)
	}
	return nil
}

// bounded stops as soon as it is known that the rows are too many: nothing is trained on a part of them.
func (c *channel) bounded() error {
	if c.rows > c.limits.Rows {
		return fault.New(fault.PayloadTooLarge, "the sources hold more than %d rows, which is what snapshot sorts in its memory; narrow the prefixes or the window of outcomes", c.limits.Rows)
	}
	if cells := c.rows * int64(len(c.schema.Columns)); c.limits.Cells > 0 && cells > c.limits.Cells {
		return fault.New(fault.PayloadTooLarge, "the sources hold more than %d values in input columns (%d rows of %d so far), %s", c.limits.Cells, c.rows, len(c.schema.Columns), c.advice)
	}
	return nil
}

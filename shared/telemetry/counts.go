package telemetry

import (
	"strings"
	"sync"
)

const (
	// maxCounts bounds the names: a directive of the format takes 100 metrics.
	maxCounts    = 64
	maxCountName = 64
	otherCounts  = "OtherCounts"
)

type count struct {
	name string
	n    int64
}

// counts adds up what no line has carried yet. There are a dozen names, which a
// loop finds faster than a map does.
type counts struct {
	mu  sync.Mutex
	all []count
}

func (c *counts) add(name string, n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := c.find(name)
	if i < 0 && (!countable(name) || len(c.all) >= maxCounts-1 && name != otherCounts) {
		name = otherCounts
		i = c.find(name)
	}
	if i < 0 {
		i = len(c.all)
		c.all = append(c.all, count{name: name})
	}
	c.all[i].n += n
}

func (c *counts) find(name string) int {
	for i := range c.all {
		if c.all[i].name == name {
			return i
		}
	}
	return -1
}

// take appends the counts that are not zero to dst and sets them to zero.
func (c *counts) take(dst []count) []count {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.all {
		if c.all[i].n != 0 {
			dst = append(dst, c.all[i])
			c.all[i].n = 0
		}
	}
	return dst
}

// countable says whether name can be a key beside those of a request: two equal
// keys, or one that needs escaping, would spoil the line.
func countable(name string) bool {
	if name == "" || len(name) > maxCountName || strings.HasSuffix(name, stageSuffix) {
		return false
	}
	for _, c := range []byte(name) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9') {
			return false
		}
	}
	// Properties are lower-case, metrics and dimensions are not.
	if c := name[0]; c >= 'a' && c <= 'z' {
		return false
	}
	for _, d := range dimensions {
		if name == d {
			return false
		}
	}
	for i := range requestMetrics {
		if name == requestMetrics[i].name {
			return false
		}
	}
	if name == remoteLatency {
		return false
	}
	for i := range backendMetrics {
		if name == backendMetrics[i].name {
			return false
		}
	}
	return true
}

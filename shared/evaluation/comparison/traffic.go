package comparison

import (
	"maps"
	"math"
	"slices"
	"time"

	"github.com/tidegate/tidegate/shared/stat"
)

// Traffic counts the requests of a slot in one hour.
type Traffic struct {
	Requests uint64 `json:"requests"`
	Errors   uint64 `json:"errors"`
	Slow     uint64 `json:"slow"` // of those without an error
}

func (t *Traffic) add(o Traffic) {
	t.Requests += o.Requests
	t.Errors += o.Errors
	t.Slow += o.Slow
}

func (s *State) hour(hour int64) *[2]Traffic {
	t := s.traffic[hour]
	if t == nil {
		t = &[2]Traffic{}
		s.traffic[hour] = t
	}
	return t
}

// AddRequest counts a request that a slot answered, labelled or not. Its latency
// counts against Spec.SlowMicros; that of a failed one does not count. A time before
// 1970 or beyond the calendar is InvalidArgument, and the request counts as refused.
func (s *State) AddRequest(side Side, at time.Time, failed bool, latency time.Duration) error {
	t := Traffic{Requests: 1}
	if failed {
		t.Errors = 1
	} else if s.spec.SlowMicros > 0 && latency.Microseconds() > s.spec.SlowMicros {
		t.Slow = 1
	}
	return s.AddTraffic(side, at, t)
}

// AddTraffic adds counts of requests of the hour of at. InvalidArgument: the time, or
// more failed and slow requests than requests.
func (s *State) AddTraffic(side Side, at time.Time, t Traffic) error {
	hour := at.Unix() / 3600
	switch {
	case at.Unix() < 0 || hour > maxBlock:
		s.refused += t.Requests
		return errTime
	case t.Errors > t.Requests || t.Slow > t.Requests-t.Errors:
		s.refused += t.Requests
		return errTraffic
	}
	s.hour(hour)[side].add(t)
	return nil
}

// Requests is the number of requests of a slot.
func (s *State) Requests(side Side) uint64 {
	var n uint64
	for _, t := range s.traffic {
		n += t[side].Requests
	}
	return n
}

// Latencies is a mergeable histogram of latencies, from which the bound of a slow
// request is frozen when a rollout starts. Its 16 cells to a doubling hold a quantile
// within 6 %. The zero value is ready for use.
type Latencies struct {
	Cells map[int]uint64 `json:"cells,omitempty"` // by 16·log₂ of microseconds, rounded up
}

const latencyCells = 16 // to a doubling

// Add counts a latency; what is below a microsecond counts as one.
func (l *Latencies) Add(d time.Duration) {
	if l.Cells == nil {
		l.Cells = map[int]uint64{}
	}
	l.Cells[int(math.Ceil(latencyCells*math.Log2(float64(max(1, d.Microseconds())))))]++
}

// Merge adds o.
func (l *Latencies) Merge(o *Latencies) {
	for c, n := range o.Cells {
		if l.Cells == nil {
			l.Cells = map[int]uint64{}
		}
		l.Cells[c] += n
	}
}

// SlowMicros is Spec.SlowMicros for a champion with these latencies: factor times
// their 95th percentile; 0 without any.
func (l *Latencies) SlowMicros(factor float64) int64 {
	var total, below uint64
	most := 0
	for c, n := range l.Cells {
		total += n
		most = max(most, c)
	}
	for c := 0; total > 0 && c <= most; c++ {
		below += l.Cells[c]
		if float64(below) >= 0.95*float64(total) {
			return int64(math.Round(factor * math.Exp2(float64(c)/latencyCells)))
		}
	}
	return 0
}

// shares averages, over the hours with requests of both slots, the difference of a
// share of the requests: the champion's less the challenger's, so that more is better.
func (s *State) shares(count func(*Traffic) (k, n uint64)) stat.Stratified {
	var k, n [2]float64
	for _, t := range s.traffic {
		for side := range t {
			a, b := count(&t[side])
			k[side], n[side] = k[side]+float64(a), n[side]+float64(b)
		}
	}
	// The shares of variance are smoothed over all hours: smoothed in each hour they would be
	// near ½ for a slot with few requests, and any challenger of little weight an abort.
	var spread [2]float64
	for side := range spread {
		p := (k[side] + 1) / (n[side] + 2)
		spread[side] = p * (1 - p)
	}
	var strata []stat.Stratum
	for _, hour := range sortedHours(s.traffic) {
		t := s.traffic[hour]
		ka, na := count(&t[Champion])
		kb, nb := count(&t[Challenger])
		if na == 0 || nb == 0 {
			continue
		}
		a, b := float64(na), float64(nb)
		strata = append(strata, stat.Stratum{Difference: float64(ka)/a - float64(kb)/b,
			Variance: spread[0]/a + spread[1]/b, First: a, Second: b})
	}
	return stat.Average(strata)
}

func sortedHours(traffic map[int64]*[2]Traffic) []int64 { return slices.Sorted(maps.Keys(traffic)) }

func errorShare(t *Traffic) (k, n uint64) { return t.Errors, t.Requests }
func slowShare(t *Traffic) (k, n uint64)  { return t.Slow, t.Requests - t.Errors }

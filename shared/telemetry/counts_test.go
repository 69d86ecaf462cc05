package telemetry

import (
	"bytes"
	"errors"
	"strconv"
	"sync"
	"testing"
)

// sink keeps lines, refuses some, and notices two writers at a time.
type sink struct {
	mu     sync.Mutex // held, never waited for
	clash  bool
	writes int
	refuse int // every n-th write fails
	lines  [][]byte
}

func (s *sink) Write(p []byte) (int, error) {
	if !s.mu.TryLock() {
		s.clash = true
		return 0, errors.New("two writers")
	}
	defer s.mu.Unlock()
	s.writes++
	if s.refuse > 0 && s.writes%s.refuse == 0 {
		return 0, errors.New("the pipe is full")
	}
	s.lines = append(s.lines, bytes.Clone(p))
	return len(p), nil
}

// TestCountsAreLossless: from many goroutines, with writes that fail, the sum over the lines is the sum of the calls.
func TestCountsAreLossless(t *testing.T) {
	const workers, rounds = 8, 200
	for _, refuse := range []int{0, 3} {
		out := &sink{refuse: refuse}
		tel := newTelemetry(t, Options{Out: out})
		var wg sync.WaitGroup
		for w := range workers {
			wg.Go(func() {
				for i := range rounds {
					tel.Count("Loads", 1)
					tel.Count("CaptureLost", int64(i))
					if i%2 == 0 {
						tel.Observe(withHeader(sampled), testObservation())
					}
					if i%17 == w {
						tel.Flush()
					}
				}
			})
		}
		wg.Wait()
		for out.refuse = 0; ; {
			n := len(out.lines)
			if tel.Flush(); len(out.lines) == n {
				break
			}
		}
		sums := map[string]float64{}
		for _, line := range out.lines {
			for name, v := range checkLine(t, line) {
				if n, ok := v.(float64); ok {
					sums[name] += n
				}
			}
		}
		if out.clash {
			t.Error("two writes at a time")
		}
		if sums["Loads"] != workers*rounds || sums["CaptureLost"] != workers*rounds*(rounds-1)/2 {
			t.Errorf("sums %v, want %d Loads and %d CaptureLost", sums, workers*rounds, workers*rounds*(rounds-1)/2)
		}
		if refuse == 0 && sums["Requests"] != workers*rounds/2 {
			t.Errorf("%v requests in the lines, want %d", sums["Requests"], workers*rounds/2)
		}
	}
}

// TestCountNames: a name that would spoil the line is counted all the same.
func TestCountNames(t *testing.T) {
	var out bytes.Buffer
	tel := newTelemetry(t, Options{Out: &out})
	bad := []string{"", "Requests", "Rows", "Model", "RunTime", "status", `a"b`, "Ä", "With Space", string(make([]byte, 100))}
	for _, name := range bad {
		tel.Count(name, 1)
	}
	for i := range 2 * maxCounts {
		tel.Count("Count"+strconv.Itoa(i), 1)
	}
	tel.Observe(withHeader(""), testObservation())
	line := checkLine(t, out.Bytes())
	known := 0
	for i := range 2 * maxCounts {
		if line["Count"+strconv.Itoa(i)] == 1.0 {
			known++
		}
	}
	if other := line[otherCounts]; known > maxCounts || other != float64(len(bad)+2*maxCounts-known) {
		t.Errorf("%d names, %v other counts", known, other)
	}
}

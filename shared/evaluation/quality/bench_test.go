package quality

import (
	"math/rand/v2"
	"testing"
)

func benchState(b *testing.B) *State {
	rows := binaryRows(rand.New(rand.NewPCG(1, 1)), 200_000)
	return counted(frozen(b, rows), rows)
}

func BenchmarkMeasure(b *testing.B) {
	s := benchState(b)
	for b.Loop() {
		if _, err := Measure("w", Stratum{s, 1}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNewEstimator(b *testing.B) {
	s := benchState(b)
	for b.Loop() {
		if _, err := NewEstimator(&Reference{Layout: s.layout, Rows: s.Counts.Judged, state: s}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEstimate(b *testing.B) {
	s := benchState(b)
	e, err := NewEstimator(&Reference{Layout: s.layout, Rows: s.Counts.Judged, state: s})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := e.Estimate(Stratum{s, 1}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMerge(b *testing.B) {
	s := benchState(b)
	sum := NewState(s.layout)
	for b.Loop() {
		if err := sum.Merge(s); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	s := benchState(b)
	b.ReportMetric(float64(len(s.Encode())), "bytes")
	for b.Loop() {
		s.Encode()
	}
}

func BenchmarkDecode(b *testing.B) {
	s := benchState(b)
	raw := s.Encode()
	for b.Loop() {
		if _, err := DecodeState(s.layout, raw); err != nil {
			b.Fatal(err)
		}
	}
}

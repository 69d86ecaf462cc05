package comparison

import (
	"math/rand/v2"
	"testing"
)

func BenchmarkAdd(b *testing.B) {
	for _, task := range []Task{Binary, Multiclass, Regression} {
		b.Run(string(task), func(b *testing.B) {
			rng := rand.New(rand.NewPCG(1, 2))
			s := build(b, specOf(task))
			rows := make([]Row, 1<<14)
			for i := range rows {
				rows[i] = drawRow(rng, s)
			}
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				if err := s.Add(&rows[i&(len(rows)-1)]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecide(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	s := build(b, specOf(Binary))
	for i := range 100000 {
		r := drawRow(rng, s)
		count(b, s, &r, i)
	}
	b.ResetTimer()
	for range b.N {
		if _, err := Decide(s, DefaultPolicy(), Step{Bake: 3600, Elapsed: 3600}); err != nil {
			b.Fatal(err)
		}
	}
}

package profile

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"
)

// TestBlocksCountAsRowsDo: the sums by exponent are those of one value at a time, to the bit, for every kind of float.
func TestBlocksCountAsRowsDo(t *testing.T) {
	rng := rand.New(rand.NewPCG(95, 95))
	for round := range 40 {
		xs := make([]float64, rng.IntN(3000))
		for i := range xs {
			switch rng.IntN(8) {
			case 0:
				xs[i] = math.Float64frombits(rng.Uint64())
			case 1:
				xs[i] = []float64{0, math.Copysign(0, -1), math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, -math.SmallestNonzeroFloat64, 0x1p500, 0x1p-400, 0x1p501, 0x1p-401}[rng.IntN(11)]
			case 2:
				xs[i] = -0x1.fffffffffffffp10 // the largest mantissa, which fills the integers first
			default:
				xs[i] = rng.NormFloat64() * 100
			}
		}
		for _, column := range []Column{{Bits: 0}, {Bits: 32}, {Bits: 16, Score: true}, {Bits: 0, Score: round%2 == 0}} {
			made := numericColumn("x", draw(rng, kinds[round%len(kinds)], 500), 0, 0)
			made.Bits, made.Score = column.Bits, column.Score
			b := &Baseline{V: BaselineVersion, Columns: []Column{made}}
			blocks, rows := NewTally(b), NewTally(b)
			countFloats(blocks, 0, xs)
			for _, x := range xs {
				rows.Number(0, x, 1)
			}
			if err := blocks.States[0].check(); err != nil {
				t.Fatal(err)
			}
			x, _ := json.Marshal(&blocks.States[0])
			y, _ := json.Marshal(&rows.States[0])
			if string(x) != string(y) {
				t.Fatalf("%d values, %d bits:\n%.400s\nwant\n%.400s", len(xs), column.Bits, x, y)
			}
		}
	}
}

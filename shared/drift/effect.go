package drift

import (
	"github.com/tidegate/tidegate/shared/profile"
)

// Cluster names the blocks of rows that may depend on one another.
type Cluster string

// The clusters that profiles can be cut into: their counts are by time.
const (
	ClusterHour Cluster = "hour"
	ClusterDay  Cluster = "day"
)

// leastBlocks is the number of blocks below which their dependence cannot be measured.
const leastBlocks = 10

// designEffect says by how much the shares of a column vary more between blocks
// than between independent rows: the largest over the cells' borders (or cells) of
// Σ_g(Σz)²·G/(G−1)/Σz², z = indicator − share, at least 1. ok is false with fewer
// than ten blocks that have a value.
func designEffect(c *profile.Column, blocks [][]float64) (deff float64, ok bool) {
	var used [][]float64
	sums := make([]float64, c.CellCount())
	for _, b := range blocks {
		if total(b) == 0 {
			continue
		}
		used = append(used, b)
		for i, n := range b {
			sums[i] += n
		}
	}
	g, n := float64(len(used)), total(sums)
	if len(used) < leastBlocks {
		return 1, false
	}
	deff = 1
	below := make([]float64, len(used)) // of each block, rows that the indicator holds for
	rows := make([]float64, len(used))
	for k, b := range used {
		rows[k] = total(b)
	}
	var allBelow float64
	for i := range sums {
		if c.Kind == profile.Numeric {
			allBelow += sums[i]
		} else {
			allBelow = sums[i]
		}
		share := allBelow / n
		var between float64
		for k, b := range used {
			if c.Kind == profile.Numeric {
				below[k] += b[i]
			} else {
				below[k] = b[i]
			}
			z := below[k] - share*rows[k]
			between += z * z
		}
		// A share that hardly any row differs from is decided by single rows: not enough to measure by.
		if within := n * share * (1 - share); within >= leastBlocks {
			deff = max(deff, between*g/(g-1)/within)
		}
	}
	return deff, true
}

// blockCells are the cells of one column by block, weighted by sampling.
func blockCells(col, cells int, blocks [][]profile.Stratum) [][]float64 {
	out := make([][]float64, len(blocks))
	for k, strata := range blocks {
		out[k] = make([]float64, cells)
		for i := range strata {
			for j, n := range strata[i].Columns[col].Cells {
				out[k][j] += float64(n) / strata[i].Sampled
			}
		}
	}
	return out
}

package drift

import (
	"math"

	"github.com/tidegate/tidegate/shared/profile"
)

// Cluster names the rows that may depend on one another.
type Cluster string

// The clusters by time; any other is the name of a column.
const (
	ClusterHour Cluster = "hour"
	ClusterDay  Cluster = "day"
)

// Column says whether rows with the same value of a column depend on one another.
func (c Cluster) Column() bool { return c != "" && c != ClusterHour && c != ClusterDay }

// leastBlocks is the number of blocks below which their dependence cannot be measured.
const leastBlocks = 10

// indicators are the shares of a column whose variation between blocks is measured:
// Cells counts rows by block and cell, in value order where Ordered is set.
type indicators struct {
	cells   [][]float64
	ordered bool // the shares up to each cell
	single  bool // the share of each cell
}

// effect says by how much shares vary more between blocks than between independent
// rows: the largest over the indicators of Σ_g(Σz)²·G/(G−1)/Σz², z = indicator − share,
// at least 1. ok is false with fewer than ten blocks that have a row.
func (in *indicators) effect() (deff float64, ok bool) {
	var used [][]float64
	var sums []float64
	for _, b := range in.cells {
		if total(b) == 0 {
			continue
		}
		used = append(used, b)
		if sums == nil {
			sums = make([]float64, len(b))
		}
		for i, n := range b {
			sums[i] += n
		}
	}
	if len(used) < leastBlocks {
		return 1, false
	}
	deff = 1
	rows, below, here := make([]float64, len(used)), make([]float64, len(used)), make([]float64, len(used))
	for k, b := range used {
		rows[k] = total(b)
	}
	for i := range sums {
		for k, b := range used {
			below[k] += b[i]
			here[k] = b[i]
		}
		if in.ordered {
			deff = max(deff, variation(below, rows))
		}
		if in.single {
			deff = max(deff, variation(here, rows))
		}
	}
	return deff, true
}

// variation is Σ_g(Σz)²·G/(G−1)/Σz² of an indicator that holds for so many of the rows of each block.
func variation(holds, rows []float64) float64 {
	g, n := float64(len(rows)), total(rows)
	share := total(holds) / n
	var between float64
	for k := range rows {
		z := holds[k] - share*rows[k]
		between += z * z
	}
	// A share that hardly any row differs from is decided by single rows: not enough to measure by.
	if within := n * share * (1 - share); within >= leastBlocks {
		return between * g / (g - 1) / within
	}
	return 1
}

// designEffect is that of a column between blocks of time, from the counts of its cells.
func designEffect(c *profile.Column, blocks [][]float64) (deff float64, ok bool) {
	in := indicators{cells: blocks, ordered: c.Kind == profile.Numeric, single: c.Kind == profile.Categorical}
	return in.effect()
}

// blockCells are the cells of one column by block, weighted by sampling, as many in
// all as the rows are worth.
func blockCells(col, cells int, blocks [][]profile.Stratum) [][]float64 {
	out := make([][]float64, len(blocks))
	var weight, squares float64
	for k, strata := range blocks {
		out[k] = make([]float64, cells)
		for i := range strata {
			for j, n := range strata[i].Columns[col].Cells {
				out[k][j] += float64(n) / strata[i].Sampled
				weight += float64(n) / strata[i].Sampled
				squares += float64(n) / strata[i].Sampled / strata[i].Sampled
			}
		}
	}
	worth(out, weight, squares)
	return out
}

// worth scales weighted counts to the number of rows that they are worth.
func worth(blocks [][]float64, weight, squares float64) {
	if weight == 0 {
		return
	}
	for _, b := range blocks {
		for i := range b {
			b[i] *= weight / squares
		}
	}
}

// clusterEffect is the design effect of a column between the clusters of a column.
// Groups of whole clusters, dealt out by a hash, vary as the clusters do: two clusters
// of one group are independent, so that their products add nothing on average.
//
// With fewer than ten groups, which is about as many clusters, their dependence cannot
// be measured: then each counts as one row, Σm²/Σm over their rows m, the most there can be.
func clusterEffect(c *profile.Column, by *profile.Clustering, col int, strata []profile.Stratum) (deff float64, ok bool) {
	width := by.Width(col)
	groups := make([][]float64, profile.ClusterGroups)
	var weight, squares float64
	for g := range groups {
		groups[g] = make([]float64, width)
		for i := range strata {
			if strata[i].Split == nil {
				continue
			}
			for k, n := range strata[i].Split.Clusters[col][g*width : (g+1)*width] {
				groups[g][k] += float64(n) / strata[i].Sampled
				weight += float64(n) / strata[i].Sampled
				squares += float64(n) / strata[i].Sampled / strata[i].Sampled
			}
		}
	}
	if weight == 0 {
		return 1, false
	}
	worth(groups, weight, squares)
	values := make([][]float64, len(groups))
	gone := make([][]float64, len(groups)) // without a value, of the wrong type, the rest
	var n, most, withValue float64
	for g, cells := range groups {
		values[g] = cells[:width-2]
		m := total(cells)
		gone[g] = []float64{cells[width-2], cells[width-1], total(cells[:width-2])}
		n, most, withValue = n+m, most+m*m, withValue+gone[g][2]
	}
	of := indicators{cells: values, ordered: c.Kind == profile.Numeric, single: c.Kind == profile.Categorical || c.Few}
	deff, ok = of.effect()
	rows := indicators{cells: gone, single: true}
	missing, enough := rows.effect()
	switch {
	case !enough, !ok && withValue > 0:
		return max(1, most/n), true
	}
	return max(deff, missing), true
}

// measuredEffects are the design effects by column that the window's blocks or
// clusters show, and those of the baseline's rows where they are others. nil: nothing
// is to be measured, or cannot be, which a warning says.
func (job *Job) measuredEffects() (window, reference map[string]float64) {
	b := job.Baseline
	if job.Policy.Cluster == "" || job.Policy.Cluster.Column() && !job.clustered() {
		return nil, nil
	}
	window = map[string]float64{}
	if job.Policy.Cluster.Column() {
		reference = map[string]float64{}
	}
	for i := range b.Columns {
		c := &b.Columns[i]
		if reference == nil {
			window[c.Name], _ = designEffect(c, blockCells(i, c.CellCount(), job.Blocks))
			continue
		}
		window[c.Name], _ = clusterEffect(c, b.Cluster, i, job.Strata)
		if e, ok := clusterEffect(c, b.Cluster, i, []profile.Stratum{{Sampled: 1, Split: b.Split}}); ok {
			reference[c.Name] = e // scores of a holdout have none: they are taken to be as the window's
		}
	}
	return window, reference
}

// clustered is a column as its clusters show it. Rows of one cluster hold the same
// rare values again and again: how often a new cluster brings new ones is not told by
// the values that one row has, but by those that one cluster has. So these take the
// place of N1 in Good's estimate, which counts clusters, as many as the rows are worth;
// as N2 is not known it is taken to be as large. A column most of whose rows have such a
// value, as that of the clusters themselves, is an identifier.
func (r *Rules) clustered(c *profile.Column) *profile.Column {
	rows, ok := r.Solitary[c.Name]
	if !ok {
		return c
	}
	out := *c
	worth := func(n uint64) uint64 { return uint64(math.Ceil(float64(n) / r.referenceEffect(c.Name))) }
	out.N1 = worth(rows)
	out.N2 = out.N1
	out.State = profile.NewState(0)
	out.State.Rows = worth(c.State.Values()) + worth(c.State.Rows-c.State.Values())
	out.State.Missing = worth(c.State.Rows - c.State.Values())
	out.Identifier = c.Identifier || c.Kind == profile.Categorical && 2*rows > c.State.Values()
	return &out
}

// clustered says whether the baseline has counts by the policy's clusters.
func (job *Job) clustered() bool {
	b := job.Baseline
	return b.Cluster != nil && b.Split != nil && b.Cluster.Column == string(job.Policy.Cluster)
}

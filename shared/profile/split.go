package profile

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/tidegate/tidegate/shared/fault"
)

const (
	// MaxSegmentColumns is the number of columns that rows can be split by.
	MaxSegmentColumns = 3
	// MaxSegments and DefaultSegments are the values of a column that can be, and are, a segment each.
	MaxSegments     = 50
	DefaultSegments = 20
	// ClusterGroups is the number of groups that the values of a cluster column are dealt out to, by their hash.
	ClusterGroups = 64
	// clusterCells is the number of coarse cells of a column, beside those for what holds no value.
	clusterCells = 16
	// maxSplit bounds the counts of one split, in bytes: a window holds one for each sampling share, a document for each group.
	maxSplit = 4 << 20
)

// By names what rows are split by. The zero value splits nothing.
type By struct {
	Segments []string // columns; each of their most frequent values is a segment, the others are one together
	Values   int      // of a column that are a segment; 0 is DefaultSegments
	Cluster  string   // rows with the same value of it depend on one another
}

// Segmentation splits rows by the values of one column, as frozen at the baseline:
// after the segments of Values come that of all others, and that of none.
type Segmentation struct {
	Column string   `json:"column"`
	Values []string `json:"values"` // by falling baseline rows, cut as names are
	Cells  []int    `json:"cells"`  // by value: the column's cell, which holds nothing else

	col int   // index of the column
	of  []int // by cell of the column: the segment
}

// Len is the number of segments.
func (s *Segmentation) Len() int { return len(s.Values) + 2 }

// Names of the segments that are no single value.
const (
	OtherSegment   = "(other)"
	MissingSegment = "(missing)"
)

// Name is the name of segment i.
func (s *Segmentation) Name(i int) string {
	switch i - len(s.Values) {
	case 0:
		return OtherSegment
	case 1:
		return MissingSegment
	}
	return s.Values[i]
}

// Clustering says which rows may depend on one another: those with one value of a
// column. Values are dealt out to ClusterGroups groups by their hash, which makes
// groups of whole clusters: how much the counts of groups vary shows how much the
// clusters do, in a memory that does not grow with their number.
type Clustering struct {
	Column string  `json:"column"`
	Ends   [][]int `json:"ends"` // by column of the baseline: the last cell of each coarse cell, ascending
	// Solitary are, by column, the baseline's rows whose value no other cluster has: what the rows of a new cluster
	// hold is new as often. Of columns whose new values are not compared it is 0.
	Solitary []uint64 `json:"solitary"`

	col    int
	coarse [][]uint8 // by column and cell
}

// Width is the number of coarse cells of a column: those of Ends, one of rows
// without a value, one of those of the wrong type.
func (c *Clustering) Width(col int) int { return len(c.Ends[col]) + 2 }

// Split is the counts of rows by segment and by cluster. Splits of disjoint sets
// of rows merge as states do.
type Split struct {
	Segments [][]Part `json:"segments,omitempty"` // by segmentation; segment i, column c is at i·columns + c
	Clusters []counts `json:"clusters,omitempty"` // by column; group g, coarse cell k is at g·width + k
}

// SplitBy defines how the rows of b, and whatever is counted on it, are split. The
// baseline's own rows have to be counted afterwards: on [Baseline.Splitter], and then
// [Baseline.Keep].
//
// Errors: InvalidArgument, a column is not there, has no frequent values, or the
// counts would be too many.
func (b *Baseline) SplitBy(by By) error {
	if len(by.Segments) == 0 && by.Cluster == "" {
		return nil
	}
	if len(by.Segments) > MaxSegmentColumns {
		return fault.New(fault.InvalidArgument, "rows can be split by %d columns at most, not %d", MaxSegmentColumns, len(by.Segments))
	}
	segments := make([]Segmentation, 0, len(by.Segments))
	for i, name := range by.Segments {
		if slices.Contains(by.Segments[:i], name) {
			return fault.New(fault.InvalidArgument, "segment column %q is named twice", Cut(name))
		}
		s, err := b.segmentation(name, cmp.Or(by.Values, DefaultSegments))
		if err != nil {
			return err
		}
		segments = append(segments, s)
	}
	var cluster *Clustering
	if by.Cluster != "" {
		if _, ok := b.Column(by.Cluster); !ok {
			return noColumn("cluster", by.Cluster)
		}
		cluster = &Clustering{Column: by.Cluster, Solitary: make([]uint64, len(b.Columns))}
		for i := range b.Columns {
			cluster.Ends = append(cluster.Ends, b.Columns[i].coarse())
		}
	}
	split := Baseline{Columns: b.Columns, Segments: segments, Cluster: cluster}
	if n := split.splitBytes(); n > maxSplit {
		return fault.New(fault.InvalidArgument, "segments of %d columns are %d kB of counts, more than the %d that a profile may have: name fewer segment columns, or fewer values of them",
			len(b.Columns), n>>10, maxSplit>>10)
	}
	b.V, b.Segments, b.Cluster, b.Split = SplitBaselineVersion, segments, cluster, nil
	return b.bind()
}

func noColumn(what, name string) error {
	return fault.New(fault.InvalidArgument, "the %s column %q is no column that is counted", what, Cut(name))
}

// segmentation takes the most frequent values of a column that have a cell of their own.
func (b *Baseline) segmentation(name string, limit int) (Segmentation, error) {
	c, ok := b.Column(name)
	if !ok {
		return Segmentation{}, noColumn("segment", name)
	}
	cells := c.single()
	if len(cells) == 0 {
		return Segmentation{}, fault.New(fault.InvalidArgument, "the segment column %q has no frequent values (at least 1 %% of the rows and %d of them): there is nothing to tell apart", Cut(name), leastNamed)
	}
	slices.SortStableFunc(cells, func(x, y int) int { return cmp.Compare(c.State.Cells[y], c.State.Cells[x]) })
	s := Segmentation{Column: name, Cells: cells[:min(len(cells), max(1, min(limit, MaxSegments)))]}
	for _, i := range s.Cells {
		s.Values = append(s.Values, c.valueOf(i))
	}
	return s, nil
}

// single are the cells that hold one value each.
func (c *Column) single() (cells []int) {
	if c.Kind == Categorical {
		for i := range c.Cells.Named {
			cells = append(cells, i)
		}
		return cells
	}
	for i := range c.Bins.Len() {
		if n := c.State.Cells[i]; c.Bins.Atom(i) && n >= leastNamed && n*MaxNamed >= c.State.Values() {
			cells = append(cells, i)
		}
	}
	return cells
}

func (c *Column) valueOf(cell int) string {
	if c.Kind == Categorical {
		return c.Cells.Named[cell]
	}
	return strconv.FormatFloat(c.Bins.Upper[cell], 'g', -1, 64)
}

// coarse joins the cells of a column to at most clusterCells: numeric ones to
// runs of equal mass, categorical ones to the most frequent values, the other
// known ones, and the new ones.
func (c *Column) coarse() (ends []int) {
	if c.Kind == Categorical {
		for i := range min(len(c.Cells.Named), clusterCells-2) {
			ends = append(ends, i)
		}
		return append(ends, c.Cells.Unseen()-1, c.Cells.Unseen())
	}
	var mass, all uint64
	for _, n := range c.State.Cells {
		all += n
	}
	for i, n := range c.State.Cells {
		mass += n
		if i == len(c.State.Cells)-1 {
			return append(ends, i)
		}
		if n > 0 && mass*clusterCells >= all*uint64(len(ends)+1) && len(ends) < clusterCells-1 {
			ends = append(ends, i)
		}
	}
	return ends
}

// bind finds the columns of the splits and checks that all fits together.
func (b *Baseline) bind() error {
	for i := range b.Segments {
		if err := b.Segments[i].bind(b); err != nil {
			return err
		}
	}
	if b.Cluster != nil {
		if err := b.Cluster.bind(b); err != nil {
			return err
		}
	}
	if b.splitBytes() > 2*maxSplit {
		return fmt.Errorf("profile: the splits of a baseline are larger than they can be")
	}
	return nil
}

func (b *Baseline) indexOf(name string) int {
	return slices.IndexFunc(b.Columns, func(c Column) bool { return c.Name == name })
}

func (s *Segmentation) bind(b *Baseline) error {
	if s.col = b.indexOf(s.Column); s.col < 0 {
		return fmt.Errorf("profile: segments by %q, which is no column", Cut(s.Column))
	}
	n := b.Columns[s.col].CellCount()
	if len(s.Values) == 0 || len(s.Values) != len(s.Cells) || len(s.Values) > MaxSegments {
		return fmt.Errorf("profile: segments by %q: %d values in %d cells", Cut(s.Column), len(s.Values), len(s.Cells))
	}
	s.of = make([]int, n)
	for i := range s.of {
		s.of[i] = len(s.Values)
	}
	for i, cell := range s.Cells {
		if cell < 0 || cell >= n || s.of[cell] != len(s.Values) {
			return fmt.Errorf("profile: segments by %q: cell %d is not there, or there twice", Cut(s.Column), cell)
		}
		s.of[cell] = i
	}
	return nil
}

func (c *Clustering) bind(b *Baseline) error {
	if c.col = b.indexOf(c.Column); c.col < 0 || len(c.Ends) != len(b.Columns) || len(c.Solitary) != len(b.Columns) {
		return fmt.Errorf("profile: clusters by %q do not fit the columns", Cut(c.Column))
	}
	c.coarse = make([][]uint8, len(c.Ends))
	for i, ends := range c.Ends {
		n := b.Columns[i].CellCount()
		if len(ends) == 0 || len(ends) > clusterCells || ends[len(ends)-1] != n-1 || ends[0] < 0 {
			return fmt.Errorf("profile: column %q has %d cells and %d coarse ones", Cut(b.Columns[i].Name), n, len(ends))
		}
		c.coarse[i] = make([]uint8, n)
		cell := 0
		for k, end := range ends {
			if k > 0 && end <= ends[k-1] {
				return fmt.Errorf("profile: the coarse cells of column %q do not ascend", Cut(b.Columns[i].Name))
			}
			for ; cell <= end; cell++ {
				c.coarse[i][cell] = uint8(k)
			}
		}
	}
	return nil
}

// Whole is b without splits.
func (b *Baseline) Whole() *Baseline {
	return &Baseline{V: BaselineVersion, Rows: b.Rows, Columns: b.Columns}
}

// splits says whether rows are split.
func (b *Baseline) splits() bool { return len(b.Segments) > 0 || b.Cluster != nil }

// splitBytes is the size of a split's counts.
func (b *Baseline) splitBytes() (n int) {
	for i := range b.Columns {
		for k := range b.Segments {
			n += 8 * b.Segments[k].Len() * (b.Columns[i].CellCount() + 7)
		}
		if b.Cluster != nil {
			n += 8 * ClusterGroups * b.Cluster.Width(i)
		}
	}
	return n
}

// newSplit is an empty split of b, nil where it splits nothing.
func (b *Baseline) newSplit() *Split {
	if !b.splits() {
		return nil
	}
	s := &Split{}
	for k := range b.Segments {
		parts := make([]Part, b.Segments[k].Len()*len(b.Columns))
		for i := range parts {
			parts[i].Cells = make([]uint64, b.Columns[i%len(b.Columns)].CellCount())
		}
		s.Segments = append(s.Segments, parts)
	}
	if b.Cluster != nil {
		for i := range b.Columns {
			s.Clusters = append(s.Clusters, make(counts, ClusterGroups*b.Cluster.Width(i)))
		}
	}
	return s
}

// fits says whether s is a split of b. Without one the rows are in no segment.
func (s *Split) fits(b *Baseline) error {
	if s == nil {
		return nil
	}
	bad := func() error {
		return fault.New(fault.FailedPrecondition, "the profile is split otherwise than the baseline; profile its source again")
	}
	width := 0
	if b.Cluster != nil {
		width = len(b.Columns)
	}
	if len(s.Segments) != len(b.Segments) || len(s.Clusters) != width {
		return bad()
	}
	for k, parts := range s.Segments {
		if len(parts) != b.Segments[k].Len()*len(b.Columns) {
			return bad()
		}
		for i := range parts {
			if len(parts[i].Cells) != b.Columns[i%len(b.Columns)].CellCount() {
				return bad()
			}
		}
	}
	for i, c := range s.Clusters {
		if len(c) != ClusterGroups*b.Cluster.Width(i) {
			return bad()
		}
	}
	return nil
}

// merge adds o, which must be of the same baseline; nil adds nothing.
func (s *Split) merge(o *Split) error {
	if o == nil {
		return nil
	}
	if s == nil || len(s.Segments) != len(o.Segments) || len(s.Clusters) != len(o.Clusters) {
		return fmt.Errorf("profile: splits of different baselines cannot be added")
	}
	for k := range s.Segments {
		if len(s.Segments[k]) != len(o.Segments[k]) {
			return fmt.Errorf("profile: splits of different baselines cannot be added")
		}
		for i := range s.Segments[k] {
			if err := s.Segments[k][i].merge(&o.Segments[k][i]); err != nil {
				return err
			}
		}
	}
	for i := range s.Clusters {
		if len(s.Clusters[i]) != len(o.Clusters[i]) {
			return errCells(len(o.Clusters[i]), len(s.Clusters[i]))
		}
		for j, n := range o.Clusters[i] {
			s.Clusters[i][j] += n
		}
	}
	return nil
}

// check refuses splits that cannot be of rows with these columns.
func (s *Split) check(columns []State) error {
	if s == nil {
		return nil
	}
	n := len(columns)
	for _, parts := range s.Segments {
		if n == 0 || len(parts)%n != 0 {
			return fmt.Errorf("profile: segments of %d counts for %d columns", len(parts), n)
		}
		for col := range columns {
			var rows uint64
			for i := col; i < len(parts); i += n {
				if len(parts[i].Cells) != len(columns[col].Cells) || rows+parts[i].Rows < rows {
					return fmt.Errorf("profile: the segments of column %d have other cells than it", col)
				}
				rows += parts[i].Rows
			}
			if rows > columns[col].Rows {
				return fmt.Errorf("profile: the segments of column %d have %d rows of %d", col, rows, columns[col].Rows)
			}
		}
	}
	if len(s.Clusters) > 0 && len(s.Clusters) != n {
		return fmt.Errorf("profile: clusters of %d columns, want %d", len(s.Clusters), n)
	}
	for col, c := range s.Clusters {
		var rows uint64
		for _, k := range c {
			if rows+k < rows {
				return fmt.Errorf("profile: the clusters of column %d overflow", col)
			}
			rows += k
		}
		if rows > columns[col].Rows {
			return fmt.Errorf("profile: the clusters of column %d have %d rows of %d", col, rows, columns[col].Rows)
		}
	}
	return nil
}

// SegmentRows is the number of rows that s holds of segment i of segmentation k.
func (b *Baseline) SegmentRows(s *Split, k, i int) uint64 {
	if s == nil {
		return 0
	}
	return s.Segments[k][i*len(b.Columns)+b.Segments[k].col].Rows
}

// SplitRows is the number of rows that s holds in a segment of every segmentation
// and in a cluster: the least of them, as records may lack one of the columns.
func (b *Baseline) SplitRows(s *Split) uint64 {
	if s == nil || !b.splits() {
		return 0
	}
	least := uint64(math.MaxUint64)
	for k := range b.Segments {
		var rows uint64
		for i := range b.Segments[k].Len() {
			rows += b.SegmentRows(s, k, i)
		}
		least = min(least, rows)
	}
	if b.Cluster != nil {
		var rows uint64
		for _, n := range s.Clusters[b.Cluster.col] {
			rows += n
		}
		least = min(least, rows)
	}
	return least
}

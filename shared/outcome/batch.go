package outcome

import (
	"github.com/tidegate/tidegate/shared/capture"
	"github.com/tidegate/tidegate/shared/registry"
)

// batchRows is about how many rows a batch has, or requests, which can be without rows: its columns fit into a
// second-level cache.
const batchRows = 4096

// Batch is joined rows as columns, with what is needed to tell the requests they
// belong to. It and its slices belong to the join: they are valid until the visitor
// returns. Columns that the [Spec] does not ask for are nil.
type Batch struct {
	Rows int
	// Requests are those of the rows, and failed ones, which have no rows. A request whose rows are in
	// several batches is in each of them.
	Requests []Request
	Request  []uint32 // by row: its place in Requests

	ID      []Key
	At      []int64   // when it was predicted, milliseconds since 1970; 0 is not known
	Cluster []uint64  // hash of the row's key, else of the sticky key, else of the request's id: rows that belong together
	Weight  []float64 // 1/sampled, or the weight column of a file

	Score     []float64 // binary: of the positive class; regression: the value
	Scores    []float64 // multiclass: Rows × len(Spec.Classes), row by row
	Predicted []int32   // class; −1 is none
	Label     []float64 // class as a whole number, or the value of a regression; NaN: not labelled
	LabelAt   []int64   // when the row's first label became known, milliseconds since 1970; 0 is not known
	// Segments are the values by segment column and row, numbered: see [Segments.Name].
	Segments [][]uint32

	// Pairs are rows of this batch that two versions predicted of the same input.
	Pairs []Pair
}

// Pair is the places of two rows of one id: what was answered, and what another version would have.
type Pair struct{ Served, Paired uint32 }

// Request is what the rows of one captured record have in common. A request that was
// split by rows has several records; the one with First 0 is there for every request.
type Request struct {
	Origin    *Origin
	ID        Key
	At        int64  // milliseconds since 1970
	Cluster   uint64 // hash of the sticky key, else of the id
	First     int    // row of the request
	Rows      int    // that were captured in this record; 0 of a failed one
	LatencyUS int64  // of the whole request
	// Again says that an earlier batch had it: what is counted by request is counted there.
	Again bool
}

// Origin is where requests came from. There are few; equal ones are one pointer
// within a join, and Index numbers them from 0.
type Origin struct {
	Index      int
	Version    int
	Slot       registry.Slot
	Role       capture.Role
	Generation int64
	Rollout    string
	Sampled    float64 // share of requests that was captured
	Status     int
	ErrorKind  string // "" unless the request failed
}

// Failed says whether the requests failed.
func (o *Origin) Failed() bool { return o.ErrorKind != "" || o.Status >= 400 }

// reset empties the batch for a spec.
func (b *Batch) reset() {
	b.Rows = 0
	b.Requests, b.Request, b.Pairs = b.Requests[:0], b.Request[:0], b.Pairs[:0]
	b.ID, b.At, b.Cluster, b.Weight = b.ID[:0], b.At[:0], b.Cluster[:0], b.Weight[:0]
	b.Score, b.Scores, b.Predicted = b.Score[:0], b.Scores[:0], b.Predicted[:0]
	b.Label, b.LabelAt = b.Label[:0], b.LabelAt[:0]
	for i := range b.Segments {
		b.Segments[i] = b.Segments[i][:0]
	}
}

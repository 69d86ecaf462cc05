// Package profile counts rows of inputs and scores on cells that were frozen at a
// baseline, so that the counts of any parts add up to the counts of the whole.
//
// It reads captures, Parquet, CSV and NDJSON as streams. It judges nothing: drift
// compares profiles. Its invariant: the bytes of a profile depend on the rows it
// counted and on the baseline, not on how the rows were split or ordered.
package profile

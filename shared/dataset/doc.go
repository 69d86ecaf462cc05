// Package dataset pins training data: it finds the objects of a dataset, notes which
// version of each it read, and makes the training channel of them, one CSV file in
// time order. Rows come from tables under prefixes (CSV, NDJSON, Parquet) and from
// predictions whose outcome is known by now (shared/outcome).
//
// It trains nothing and judges no data beyond its form: which rows are held out is
// the trainer's, whether they drift is shared/drift's.
//
// Invariants: a document lists every object that a row came from, with the version
// that was read; the same objects under the same schema are the same number, whoever
// asks and however often; a channel's rows do not depend on anything but them.
//
//	b := dataset.Builder{Buckets: buckets, Registry: reg, Now: time.Now, Dir: os.TempDir()}
//	built, err := b.Build(ctx, dataset.Request{Name: "flights", Schema: schema, Prefixes: prefixes})
//
// Messages name objects, columns and rows by number, never a value.
package dataset

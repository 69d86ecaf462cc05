// Package label is the ground truth of predictions: one value per predicted row,
// which arrives minutes or weeks later.
//
// It owns what a label may be ([Check]), the id that ties it to a prediction and
// carries the time of it ([TimeOf]), the rule which of two labels counts
// ([Newer]), the text formats that labels arrive in ([Reader]), and the lines of
// filed labels ([Append], [Scanner]). It neither stores nor sends anything:
// feedback and ingestion do. It knows nothing of predictions: outcome joins them.
//
// Invariant: what [Append] writes, [Scanner] reads back, and one record has one
// line: equal labels are equal bytes.
//
//	sc := label.NewScanner(body)
//	for sc.Scan() {
//		r := sc.Record() // in the order of label.Order, each id once
//	}
//	if err := sc.Err(); err != nil { … }
package label

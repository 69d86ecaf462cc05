// Package outcome joins what was predicted with what turned out to be true, and
// hands out the joined rows ("outcomes") in batches of columns: to evaluation, and
// to training. It judges nothing and keeps nothing.
//
// [Hours] joins captures and filed labels of a bucket, an hour of predictions at a
// time; [Files] joins tables of a user, without any AWS. Both count everything
// they leave out ([Counts]): rows in are rows out.
//
// Invariant: the outcomes and the counts do not depend on the order of the lines
// and objects, on how they are split over objects, or on how often a line is
// delivered; only the order in which outcomes are handed out does.
//
//	h := outcome.Hours{Store: store, Model: "flights", Spec: spec, Lateness: time.Hour}
//	counts, err := h.JoinHour(ctx, hour, func(b *outcome.Batch) error {
//		for i := range b.Rows {
//			q := state(b.Requests[b.Request[i]].Origin)
//			q.Add(b.Score[i], b.Label[i]) // NaN: not labelled (yet)
//		}
//		return nil
//	})
package outcome

// Package evaluation ties the parts of an evaluation together: it counts joined
// rows (outcome) into states that add up ([Tally]), and makes of the state of a
// whole window the report on it ([Judge]): how good each version was, what it
// probably was where labels are missing, whether the champion has degraded, and
// whether a challenger is better.
//
// It joins nothing (see outcome), stores nothing (see report) and computes no
// statistics of its own (see quality and comparison).
//
// Invariant: a report's bytes depend on the rows, the references, the policy and
// the history, not on how rows were split, ordered or shared among workers.
//
//	t, err := evaluation.NewTally(&evaluation.Setup{Task: quality.Binary, Versions: versions, Policy: policy, MatureBefore: now.Add(-delay)})
//	_, err = hours.JoinHour(ctx, hour, func(b *outcome.Batch) error { return t.Add(b, hours.Segments()) })
//	r, err := evaluation.Judge(evaluation.Job{Model: "flights", Window: win, Tally: t, References: refs})
package evaluation

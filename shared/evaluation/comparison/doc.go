// Package comparison says whether a challenger is better than the champion, from
// both versions' answers to the same rows.
//
// A [State] counts pairs: what both versions answered to a row whose label is known.
// States of parts add up to the state of the whole, to the byte, for any division
// and order. [State.Difference] measures, [Decide] and [DecideStart] judge by the
// rules of docs/comparison.md, and [NewReport] writes down all of it.
//
// Only pairs judge quality. Errors and latencies are counted by slot (see [Traffic])
// as guardrails; what the slots answered to different rows is for reading only. "No"
// is a result; errors are for comparisons that mean nothing, such as that of a
// version with itself.
//
// The package joins nothing, stores nothing and moves no traffic.
//
//	s, err := comparison.New(spec)
//	err = s.Add(&comparison.Row{Time: ts, Group: comparison.KeyGroup(key), Segment: s.Segment("UA"),
//		Label: 1, Champion: comparison.Answer{Score: 0.31}, Challenger: comparison.Answer{Score: 0.64, Class: 1}})
//	decision, err := comparison.Decide(s, policy, comparison.Step{Last: true, PairsBefore: 4000, Elapsed: 7200, Bake: 3600})
package comparison

// Package quality measures how good one version was over a window of predictions
// whose labels are known, estimates it where they are not, and judges it against
// the reference of the version's registration.
//
// A [State] counts rows; states of any parts of a window add up to the state of
// the whole, to the byte. [Measure] turns states into metrics under scikit-learn's
// names, each with a 95 % interval that rests on the largest of three standard
// errors: over rows, over groups of keys and over blocks of time. [Estimate] is
// the label-free estimate, [Policy.Judge] the verdict.
//
// It joins nothing (see outcome), compares no two versions, and stores nothing.
//
//	layout, err := quality.NewBinary(score.Freeze(reference))
//	s := quality.NewState(layout)
//	s.Add(&quality.Row{Score: 0.7, Class: 1, Labelled: true, Label: 1, Mature: true, Key: quality.HashKey(id), Block: hour})
//	q, err := quality.Measure(windowID, quality.Stratum{State: s, Sampled: 1})
package quality

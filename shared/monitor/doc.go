// Package monitor reads and writes the files of SageMaker Model Monitor, so that
// its users keep their baselines: statistics.json becomes a baseline of counts,
// constraints.json the tolerances of a comparison, and a result is written as
// constraint_violations.json.
//
// It is a translation and judges nothing: verdicts are drift's, with their errors,
// and not those that Model Monitor would have reached. docs/formats/monitor.md says
// how each field is read. What cannot be translated is returned as a note, never
// dropped in silence.
//
//	st, err := monitor.ParseStatistics(raw)
//	baseline, leftOut, notes := st.Baseline()
package monitor

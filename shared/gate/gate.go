// Package gate is the one form of a judgement: a measured value against a bound,
// with an answer that may be "not enough data".
//
// A gate that says no is a [Result], never an error; errors are for judgements
// that could not be made at all. The package is a leaf and knows no statistics.
package gate

// Answer is yes, no, or unknown: the data do not decide.
type Answer string

// The answers.
const (
	Yes     Answer = "yes"
	No      Answer = "no"
	Unknown Answer = "unknown"
)

// Result is the outcome of one gate. What "yes" means is in the gate's name:
// drift rules ask "has it drifted", rollout rules "may it go on".
type Result struct {
	Name   string  `json:"name"`
	Value  float64 `json:"value"`
	Bound  float64 `json:"bound"`
	Answer Answer  `json:"answer"`
	N      int64   `json:"n"`
	Reason string  `json:"reason,omitempty"` // a sentence for people
}

// Any is yes if one answer is, no if all are, and unknown otherwise; unknown for none.
func Any(answers ...Answer) Answer {
	no := 0
	for _, a := range answers {
		switch a {
		case Yes:
			return Yes
		case No:
			no++
		}
	}
	if len(answers) > 0 && no == len(answers) {
		return No
	}
	return Unknown
}

// All is yes if all answers are, no if one is, and unknown otherwise; unknown for none.
func All(answers ...Answer) Answer {
	yes := 0
	for _, a := range answers {
		switch a {
		case No:
			return No
		case Yes:
			yes++
		}
	}
	if len(answers) > 0 && yes == len(answers) {
		return Yes
	}
	return Unknown
}

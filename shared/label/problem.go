package label

import (
	"strings"

	"github.com/tidegate/tidegate/shared/schema"
)

// Problem is what keeps a line or an item from being a label. The names are stored
// in ingest reports (docs/formats/label.md), so they never change.
type Problem string

// The problems.
const (
	Fine           Problem = ""
	Malformed      Problem = "malformed"
	UnknownModel   Problem = "unknown_model"
	NoID           Problem = "no_id"
	TwoIDs         Problem = "two_ids"
	BadID          Problem = "bad_id"
	BadRequestID   Problem = "bad_request_id"
	NoPredictedAt  Problem = "no_predicted_at"
	BadPredictedAt Problem = "bad_predicted_at"
	Future         Problem = "future"
	TooOld         Problem = "too_old"
	NoLabel        Problem = "no_label"
	WrongType      Problem = "wrong_type"
	BadTS          Problem = "bad_ts"
	FutureTS       Problem = "future_ts"
)

var texts = map[Problem]string{
	Malformed:      "is not one label: a JSON object, or as many fields as the CSV header has",
	UnknownModel:   "is of a model that is not registered",
	NoID:           "has no id: send the inference id of the row, or request_id with predicted_at",
	TwoIDs:         "has both id and request_id: send one of them",
	BadID:          "has an id that is no inference id: the UUIDv7 of the answer, with #<row> behind it when the request had several rows",
	BadRequestID:   "has a request_id that is no text of 1 to 256 bytes, with #<row> behind it when the request had several rows",
	NoPredictedAt:  "has a request_id without predicted_at: say when the row was predicted, to the hour",
	BadPredictedAt: "has a predicted_at that is neither an hour (2026-04-06T14Z) nor a time of RFC 3339 with its offset",
	Future:         "is of a prediction that lies in the future",
	TooOld:         "is of a prediction that is more than ten years old",
	NoLabel:        "has no label, or a label that is null",
	WrongType:      "has a label of the wrong type",
	BadTS:          "has a ts that is not a time of RFC 3339 with its offset",
	FutureTS:       "has a ts that lies in the future",
}

// Problems are all that is wrong with one label, at most one each of its id, its
// value and its time.
type Problems struct {
	list [3]Problem
	n    int
}

func (p *Problems) add(x Problem) {
	if x != Fine {
		p.list[p.n] = x
		p.n++
	}
}

// First is the one that a label is counted under; Fine when there is none.
func (p *Problems) First() Problem { return p.list[0] }

// Text says all of them, for the caller. It holds no value of the label.
func (p *Problems) Text(task schema.Task) string {
	all := make([]string, p.n)
	for i, x := range p.list[:p.n] {
		if all[i] = texts[x]; x == WrongType {
			all[i] = "has a label that " + Wanted(task)
		}
	}
	return strings.Join(all, "; ")
}

// Text says what the problem is. It holds no value of the label.
func (p Problem) Text() string { return texts[p] }

// Wanted is the text for a label of the wrong type.
func Wanted(task schema.Task) string {
	switch task {
	case schema.Regression:
		return "must be a finite number: the model's task is regression"
	case schema.Binary, schema.Multiclass:
		return "must be a class, as a whole number, a text of 1 to 256 bytes, true or false: the model's task is " + string(task)
	}
	return "must be a number, a text of 1 to 256 bytes, true or false"
}

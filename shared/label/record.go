package label

import (
	"strings"
	"time"
)

// Record is one label of one predicted row.
type Record struct {
	// ID is the inference id of the row: a UUIDv7 in lower case, and "#<row>" behind it when the request
	// had several rows. With Request it is the client's own request id, with the same suffix.
	ID      string
	Request bool
	Label   Value
	TS      time.Time // when the label became known, to the millisecond, UTC
}

// Order compares the places of two labels in a filed object: inference ids before
// request ids, each by their bytes ("#10" comes before "#2").
func Order(a, b *Record) int {
	if a.Request != b.Request {
		if b.Request {
			return -1
		}
		return 1
	}
	return strings.Compare(a.ID, b.ID)
}

// Newer says whether label a counts and not b, both of one row: the later TS, and
// at the same moment the greater value ([Compare]), so that the order of arrival
// never decides.
func Newer(a, b *Record) bool {
	if !a.TS.Equal(b.TS) {
		return a.TS.After(b.TS)
	}
	return Compare(a.Label, b.Label) > 0
}

// Folders of the data bucket.
const (
	LandedAPI   = "labels/landed/api/"   // what feedback took, from Firehose; the model is in the line
	LandedFiles = "labels/landed/files/" // dropped by the user, under <model>/
	LandedRoot  = "labels/landed/"
	Filed       = "labels/filed/"
	Reports     = "labels/reports/"
)

const hourLayout = "2006-01-02/15"

// Prefix is the folder of the filed labels of predictions that a model made within
// an hour: labels/filed/<m>/<yyyy-mm-dd>/<hh>/.
func Prefix(model string, hour time.Time) string {
	return Filed + model + "/" + hour.UTC().Format(hourLayout) + "/"
}

// Key is where the labels of one source are filed: one object a source, model and hour.
func Key(model string, hour time.Time, source string) string {
	return Prefix(model, hour) + source + ".ndjson"
}

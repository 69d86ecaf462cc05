package traffic

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/tidegate/tidegate/tests/demo/flights"
)

// Label is what a row that was sent turned out to be.
type Label struct {
	ID    string `json:"id"` // of the row: "<inference id>", or "<inference id>#<row>" of a request of several
	Label int    `json:"label"`
}

// Labels are those of the sent rows whose flight known says is known, in the order of the flights.
func Labels(sent []Sent, fs []flights.Flight, known func(f *flights.Flight) bool) []Label {
	var out []Label
	for i := range sent {
		s := &sent[i]
		if s.Err != nil {
			continue
		}
		for row := range s.Rows {
			f := &fs[s.First+row]
			if !known(f) {
				continue
			}
			l := Label{ID: s.ID}
			if s.Rows > 1 {
				l.ID += "#" + strconv.Itoa(row)
			}
			if f.Late() {
				l.Label = 1
			}
			out = append(out, l)
		}
	}
	return out
}

// MaxBatch is the most labels that one request takes.
const MaxBatch = 5000

// Batches writes labels as bodies of POST /v1/feedback/{model}.
func Batches(labels []Label) ([][]byte, error) {
	var out [][]byte
	for len(labels) > 0 {
		n := min(MaxBatch, len(labels))
		body, err := json.Marshal(map[string]any{"labels": labels[:n]})
		if err != nil {
			return nil, err
		}
		out, labels = append(out, body), labels[n:]
	}
	return out, nil
}

// LabelFile writes labels as the CSV that is dropped under labels/landed/files/<model>/.
func LabelFile(labels []Label) []byte {
	var b bytes.Buffer
	b.WriteString("id,label\n")
	for _, l := range labels {
		fmt.Fprintf(&b, "%s,%d\n", l.ID, l.Label)
	}
	return b.Bytes()
}

package flights

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"strconv"
	"time"
)

// Target is the column of the label: 1 when the flight was late.
const Target = "late"

// timeColumn orders the holdout.
const timeColumn = "time_hour"

// TrainingSet writes fs, which all arrived, as the train function takes it: a CSV
// and its schema (docs/formats/training.md). The same flights give the same bytes.
func TrainingSet(fs []Flight) (data, schema []byte, err error) {
	inputs := Inputs()
	var buf bytes.Buffer
	w := csv.NewWriter(&buf)
	header := []string{timeColumn}
	for _, in := range inputs {
		header = append(header, in.Name)
	}
	if err := w.Write(append(header, Target)); err != nil {
		return nil, nil, err
	}
	for i := range fs {
		f := &fs[i]
		record := []string{f.Hour.Format(time.RFC3339)}
		for _, in := range inputs {
			record = append(record, in.cell(f))
		}
		label := "0"
		if f.Late() {
			label = "1"
		}
		if err := w.Write(append(record, label)); err != nil {
			return nil, nil, err
		}
	}
	w.Flush()
	if err := w.Error(); err != nil {
		return nil, nil, err
	}
	schema, err = trainingSchema(inputs)
	return buf.Bytes(), schema, err
}

// Batch writes what is known of fs when they leave the gate, as a CSV.
func Batch(fs []Flight) ([]byte, error) {
	inputs := Inputs()
	var buf bytes.Buffer
	w := csv.NewWriter(&buf)
	record := make([]string, len(inputs))
	for k, in := range inputs {
		record[k] = in.Name
	}
	if err := w.Write(record); err != nil {
		return nil, err
	}
	for i := range fs {
		for k, in := range inputs {
			record[k] = in.cell(&fs[i])
		}
		if err := w.Write(record); err != nil {
			return nil, err
		}
	}
	w.Flush()
	return buf.Bytes(), w.Error()
}

func (in Input) cell(f *Flight) string {
	if in.Number != nil {
		return strconv.FormatFloat(in.Number(f), 'g', -1, 32)
	}
	return in.Text(f)
}

func trainingSchema(inputs []Input) ([]byte, error) {
	type column struct {
		Name string `json:"name"`
		Type string `json:"type"`
	}
	var doc struct {
		V       int      `json:"v"`
		Task    string   `json:"task"`
		Target  string   `json:"target"`
		Time    string   `json:"time"`
		Columns []column `json:"columns"`
	}
	doc.V, doc.Task, doc.Target, doc.Time = 1, "binary_classification", Target, timeColumn
	for _, in := range inputs {
		kind := "number"
		if in.Text != nil {
			kind = "category"
		}
		doc.Columns = append(doc.Columns, column{in.Name, kind})
	}
	return json.MarshalIndent(doc, "", " ")
}

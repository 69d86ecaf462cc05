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

// timeColumn is the column of the training set that orders the holdout.
const timeColumn = "time_hour"

// TrainingSet writes fs, which all arrived, as the train function takes it: a CSV
// and its schema (docs/formats/training.md). The same flights give the same bytes.
func TrainingSet(fs []Flight) (data, schema []byte, err error) {
	return trainingSet(fs, (*Flight).Late)
}

// InvertedSet is the training set of somebody who took "late" for "on time".
func InvertedSet(fs []Flight) (data, schema []byte, err error) {
	return trainingSet(fs, func(f *Flight) bool { return !f.Late() })
}

func trainingSet(fs []Flight, positive func(*Flight) bool) (data, schema []byte, err error) {
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
		if positive(f) {
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

// Score is the column of a model's probability that a flight will be late.
const Score = "probabilities_1"

// Batch writes what is known of fs when they leave the gate, as a CSV, with the
// scores that a model gave them; nil: without.
func Batch(fs []Flight, scores []float32) ([]byte, error) {
	inputs := Inputs()
	var buf bytes.Buffer
	w := csv.NewWriter(&buf)
	record := make([]string, len(inputs), len(inputs)+1)
	for k, in := range inputs {
		record[k] = in.Name
	}
	if scores != nil {
		record = append(record, Score)
	}
	if err := w.Write(record); err != nil {
		return nil, err
	}
	for i := range fs {
		for k, in := range inputs {
			record[k] = in.cell(&fs[i])
		}
		if scores != nil {
			record[len(inputs)] = strconv.FormatFloat(float64(scores[i]), 'g', -1, 32)
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

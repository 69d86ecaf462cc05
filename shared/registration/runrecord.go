package registration

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// recorded are the classes that the trainer's run record lists.
func recorded(run []byte) []string {
	var record struct {
		Classes []struct {
			Label any `json:"label"`
		} `json:"classes"`
	}
	decoder := json.NewDecoder(bytes.NewReader(run))
	decoder.UseNumber()
	if decoder.Decode(&record) != nil { // another trainer's record may have any form
		return nil
	}
	var names []string
	for _, class := range record.Classes {
		switch v := class.Label.(type) {
		case string:
			names = append(names, v)
		case bool:
			names = append(names, strconv.FormatBool(v))
		case json.Number:
			names = append(names, className(v.String()))
		default:
			return nil
		}
	}
	return names
}

// datasetOf names the pinned dataset of a training record, "" where it tells of none.
func datasetOf(record []byte) string {
	var r struct {
		Dataset struct {
			Name   string `json:"name"`
			Number int    `json:"number"`
		} `json:"dataset"`
	}
	if json.Unmarshal(record, &r) != nil || r.Dataset.Name == "" {
		return ""
	}
	return r.Dataset.Name + "/" + strconv.Itoa(r.Dataset.Number)
}

// trainingEnd is the time of the last training row that the run record tells of, zero if it does not.
func trainingEnd(run []byte) time.Time {
	var record struct {
		Time struct {
			Train struct {
				Last string `json:"last"`
			} `json:"train"`
		} `json:"time"`
	}
	if json.Unmarshal(run, &record) != nil {
		return time.Time{}
	}
	t, _ := moment(record.Time.Train.Last)
	return t
}

// moment reads a time as trainers write them: RFC 3339, or without a zone (UTC), or a date.
func moment(text string) (time.Time, bool) {
	text = strings.TrimSpace(text)
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04:05Z07:00", "2006-01-02T15:04:05", time.DateTime, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}

func missing(text string) bool { return strings.TrimSpace(text) == "" }

// number reads a number; NaN when it is none.
func number(text string) float64 {
	v, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil {
		return math.NaN()
	}
	return v
}

func index(header []string, name string) int {
	if name == "" {
		return -1
	}
	return slices.Index(header, name)
}

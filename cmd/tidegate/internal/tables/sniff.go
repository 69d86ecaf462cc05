package tables

import (
	"bufio"
	"encoding/json"
	"io"
	"os"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/profile"
)

// Content is what a file holds.
type Content string

// The contents. Everything that is none of the documents is rows.
const (
	Rows        Content = "rows"
	Baseline    Content = "baseline"    // cells and the counts they were frozen from
	Profile     Content = "profile"     // counts on the cells of a baseline
	Statistics  Content = "statistics"  // statistics.json of SageMaker Model Monitor
	Constraints Content = "constraints" // constraints.json of SageMaker Model Monitor
)

// Sniff tells what a file holds, by content. A folder holds rows.
func Sniff(path string) (Content, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fault.Wrap(err, fault.InvalidArgument, "%s cannot be opened; check the path", path)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.IsDir() {
		return Rows, nil
	}
	plain, err := profile.Decompress(f)
	if err != nil {
		return Rows, nil // reading the rows tells what is wrong
	}
	defer plain.Close()
	return sniff(bufio.NewReader(plain)), nil
}

// sniff looks at the members of a JSON object until one tells; NDJSON rows and
// anything else are rows. A document's telling member holds an array of objects.
func sniff(r io.Reader) Content {
	dec := json.NewDecoder(r)
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return Rows
	}
	seen := map[string]bool{}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return Rows
		}
		name, _ := t.(string)
		switch {
		case name == "columns" && seen["v"] && seen["rows"] && objects(dec):
			return Baseline
		case name == "groups" && seen["v"] && seen["source"] && objects(dec):
			return Profile
		case name == "features" && (seen["version"] || seen["dataset"]):
			return features(dec)
		case len(seen) > 8:
			return Rows
		case name == "columns" || name == "groups":
			return Rows // objects has read into it
		}
		seen[name] = true
		var skipped json.RawMessage
		if dec.Decode(&skipped) != nil {
			return Rows
		}
	}
	return Rows
}

// objects says whether the next value is an empty array or one of objects.
func objects(dec *json.Decoder) bool {
	if t, err := dec.Token(); err != nil || t != json.Delim('[') {
		return false
	}
	t, err := dec.Token()
	return err == nil && (t == json.Delim('{') || t == json.Delim(']'))
}

// features tells Model Monitor's two files apart by their first feature.
func features(dec *json.Decoder) Content {
	var list []struct {
		Name      string          `json:"name"`
		Numerical json.RawMessage `json:"numerical_statistics"`
		Strings   json.RawMessage `json:"string_statistics"`
	}
	if dec.Decode(&list) != nil {
		return Rows
	}
	if len(list) > 0 && list[0].Name == "" {
		return Rows
	}
	for _, f := range list {
		if f.Numerical != nil || f.Strings != nil {
			return Statistics
		}
	}
	return Constraints
}

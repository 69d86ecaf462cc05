package provenance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"time"

	"github.com/tidegate/tidegate/shared/registry"
)

// Record is what the trainer's run record says of a run (docs/formats/training.md).
// It is the trainer's word: nothing of it was checked, and everything may be missing.
type Record struct {
	Hyperparameters map[string]json.RawMessage
	Versions        map[string]string // of packages, by name
	Inputs          map[string]Input  // data, schema
	Outputs         map[string]string // lower-case hex sha256 by file
	Code            string            // digest of the trainer's code
	Image           string            // the container that trained, if one did
	Dataset         *Dataset
	Run             string // id of the run
	Started, Ended  time.Time
}

// Input is a file that was read.
type Input struct {
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"` // bytes
	URI    string `json:"uri"`
}

// Dataset is a pinned dataset.
type Dataset struct {
	Name    string   `json:"name"`
	Number  int      `json:"number"`
	Digest  string   `json:"digest"`
	URI     string   `json:"uri"`
	Rows    int64    `json:"rows"`
	Sources []Source `json:"sources"`
}

func (d *Dataset) label() string {
	if d.Number == 0 {
		return d.Name
	}
	return fmt.Sprintf("%s/%d", d.Name, d.Number)
}

// Source is an object that a dataset was made of.
type Source struct {
	Bucket    string `json:"bucket"`
	Key       string `json:"key"`
	VersionID string `json:"version_id"`
	ETag      string `json:"etag"`
	Size      int64  `json:"size"`
	SHA256    string `json:"sha256"`
}

// uri names the object, and its version where that is known.
func (s *Source) uri() string {
	u := url.URL{Scheme: "s3", Host: s.Bucket, Path: "/" + s.Key}
	if s.VersionID != "" {
		u.RawQuery = url.Values{"versionId": {s.VersionID}}.Encode()
	}
	return u.String()
}

// ParseRecord reads a run record field by field: another trainer's may have any
// form, and what has another one than here is left out, as are digests that are none.
func ParseRecord(run []byte) Record {
	var fields map[string]json.RawMessage
	if json.Unmarshal(run, &fields) != nil {
		return Record{}
	}
	var r Record
	take(fields["hyperparameters"], &r.Hyperparameters)
	take(fields["versions"], &r.Versions)
	take(fields["code"], &r.Code)
	take(fields["image"], &r.Image)
	take(fields["run"], &r.Run)
	take(fields["started_at"], &r.Started)
	take(fields["finished_at"], &r.Ended)
	var inputs, outputs map[string]json.RawMessage
	take(fields["inputs"], &inputs)
	take(fields["outputs"], &outputs)
	for name, raw := range inputs {
		var in Input
		if take(raw, &in); clean(&in.SHA256) || in.URI != "" {
			r.Inputs = set(r.Inputs, name, in)
		}
	}
	for name, raw := range outputs {
		var out Input
		if take(raw, &out); clean(&out.SHA256) {
			r.Outputs = set(r.Outputs, name, out.SHA256)
		}
	}
	clean(&r.Code)
	r.Dataset = ParseDataset(fields["dataset"])
	return r
}

// ParseDataset reads what is known of a dataset, from a record or from its own
// document (docs/formats/dataset.md); nil when it is none.
func ParseDataset(raw []byte) *Dataset {
	var d Dataset
	if take(raw, &d); d.Name == "" && d.Digest == "" {
		return nil
	}
	clean(&d.Digest)
	for i := range d.Sources {
		clean(&d.Sources[i].SHA256)
	}
	return &d
}

// take decodes a field, or leaves the zero value where it has another form.
func take[T any](raw json.RawMessage, into *T) {
	var v T
	if len(raw) > 0 && json.Unmarshal(raw, &v) == nil {
		*into = v
	}
}

func set[V any](m map[string]V, name string, v V) map[string]V {
	if m == nil {
		m = map[string]V{}
	}
	m[name] = v
	return m
}

// clean makes a digest bare hex, or empty when it is none, and says whether it is one.
func clean(digest *string) bool {
	if registry.CheckDigest(*digest) != nil {
		*digest = ""
		return false
	}
	*digest = registry.Hex(*digest)
	return true
}

// text is a value of a record as a property: a string without its quotes.
func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	var b bytes.Buffer
	if json.Compact(&b, raw) != nil {
		return ""
	}
	return b.String()
}

package dataset

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/outcome"
	"github.com/tidegate/tidegate/shared/registry"
)

// Version is the format of the document.
const Version = 1

// layout numbers the rules by which sources become a channel. It counts for the pin: other rules may make other rows.
const layout = 1

// Document is datasets/<name>/<number>.json: what a training learned from. It is
// written once.
type Document struct {
	V      int    `json:"v"`
	Name   string `json:"name"`
	Number int    `json:"number"`
	// Pin is what it was made of: sha256 of the schema and of which version of which object. One pin has one number.
	Pin string `json:"pin"`
	// Digest is that of the channel, which is a blob: a CSV file, in time order where the schema names a time.
	Digest        string    `json:"digest"`
	Size          int64     `json:"size"`
	Rows          int64     `json:"rows"`
	Columns       []string  `json:"columns"`
	SchemaDigest  string    `json:"schema_digest"`
	First         string    `json:"first,omitempty"` // times of the first and the last row
	Last          string    `json:"last,omitempty"`
	MissingTarget int64     `json:"missing_target"` // rows of tables that are left out
	MissingTime   int64     `json:"missing_time"`
	Sources       []Source  `json:"sources"`
	Outcomes      *Joined   `json:"outcomes,omitempty"`
	Warnings      []string  `json:"warnings,omitempty"`
	CreatedAt     time.Time `json:"created_at"`
}

// What a source holds.
const (
	Table    = "table"
	Captures = "captures"
	Labels   = "labels"
)

// Source is one object that rows came from, as it was read.
type Source struct {
	Kind      string `json:"kind"`
	Bucket    string `json:"bucket"`
	Key       string `json:"key"`
	VersionID string `json:"version_id,omitempty"` // none in a bucket without versions: then the ETag tells
	ETag      string `json:"etag"`
	Size      int64  `json:"size"`
	SHA256    string `json:"sha256,omitempty"` // of a damaged capture none: it was not read to its end
	Rows      int64  `json:"rows,omitempty"`   // of a table, before any is left out
}

// URI is how people name the object.
func (s *Source) URI() string { return "s3://" + s.Bucket + "/" + s.Key }

// Joined says which outcomes became rows.
type Joined struct {
	Model string    `json:"model"`
	From  time.Time `json:"from"`
	To    time.Time `json:"to"`
	Rows  int64     `json:"rows"`
	// Incomplete are labelled rows whose record does not hold all columns of the schema: they are left out.
	Incomplete int64          `json:"incomplete"`
	Counts     outcome.Counts `json:"counts"`
}

// pin is the identity of what a document is made of.
func pin(schema *Schema, sources []Source, o *Outcomes) string {
	h := sha256.New()
	fmt.Fprintf(h, "tidegate dataset %d\n%s\n", layout, schema.Digest())
	line := json.NewEncoder(h) // which escapes what could be mistaken for a separator
	for i := range sources {
		s := &sources[i]
		_ = line.Encode([]any{s.Kind, s.Bucket, s.Key, s.VersionID, s.ETag, s.Size}) // a hash takes everything
	}
	if o != nil {
		_ = line.Encode([]any{o.Model, o.From.UTC(), o.To.UTC(), o.Spec})
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// parse reads a stored document.
func parse(key string, body []byte) (Document, error) {
	var d Document
	damaged := func(err error) (Document, error) {
		return Document{}, fault.Wrap(err, fault.Internal, "%s is damaged; restore an older version of the object", key)
	}
	if err := json.Unmarshal(body, &d); err != nil {
		return damaged(err)
	}
	if d.V < 1 || d.V > Version {
		return damaged(fmt.Errorf("format %d, this program knows up to %d", d.V, Version))
	}
	if registry.CheckDigest(d.Digest) != nil || registry.CheckDigest(d.Pin) != nil || registry.CheckName(d.Name) != nil || registry.DatasetKey(d.Name, d.Number) != key {
		return damaged(fmt.Errorf("name, number or digest is wrong"))
	}
	return d, nil
}

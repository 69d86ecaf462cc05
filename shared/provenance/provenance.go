// Package provenance describes where a version came from: a SLSA v1 provenance
// statement and a CycloneDX 1.6 bill of materials with a model card
// (docs/formats/provenance.md). Signatures are in the package signature below it.
//
// It repeats what the trainer's run record and the manifest say, and marks what it
// cannot know: a model without a record that fits it has an unknown builder. It
// vouches for nothing; the signature of a version covers both documents.
//
// Invariant: the same [Version] gives the same bytes.
//
//	v := provenance.Version{Manifest: &m, Model: model, Schema: &s, Source: uri, Record: provenance.ParseRecord(m.Run), Metrics: metrics}
//	bom, err := v.BOM()
//	statement, err := v.Statement()
package provenance

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/shared/stat"
)

// The files of a version that this package writes. The second name is one that
// CycloneDX's tools look for.
const (
	StatementFile = "provenance.json"
	BOMFile       = "mlbom.cdx.json"
)

const modelFile = "model.onnx"

// Version is what is known of a version when it is registered.
type Version struct {
	Manifest *registry.Manifest // its Files are the subjects of the statement
	Model    registry.Model
	Schema   *schema.Schema
	Record   Record
	Source   string   // where the files were taken from, an s3:// URI
	Metrics  []Metric // on the holdout; those of the manifest are added under the names that are missing
}

// Metric is a measured value, with its 95 % interval where one is known.
type Metric struct {
	Name     string
	Value    float64
	Interval *stat.Interval
}

// digests is the digest of something in both formats.
func digests(sha256 string) map[string]string {
	if sha256 == "" {
		return nil
	}
	return map[string]string{"sha256": registry.Hex(sha256)}
}

// encode writes a document: indented, for people, with a final newline.
func encode(doc any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	err := enc.Encode(doc)
	return b.Bytes(), fault.Wrap(err, fault.Internal, "a document of provenance cannot be encoded")
}

// dependency is something that went into a version.
type dependency struct {
	kind    string // dataset, source (of one), data, input, code, image, package, upload
	name    string
	uri     string
	sha256  string
	version string            // of a package
	notes   map[string]string // what else is known, by name
}

// dependencies lists what went into the version, as far as it is known.
func (v *Version) dependencies() []dependency {
	r := &v.Record
	if !v.described() {
		d := dependency{kind: "upload", name: modelFile, uri: v.Source, sha256: v.modelDigest()}
		if strings.HasSuffix(d.uri, "/") {
			d.uri += modelFile
		}
		return []dependency{d}
	}
	var all []dependency
	if d := r.Dataset; d != nil {
		all = append(all, dependency{kind: "dataset", name: d.label(), uri: d.URI, sha256: d.Digest, notes: notes("rows", whole(d.Rows))})
		for _, s := range d.Sources {
			all = append(all, dependency{kind: "source", name: s.Key, uri: s.uri(), sha256: s.SHA256,
				notes: notes("version_id", s.VersionID, "etag", s.ETag, "size_bytes", whole(s.Size))})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Inputs)) {
		in := r.Inputs[name]
		kind := "input"
		if name == "data" {
			kind = name
		}
		all = append(all, dependency{kind: kind, name: name, uri: in.URI, sha256: in.SHA256, notes: notes("size_bytes", whole(in.Size))})
	}
	if r.Code != "" {
		all = append(all, dependency{kind: "code", name: "training code", sha256: r.Code})
	}
	if r.Image != "" {
		all = append(all, dependency{kind: "image", name: "training image", uri: "docker://" + r.Image, sha256: imageDigest(r.Image)})
	}
	for _, name := range slices.Sorted(maps.Keys(r.Versions)) {
		version := r.Versions[name]
		kind := "pypi"
		if name == "python" {
			kind = "generic"
		}
		all = append(all, dependency{kind: "package", name: name, version: version,
			uri: "pkg:" + kind + "/" + url.PathEscape(strings.ToLower(name)) + "@" + url.PathEscape(version)})
	}
	for i := range all {
		all[i].uri = sound(all[i].uri)
	}
	return slices.DeleteFunc(all, func(d dependency) bool { return d.uri == "" && d.sha256 == "" })
}

// sound is a URI as both formats take it, "" for what is none.
func sound(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return ""
	}
	return u.String()
}

// notes pairs names with those values that there are.
func notes(pairs ...string) map[string]string {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			m[pairs[i]] = pairs[i+1]
		}
	}
	return m
}

func whole(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

// imageDigest is the digest in an image's name, if it is pinned.
func imageDigest(image string) string {
	_, digest, _ := strings.Cut(image, "@")
	if registry.CheckDigest(digest) != nil {
		return ""
	}
	return digest
}

func (v *Version) modelDigest() string {
	f, _ := v.Manifest.File(modelFile)
	return f.SHA256
}

// described says whether the run record is of this very model file.
func (v *Version) described() bool {
	d := v.modelDigest()
	return d != "" && v.Record.Outputs[modelFile] == d
}

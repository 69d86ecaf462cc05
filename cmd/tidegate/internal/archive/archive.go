// Package archive is a version of a model as one file, which carries it from one
// registry to another: a tar, or a tar in zstd, of an index, the version's manifest
// and its files (docs/formats/archive.md).
//
// An archive has one form. Write makes the same bytes of the same version at any
// time, and Read accepts exactly what Write makes: every header, every padding and
// the order of entries follow from the index, so there is no second path, link,
// device, sparse file or trailing byte to be careful with. Neither holds a file in
// memory.
//
//	err := archive.Write(ctx, w, reg, "flights", 7)
//	a, err := archive.Read(file, scratch)
//	model := a.Open(a.Index.Files[0])
package archive

import (
	"archive/tar"
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/schema"
)

// Version is the format that this package writes.
const Version = 1

// Kind is what the index says that the file is.
const Kind = "tidegate.version"

// Names of the entries: the index and its sum, then the manifest, then the files in the order of their paths.
const (
	indexName    = "index.json"
	sumName      = "index.sha256"
	manifestName = "manifest.json"
	filesFolder  = "files/"
)

// Limits of what is read, in bytes. MaxFile is what one put to S3 can carry.
const (
	MaxFile     = 5 << 30
	maxTotal    = 16 << 30
	maxIndex    = 1 << 20
	maxManifest = 4 << 20
)

// block is the unit of a tar: headers, and what contents are padded to. Two blocks of zeros end it.
const block = 512

// Index is the first entry.
type Index struct {
	V       int    `json:"v"`
	Kind    string `json:"kind"`
	Model   Model  `json:"model"`
	Version int    `json:"version"` // in the registry that it comes from
	Digest  string `json:"digest"`
	Files   []File `json:"files"` // all entries after the index and its sum, in order
}

// Model is what a model is for, which belongs to no version and is fixed when the model is created.
type Model struct {
	Name   string      `json:"name"`
	Task   schema.Task `json:"task"`
	Target string      `json:"target,omitempty"`
}

// File is an entry of the archive.
type File struct {
	Path   string `json:"path"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"` // lower-case hex
}

// Name is the path of the file in its version.
func (f File) Name() string { return strings.TrimPrefix(f.Path, filesFolder) }

// newIndex describes a version; body is its manifest as stored.
func newIndex(model registry.Model, m *registry.Manifest, body []byte) Index {
	digest := sha256.Sum256(body)
	index := Index{V: Version, Kind: Kind, Model: Model{Name: model.Name, Task: model.Task, Target: model.Target}, Version: m.Version, Digest: m.Digest,
		Files: []File{{Path: manifestName, Size: int64(len(body)), SHA256: hex.EncodeToString(digest[:])}}}
	for _, f := range ordered(m) {
		index.Files = append(index.Files, File{Path: filesFolder + f.Path, Size: f.Size, SHA256: registry.Hex(f.SHA256)})
	}
	return index
}

// ordered are the files of a manifest as an archive has them.
func ordered(m *registry.Manifest) []registry.File {
	files := slices.Clone(m.Files)
	slices.SortFunc(files, func(a, b registry.File) int { return cmp.Compare(a.Path, b.Path) })
	return files
}

func padded(n int64) int64 { return (n + block - 1) / block * block }

func (x *Index) encode() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(x)
	return b.Bytes(), fault.Wrap(err, fault.Internal, "the index of the archive cannot be encoded")
}

// sum is what sha256sum writes of an index.
func sum(encoded []byte) []byte {
	return fmt.Appendf(nil, "%x  %s\n", sha256.Sum256(encoded), indexName)
}

// header is the one header that an entry can have: a plain file of nobody, from 1970.
func header(name string, size int64) ([]byte, error) {
	var b bytes.Buffer
	err := tar.NewWriter(&b).WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644, Format: tar.FormatUSTAR})
	if err != nil || b.Len() != block {
		return nil, fault.Wrap(cmp.Or(err, tar.ErrHeader), fault.FailedPrecondition, "%s has too long a path, or is too large, for an archive", name)
	}
	return b.Bytes(), nil
}

// Package registration makes a READY version of a model out of what a trainer
// left under uploads/: it reads the ONNX container, derives the schema, loads the
// model with the runtime that will serve it, scores the trainer's holdout again and
// compares, then stores the files by digest and writes the manifest last.
//
// It is the body of the register function, not a registry: numbers, digests and
// write-once keys are registry's. It never trains, and it moves no pointer.
//
// Invariant: a version whose manifest says parity checked answered every holdout
// row as the trainer did, within the tolerance, with the bytes that the manifest
// names. The same model, schema and baseline are the same version, however often
// and by however many callers they are registered.
//
//	r := registration.Registrar{Bucket: bucket, Store: store, Registry: reg, Runtime: onnx, Now: time.Now, Dir: os.TempDir()}
//	out, err := r.Run(ctx, registration.In{Model: "flights", Source: "s3://registry/uploads/01JD…/"})
//
// Messages name files, columns, outputs and rows by number, never a value of the data.
package registration

import (
	"context"
	"io"
	"iter"
	"time"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/inference"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/schema"
)

// DefaultTolerance is how far an answer may be from the trainer's: absolute for
// values up to 1, relative above (docs/formats/version.md, "Parity"). Conversion to
// float32 trees and another thread count give differences of 1e-7; a wrong
// encoding or a swapped column gives ones of 1e-2 and more.
const DefaultTolerance = 1e-5

// In is the payload of the register step.
type In struct {
	Model  string      `json:"model" validate:"required"`
	Task   schema.Task `json:"task,omitempty" validate:"omitempty,oneof=binary_classification multiclass_classification regression unspecified"`
	Target string      `json:"target,omitempty" validate:"max=200"`
	// Source is a folder under uploads/ of the registry bucket ("s3://bucket/uploads/<ulid>/") or one
	// .onnx file in it. Without it only the model is created.
	Source string `json:"source,omitempty" validate:"max=2048"`
	Actor  string `json:"actor,omitempty" validate:"max=200"`
	// Tolerance of the parity check; 0 is DefaultTolerance, or, of a carried version, that of its origin.
	Tolerance float64 `json:"tolerance,omitempty" validate:"gte=0,lte=1"`
	// What the baseline is split by (docs/formats/profile.md). Left out: what the drift policy in force names.
	Segments    []string `json:"segments,omitempty" validate:"max=3,unique,dive,required,max=200"`
	MaxSegments int      `json:"max_segments,omitempty" validate:"gte=0,lte=50"`
	Cluster     string   `json:"cluster,omitempty" validate:"max=200"`

	// Signature, a bundle of the package signature, is attached to Version instead; it must be by PublicKey (PEM).
	Version   int    `json:"version,omitempty" validate:"gte=0"`
	Signature string `json:"signature,omitempty" validate:"max=1048576"`
	PublicKey string `json:"public_key,omitempty" validate:"max=4096"`
	// Carried says that the source is a version of another registry: its manifest.json and every file that
	// it lists, under their paths. It becomes the version with the same digest here.
	Carried bool `json:"carried,omitempty"`
}

// Out is the answer of the register step. Version, digest and parity are absent when only the model was created.
type Out struct {
	Model    string           `json:"model"`
	Created  bool             `json:"created"` // the model; false when it was there
	Version  int              `json:"version,omitempty"`
	Digest   string           `json:"digest,omitempty"`
	Existing bool             `json:"existing"` // the same content was registered before
	Parity   *registry.Parity `json:"parity,omitempty"`
	SignedBy string           `json:"signed_by,omitempty"` // the id of the key whose signature is attached; existing is then about the signature
	Warnings []string         `json:"warnings,omitempty"`  // what the owner should know, but is no reason to refuse
}

// Uploads is the part of blob.Store that reads what was uploaded.
type Uploads interface {
	Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, blob.Info, error)
	List(ctx context.Context, prefix, startAfter string) iter.Seq2[blob.Info, error]
}

// Registrar registers versions. All fields but Limits are required.
type Registrar struct {
	Bucket   string // the registry bucket, as sources name it
	Uploads  Uploads
	Registry *registry.Registry
	Runtime  inference.Runtime
	Now      func() time.Time
	Dir      string // where holdout and predictions are kept while they are compared
	Limits   Limits // zero fields take their defaults
}

// Limits bound what one registration reads.
type Limits struct {
	ModelBytes    int64 // held in memory once, and again by the runtime; default 512 MiB
	TrainingBytes int64 // of the training rows, which are streamed; default 2 GiB
	BaselineBytes int64 // of what is counted in one pass over them, in memory; default 400 MiB. More columns need more passes
	TableBytes    int64 // of holdout.csv and of predictions.csv each, in Dir; default 200 MiB: both fit a Lambda's 512 MB of /tmp
	Rows          int   // of the holdout; default 1,000,000
	BatchRows     int   // rows per run of the model; default 1,000
}

// LimitsFor is what a function of the given memory in MB can take: the model is
// there once in Go and, as ONNX Runtime needs it while it loads, about twice in
// C, so a quarter of the memory is the largest file. The baseline is counted when
// the runtime has let go of the model. 0 gives the defaults.
func LimitsFor(memoryMB int) Limits {
	return Limits{ModelBytes: int64(memoryMB) << 20 / 4, BaselineBytes: int64(memoryMB) << 20 / 4}
}

func (l Limits) withDefaults() Limits {
	if l.ModelBytes <= 0 {
		l.ModelBytes = 512 << 20
	}
	if l.TrainingBytes <= 0 {
		l.TrainingBytes = 2 << 30
	}
	if l.BaselineBytes <= 0 {
		l.BaselineBytes = 400 << 20
	}
	if l.TableBytes <= 0 {
		l.TableBytes = 200 << 20
	}
	if l.Rows <= 0 {
		l.Rows = 1_000_000
	}
	if l.BatchRows <= 0 {
		l.BatchRows = 1000
	}
	return l
}

package ingestion

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/label"
	"github.com/tidegate/tidegate/shared/pause"
	"github.com/tidegate/tidegate/shared/profile"
	"github.com/tidegate/tidegate/shared/registry"
)

// In is an event of EventBridge, "Object Created" of an object under
// labels/landed/. The key is not URL-encoded.
type In struct {
	Detail struct {
		Bucket struct {
			Name string `json:"name"`
		} `json:"bucket"`
		Object struct {
			Key       string `json:"key"`
			VersionID string `json:"version-id"`
		} `json:"object"`
	} `json:"detail"`
}

// UnmarshalJSON takes an event with whatever else AWS puts into it.
func (in *In) UnmarshalJSON(raw []byte) error {
	type plain In
	*in = In{}
	return json.Unmarshal(raw, (*plain)(in))
}

// Out is the answer: small numbers, and where the report is.
type Out struct {
	Report     string `json:"report,omitempty"` // key; "" when there was nothing to file
	Labels     uint64 `json:"labels"`           // filed
	Duplicates uint64 `json:"duplicates,omitempty"`
	Conflicts  uint64 `json:"conflicts,omitempty"`
	LeftOut    uint64 `json:"left_out,omitempty"` // lines that are no labels
	// Gone says that the object was deleted or replaced before it was read.
	Gone bool `json:"gone,omitempty"`
}

// Data is the part of blob.Store that is used of the data bucket.
type Data interface {
	profile.Opener
	Get(ctx context.Context, key string) (blob.Object, error)
	Put(ctx context.Context, key string, body []byte, cond blob.Condition) (blob.Info, error)
	PutStream(ctx context.Context, key string, r io.ReadSeeker, size int64, cond blob.Condition) (blob.Info, error)
}

// Models finds the identity of a model; registry.Registry is one.
type Models interface {
	Model(ctx context.Context, name string) (registry.Model, error)
}

// Meter takes figures of one model, and counts of none; telemetry.Telemetry is one.
type Meter interface {
	Measure(msg, model string, values map[string]float64)
	Count(name string, n int64)
	Flush()
}

// Job files the labels of one bucket. Fields without a default are required.
type Job struct {
	Bucket string // the data bucket, as events name it
	Data   Data
	Models Models
	Meter  Meter
	Log    *slog.Logger
	Dir    string                                           // where runs are sorted; "" is the system's folder for temporary files
	Sleep  func(ctx context.Context, d time.Duration) error // between tries; pause.For when nil

	limits limits // less in tests
}

// Run files the labels of the object that in tells of.
//
// Errors: InvalidArgument, the object holds no labels of a known form, which its
// report says too; PayloadTooLarge, it is above the limits, likewise;
// DeadlineExceeded; Unavailable; Internal.
func (j *Job) Run(ctx context.Context, in In) (Out, error) {
	key := in.Detail.Object.Key
	if in.Detail.Bucket.Name == "" || key == "" {
		return Out{}, fault.Invalid(fault.Violation{Path: "detail", Problem: "must be that of an event of S3, Object Created"})
	}
	if in.Detail.Bucket.Name != j.Bucket || !strings.HasPrefix(key, label.LandedRoot) || strings.HasSuffix(key, "/") {
		return Out{}, nil
	}
	obj, err := profile.OpenObject(ctx, j.Data, key)
	if fault.Is(err, fault.NotFound) {
		j.Log.WarnContext(ctx, "the object is gone: its labels are not filed", "key", key)
		return Out{Gone: true}, nil
	}
	if err != nil {
		return Out{}, err
	}
	info := obj.Info()
	if v := in.Detail.Object.VersionID; v != "" && info.VersionID != "" && v != info.VersionID {
		j.Log.WarnContext(ctx, "the object was replaced: its newer version has an event of its own", "key", key)
		return Out{Gone: true}, nil
	}
	src := profile.Source{Bucket: j.Bucket, Key: key, VersionID: info.VersionID, ETag: info.ETag}
	rep := newReport(src, info)
	if stored, err := j.stored(ctx, rep.key()); err != nil || stored != nil {
		return j.answer(stored, err)
	}
	return j.file(ctx, rep, obj)
}

// file reads and files a source that has no report yet.
func (j *Job) file(ctx context.Context, rep *Report, obj *profile.Object) (Out, error) {
	err := j.filed(ctx, rep, io.NewSectionReader(obj, 0, obj.Size()))
	if err != nil {
		if err = reading(err, rep.Source.Key); !final(err) {
			return Out{}, err
		}
		rep.refuse(err)
	}
	body, err := rep.encode()
	if err != nil {
		return Out{}, err
	}
	created, err := j.put(ctx, rep.key(), body)
	if err != nil {
		return Out{}, err
	}
	if !created { // by another delivery of the event
		stored, err := j.stored(ctx, rep.key())
		return j.answer(stored, err)
	}
	j.tell(ctx, rep)
	return j.answer(rep, nil)
}

// answer is that of a report, stored just now or earlier.
func (j *Job) answer(rep *Report, err error) (Out, error) {
	if err != nil {
		return Out{}, err
	}
	if r := rep.Refused; r != nil {
		return Out{}, fault.New(r.Kind, "%s; see %s", r.Message, rep.key())
	}
	return Out{Report: rep.key(), Labels: rep.Filed, Duplicates: rep.Duplicates, Conflicts: rep.Conflicts, LeftOut: rep.leftOut()}, nil
}

// stored reads a report; nil when there is none.
func (j *Job) stored(ctx context.Context, key string) (*Report, error) {
	obj, err := j.Data.Get(ctx, key)
	if fault.Is(err, fault.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return ParseReport(obj.Body)
}

// Tries of a write whose outcome is open, and the wait between them.
const (
	maxTries = 6
	maxWait  = 2 * time.Second
)

// put writes body once. created is false when the object was there: from another
// delivery, from an earlier try that was cut off, or from one whose answer was lost.
func (j *Job) put(ctx context.Context, key string, body []byte) (created bool, err error) {
	return j.once(ctx, func() error {
		_, err := j.Data.Put(ctx, key, body, blob.Once())
		return err
	})
}

func (j *Job) once(ctx context.Context, write func() error) (created bool, err error) {
	sleep := j.Sleep
	if sleep == nil {
		sleep = pause.For
	}
	for try := 1; ; try++ {
		err := write()
		switch {
		case err == nil:
			return true, nil
		case fault.Is(err, fault.FailedPrecondition):
			return try > 1, nil // a try before may have written it; then nobody else told of it
		case try == maxTries || !fault.Is(err, fault.Unavailable) && !fault.Is(err, fault.Aborted):
			return false, err
		}
		if sleep(ctx, jitter(try)) != nil {
			return false, err
		}
	}
}

// tell measures and logs what is new.
func (j *Job) tell(ctx context.Context, rep *Report) {
	for i := range rep.Models {
		m := &rep.Models[i]
		j.Meter.Measure("labels filed", m.Model, map[string]float64{
			"LabelsFiled": float64(m.Filed), "LabelDuplicates": float64(m.Duplicates), "LabelConflicts": float64(m.Conflicts), "LabelsLeftOut": float64(m.leftOut()),
		})
	}
	j.Meter.Count("LabelLinesLeftOut", int64(rep.leftOut()))
	if rep.Refused != nil {
		j.Meter.Count("LabelSourcesRefused", 1)
	}
	j.Meter.Flush()
	if rep.leftOut() > 0 || rep.Filed == 0 {
		j.Log.WarnContext(ctx, "lines of a source are no labels", "key", rep.Source.Key, "labels", rep.Filed, "left_out", rep.leftOut(), "report", rep.key())
	}
}

// final says whether reading the object again would end the same way.
func final(err error) bool {
	return fault.Is(err, fault.InvalidArgument) || fault.Is(err, fault.PayloadTooLarge)
}

// reading gives an error of reading an object its kind: what is not a fault of the
// store or of a limit is in the object itself, and does not mend.
func reading(err error, key string) error {
	var known *fault.Error
	switch {
	case errors.As(err, &known):
		return err
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return fault.Wrap(err, fault.DeadlineExceeded, "there was no time left to file %s to its end; split it into smaller objects", profile.Cut(key))
	}
	return fault.Wrap(err, fault.InvalidArgument, "%s cannot be read: %v", profile.Cut(key), err)
}

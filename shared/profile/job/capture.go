package job

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/profile"
)

// event profiles a captures object. Other keys are nothing to profile.
func (j *Job) event(ctx context.Context, e *Created) (Out, error) {
	key := e.Object.Key
	if e.Bucket.Name != j.Bucket || !strings.HasPrefix(key, captures) || strings.HasSuffix(key, "/") {
		return Out{}, nil
	}
	obj, err := profile.OpenObject(ctx, j.Data, key)
	if fault.Is(err, fault.NotFound) {
		j.Log.WarnContext(ctx, "the captures object is gone: its rows are in no profile", "key", key)
		return Out{Gone: true}, nil
	}
	if err != nil {
		return Out{}, err
	}
	info := obj.Info()
	if v := e.Object.VersionID; v != "" && info.VersionID != "" && v != info.VersionID {
		j.Log.WarnContext(ctx, "the captures object was replaced: its newer version has an event of its own", "key", key)
		return Out{Gone: true}, nil
	}
	src := profile.Source{Bucket: j.Bucket, Key: key, VersionID: info.VersionID, ETag: info.ETag}
	docs, rep, err := profile.CountCaptures(ctx, io.NewSectionReader(obj, 0, obj.Size()), src, j.baseline)
	if err != nil {
		return Out{}, reading(err, key)
	}
	out := Out{}
	arrived := arrival(key, info.Modified)
	for i := range docs {
		at := profile.CaptureKey(docs[i].Model, arrived, &src)
		stored, err := j.store(ctx, at, &docs[i])
		if err != nil {
			return Out{}, err
		}
		out.Profiles = append(out.Profiles, at)
		out.Rows += stored.Report.Rows
		out.Duplicates += stored.Duplicates
	}
	out.RowsLeftOut = rep.RowsLeftOut()
	if out.RowsLeftOut > 0 || len(docs) == 0 {
		j.Log.WarnContext(ctx, "rows of captures were left out", "key", key, "rows", out.Rows, "left_out", out.RowsLeftOut,
			"malformed", rep.Malformed, "first_malformed", rep.First)
	}
	return out, nil
}

// arrival is the hour in the key of a captures object, or when it was written.
func arrival(key string, modified time.Time) time.Time {
	rest := strings.TrimPrefix(key, captures)
	if len(rest) > 13 {
		if t, err := time.Parse("2006-01-02/15", rest[:13]); err == nil {
			return t
		}
	}
	return modified
}

// reading gives an error of reading an object its kind: what is not a fault of the
// store or of a limit is in the object itself, and does not mend.
func reading(err error, key string) error {
	var known *fault.Error
	switch {
	case errors.As(err, &known):
		return err
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return fault.Wrap(err, fault.DeadlineExceeded, "there was no time left to read %s to its end; split it into smaller objects", profile.Cut(key))
	}
	return fault.Wrap(err, fault.InvalidArgument, "%s cannot be read: %v", profile.Cut(key), err)
}

package job

import (
	"context"
	"strings"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/profile"
)

const gone = "the object was deleted before it was read"

// FailureKey is the key of the reason, in words, for which an item could not be
// counted when it was last tried. The error of a Distributed Map names neither the
// item nor its error: who adds up the items does, and looks here.
func FailureKey(model, job, item string) string {
	return profile.BatchPrefix(model, job) + item + ".failed.txt"
}

// item profiles a part of a batch.
func (j *Job) item(ctx context.Context, i Item) (Out, error) {
	if err := j.check(&i); err != nil {
		return Out{}, err
	}
	key := profile.BatchKey(i.Model, i.Job, i.ID)
	src := profile.Source{Bucket: i.Bucket, Key: i.Key, VersionID: i.VersionID, RowGroups: i.RowGroups}
	done, err := j.stored(ctx, key)
	if err == nil {
		return answer(key, done, &src)
	}
	if !fault.Is(err, fault.NotFound) {
		return Out{}, err
	}
	number, err := j.version(ctx, &i)
	if err != nil {
		return Out{}, err
	}
	d, err := j.count(ctx, &i, src, number)
	if err != nil {
		j.explain(ctx, &i, err)
		return Out{}, err
	}
	if done, err = j.store(ctx, key, &d); err != nil {
		return Out{}, err
	}
	return answer(key, done, &src)
}

// explain keeps the reason of a failure. That it cannot is in the log only: the failure itself is the answer.
func (j *Job) explain(ctx context.Context, i *Item, failure error) {
	why := strings.ReplaceAll(fault.Public(failure).Message, "\n", " ") + "\n"
	if _, err := j.Data.Put(ctx, FailureKey(i.Model, i.Job, i.ID), []byte(why), blob.Always()); err != nil {
		j.Log.WarnContext(ctx, "the reason of a failure is not kept", "job", i.Job, "item", i.ID, "error", err.Error())
	}
}

// answer is that of the profile that is stored, whoever wrote it.
func answer(key string, d *profile.Document, src *profile.Source) (Out, error) {
	if !same(&d.Source, src) {
		return Out{}, fault.New(fault.AlreadyExists, "%s is the profile of another object; give each item of a job a name of its own", key)
	}
	out := Out{Rows: d.Report.Rows, RowsLeftOut: d.Report.RowsLeftOut(), Profile: key}
	for _, u := range d.Report.Uncounted {
		out.Gone = out.Gone || u.Reason == gone
	}
	return out, nil
}

// same compares what an item names; the version that was read counts only if one was named.
func same(stored, asked *profile.Source) bool {
	a, b := *stored, *asked
	if b.VersionID == "" {
		a.VersionID = ""
	}
	a.ETag, b.ETag = "", ""
	return a.ID() == b.ID()
}

// version is the one whose baseline is counted on.
func (j *Job) version(ctx context.Context, i *Item) (int, error) {
	if i.Version != 0 {
		return i.Version, nil
	}
	state, _, err := j.Registry.State(ctx, i.Model)
	if fault.Is(err, fault.NotFound) || err == nil && state.Slots.Champion == nil {
		return 0, fault.New(fault.FailedPrecondition, "model %q has no champion to compare the batch with; promote a version, or name one", i.Model)
	}
	if err != nil {
		return 0, err
	}
	return state.Slots.Champion.Version, nil
}

// count reads the object. One that is gone, and a version without baseline, give a
// profile that says so: a batch ends with every item accounted for.
func (j *Job) count(ctx context.Context, i *Item, src profile.Source, number int) (profile.Document, error) {
	b, digest, err := j.baseline(ctx, i.Model, number)
	reason := ""
	if fault.Is(err, fault.NotFound) {
		if _, absent := j.Registry.Manifest(ctx, i.Model, number); absent != nil {
			return profile.Document{}, absent
		}
		reason, b = fault.Public(err).Message, &profile.Baseline{V: profile.BaselineVersion}
	} else if err != nil {
		return profile.Document{}, err
	}
	nothing := profile.Document{V: profile.DocumentVersion, Model: i.Model, Source: src}
	obj, err := profile.OpenObject(ctx, j.Data, i.Key)
	if fault.Is(err, fault.NotFound) {
		j.Log.WarnContext(ctx, "the object of a batch is gone", "key", i.Key, "job", i.Job, "item", i.ID)
		nothing.Report.Uncounted = []profile.Uncounted{{Reason: gone}}
		return nothing, nil
	}
	if err != nil {
		return profile.Document{}, err
	}
	info := obj.Info()
	if src.VersionID != "" && info.VersionID != "" && info.VersionID != src.VersionID {
		return profile.Document{}, fault.New(fault.FailedPrecondition, "%s was replaced after the batch was planned; start the batch again", profile.Cut(i.Key))
	}
	src.VersionID, src.ETag = info.VersionID, info.ETag
	tally := profile.NewTally(b)
	rep, err := profile.CountRowGroups(ctx, obj, tally, i.RowGroups)
	if err != nil {
		return profile.Document{}, reading(err, i.Key)
	}
	if reason != "" {
		nothing.Source = src
		nothing.Report.Malformed, nothing.Report.First = rep.Malformed, rep.First
		nothing.Report.Uncounted = []profile.Uncounted{{Rows: rep.Rows, Reason: reason}}
		return nothing, nil
	}
	return profile.NewDocument(i.Model, number, digest, src, tally, rep), nil
}

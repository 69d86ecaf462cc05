package watch

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/period"
	"github.com/tidegate/tidegate/shared/profile"
	"github.com/tidegate/tidegate/shared/profile/job"
	"github.com/tidegate/tidegate/shared/registry"
)

const (
	// PlanVersion is the format of a plan that this package writes.
	PlanVersion = 1
	batchFolder = "batches/"
	// maxObjects bounds a batch: a Distributed Map takes more, but one execution must end some day.
	maxObjects = 10_000
	// A part of a Parquet file is as many row groups as have about this many rows or bytes.
	partRows  = 1_000_000
	partBytes = 64 << 20
)

// PlanIn names a batch: one object, all objects under a prefix, or those that a
// manifest lists. Keys are batches/<model>/…; names that begin with "_" or "." are
// passed over, as other programs do.
type PlanIn struct {
	Bucket   string `json:"bucket,omitempty"` // the data bucket; anything else is refused
	Key      string `json:"key,omitempty"`
	Prefix   string `json:"prefix,omitempty"`
	Manifest string `json:"manifest,omitempty"` // key of {"objects":[{"key","version_id"?}]}
}

// PlanOut says where the items are.
type PlanOut struct {
	Model   string `json:"model"`
	Job     string `json:"job"`
	Version int    `json:"version"`
	Bucket  string `json:"bucket"`
	Items   string `json:"items"` // key of a JSON array of items of the function profile
	Count   int    `json:"count"`
	Rows    uint64 `json:"rows"` // that Parquet files say they have; text tells only when it is read
}

// Plan is profiles/<m>/batches/<job>/plan.json: what the items of a batch must add up to.
type Plan struct {
	V       int      `json:"v"`
	Model   string   `json:"model"`
	Job     string   `json:"job"`
	Version int      `json:"version"` // whose baseline is counted on
	Parts   []Part   `json:"parts"`
	Skipped []string `json:"skipped,omitempty"` // keys under the prefix that are no data by their name
	Empty   []string `json:"empty,omitempty"`   // keys of objects without a byte
}

// Part is one item and its rows by the footer; nil where only reading tells.
type Part struct {
	job.Item
	Rows *uint64 `json:"rows,omitempty"`
}

// object is one source of a batch.
type object struct {
	key, version string
	info         blob.Info
}

func (w *Watcher) plan(ctx context.Context, in PlanIn) (PlanOut, error) {
	name, err := w.checkPlan(&in)
	if err != nil {
		return PlanOut{}, err
	}
	m, err := w.model(ctx, name)
	if err != nil {
		return PlanOut{}, err
	}
	if _, _, why, err := w.baseline(ctx, name, m.champion); err != nil {
		return PlanOut{}, err
	} else if why != "" {
		return PlanOut{}, fault.New(fault.FailedPrecondition, "%s", why)
	}
	objects, skipped, err := w.objects(ctx, &in)
	if err != nil {
		return PlanOut{}, err
	}
	if len(objects) == 0 {
		return PlanOut{}, fault.New(fault.NotFound, "the batch has no objects; names that begin with _ or . are passed over")
	}
	p := Plan{V: PlanVersion, Model: name, Version: m.champion, Job: jobID(m.champion, objects), Skipped: skipped, Parts: []Part{}}
	objects = slices.DeleteFunc(objects, func(o object) bool {
		if o.info.Size == 0 {
			p.Empty = append(p.Empty, o.key)
		}
		return o.info.Size == 0
	})
	if err := w.parts(ctx, &p, objects); err != nil {
		return PlanOut{}, err
	}
	return w.storePlan(ctx, &p)
}

// checkPlan returns the model that the batch is of.
func (w *Watcher) checkPlan(in *PlanIn) (model string, err error) {
	if in.Bucket != "" && in.Bucket != w.Bucket {
		return "", fault.Invalid(fault.Violation{Path: "plan.bucket", Problem: "must be the data bucket of this stack"})
	}
	named := 0
	for _, at := range []string{in.Key, in.Prefix, in.Manifest} {
		if at != "" {
			named++
			model, _, _ = strings.Cut(strings.TrimPrefix(at, batchFolder), "/")
			if !strings.HasPrefix(at, batchFolder+model+"/") || registry.CheckName(model) != nil {
				return "", fault.Invalid(fault.Violation{Path: "plan", Problem: "must name something under batches/<model>/"})
			}
		}
	}
	if named != 1 {
		return "", fault.Invalid(fault.Violation{Path: "plan", Problem: "must have one of: key, prefix, manifest"})
	}
	return model, nil
}

// objects are the sources, by key, each with its version.
func (w *Watcher) objects(ctx context.Context, in *PlanIn) (found []object, skipped []string, err error) {
	switch {
	case in.Key != "":
		found = []object{{key: in.Key}}
	case in.Manifest != "":
		found, err = w.manifest(ctx, in.Manifest)
	default:
		for info, err := range w.Data.List(ctx, in.Prefix, "") {
			if err != nil {
				return nil, nil, fmt.Errorf("watch: list a batch: %w", err)
			}
			if base := path.Base(info.Key); strings.HasSuffix(info.Key, "/") || strings.HasPrefix(base, "_") || strings.HasPrefix(base, ".") {
				skipped = append(skipped, info.Key)
				continue
			}
			if found = append(found, object{key: info.Key}); len(found) > maxObjects {
				return nil, nil, fault.New(fault.PayloadTooLarge, "the batch has more than %d objects; split it", maxObjects)
			}
		}
	}
	if err != nil {
		return nil, nil, err
	}
	err = period.Each(ctx, len(found), func(ctx context.Context, i int) error {
		info, err := w.Data.Head(ctx, found[i].key)
		if err != nil {
			return fault.Wrap(err, fault.KindOf(err), "an object of the batch cannot be looked at: %s", profile.Cut(found[i].key))
		}
		if v := found[i].version; v != "" && info.VersionID != v {
			return fault.New(fault.FailedPrecondition, "%s was replaced since the manifest was written", profile.Cut(found[i].key))
		}
		found[i].info, found[i].version = info, info.VersionID
		return nil
	})
	slices.SortFunc(found, func(a, b object) int { return cmp.Compare(a.key, b.key) })
	return found, skipped, err
}

func (w *Watcher) manifest(ctx context.Context, key string) ([]object, error) {
	obj, err := w.Data.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	var m struct {
		Objects []struct {
			Key       string `json:"key"`
			VersionID string `json:"version_id"`
		} `json:"objects"`
	}
	if err := json.Unmarshal(obj.Body, &m); err != nil {
		return nil, fault.New(fault.InvalidArgument, `the manifest must be JSON: {"objects":[{"key":"batches/…"}]}`)
	}
	if len(m.Objects) > maxObjects {
		return nil, fault.New(fault.PayloadTooLarge, "the manifest lists more than %d objects; split it", maxObjects)
	}
	folder := strings.Join(strings.SplitN(key, "/", 3)[:2], "/") + "/"
	var found []object
	seen := map[string]bool{}
	for i, o := range m.Objects {
		if !strings.HasPrefix(o.Key, folder) || seen[o.Key] {
			return nil, fault.Invalid(fault.Violation{Path: fmt.Sprintf("objects[%d].key", i), Problem: "must be a key under " + folder + ", each once"})
		}
		seen[o.Key] = true
		found = append(found, object{key: o.Key, version: o.VersionID})
	}
	return found, nil
}

// jobID names a batch by its content, so that the same batch is the same job. It
// begins with the time of the newest object, and is a window's id.
func jobID(version int, objects []object) string {
	h := sha256.New()
	var at time.Time
	fmt.Fprintf(h, "%d\n", version)
	for _, o := range objects {
		fmt.Fprintf(h, "%q %q %q\n", o.key, o.version, o.info.ETag)
		if o.info.Modified.After(at) {
			at = o.info.Modified
		}
	}
	return at.UTC().Format(batchID) + "-" + hex.EncodeToString(h.Sum(nil)[:6])
}

// parts cuts the objects into items: a text is one, a Parquet file as many as its row groups make.
func (w *Watcher) parts(ctx context.Context, p *Plan, objects []object) error {
	cut := make([][]Part, len(objects))
	err := period.Each(ctx, len(objects), func(ctx context.Context, i int) (err error) {
		cut[i], err = w.partsOf(ctx, objects[i])
		return err
	})
	if err != nil {
		return err
	}
	for _, parts := range cut {
		for _, part := range parts {
			part.Bucket, part.Model, part.Version, part.Job = w.Bucket, p.Model, p.Version, p.Job
			part.ID = fmt.Sprintf("%06d", len(p.Parts)+1)
			p.Parts = append(p.Parts, part)
		}
	}
	return nil
}

func (w *Watcher) partsOf(ctx context.Context, o object) ([]Part, error) {
	whole := Part{Item: job.Item{Key: o.key, VersionID: o.version}}
	src, err := profile.OpenObject(ctx, w.Data, o.key)
	if err != nil {
		return nil, fault.Wrap(err, fault.KindOf(err), "an object of the batch cannot be read: %s", profile.Cut(o.key))
	}
	magic := make([]byte, 4)
	if n, _ := src.ReadAt(magic, 0); n < len(magic) || !bytes.Equal(magic, []byte("PAR1")) {
		return []Part{whole}, nil
	}
	groups, err := rowGroups(src)
	if err != nil { // profile says what is wrong with it, once for the whole file
		return []Part{whole}, nil
	}
	var parts []Part
	for _, c := range chunks(groups) {
		part := whole
		part.RowGroups, part.Rows = c.groups, &c.rows
		parts = append(parts, part)
	}
	if len(parts) == 1 {
		parts[0].RowGroups = nil // the whole file
	}
	return parts, nil
}

// chunk is a run of row groups.
type chunk struct {
	groups []int
	rows   uint64
}

// chunks cuts row groups into runs of about partRows or partBytes; a file without any is one run without rows.
func chunks(groups []rowGroup) []chunk {
	out := []chunk{{}}
	var size uint64
	for i, g := range groups {
		last := &out[len(out)-1]
		if last.rows >= partRows || size >= partBytes {
			out = append(out, chunk{})
			last, size = &out[len(out)-1], 0
		}
		last.groups = append(last.groups, i)
		last.rows += g.rows
		size += g.bytes
	}
	return out
}

type rowGroup struct{ rows, bytes uint64 }

// rowGroups reads a footer. The library trusts lengths in it, so its panics are errors.
func rowGroups(src profile.ReaderAtSize) (groups []rowGroup, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the footer is damaged")
		}
	}()
	f, err := parquet.OpenFile(src, src.Size(), parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return nil, err
	}
	for _, g := range f.Metadata().RowGroups {
		groups = append(groups, rowGroup{rows: uint64(max(0, g.NumRows)), bytes: uint64(max(0, g.TotalCompressedSize))})
	}
	return groups, nil
}

func planKey(model, id string) string { return profile.BatchPrefix(model, id) + "plan.json" }

func (w *Watcher) storePlan(ctx context.Context, p *Plan) (PlanOut, error) {
	out := PlanOut{Model: p.Model, Job: p.Job, Version: p.Version, Bucket: w.Bucket, Items: profile.BatchPrefix(p.Model, p.Job) + "items.json", Count: len(p.Parts)}
	items := make([]job.Item, len(p.Parts))
	for i, part := range p.Parts {
		items[i] = part.Item
		if part.Rows != nil {
			out.Rows += *part.Rows
		}
	}
	for key, doc := range map[string]any{planKey(p.Model, p.Job): p, out.Items: items} {
		body, err := json.Marshal(doc)
		if err != nil {
			return PlanOut{}, fault.Wrap(err, fault.Internal, "the plan of a batch cannot be encoded")
		}
		if _, err := blob.PutOnce(ctx, w.Data, key, append(body, '\n')); err != nil {
			return PlanOut{}, err
		}
	}
	return out, nil
}

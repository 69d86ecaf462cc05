package garbage

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
)

// maxDocument is up to what size a blob is looked into: evidence is far below, models and tables are named by manifests and datasets.
const maxDocument = 32 << 20

// readers is how many objects are read at once.
const readers = 16

// search is one pass over the bucket.
type search struct {
	bucket Bucket
	report *Report
	opt    Options

	blobs   map[string]blob.Info // by digest
	uploads map[string]*Item
	runs    map[string]*Item
	numbers map[string]*Item // versions without a manifest
	roots   []string
	ready   map[string]bool // digests of versions that are READY

	marks     *mentions
	documents map[string]bool // keys of blobs that nothing mentions and that may be named as evidence
	ended     map[string]bool // run ids whose trigger has an outcome
	open      map[string]bool // run ids whose trigger has none
}

// Find lists what nothing refers to; it changes nothing. Errors: InvalidArgument (the
// options), Unavailable, Internal (the bucket cannot be read: then nothing is known).
func (c *Collector) Find(ctx context.Context, opt Options) (*Report, error) {
	opt, err := opt.check()
	if err != nil {
		return nil, err
	}
	now := c.Now().UTC()
	s := &search{bucket: c.Bucket, opt: opt, report: &Report{At: now, Before: now.Add(-opt.OlderThan), Garbage: []Item{}, Kept: []Item{}},
		blobs: map[string]blob.Info{}, uploads: map[string]*Item{}, runs: map[string]*Item{}, numbers: map[string]*Item{},
		ready: map[string]bool{}, ended: map[string]bool{}, open: map[string]bool{}, documents: map[string]bool{}, marks: newMentions()}
	for _, step := range []func(context.Context) error{s.list, s.readRoots, s.keepRuns, s.readDocuments, s.readBlobs} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	s.judgeBlobs()
	s.judgeFolders()
	for i := range s.report.Garbage {
		s.report.Bytes += s.report.Garbage[i].Bytes
		s.report.Objects += s.report.Garbage[i].Objects
	}
	return s.report, nil
}

// list sorts every object of the bucket. What it does not know is a root.
func (s *search) list(ctx context.Context) error {
	for info, err := range s.bucket.List(ctx, "", "") {
		if err != nil {
			return fmt.Errorf("garbage: list the bucket: %w", err)
		}
		s.report.Looked++
		parts := strings.Split(info.Key, "/")
		switch {
		case len(parts) == 4 && parts[0] == "blobs" && registry.CheckDigest(parts[3]) == nil && registry.BlobKey(parts[3]) == info.Key:
			s.blobs[parts[3]] = info
		case len(parts) >= 3 && parts[0] == "uploads" && uploadID(parts[1]) != "":
			collect(s.uploads, Upload, strings.Join(parts[:2], "/")+"/", "", info)
		case len(parts) >= 4 && parts[0] == "runs":
			collect(s.runs, Run, strings.Join(parts[:3], "/")+"/", parts[1], info)
		case parts[0] == "doctor":
		case len(parts) == 4 && parts[0] == "models" && parts[2] == "digests":
		case len(parts) >= 5 && parts[0] == "models" && parts[2] == "versions":
			s.number(parts, info)
		default:
			s.roots = append(s.roots, info.Key)
		}
	}
	return nil
}

// number sorts a file of a version: its manifest mentions all others.
func (s *search) number(parts []string, info blob.Info) {
	folder := strings.Join(parts[:4], "/") + "/"
	item := collect(s.numbers, Unfinished, folder, parts[1], info)
	n, err := strconv.Atoi(parts[3])
	if err != nil || registry.VersionPrefix(parts[1], n) != folder {
		s.roots = append(s.roots, info.Key) // none of ours
	} else if info.Key == registry.ManifestKey(parts[1], n) {
		s.roots = append(s.roots, info.Key)
		item.Reason = "ready"
	}
}

func collect(into map[string]*Item, kind, folder, model string, info blob.Info) *Item {
	item := into[folder]
	if item == nil {
		item = &Item{Kind: kind, Key: folder, Model: model}
		into[folder] = item
	}
	item.add(info)
	return item
}

func (i *Item) add(info blob.Info) {
	i.Objects++
	i.Bytes += info.Size
	i.keys = append(i.keys, info.Key)
	if info.Modified.After(i.At) {
		i.At = info.Modified
	}
}

// uploadID is the part of a folder's name that a mention of it gives away.
func uploadID(folder string) string {
	n := strings.IndexFunc(folder, func(r rune) bool { return r > 127 || !isID(byte(r)) })
	if n < 0 {
		n = len(folder)
	}
	return folder[:min(n, maxUpload)]
}

// readRoots searches the documents that stay whatever happens.
func (s *search) readRoots(ctx context.Context) error {
	var mu sync.Mutex
	return each(ctx, s.roots, func(ctx context.Context, key string) error {
		if !strings.HasSuffix(key, "/manifest.json") && !strings.HasPrefix(key, "triggers/") {
			return s.readInto(ctx, key, &mu, s.marks)
		}
		var body bytes.Buffer
		found := newMentions()
		if err := s.scan(ctx, key, &body, found); err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		s.marks.add(found)
		var doc struct{ Digest, Outcome string }
		err := json.Unmarshal(body.Bytes(), &doc)
		if id, ok := triggerID(key); ok {
			if err == nil && doc.Outcome != "" {
				s.ended[id] = true
			} else {
				s.open[id] = true
			}
		} else if err == nil && doc.Digest != "" {
			s.ready[registry.Hex(doc.Digest)] = true
		}
		return nil
	})
}

// triggerID is the id of the run that a trigger starts: the digest in its key.
func triggerID(key string) (string, bool) {
	name := key[strings.LastIndexByte(key, '/')+1:]
	return strings.TrimSuffix(name, ".json"), strings.HasPrefix(key, "triggers/")
}

func (s *search) readInto(ctx context.Context, key string, mu *sync.Mutex, into *mentions) error {
	found := newMentions()
	if err := s.scan(ctx, key, io.Discard, found); err != nil {
		return err
	}
	mu.Lock()
	defer mu.Unlock()
	into.add(found)
	return nil
}

// scan reads an object to its end. One that is gone since it was listed mentions nothing any more.
func (s *search) scan(ctx context.Context, key string, keep io.Writer, into *mentions) error {
	body, _, err := s.bucket.Open(ctx, key, 0, -1)
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("garbage: read %s: %w", key, err)
	}
	defer body.Close()
	return fault.Wrap(into.read(io.TeeReader(body, keep)), fault.Unavailable, "%s could not be read to its end; try again", key)
}

// keepRuns decides about the results of runs, and searches those that stay. A run stays
// while it is young, while its trigger has no outcome, when a document names it,
// or when it has to do with a version that is READY. What it mentions may name other runs.
func (s *search) keepRuns(ctx context.Context) error {
	of := map[string]*mentions{}
	var mu sync.Mutex
	err := each(ctx, sorted(s.runs), func(ctx context.Context, folder string) error {
		found := newMentions()
		for _, key := range s.runs[folder].keys {
			if err := s.scan(ctx, key, io.Discard, found); err != nil {
				return err
			}
		}
		mu.Lock()
		defer mu.Unlock()
		of[folder] = found
		return nil
	})
	for more := err == nil; more; {
		more = false
		for _, folder := range sorted(s.runs) {
			if run := s.runs[folder]; run.Reason == "" && s.needed(run, of[folder]) {
				run.Reason, more = "needed", true
				s.marks.add(of[folder])
			}
		}
	}
	return err
}

func (s *search) needed(run *Item, found *mentions) bool {
	id := strings.TrimSuffix(run.Key[strings.LastIndexByte(run.Key[:len(run.Key)-1], '/')+1:], "/")
	if !s.old(run.At) || s.open[id] || s.marks.digests[id] || registry.CheckDigest(id) != nil {
		return true
	}
	for digest := range found.digests {
		if s.ready[digest] {
			return true
		}
	}
	return false
}

// readDocuments searches the blobs that are JSON and that nothing mentions: as long as they
// may be named as evidence, what they rest on stays with them.
func (s *search) readDocuments(ctx context.Context) error {
	var keys []string
	for _, digest := range sorted(s.blobs) {
		info := s.blobs[digest]
		if !s.marks.digests[digest] && info.Size <= maxDocument && !info.Modified.Before(s.report.At.Add(-max(DocumentAge, s.opt.OlderThan))) {
			keys = append(keys, info.Key)
		}
	}
	var mu sync.Mutex
	return each(ctx, keys, func(ctx context.Context, key string) error {
		if yes, err := s.document(ctx, key); err != nil || !yes {
			return err
		}
		mu.Lock()
		s.documents[key] = true
		mu.Unlock()
		return s.readInto(ctx, key, &mu, s.marks)
	})
}

// readBlobs searches the blobs that are mentioned, and those that these mention.
func (s *search) readBlobs(ctx context.Context) error {
	seen := map[string]bool{}
	for {
		var next []string
		for digest := range s.marks.digests {
			if info, ok := s.blobs[digest]; ok && !seen[digest] {
				seen[digest] = true
				if info.Size <= maxDocument {
					next = append(next, digest)
				}
			}
		}
		if len(next) == 0 {
			return nil
		}
		var mu sync.Mutex
		err := each(ctx, next, func(ctx context.Context, digest string) error {
			key := s.blobs[digest].Key
			if yes, err := s.document(ctx, key); err != nil || !yes {
				return err
			}
			return s.readInto(ctx, key, &mu, s.marks)
		})
		if err != nil {
			return err
		}
	}
}

// document says whether a blob is JSON, by its first bytes.
func (s *search) document(ctx context.Context, key string) (bool, error) {
	body, _, err := s.bucket.Open(ctx, key, 0, 16)
	if fault.Is(err, fault.NotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("garbage: read %s: %w", key, err)
	}
	defer body.Close()
	head, err := io.ReadAll(body)
	head = bytes.TrimLeft(head, " \t\r\n")
	return len(head) > 0 && (head[0] == '{' || head[0] == '['), fault.Wrap(err, fault.Unavailable, "%s could not be read; try again", key)
}

func (s *search) old(at time.Time) bool { return at.Before(s.report.Before) }

// judgeBlobs lists the blobs that nothing mentions.
func (s *search) judgeBlobs() {
	for _, digest := range sorted(s.blobs) {
		info := s.blobs[digest]
		if s.opt.Model != "" || s.marks.digests[digest] || !s.old(info.Modified) {
			continue
		}
		item := Item{Kind: Blob, Key: info.Key, Reason: "no document mentions it"}
		item.add(info)
		if s.documents[info.Key] {
			item.Reason = "a document that a move may be based on, for a year"
			s.report.Kept = append(s.report.Kept, item)
			continue
		}
		s.report.Garbage = append(s.report.Garbage, item)
	}
}

// judgeFolders lists runs, uploads and numbers. Referrers come before what they refer to: so
// they are removed, and a removal that ends early leaves nothing that dangles.
func (s *search) judgeFolders() {
	var found []Item
	for _, folder := range sorted(s.runs) {
		if run := s.runs[folder]; run.Reason == "" && s.wanted(run.Model) {
			run.Reason = "its run has ended, and no version came of it"
			found = append(found, *run)
		}
	}
	for _, folder := range sorted(s.uploads) {
		upload := s.uploads[folder]
		if s.opt.Model == "" && s.old(upload.At) && !s.marks.uploads[uploadID(strings.Split(folder, "/")[1])] {
			upload.Reason = "registered or given up, and no run mentions it"
			found = append(found, *upload)
		}
	}
	s.report.Garbage = append(found, s.report.Garbage...)
	for _, folder := range sorted(s.numbers) {
		if n := s.numbers[folder]; n.Reason == "" && s.old(n.At) && s.wanted(n.Model) {
			n.Reason = "a registration that was given up; the number is never used again"
			s.report.Kept = append(s.report.Kept, *n)
		}
	}
}

func (s *search) wanted(model string) bool { return s.opt.Model == "" || s.opt.Model == model }

func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, cmp.Compare)
	return keys
}

// each calls do for every key, some at a time, and returns an error of one of them.
func each(parent context.Context, keys []string, do func(context.Context, string) error) error {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	work := make(chan string)
	var group sync.WaitGroup
	for range min(readers, len(keys)) {
		group.Go(func() {
			for key := range work {
				if err := do(ctx, key); err != nil {
					cancel(err)
				}
			}
		})
	}
	for _, key := range keys {
		select {
		case work <- key:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(work)
	group.Wait()
	if err := parent.Err(); err != nil {
		return fault.Wrap(err, fault.Unavailable, "interrupted")
	}
	return context.Cause(ctx)
}

package training

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tidegate/tidegate/shared/dataset"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
)

// RecordVersion is the format of training.json.
const RecordVersion = 1

// RecordFile is the name of the record among the files of a version.
const RecordFile = "training.json"

// Record is training.json: what a version was made of. It lies with the trained files
// and is kept in the manifest of the version.
type Record struct {
	V     int    `json:"v"`
	Model string `json:"model"`
	Run   string `json:"run"`
	Key   string `json:"key"` // sha256 of all that decides what is learned: see Key
	Terms
	Dataset   Ref       `json:"dataset"`
	Trainer   string    `json:"trainer"` // lambda, sagemaker
	Image     string    `json:"image,omitempty"`
	Reason    string    `json:"reason,omitempty"`
	PlannedAt time.Time `json:"planned_at"`
}

// Ref names a pinned dataset.
type Ref struct {
	Name   string `json:"name"`
	Number int    `json:"number"`
	Digest string `json:"digest"` // of its channel
}

// Terms are what decides what is learned, beside the dataset's channel.
type Terms struct {
	SchemaDigest    string            `json:"schema_digest"`
	Hyperparameters map[string]string `json:"hyperparameters"`
	// Code is the digest of the code that trains: of the train function's sources and packages, or of the image.
	Code string `json:"code"`
}

// Key is the digest of a training: of its channel, schema, hyperparameters (seed and
// holdout among them) and code. Equal keys make the same model.
func Key(channel string, t Terms) string {
	if t.Hyperparameters == nil {
		t.Hyperparameters = map[string]string{}
	}
	body, _ := json.Marshal(struct { // of strings alone: it cannot fail, and its maps are sorted
		Layout  int    `json:"layout"`
		Channel string `json:"channel"`
		Terms
	}{1, "sha256:" + registry.Hex(channel), t})
	sum := sha256.Sum256(body)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// ParseRecord reads a training record; ok is false when there is none, as in a
// version that was trained by hand. A damaged one is Internal.
func ParseRecord(raw []byte) (r Record, ok bool, err error) {
	if len(raw) == 0 {
		return Record{}, false, nil
	}
	if err := json.Unmarshal(raw, &r); err != nil {
		return Record{}, false, fault.Wrap(err, fault.Internal, "the training record of a version is damaged")
	}
	if r.V < 1 || r.V > RecordVersion || registry.CheckDigest(r.Key) != nil || registry.CheckDigest(r.Dataset.Digest) != nil {
		return Record{}, false, fault.New(fault.Internal, "the training record of a version is damaged, or of a newer release")
	}
	return r, true, nil
}

// most is how many differences are told in full.
const most = 20

// explain says in which the terms of two trainings differ, older first.
func explain(old, new *Record, before, after *dataset.Document) []string {
	var why []string
	add := func(format string, args ...any) { why = append(why, fmt.Sprintf(format, args...)) }
	if registry.Hex(old.Dataset.Digest) != registry.Hex(new.Dataset.Digest) {
		add("training rows: %s number %d -> %s number %d", old.Dataset.Name, old.Dataset.Number, new.Dataset.Name, new.Dataset.Number)
		if before != nil {
			why = append(why, sources(before, after)...)
		}
	}
	if old.SchemaDigest != new.SchemaDigest {
		add("training schema: %s -> %s", short(old.SchemaDigest), short(new.SchemaDigest))
	}
	names := maps.Clone(old.Hyperparameters)
	if names == nil {
		names = map[string]string{}
	}
	maps.Copy(names, new.Hyperparameters)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if a, b := orUnset(old.Hyperparameters, name), orUnset(new.Hyperparameters, name); a != b {
			add("hyperparameter %s: %s -> %s", name, a, b)
		}
	}
	if old.Code != new.Code {
		add("training code: %s -> %s", short(old.Code), short(new.Code))
	}
	return cut(why)
}

// sources says which objects of two datasets differ.
func sources(before, after *dataset.Document) []string {
	var why []string
	old := map[string]*dataset.Source{}
	for i := range before.Sources {
		if s := &before.Sources[i]; s.Kind == dataset.Table {
			old[s.URI()] = s
		}
	}
	for i := range after.Sources {
		s := &after.Sources[i]
		if s.Kind != dataset.Table {
			continue
		}
		was := old[s.URI()]
		delete(old, s.URI())
		switch {
		case was == nil:
			why = append(why, fmt.Sprintf("training file %s is new: version %s", s.Key, state(s)))
		case was.SHA256 != s.SHA256:
			why = append(why, fmt.Sprintf("training file %s: version %s -> %s", s.Key, state(was), state(s)))
		}
	}
	for _, uri := range slices.Sorted(maps.Keys(old)) {
		why = append(why, fmt.Sprintf("training file %s is gone", old[uri].Key))
	}
	if a, b := window(before), window(after); a != b {
		why = append(why, fmt.Sprintf("outcomes: %s -> %s", a, b))
	}
	return why
}

func window(d *dataset.Document) string {
	if d.Outcomes == nil {
		return "none"
	}
	return fmt.Sprintf("%d labelled rows from %s to %s", d.Outcomes.Rows, d.Outcomes.From.Format(time.RFC3339), d.Outcomes.To.Format(time.RFC3339))
}

// state is what tells two versions of an object apart.
func state(s *dataset.Source) string {
	if s.VersionID != "" {
		return s.VersionID
	}
	return s.ETag
}

func orUnset(of map[string]string, name string) string {
	if v, ok := of[name]; ok {
		return v
	}
	return "unset"
}

func short(digest string) string {
	if h := registry.Hex(digest); len(h) > 12 {
		return h[:12]
	}
	return digest
}

func cut(why []string) []string {
	if len(why) <= most {
		return why
	}
	return append(why[:most:most], fmt.Sprintf("and %d more differences", len(why)-most))
}

package scoring

import (
	"context"
	"slices"
	"strings"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/validate"
)

// Key is where the predictions of an item are, in the data bucket.
func Key(model, run, item string) string {
	return "predictions/" + model + "/" + run + "/" + item + ".ndjson"
}

// FailureKey is the key of the reason, in words, for which an item could not be
// scored when it was last tried: the error of a Distributed Map names neither the
// item nor its error.
func FailureKey(model, run, item string) string {
	return strings.TrimSuffix(Key(model, run, item), ".ndjson") + ".failed.txt"
}

// Folders that tables are read from, as the function's role allows.
var (
	dataFolders     = []string{"batches/"}
	registryFolders = []string{"blobs/", "uploads/"}
)

// Bounds of what an item may name: together they keep its first line below headBytes.
const (
	maxGroups = 4096
	maxKeep   = 100
	maxName   = 256
)

// Names of runs and items go into keys.
var namePattern = validate.NewPattern(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

// check reports every fault of an item.
func (s *Scorer) check(in *In) error {
	var faults []fault.Violation
	bad := func(path, problem string) { faults = append(faults, fault.Violation{Path: path, Problem: problem}) }
	if registry.CheckName(in.Model) != nil {
		bad("model", "must be 1 to 63 of a-z, 0-9, \"-\" and \"_\"")
	}
	if registry.CheckVersion(in.Version) != nil {
		bad("version", "must be the number of a version")
	}
	if !namePattern.MatchString(in.Run) {
		bad("run", "must be 1 to 128 letters, digits, dots, hyphens and underscores")
	}
	if !namePattern.MatchString(in.Item) {
		bad("item", "must be 1 to 128 letters, digits, dots, hyphens and underscores")
	}
	s.checkSource(&in.Source, bad)
	if len(in.IDColumn) > maxName {
		bad("id_column", "is longer than 256 bytes")
	}
	if len(in.Keep) > maxKeep {
		bad("keep", "has more than 100 columns")
	}
	for i, name := range in.Keep {
		if name == "" || len(name) > maxName || slices.Contains(in.Keep[:i], name) {
			bad("keep", "must name each column once, in 1 to 256 bytes")
			break
		}
	}
	if len(faults) > 0 {
		return fault.Invalid(faults...)
	}
	return nil
}

func (s *Scorer) checkSource(src *Source, bad func(path, problem string)) {
	folders := dataFolders
	switch src.Bucket {
	case s.DataBucket:
	case s.RegistryBucket:
		folders = registryFolders
	default:
		bad("source.bucket", "must be the data bucket or the registry bucket of this stack")
		folders = nil
	}
	inside := func(folder string) bool { return strings.HasPrefix(src.Key, folder) && len(src.Key) > len(folder) }
	if folders != nil && !slices.ContainsFunc(folders, inside) || len(src.Key) > 1024 || strings.HasSuffix(src.Key, "/") {
		bad("source.key", "must be an object under "+strings.Join(append(slices.Clone(dataFolders), registryFolders...), ", ")+" (the last two of the registry bucket)")
	}
	if src.RowGroups != nil && len(src.RowGroups) == 0 || len(src.RowGroups) > maxGroups {
		bad("source.row_groups", "must be left out, or be 1 to 4096 numbers")
	}
	for k, g := range src.RowGroups {
		if g < 0 || k > 0 && g <= src.RowGroups[k-1] {
			bad("source.row_groups", "must be numbers of row groups, from 0, ascending")
			break
		}
	}
}

// store is the bucket that a checked item's table is in.
func (s *Scorer) store(src *Source) Opener {
	if src.Bucket == s.DataBucket {
		return s.Data
	}
	return s.Models
}

// explain keeps the reason of a failure. That it cannot is in the log only: the failure itself is the answer.
func (s *Scorer) explain(ctx context.Context, in *In, failure error) {
	why := strings.ReplaceAll(fault.Public(failure).Message, "\n", " ") + "\n"
	key := FailureKey(in.Model, in.Run, in.Item)
	if _, err := s.Data.Put(context.WithoutCancel(ctx), key, []byte(why), blob.Always()); err != nil {
		s.Log.WarnContext(ctx, "the reason of a failure is not kept", "key", key, "error", err.Error())
	}
}

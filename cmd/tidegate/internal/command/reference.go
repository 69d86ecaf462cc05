package command

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/tidegate/tidegate/cmd/tidegate/internal/tables"
	"github.com/tidegate/tidegate/shared/drift"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/monitor"
	"github.com/tidegate/tidegate/shared/profile"
)

// reference is what a window is compared with.
type reference struct {
	baseline *profile.Baseline
	digest   string            // sha256 of its stored form
	types    map[string]string // Model Monitor's inferred types by feature; nil for any other reference
	leftOut  []profile.LeftOut // columns that it could not take
}

// documentLimit bounds a stored document: a baseline of many columns with a million values each is far below.
const documentLimit = 1 << 30

func readDocument(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fault.Wrap(err, fault.InvalidArgument, "%s cannot be opened; check the path", path)
	}
	defer f.Close()
	plain, err := profile.Decompress(f)
	if err != nil {
		return nil, fault.Wrap(err, fault.InvalidArgument, "%s looks compressed, but cannot be read", path)
	}
	defer plain.Close()
	raw, err := io.ReadAll(io.LimitReader(plain, documentLimit+1))
	if err != nil {
		return nil, fault.Wrap(err, fault.InvalidArgument, "%s cannot be read to its end; is it cut short?", path)
	}
	if len(raw) > documentLimit {
		return nil, fault.New(fault.InvalidArgument, "%s is larger than a document can be", path)
	}
	return raw, nil
}

// storedBaseline reads a baseline that profile has frozen.
func (a *app) storedBaseline(path string) (*reference, error) {
	content, err := tables.Sniff(path)
	if err != nil {
		return nil, err
	}
	if content != tables.Baseline {
		return nil, fault.New(fault.InvalidArgument, "%s is no baseline; freeze one with: tidegate profile FILE -o baseline.json", path)
	}
	raw, err := readDocument(path)
	if err != nil {
		return nil, err
	}
	b, err := profile.ParseBaseline(raw)
	if err != nil {
		return nil, fault.Wrap(err, fault.InvalidArgument, "%s is a damaged baseline: %s", path, plainly(err))
	}
	return &reference{baseline: b, digest: digest(raw)}, nil
}

// reference takes a baseline, Model Monitor's statistics, or files of rows, of which a baseline is frozen.
func (a *app) reference(ctx context.Context, paths []string, o tables.Options) (*reference, error) {
	content := tables.Rows
	if len(paths) == 1 {
		var err error
		if content, err = tables.Sniff(paths[0]); err != nil {
			return nil, err
		}
	}
	switch content {
	case tables.Baseline:
		if o.Columns != nil || len(o.Kinds) > 0 {
			return nil, fault.New(fault.InvalidArgument, "--columns and --kind are settled in the baseline %s; give them when it is frozen", paths[0])
		}
		return a.storedBaseline(paths[0])
	case tables.Statistics:
		return a.monitored(paths[0])
	case tables.Profile:
		return nil, fault.New(fault.InvalidArgument, "%s holds counts on the cells of a baseline; the reference is that baseline, or a file of rows", paths[0])
	case tables.Constraints:
		return nil, fault.New(fault.InvalidArgument, "%s holds Model Monitor's constraints; give statistics.json as the reference, and this as --constraints", paths[0])
	}
	set, err := a.rowsOf(paths)
	if err != nil {
		return nil, err
	}
	defer set.Close()
	b, _, summary, err := a.freeze(ctx, set, o)
	if err != nil {
		return nil, err
	}
	a.warn(summary.Report)
	if summary.Report.Malformed > 0 {
		fmt.Fprintf(a.Stderr, "note: %d lines of the reference are no rows and were left out\n", summary.Report.Malformed)
	}
	return &reference{baseline: b, digest: summary.Baseline, leftOut: summary.Report.LeftOut}, nil
}

// split refuses a policy by whose columns the reference is not split.
func (r *reference) split(p *drift.Policy, path string) error {
	by := p.By()
	for _, name := range by.Segments {
		if !slices.ContainsFunc(r.baseline.Segments, func(s profile.Segmentation) bool { return s.Column == name }) {
			return fault.New(fault.InvalidArgument, "the policy names segments by %q, and %s does not hold them; freeze it from its rows with: tidegate profile FILE --segment %s -o baseline.json", profile.Cut(name), path, profile.Cut(name))
		}
	}
	if by.Cluster != "" && (r.baseline.Cluster == nil || r.baseline.Cluster.Column != by.Cluster) {
		return fault.New(fault.InvalidArgument, "the policy names the cluster column %q, and %s does not hold its counts; freeze it from its rows with: tidegate profile FILE --cluster %s -o baseline.json", profile.Cut(by.Cluster), path, profile.Cut(by.Cluster))
	}
	return nil
}

// monitored reads statistics.json of Model Monitor.
func (a *app) monitored(path string) (*reference, error) {
	raw, err := readDocument(path)
	if err != nil {
		return nil, err
	}
	s, err := monitor.ParseStatistics(raw)
	if err != nil {
		return nil, fault.Wrap(err, fault.InvalidArgument, "%s: %s", path, plainly(err))
	}
	b, left, notes := s.Baseline()
	for _, n := range notes {
		fmt.Fprintln(a.Stderr, "note: "+n)
	}
	if len(b.Columns) == 0 {
		return nil, fault.New(fault.InvalidArgument, "%s: none of its features has a distribution to compare with", path)
	}
	stored, err := encode(b)
	if err != nil {
		return nil, err
	}
	return &reference{baseline: b, digest: digest(stored), types: s.Types(), leftOut: left}, nil
}

// plainly is what an error says, for a message that names the file.
func plainly(err error) string {
	return strings.ReplaceAll(said(err), "profile: ", "")
}

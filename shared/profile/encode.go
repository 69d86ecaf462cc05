package profile

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
)

// ID names a source in the key of its profile: the sha256 of bucket, key, version
// and row groups, in hex. Without a version the ETag stands for it.
func (s *Source) ID() string {
	h := sha256.New()
	for _, part := range []string{s.Bucket, s.Key, cmp.Or(s.VersionID, s.ETag)} {
		fmt.Fprintf(h, "%d:%s,", len(part), part)
	}
	for _, g := range s.RowGroups {
		h.Write(strconv.AppendInt(nil, int64(g), 10))
		h.Write([]byte{','})
	}
	return hex.EncodeToString(h.Sum(nil))
}

// CaptureKey is the key of the profile of one captures object, by its hour of arrival.
func CaptureKey(model string, arrived time.Time, source *Source) string {
	return "profiles/" + model + "/" + arrived.UTC().Format("2006-01-02/15") + "/" + source.ID() + ".json"
}

// BatchPrefix is where the profiles of one batch job lie, BatchKey one of them.
func BatchPrefix(model, job string) string { return "profiles/" + model + "/batches/" + job + "/" }

// BatchKey is the key of the profile of one item of a batch job.
func BatchKey(model, job, item string) string { return BatchPrefix(model, job) + item + ".json" }

// NewDocument is the profile of a source without slots and intervals, such as a
// file: one group, in which every row counts for itself.
func NewDocument(model string, version int, baseline string, source Source, t *Tally, rep Report) Document {
	return Document{V: DocumentVersion, Model: model, Source: source, Report: rep,
		Groups: []Group{{Version: version, Baseline: baseline, Sampled: 1, Rows: rep.Rows, Columns: t.States, Split: t.Split}}}
}

// Encode is the stored form: one text for one profile.
func (d *Document) Encode() ([]byte, error) {
	slices.SortFunc(d.Groups, compareGroups)
	d.V = DocumentVersion // a reader of the older format reads what it knows
	if slices.ContainsFunc(d.Groups, func(g Group) bool { return g.Split != nil }) {
		d.V = SplitDocumentVersion
	}
	raw, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("profile: encode: %w", err)
	}
	return append(raw, '\n'), nil
}

func compareGroups(a, b Group) int {
	return cmp.Or(cmp.Compare(a.Version, b.Version), cmp.Compare(a.Baseline, b.Baseline), cmp.Compare(a.Slot, b.Slot),
		cmp.Compare(a.Role, b.Role), cmp.Compare(a.Sampled, b.Sampled), a.Interval.Compare(b.Interval))
}

// ParseDocument reads a stored profile of any version of the format. What cannot
// have been written by Encode is refused: Internal, since the object is damaged.
func ParseDocument(raw []byte) (*Document, error) {
	var d Document
	dec := json.NewDecoder(bytes.NewReader(raw))
	if err := dec.Decode(&d); err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the stored profile is not JSON of its format")
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, fault.New(fault.Internal, "something follows the stored profile")
	}
	if d.V != DocumentVersion && d.V != SplitDocumentVersion {
		return nil, fault.New(fault.Internal, "the profile has format %d; this program reads up to %d", d.V, SplitDocumentVersion)
	}
	if err := d.check(); err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the stored profile is damaged: %v", err)
	}
	return &d, nil
}

func (d *Document) check() error {
	if d.Model != "" && registry.CheckName(d.Model) != nil {
		return fmt.Errorf("its model has no valid name")
	}
	for i := range d.Groups {
		g := &d.Groups[i]
		if i > 0 && compareGroups(d.Groups[i-1], *g) >= 0 {
			return fmt.Errorf("group %d is not in order, or there twice", i)
		}
		if err := g.check(); err != nil {
			return fmt.Errorf("group %d: %w", i, err)
		}
		if i > 0 {
			before := &d.Groups[i-1]
			if before.Baseline == g.Baseline && !sameCells(before.Columns, g.Columns) {
				return fmt.Errorf("group %d has other cells than the one before, on the same baseline", i)
			}
		}
	}
	return nil
}

func (g *Group) check() error {
	if !(g.Sampled > 0 && g.Sampled <= 1) {
		return fmt.Errorf("the sampling share is not above 0 and at most 1")
	}
	if registry.CheckDigest(g.Baseline) != nil {
		return fmt.Errorf("the baseline is not named by its sha256")
	}
	if !g.Interval.IsZero() && (g.Interval.Nanosecond() != 0 || g.Interval.Unix()%int64(Interval/time.Second) != 0) {
		return fmt.Errorf("the interval does not begin on five minutes")
	}
	if g.Errors > g.Requests && g.Requests > 0 {
		return fmt.Errorf("more failed requests than requests")
	}
	for i := range g.Columns {
		s := &g.Columns[i]
		if err := s.check(); err != nil {
			return fmt.Errorf("column %d: %w", i, err)
		}
		if s.Rows > g.Rows {
			return fmt.Errorf("column %d has %d rows of %d", i, s.Rows, g.Rows)
		}
	}
	return g.Split.check(g.Columns)
}

func sameCells(a, b []State) bool {
	return slices.EqualFunc(a, b, func(x, y State) bool { return len(x.Cells) == len(y.Cells) })
}

// Fits says whether the columns of a group, and its split, are counts on the cells of b.
func (b *Baseline) Fits(columns []State, split *Split) error {
	if len(columns) != len(b.Columns) {
		return fault.New(fault.FailedPrecondition, "the profile has %d columns, the baseline %d: it was counted on another baseline; profile its source again", len(columns), len(b.Columns))
	}
	for i := range columns {
		if got, want := len(columns[i].Cells), b.Columns[i].CellCount(); got != want {
			return fault.New(fault.FailedPrecondition, "column %q of the profile has %d cells, that of the baseline %d: it was counted on another baseline; profile its source again",
				Cut(b.Columns[i].Name), got, want)
		}
	}
	return split.fits(b)
}

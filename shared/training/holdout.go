package training

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/tidegate/tidegate/shared/dataset"
	"github.com/tidegate/tidegate/shared/evaluation/trial"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/scoring"
)

// Holdout is the answer of the step: on which rows a new version stands beside the
// champion. Rows from before the end of either's training are left out, as they prove
// nothing.
type Holdout struct {
	Step       string       `json:"step"`
	Model      string       `json:"model"`
	Run        string       `json:"run"`
	Repeated   bool         `json:"repeated,omitempty"`
	Comparable bool         `json:"comparable"`
	Reason     string       `json:"reason"` // why not
	Champion   int          `json:"champion"`
	Version    int          `json:"version"`
	Rows       int64        `json:"rows"`
	LeftOut    int64        `json:"left_out"` // rows of the holdout that one of the two may have learned from
	First      string       `json:"first"`
	Last       string       `json:"last"`
	Scores     []scoring.In `json:"scores"` // payloads of score, the champion's first
	Start      any          `json:"start"`  // trial.Start, or no fields
}

// holdout finds the rows. That there are none is an answer, not an error.
func (p *Planner) holdout(ctx context.Context, in *In) (*Holdout, error) {
	m, err := p.load(ctx, in.Model)
	if err != nil {
		return nil, err
	}
	out := &Holdout{Step: StepHoldout, Model: in.Model, Run: in.Run, Champion: m.champion.Version, Version: in.Version, Scores: []scoring.In{}, Start: none{}}
	not := func(format string, args ...any) (*Holdout, error) {
		out.Reason = fmt.Sprintf(format, args...)
		return out, nil
	}
	if in.Version == m.champion.Version {
		return not("version %d is the champion itself", in.Version)
	}
	manifest, err := p.Registry.Manifest(ctx, in.Model, in.Version)
	if err != nil {
		return nil, err
	}
	held, ok := manifest.File(holdoutFile)
	if !ok {
		return not("version %d was registered without %s", in.Version, holdoutFile)
	}
	raw, err := p.Registry.ReadFile(ctx, &manifest, "training_schema.json")
	if fault.Is(err, fault.NotFound) {
		return not("version %d was registered without training_schema.json", in.Version)
	}
	if err != nil {
		return nil, err
	}
	described, err := dataset.ParseSchema(raw)
	if err != nil {
		return not("the training schema of version %d cannot be used: %s", in.Version, fault.Public(err).Message)
	}
	if described.Time == "" {
		return not("the training schema names no time, so nobody can tell whether the rows are younger than the training")
	}
	cut := later(trainingEnd(&m.champion), trainingEnd(&manifest))
	part, err := p.younger(ctx, held, described, cut)
	if err != nil {
		return nil, err
	}
	out.LeftOut = part.leftOut
	items := []item{}
	if part.rows > 0 {
		items = append(items, item{key: registry.BlobKey(part.digest), name: "holdout"})
		out.Rows, out.First, out.Last = part.rows, part.first.Text(), part.last.Text()
	}
	recent, err := p.recent(ctx, m, described, later(cut, part.last))
	if err != nil {
		return nil, err
	}
	if recent != nil {
		items = append(items, item{key: registry.BlobKey(recent.Digest), name: "recent"})
		out.Rows, out.Last = out.Rows+recent.Rows, recent.Last
		if out.First == "" {
			out.First = recent.First
		}
	}
	if len(items) == 0 {
		return not("no row is left: %d held-out rows are from before the end of the training of version %d or %d (%s)", out.LeftOut, out.Champion, out.Version, cut.Text())
	}
	out.Comparable = true
	p.compare(out, items, described, m.policy.Key)
	return out, nil
}

// item is one table that both versions predict.
type item struct{ key, name string }

// compare writes down what score and the trial are asked.
func (p *Planner) compare(out *Holdout, items []item, described *dataset.Schema, key string) {
	start := trial.Start{Version: out.Version, Label: described.Target, Time: described.Time, Key: key}
	keep := []string{described.Target, described.Time}
	if key != "" && !slices.Contains(keep, key) {
		keep = append(keep, key)
	}
	for _, it := range items {
		for _, version := range []int{out.Champion, out.Version} {
			in := scoring.In{Model: out.Model, Version: version, Run: out.Run, Item: it.name + "-" + strconv.Itoa(version),
				Source: scoring.Source{Bucket: p.RegistryBucket, Key: it.key}, Keep: keep}
			out.Scores = append(out.Scores, in)
			predictions := scoring.Key(in.Model, in.Run, in.Item)
			if version == out.Champion {
				start.Champion = append(start.Champion, predictions)
			} else {
				start.Challenger = append(start.Challenger, predictions)
			}
		}
	}
	out.Start = start
}

// recent pins the labelled outcomes of the last hours that are younger than after; nil: there are none.
func (p *Planner) recent(ctx context.Context, m *model, described *dataset.Schema, after dataset.Moment) (*dataset.Built, error) {
	if m.policy.RecentHours == 0 {
		return nil, nil
	}
	to := m.policy.Outcomes.until(p.Now())
	from := to.Add(-time.Hour * time.Duration(m.policy.RecentHours))
	if t, ok := after.Time(); ok && t.After(from) {
		from = t.Truncate(time.Hour).Add(time.Hour)
	}
	if !from.Before(to) {
		return nil, nil
	}
	outcomes, err := p.outcomes(ctx, m, described, from, to)
	if err != nil {
		return nil, err
	}
	name := m.identity.Name
	built, err := p.Builder.Build(ctx, dataset.Request{Name: name[:min(len(name), 63-len(recentSuffix))] + recentSuffix, Schema: described, Outcomes: outcomes})
	if fault.Is(err, fault.FailedPrecondition) { // no labels yet, or a capture that expired meanwhile: the holdout stands alone
		p.Log.InfoContext(ctx, "no recent outcomes", "model", name, "why", fault.Public(err).Message)
		return nil, nil
	}
	return &built, err
}

const recentSuffix = "-recent"

// trainingEnd is the time of the last row that a version learned from, by its run record; the zero moment where it does not say.
func trainingEnd(m *registry.Manifest) dataset.Moment {
	var record struct {
		Time struct {
			Train struct {
				Last any `json:"last"`
			} `json:"train"`
		} `json:"time"`
	}
	if json.Unmarshal(m.Run, &record) != nil {
		return dataset.Moment{}
	}
	end, _ := dataset.ParseMoment(fmt.Sprint(record.Time.Train.Last))
	return end
}

// later is the later one of two moments; of a time and a plain number the first.
func later(a, b dataset.Moment) dataset.Moment {
	if a.Comparable(b) && b.After(a) || a == (dataset.Moment{}) {
		return b
	}
	return a
}

// piece is what is left of a table.
type piece struct {
	digest        string
	rows, leftOut int64
	first, last   dataset.Moment
}

// younger leaves out the rows that are older than cut. The rows that stay are a blob of
// their own, unless all do.
func (p *Planner) younger(ctx context.Context, held registry.File, described *dataset.Schema, cut dataset.Moment) (*piece, error) {
	in, err := p.spool(ctx, registry.BlobKey(held.SHA256))
	if err != nil {
		return nil, err
	}
	defer discard(in)
	f, err := os.CreateTemp(p.Dir, "holdout-*.csv")
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the temporary storage cannot be used")
	}
	defer discard(f)
	sum := sha256.New()
	buffered := bufio.NewWriter(f)
	to := csv.NewWriter(io.MultiWriter(buffered, sum))
	got := &piece{digest: held.SHA256}
	if err := got.copy(csv.NewReader(bufio.NewReader(in)), to, described.Time, cut); err != nil {
		return nil, err
	}
	to.Flush()
	if err := errors.Join(to.Error(), buffered.Flush()); err != nil {
		return nil, fault.Wrap(err, fault.PayloadTooLarge, "the holdout does not fit the function's temporary storage; give it more (SnapshotStorage)")
	}
	if got.leftOut == 0 || got.rows == 0 {
		return got, nil
	}
	size, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the temporary storage cannot be used")
	}
	got.digest = hex.EncodeToString(sum.Sum(nil))
	return got, p.Registry.PutBlob(ctx, got.digest, f, size)
}

func (got *piece) copy(from *csv.Reader, to *csv.Writer, column string, cut dataset.Moment) error {
	damaged := func(err error) error {
		return fault.Wrap(err, fault.FailedPrecondition, "%s is no table whose column %q holds a time in each row, which a comparison needs", holdoutFile, column)
	}
	from.ReuseRecord = true
	header, err := from.Read()
	if err != nil {
		return damaged(err)
	}
	at := slices.Index(header, column)
	if at < 0 {
		return damaged(errors.New("no such column"))
	}
	_ = to.Write(header) // its errors come with Flush
	for {
		row, err := from.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return damaged(err)
		}
		when, ok := dataset.ParseMoment(row[at])
		if !ok {
			return damaged(fmt.Errorf("row %d", got.rows+got.leftOut+1))
		}
		if when.Comparable(cut) && cut.After(when) {
			got.leftOut++
			continue
		}
		if got.rows == 0 || got.first.After(when) {
			got.first = when
		}
		if got.rows == 0 || when.After(got.last) {
			got.last = when
		}
		got.rows++
		_ = to.Write(row)
	}
}

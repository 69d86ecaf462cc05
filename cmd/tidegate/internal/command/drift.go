package command

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"

	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/tidegate/tidegate/cmd/tidegate/internal/tables"
	"github.com/tidegate/tidegate/shared/drift"
	"github.com/tidegate/tidegate/shared/drift/page"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/monitor"
	"github.com/tidegate/tidegate/shared/period"
	"github.com/tidegate/tidegate/shared/profile"
)

type driftFlags struct {
	reference, current      []string
	policy, constraints     string
	html, violations, named string
	table                   tableFlags
}

func (a *app) driftCommand() *cobra.Command {
	var f driftFlags
	c := &cobra.Command{
		Use:   "drift --reference FILE --current FILE…",
		Short: "Compare rows with a reference: drift, no drift, or not enough data; needs no stack",
		Long: `Compares the current rows with a reference, column by column, and says drift, no drift, or not
enough data, each with its error: at most 5 % of clean jobs alarm. Files are Parquet, CSV or NDJSON
(the last two also compressed), several are one table; or baselines and profiles that tidegate profile
has written. A reference may also be statistics.json of SageMaker Model Monitor.

Exit codes: 0 no drift, 1 drift, 2 not enough data, 3 error.`,
		Example: `  tidegate drift --reference train.parquet --current july.csv.gz --html report.html
  tidegate drift --reference baseline.json --current july/*.parquet --policy policy.json --json
  tidegate drift --reference statistics.json --constraints constraints.json --current july.csv --violations constraint_violations.json`,
		RunE: func(c *cobra.Command, args []string) error {
			f.current = append(f.current, args...) // what a shell makes of july/*.parquet
			return a.drift(c.Context(), f)
		},
	}
	c.Flags().StringArrayVar(&f.reference, "reference", nil, "baseline, statistics.json, or file of rows; may be given more than once")
	c.Flags().StringArrayVar(&f.current, "current", nil, "file of rows, or profile counted on the reference; may be given more than once")
	c.Flags().StringVar(&f.policy, "policy", "", "what is compared, and how strictly: a drift policy (JSON)")
	c.Flags().StringVar(&f.constraints, "constraints", "", "constraints.json of Model Monitor: its thresholds as tolerances")
	c.Flags().StringVar(&f.html, "html", "", "write the report as one HTML page")
	c.Flags().StringVar(&f.violations, "violations", "", "write what drifted as Model Monitor's constraint_violations.json")
	c.Flags().StringVar(&f.named, "name", "files", "what the window is called in the report")
	f.table.register(c)
	c.AddCommand(a.calibrateCommand())
	return c
}

func (f *driftFlags) check() error {
	switch {
	case len(f.reference) == 0:
		return fault.New(fault.InvalidArgument, "--reference is missing: the baseline or the rows to compare with")
	case len(f.current) == 0:
		return fault.New(fault.InvalidArgument, "--current is missing: the rows to judge")
	case f.named == "" || len(f.named) > 128:
		return fault.New(fault.InvalidArgument, "--name must have 1 to 128 bytes")
	}
	return nil
}

func (a *app) drift(ctx context.Context, f driftFlags) error {
	if err := f.check(); err != nil {
		return err
	}
	o, err := f.table.options()
	if err != nil {
		return err
	}
	policy, err := readPolicy(f.policy)
	if err != nil {
		return err
	}
	o.By = policy.By()
	ref, err := a.reference(ctx, f.reference, o)
	if err != nil {
		return err
	}
	if ref.baseline.Rows == 0 {
		return fault.New(fault.InvalidArgument, "the reference %s has no rows: there is nothing to compare with", f.reference[0])
	}
	if err := ref.split(&policy, f.reference[0]); err != nil {
		return err
	}
	if policy, err = a.constrain(policy, ref, f.constraints); err != nil {
		return err
	}
	w, err := a.window(ctx, f.current, ref, o)
	if err != nil {
		return err
	}
	report, err := judge(ref, w, policy, f.named)
	if err != nil {
		return err
	}
	if err := f.write(report, w, ref); err != nil {
		return err
	}
	a.exit = exitOf(report.Verdict)
	if a.json {
		raw, err := report.Encode()
		if err != nil {
			return err
		}
		_, err = a.Stdout.Write(raw)
		return fault.Wrap(err, fault.Internal, "the report cannot be written")
	}
	reportTable(a.Stdout, report)
	return nil
}

func exitOf(v drift.Verdict) int {
	switch v {
	case drift.Drifted:
		return ExitWrong
	case drift.NoDrift:
		return ExitOK
	}
	return ExitUnknown
}

func readPolicy(path string) (drift.Policy, error) {
	if path == "" {
		return drift.DefaultPolicy(), nil
	}
	raw, err := readDocument(path)
	if err != nil {
		return drift.Policy{}, err
	}
	p, err := drift.ParsePolicy(raw)
	if err != nil {
		return drift.Policy{}, inFile(path, err)
	}
	return p, nil
}

// inFile names the file in every violation of err.
func inFile(path string, err error) error {
	known := fault.Public(err)
	if len(known.Violations) == 0 {
		return fault.Wrap(err, fault.InvalidArgument, "%s: %s", path, plainly(err))
	}
	named := slices.Clone(known.Violations)
	for i := range named {
		named[i].Path = path + ": " + named[i].Path
	}
	return fault.Invalid(named...)
}

// constrain applies Model Monitor's constraints to the policy.
func (a *app) constrain(p drift.Policy, ref *reference, path string) (drift.Policy, error) {
	if path == "" {
		return p, nil
	}
	raw, err := readDocument(path)
	if err != nil {
		return p, err
	}
	c, err := monitor.ParseConstraints(raw)
	if err != nil {
		return p, fault.Wrap(err, fault.InvalidArgument, "%s: %s", path, plainly(err))
	}
	p, notes := c.Policy(ref.baseline, p)
	for _, n := range notes {
		fmt.Fprintln(a.Stderr, "note: "+n)
	}
	return p, p.Check()
}

// window adds up the current rows: files of rows, or profiles counted on the reference.
func (a *app) window(ctx context.Context, paths []string, ref *reference, o tables.Options) (*profile.Window, error) {
	w := profile.NewWindow(ref.baseline, ref.digest, profile.Selection{})
	var files []string
	for _, path := range paths {
		content, err := tables.Sniff(path)
		if err != nil {
			return nil, err
		}
		switch content {
		case tables.Rows:
			files = append(files, path)
		case tables.Profile:
			if err := addProfile(w, ref.digest, path); err != nil {
				return nil, err
			}
		default:
			return nil, fault.New(fault.InvalidArgument, "%s is a %s; --current takes rows, or a profile: tidegate profile FILE --baseline REFERENCE -o profile.json", path, content)
		}
	}
	if len(files) == 0 {
		return w, nil
	}
	set, err := a.rowsOf(files)
	if err != nil {
		return nil, err
	}
	defer set.Close()
	o.Columns, o.Kinds = nil, nil // the reference has them
	t, report, err := a.countSet(ctx, set, ref.baseline, o)
	if err != nil {
		return nil, err
	}
	a.warn(report)
	d := profile.NewDocument("", 0, ref.digest, profile.Source{Key: "files"}, t, report.Stored())
	return w, w.Add(&d)
}

func addProfile(w *profile.Window, digest, path string) error {
	raw, err := readDocument(path)
	if err != nil {
		return err
	}
	d, err := profile.ParseDocument(raw)
	if err != nil {
		return fault.Wrap(err, fault.InvalidArgument, "%s: %s", path, plainly(err))
	}
	if err := w.Add(d); err != nil {
		return fault.Wrap(err, fault.FailedPrecondition, "%s was counted on another baseline than this reference (sha256 %.12s); count its rows again: tidegate profile FILE --baseline REFERENCE -o %s", path, digest, path)
	}
	return nil
}

// judge compares. Columns that the window's files hold in a form that cannot be
// counted do not gate: nothing is known of them.
func judge(ref *reference, w *profile.Window, p drift.Policy, name string) (*drift.Report, error) {
	job := drift.Job{Window: period.Window{ID: name, Batch: true}, Baseline: ref.baseline, Digest: ref.digest,
		Policy: p, Strata: w.Strata(), Totals: w.Totals()}
	job.Policy.Columns = maps.Clone(p.Columns)
	for _, l := range job.Totals.Report.LeftOut {
		if _, ok := ref.baseline.Column(l.Column); !ok {
			continue
		}
		if job.Policy.Columns == nil {
			job.Policy.Columns = map[string]drift.ColumnPolicy{}
		}
		off := false
		column, ok := job.Policy.Columns[l.Column]
		if !ok {
			column.Tolerances = p.Tolerances
		}
		column.Gate = &off
		job.Policy.Columns[l.Column] = column
	}
	for _, l := range ref.leftOut {
		job.LeftOut = append(job.LeftOut, drift.LeftOut{Reason: drift.LeftColumn, Count: 1, Unit: drift.UnitColumns,
			Detail: fmt.Sprintf("%q, in the reference: %s", profile.Cut(l.Column), l.Reason)})
	}
	return drift.Judge(job)
}

// write writes the files that were asked for.
func (f *driftFlags) write(r *drift.Report, w *profile.Window, ref *reference) error {
	if f.html != "" {
		html, err := page.HTML(r)
		if err != nil {
			return err
		}
		if err := os.WriteFile(f.html, html, 0o644); err != nil {
			return fault.Wrap(err, fault.InvalidArgument, "%s cannot be written; check the path", f.html)
		}
	}
	if f.violations == "" {
		return nil
	}
	raw, err := json.MarshalIndent(monitor.Report(r, w.Totals().Report.Absent, ref.types), "", "  ")
	if err != nil {
		return fault.Wrap(err, fault.Internal, "the violations cannot be encoded")
	}
	if err := os.WriteFile(f.violations, append(raw, '\n'), 0o644); err != nil {
		return fault.Wrap(err, fault.InvalidArgument, "%s cannot be written; check the path", f.violations)
	}
	return nil
}

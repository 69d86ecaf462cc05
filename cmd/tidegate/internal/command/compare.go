package command

import (
	"context"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/tidegate/tidegate/cmd/tidegate/internal/scored"
	"github.com/tidegate/tidegate/shared/evaluation"
	"github.com/tidegate/tidegate/shared/evaluation/comparison"
	"github.com/tidegate/tidegate/shared/evaluation/quality"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/period"
	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/shared/stat"
)

type compareFlags struct {
	segment string
	common  bool
	scoredFlags
}

func (a *app) compareCommand() *cobra.Command {
	var f compareFlags
	c := &cobra.Command{
		Use:   "compare A B --labels FILE…",
		Short: "Say whether predictions B are better than predictions A of the same rows; needs no stack",
		Long: `Joins two tables of predictions and the labels by their id, and compares them on the rows that both
have: differences with 95 % intervals, McNemar's and DeLong's tests, segments. Standard errors are the
largest of by row, by --key and by hour of --time. Rows that only one table has are refused, unless
--common is given: a model that is not asked the hard questions looks better.

Exit codes: 0 B is not worse (its margin is ruled out), 1 B is worse, 2 too few rows to say, 3 error.`,
		Example: `  tidegate compare champion.parquet challenger.parquet --labels labels.csv
  tidegate compare a.csv b.csv --labels l.csv --score p --label late --key tailnum --segment carrier --html compare.html`,
		Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			f.given(c)
			return a.compare(c.Context(), &f, args[0], args[1])
		},
	}
	c.Flags().StringVar(&f.segment, "segment", "", "column whose largest values are compared apart")
	c.Flags().BoolVar(&f.common, "common", false, "compare the rows that both tables have, though each has others")
	f.register(c)
	return c
}

func (a *app) compare(ctx context.Context, f *compareFlags, first, second string) error {
	if len(f.labels) == 0 {
		return fault.New(fault.InvalidArgument, "--labels is missing: what the predictions are compared with")
	}
	if err := f.check(); err != nil {
		return err
	}
	policy, err := comparisonPolicy(f)
	if err != nil {
		return err
	}
	in, done, err := f.input([][]string{{first}, {second}})
	if err != nil {
		return err
	}
	defer done()
	r, err := a.compared(ctx, f, in, policy, names(first, second))
	if err != nil {
		return err
	}
	if err := writePage(f.html, r); err != nil {
		return err
	}
	a.exit = compareExit(r)
	return a.printReport(r, comparisonTable)
}

// names are what two tables are called: by their files, or by their paths where those are the same.
func names(first, second string) [2]string {
	if a, b := filepath.Base(first), filepath.Base(second); a != b {
		return [2]string{a, b}
	}
	return [2]string{first, second}
}

func comparisonPolicy(f *compareFlags) (comparison.Policy, error) {
	p := comparison.DefaultPolicy()
	if f.policy != "" {
		raw, err := readDocument(f.policy)
		if err != nil {
			return p, err
		}
		if p, err = comparison.ParsePolicy(raw); err != nil {
			return p, inFile(f.policy, err)
		}
	}
	if f.segment != "" {
		p.Segments.Column = f.segment
	}
	return p, p.Check()
}

// compared counts the pairs and judges them.
func (a *app) compared(ctx context.Context, f *compareFlags, in *scored.Input, policy comparison.Policy, called [2]string) (*evaluation.Report, error) {
	bar := a.progress(4*in.Size(), "comparing", true)
	defer bar.Finish()
	in.Read = func(n int64) { bar.Add64(n) }
	spec, err := pairSpec(ctx, f, in, policy, called)
	if err != nil {
		return nil, err
	}
	layouts, err := in.Layouts(ctx)
	if err != nil {
		return nil, err
	}
	if in.Task == schema.Binary && in.Scored() {
		spec.Champion.Bins, spec.Challenger.Bins = layouts[0].Bins[0], layouts[1].Bins[0]
	}
	quick := quality.DefaultPolicy()
	setup := &evaluation.Setup{Task: evaluation.TaskOf(in.Task), Classes: in.ClassNames(), Policy: quick, Keyed: f.key != "",
		Versions: []evaluation.Version{{Version: 1, Layout: layouts[0]}, {Version: 2, Layout: layouts[1]}},
		Pairing:  &evaluation.Pairing{Champion: 1, Challenger: 2, Spec: *spec, Column: policy.Segments.Column}}
	t, err := in.Tally(ctx, setup)
	if err != nil {
		return nil, err
	}
	why := evaluation.Reference{Why: "two tables are compared with each other, not with a reference"}
	return evaluation.Judge(evaluation.Job{Window: period.Window{ID: f.named, Batch: true}, Tally: t, Champion: 1, Comparison: policy,
		References: map[int]evaluation.Reference{1: why, 2: why}, Names: map[int]string{1: called[0], 2: called[1]}})
}

// pairSpec is what is compared: the same content twice is refused by it.
func pairSpec(ctx context.Context, f *compareFlags, in *scored.Input, policy comparison.Policy, called [2]string) (*comparison.Spec, error) {
	task := comparison.Task(evaluation.TaskOf(in.Task))
	spec := &comparison.Spec{Task: task, Pinned: !f.common, Block: comparison.NoTime, Probabilities: in.Task == schema.Multiclass && in.Scored()}
	if f.time != "" {
		spec.Block = policy.Block
	}
	dataset, err := scored.Digest(ctx, in.Labels)
	if err != nil {
		return nil, err
	}
	for i, side := range []*comparison.Version{&spec.Champion, &spec.Challenger} {
		side.Name, side.Dataset = called[i], dataset
		if side.Digest, err = scored.Digest(ctx, in.Predictions[i]); err != nil {
			return nil, err
		}
	}
	if err := spec.Check(); err != nil {
		return nil, err
	}
	if s := policy.Segments; s.Column != "" {
		counts, err := in.Pairs(ctx, s.Column)
		if err != nil {
			return nil, err
		}
		spec.Segments = comparison.ChooseSegments(counts, task, s.Limit, uint64(s.Pairs), uint64(s.PerClass))
	}
	return spec, nil
}

// harm says, for one look, whether the second table is worse by more than the
// margin of the primary metric: yes, no, or unknown (nil).
func harm(c *comparison.Report) *bool {
	d := &c.Metrics[0]
	yes, no := true, false
	switch {
	case c.Identical == c.Pairs.Pairs:
		return &no
	case d.Unknown != "" || len(c.Bounds) == 0:
		return nil
	}
	margin := c.Bounds[0].Margin
	half := stat.Z(1-c.Alpha)*d.SE.Largest() + d.Resolution
	switch {
	case d.Delta-half > -margin:
		return &no
	case d.Delta+half < 0: // worse, by however little
		return &yes
	}
	return nil
}

func compareExit(r *evaluation.Report) int {
	if r.Comparison == nil {
		return ExitUnknown
	}
	switch h := harm(r.Comparison); {
	case h == nil:
		return ExitUnknown
	case *h:
		return ExitWrong
	}
	return ExitOK
}

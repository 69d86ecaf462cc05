package command

import (
	"context"
	"io"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/tidegate/tidegate/cmd/tidegate/internal/scored"
	"github.com/tidegate/tidegate/shared/evaluation"
	"github.com/tidegate/tidegate/shared/evaluation/page"
	"github.com/tidegate/tidegate/shared/evaluation/quality"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/period"
)

type evaluateFlags struct {
	predictions, reference []string
	chunk                  string
	scoredFlags
}

func (a *app) evaluateCommand() *cobra.Command {
	var f evaluateFlags
	c := &cobra.Command{
		Use:   "evaluate --predictions FILE… [--labels FILE…]",
		Short: "Say how good predictions were, and whether that is worse than a reference; needs no stack",
		Long: `Joins predictions with labels by their id, and prints every metric with a 95 % interval. With a
reference it says degraded, fine, or not enough data, and estimates the quality of rows whose label
is missing (CBPE). Files are Parquet, CSV or NDJSON (the last two also compressed), several are one
table. A reference is a reference.json, or a table of predictions with their labels.

Exit codes: 0 fine, 1 degraded, 2 not enough data (always, without a reference), 3 error. With
--chunk that of the standing: two of the last three chunks alike.`,
		Example: `  tidegate evaluate --predictions july.parquet --labels labels.csv --reference holdout.parquet
  tidegate evaluate --predictions scored.csv --label late --score p_late --time time_hour --chunk month --reference april.csv --html report.html
  tidegate evaluate --predictions p.ndjson --labels l.ndjson --task regression --prediction minutes --segment carrier --json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			f.given(c)
			return a.evaluate(c.Context(), &f)
		},
	}
	c.Flags().StringArrayVar(&f.predictions, "predictions", nil, "file or folder of predictions; may be given more than once")
	c.Flags().StringArrayVar(&f.reference, "reference", nil, "reference.json, or table of labelled predictions; may be given more than once")
	c.Flags().StringSliceVar(&f.segments, "segment", nil, "column whose values are measured apart; may be given more than once")
	c.Flags().StringVar(&f.chunk, "chunk", "", "cut by --time: day, month, or so many rows")
	f.register(c)
	return c
}

func (f *evaluateFlags) check() error {
	switch {
	case len(f.predictions) == 0:
		return fault.New(fault.InvalidArgument, "--predictions is missing: the table to judge")
	case f.chunk != "" && f.time == "":
		return fault.New(fault.InvalidArgument, "--chunk needs --time, the column of times to cut by")
	}
	return f.scoredFlags.check()
}

func (a *app) evaluate(ctx context.Context, f *evaluateFlags) error {
	if err := f.check(); err != nil {
		return err
	}
	policy, err := qualityPolicy(&f.scoredFlags)
	if err != nil {
		return err
	}
	ref, err := a.qualityReference(ctx, &f.scoredFlags, f.reference)
	if err != nil {
		return err
	}
	in, done, err := f.input([][]string{f.predictions})
	if err != nil {
		return err
	}
	defer done()
	r, err := a.evaluated(ctx, f, in, ref, policy)
	if err != nil {
		return err
	}
	if err := writePage(f.html, r); err != nil {
		return err
	}
	a.exit = evaluateExit(r)
	return a.printReport(r, evaluationTable)
}

// evaluated counts and judges the tables.
func (a *app) evaluated(ctx context.Context, f *evaluateFlags, in *scored.Input, ref evaluation.Reference, policy quality.Policy) (*evaluation.Report, error) {
	bar := a.progress(3*in.Size(), "evaluating", true)
	defer bar.Finish()
	in.Read = func(n int64) { bar.Add64(n) }
	setup := &evaluation.Setup{Task: evaluation.TaskOf(in.Task), Classes: in.ClassNames(), Policy: policy, Keyed: f.key != ""}
	if ref.Reference != nil {
		setup.Versions = []evaluation.Version{{Version: 1, Layout: ref.Reference.Layout}}
		var err error
		if ref.Estimator, err = quality.NewEstimator(ref.Reference); err != nil {
			return nil, err
		}
	} else {
		layouts, err := in.Layouts(ctx)
		if err != nil {
			return nil, err
		}
		setup.Versions = []evaluation.Version{{Version: 1, Layout: layouts[0]}}
	}
	job := evaluation.Job{Window: period.Window{ID: f.named, Batch: true}, Champion: 1, References: map[int]evaluation.Reference{1: ref},
		Names: map[int]string{1: "predictions"}}
	var err error
	if job.Tally, err = in.Tally(ctx, setup); err != nil {
		return nil, err
	}
	if f.chunk != "" {
		if err := a.chunked(ctx, f, in, &job); err != nil {
			return nil, err
		}
	}
	return evaluation.Judge(job)
}

// chunked judges the stretches of the table, each as a window of its own.
func (a *app) chunked(ctx context.Context, f *evaluateFlags, in *scored.Input, job *evaluation.Job) error {
	cut, err := scored.ParseCut(f.chunk)
	if err != nil {
		return err
	}
	chunks, placed, err := in.Chunks(ctx, job.Tally.Setup(), cut)
	if err != nil {
		return err
	}
	if rows := job.Tally.Rows(); rows > placed {
		job.LeftOut = append(job.LeftOut, evaluation.LeftOut{Reason: "without_time", Count: rows - placed, Unit: evaluation.UnitRows,
			Detail: "without a time that can be read: in no chunk"})
	}
	job.Chunks = make([]evaluation.Past, len(chunks))
	bar := a.progress(int64(len(chunks)), "judging chunks", false)
	defer bar.Finish()
	return period.Each(ctx, len(chunks), func(_ context.Context, i int) error {
		one := evaluation.Job{Window: chunks[i].Window, Champion: 1, References: job.References, Tally: chunks[i].Tally}
		r, err := evaluation.Judge(one)
		if err != nil {
			return err
		}
		job.Chunks[i] = r.Past()
		job.Chunks[i].Report, job.Chunks[i].Revision = "", 0 // no report of its own is kept
		if v := r.Version(1); v != nil {
			job.Chunks[i].Points = v.Points()
		}
		bar.Add(1)
		return nil
	})
}

// qualityPolicy reads the policy; what the flags say of columns counts.
func qualityPolicy(f *scoredFlags) (quality.Policy, error) {
	p := quality.DefaultPolicy()
	if f.policy != "" {
		raw, err := readDocument(f.policy)
		if err != nil {
			return p, err
		}
		if p, err = quality.ParsePolicy(raw); err != nil {
			return p, inFile(f.policy, err)
		}
	}
	for _, s := range f.segments {
		if !slices.Contains(p.Segments, s) {
			p.Segments = append(p.Segments, s)
		}
	}
	if f.key == "" {
		f.key = p.Key
	}
	if err := p.Check(); err != nil {
		return p, err
	}
	return p, p.CheckTask(evaluation.TaskOf(f.schemaTask()))
}

func evaluateExit(r *evaluation.Report) int {
	if len(r.Chunks) > 0 {
		switch r.Standing.After {
		case quality.StandingDegraded:
			return ExitWrong
		case quality.StandingOK:
			return ExitOK
		}
		return ExitUnknown
	}
	switch r.Verdict {
	case quality.Degraded:
		return ExitWrong
	case quality.Fine:
		return ExitOK
	}
	return ExitUnknown
}

func writePage(path string, r *evaluation.Report) error {
	if path == "" {
		return nil
	}
	html, err := page.HTML(r)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, html, 0o644); err != nil {
		return fault.Wrap(err, fault.InvalidArgument, "%s cannot be written; check the path", path)
	}
	return nil
}

// printReport prints the report's own form with --json, else a table.
func (a *app) printReport(r *evaluation.Report, human func(io.Writer, *evaluation.Report)) error {
	if !a.json {
		human(a.Stdout, r)
		return nil
	}
	raw, err := r.Encode()
	if err != nil {
		return err
	}
	_, err = a.Stdout.Write(raw)
	return fault.Wrap(err, fault.Internal, "the report cannot be written")
}

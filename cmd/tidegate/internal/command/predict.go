package command

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidegate/tidegate/cmd/tidegate/endpoint"
	"github.com/tidegate/tidegate/cmd/tidegate/internal/bulk"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/rows"
)

type predictFlags struct {
	input, format    string
	output, as       string
	version          int
	batch, at        int
	json, resume     bool
	allowMissingCols bool
}

// predictSummary is what predict prints at the end, on standard error when the rows go to standard output.
type predictSummary struct {
	Model   string         `json:"model"`
	Rows    int            `json:"rows"`
	Skipped int            `json:"skipped,omitempty"` // answered by an earlier run
	Retries int            `json:"retries"`
	Version map[string]int `json:"rows_by_version"`
	Seconds float64        `json:"seconds"`
}

func (a *app) predictCommand() *cobra.Command {
	var f predictFlags
	c := &cobra.Command{
		Use:   "predict MODEL FILE",
		Short: "Send the rows of a file through the prediction API",
		Long: `Sends the rows of a CSV, NDJSON or Parquet file ("-" reads standard input) and writes one line
per row, in the same order: row number, inference id, version, outputs. Columns are matched by name and
typed by the model's signature; others are left out. Empty cells and null are missing values.

Refusals for load (429, 503) are tried again. With -o and --resume an interrupted run goes on
behind the last complete line of its output.`,
		Example: "  tidegate predict flights april.csv -o answers.ndjson\n  tidegate predict flights april.parquet -o answers.csv --batch 1000 --concurrency 8",
		Args:    cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			f.input = args[1]
			return a.predict(c.Context(), args[0], f)
		},
	}
	c.Flags().StringVar(&f.format, "format", "", "csv, ndjson or parquet (default: by the file's name)")
	c.Flags().StringVarP(&f.output, "output", "o", "-", "where the answers go")
	c.Flags().StringVar(&f.as, "as", "", "ndjson or csv (default: by the output's name, else ndjson)")
	c.Flags().IntVar(&f.version, "version-number", 0, "ask for this version, which must hold a slot (default: as routed)")
	c.Flags().IntVar(&f.batch, "batch", 500, "rows per request")
	c.Flags().IntVar(&f.at, "concurrency", 4, "requests at once")
	c.Flags().BoolVar(&f.json, "tensors-json", false, "send JSON instead of binary tensors")
	c.Flags().BoolVar(&f.resume, "resume", false, "continue the output of an interrupted run")
	c.Flags().BoolVar(&f.allowMissingCols, "allow-missing-columns", false, "send missing values for inputs that have no column")
	return c
}

func (f *predictFlags) check() error {
	if f.as == "" {
		f.as = "ndjson"
		if strings.HasSuffix(f.output, ".csv") {
			f.as = "csv"
		}
	}
	switch {
	case f.batch < 1 || f.batch > 100_000:
		return fault.New(fault.InvalidArgument, "--batch must be 1 to 100000; an answer holds 6 MB at most")
	case f.at < 1 || f.at > 256:
		return fault.New(fault.InvalidArgument, "--concurrency must be 1 to 256")
	case f.resume && f.output == "-":
		return fault.New(fault.InvalidArgument, "--resume needs the output of the earlier run in -o")
	}
	return nil
}

func (a *app) predict(ctx context.Context, model string, f predictFlags) error {
	if err := f.check(); err != nil {
		return err
	}
	s, _, err := a.open(ctx)
	if err != nil {
		return err
	}
	client, err := a.client(ctx, s)
	if err != nil {
		return err
	}
	meta, err := client.Metadata(ctx, model, f.version)
	if err != nil {
		return err
	}
	src, err := rows.Open(f.input, f.format)
	if err != nil {
		return err
	}
	defer src.Close()
	w, skip, closeOutput, err := a.predictOutput(f)
	if err != nil {
		return err
	}
	summary := predictSummary{Model: model, Skipped: skip, Version: map[string]int{}}
	start := a.Now()
	bar := a.progress(src.Total(), "predicting", false)
	sender := sender{client: client, model: model, specs: specs(meta), flags: f}
	job := bulk.Job{Source: src, Skip: skip, BatchSize: f.batch, Concurrency: f.at, Send: sender.send, Emit: func(b bulk.Batch) error {
		summary.Retries += b.Result.Tries - 1
		summary.Version[fmt.Sprint(b.Result.Version)] += len(b.Rows)
		bar.Describe(fmt.Sprintf("predicting, %d rows", b.First+len(b.Rows)-1))
		bar.Set64(src.Position())
		return w.Write(b)
	}}
	summary.Rows, err = job.Run(ctx)
	bar.Finish()
	if closing := closeOutput(); err == nil {
		err = closing
	}
	if err != nil {
		if done := skip + summary.Rows; done > 0 && f.output != "-" {
			fmt.Fprintf(a.Stderr, "the answers of %d rows are in %s; go on with --resume\n", done, f.output)
		}
		return err
	}
	summary.Seconds = a.Now().Sub(start).Round(time.Millisecond).Seconds()
	if f.output == "-" {
		return nil // the rows are the output, and nothing else may be in it
	}
	return a.print(summary, func(out io.Writer) {
		fmt.Fprintf(out, "%d rows of %s answered in %.1f s, %d retries, into %s\n", summary.Rows, model, summary.Seconds, summary.Retries, f.output)
	})
}

// predictOutput opens the output; skip is how many rows an earlier run has answered.
func (a *app) predictOutput(f predictFlags) (w *bulk.Writer, skip int, closeOutput func() error, err error) {
	if f.output == "-" {
		w, err = bulk.NewWriter(a.Stdout, f.as, false)
		return w, 0, func() error { return nil }, err
	}
	file, skip, err := bulk.Resume(f.output, f.as)
	if err != nil {
		return nil, 0, nil, err
	}
	if !f.resume {
		skip = 0
		if err := file.Truncate(0); err != nil {
			return nil, 0, nil, fault.Wrap(err, fault.InvalidArgument, "%s cannot be written; check the path", f.output)
		}
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			return nil, 0, nil, fault.Wrap(err, fault.InvalidArgument, "%s cannot be written; check the path", f.output)
		}
	}
	end, err := file.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil, 0, nil, fault.Wrap(err, fault.InvalidArgument, "%s cannot be written; check the path", f.output)
	}
	w, err = bulk.NewWriter(file, f.as, end > 0)
	return w, skip, file.Close, err
}

// sender turns batches into requests.
type sender struct {
	client *endpoint.Client
	model  string
	specs  []rows.Spec
	flags  predictFlags
}

func (s *sender) send(ctx context.Context, first int, batch []rows.Row) (endpoint.Result, error) {
	if missing := rows.Missing(s.specs, batch[0]); len(missing) > 0 && !s.flags.allowMissingCols {
		have := make([]string, 0, len(batch[0]))
		for name := range batch[0] {
			have = append(have, name)
		}
		slices.Sort(have)
		return endpoint.Result{}, fault.New(fault.InvalidArgument, "no column for input %s (columns: %s); rename them, or send missing values with --allow-missing-columns",
			strings.Join(missing, ", "), strings.Join(have, ", "))
	}
	inputs, err := rows.Columns(s.specs, batch, first)
	if err != nil {
		return endpoint.Result{}, err
	}
	result, err := s.client.Infer(ctx, endpoint.Inference{Model: s.model, Version: s.flags.version, Inputs: inputs, Binary: !s.flags.json})
	if err == nil && result.ID == "" {
		err = fault.New(fault.Internal, "the answer has no inference id")
	}
	return result, err
}

func specs(meta endpoint.Metadata) []rows.Spec {
	out := make([]rows.Spec, len(meta.Inputs))
	for i, in := range meta.Inputs {
		out[i] = rows.Spec{Name: in.Name, Datatype: in.Datatype, Shape: in.Shape}
	}
	return out
}

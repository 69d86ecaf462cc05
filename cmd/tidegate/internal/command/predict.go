package command

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidegate/tidegate/cmd/tidegate/endpoint"
	"github.com/tidegate/tidegate/cmd/tidegate/internal/bulk"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/rows"
	"github.com/tidegate/tidegate/shared/tensor"
)

// backendTimeout is how long one request to a backend may take: longer than an
// endpoint's own limit (TIDEGATE_DEADLINE, 60 s), so that its answer arrives.
const backendTimeout = 90 * time.Second

type predictFlags struct {
	input, format    string
	output, as       string
	backend          string
	version          int
	batch, at        int
	patience         time.Duration
	json, restart    bool
	allowMissingCols bool
}

// predictSummary is what predict prints at the end, on standard error when the rows go to standard output.
type predictSummary struct {
	Model    string         `json:"model"`
	Rows     int            `json:"rows"`
	Skipped  int            `json:"skipped,omitempty"` // answered by an earlier run
	Retries  int            `json:"retries"`
	Version  map[string]int `json:"rows_by_version"`
	ServedBy map[string]int `json:"rows_by_server,omitempty"`
	Seconds  float64        `json:"seconds"`
}

func (a *app) predictCommand() *cobra.Command {
	var f predictFlags
	c := &cobra.Command{
		Use:   "predict MODEL FILE",
		Short: "Send the rows of a file through the prediction API, or through a container endpoint",
		Long: `Sends the rows of a CSV, NDJSON or Parquet file ("-" reads standard input) and writes, for each row and
in the same order: row number, inference id, version, outputs. Columns are matched by name and
typed by the model's signature; others are left out. Empty cells and null are missing values.

With --backend the rows go straight to a container endpoint, or to any server of the Open Inference
Protocol (Triton, KServe, MLServer), and no stack is needed. Requests grow while the server is quick, and
are halved when it refuses them as too large. All answers must be of one version.

Refusals for load (429, 503) are tried again when the server says so; with --backend a server that is
away is waited for, for as long as --wait says. A run that was interrupted, by whatever, goes on where it
stopped when it is started again with the same arguments: beside the output lies a journal. It refuses to
go on if the input or the model has changed; --restart begins anew.`,
		Example: `  tidegate predict flights april.csv -o answers.ndjson
  tidegate predict flights april.parquet -o answers.csv --batch 1000 --concurrency 8
  tidegate predict flights april.csv.gz -o answers.parquet --backend http://gpu-1:8080`,
		Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			f.input = args[1]
			if f.backend != "" && !c.Flags().Changed("batch") {
				f.batch = 0
			}
			return a.predict(c.Context(), args[0], f)
		},
	}
	c.Flags().StringVar(&f.format, "format", "", "csv, ndjson or parquet (default: by the file's name)")
	c.Flags().StringVarP(&f.output, "output", "o", "-", "where the answers go")
	c.Flags().StringVar(&f.as, "as", "", "ndjson, csv or parquet (default: by the output's name, else ndjson)")
	c.Flags().StringVar(&f.backend, "backend", "", "URL of a server of the Open Inference Protocol that is asked instead of the stack")
	c.Flags().IntVar(&f.version, "version-number", 0, "ask for this version, which must hold a slot (default: as routed)")
	c.Flags().IntVar(&f.batch, "batch", 500, "rows per request (with --backend: as many as the server is quick with)")
	c.Flags().IntVar(&f.at, "concurrency", 4, "requests at once")
	c.Flags().DurationVar(&f.patience, "wait", 2*time.Minute, "how long a backend that is busy or away is waited for")
	c.Flags().BoolVar(&f.json, "tensors-json", false, "send JSON instead of binary tensors")
	c.Flags().BoolVar(&f.restart, "restart", false, "predict all rows again, whatever the output holds")
	c.Flags().BoolVar(&f.allowMissingCols, "allow-missing-columns", false, "send missing values for inputs that have no column")
	return c
}

func (f *predictFlags) check() error {
	if f.as == "" {
		f.as = bulk.NDJSON
		for _, form := range []string{bulk.CSV, bulk.Parquet} {
			if strings.HasSuffix(f.output, "."+form) {
				f.as = form
			}
		}
	}
	switch {
	case f.batch < 0 || f.batch > 100_000 || f.batch == 0 && f.backend == "":
		return fault.New(fault.InvalidArgument, "--batch must be 1 to 100000; an answer holds 6 MB at most")
	case f.at < 1 || f.at > 256:
		return fault.New(fault.InvalidArgument, "--concurrency must be 1 to 256")
	case f.patience < 0 || f.patience > 24*time.Hour:
		return fault.New(fault.InvalidArgument, "--wait must be 0s to 24h")
	case f.as == bulk.Parquet && f.output == "-":
		return fault.New(fault.InvalidArgument, "Parquet is written into a file; name one in -o")
	}
	return nil
}

// predictor is who is asked, and how.
type predictor struct {
	client *endpoint.Client
	meta   endpoint.Metadata
	specs  []rows.Spec
	model  string
	flags  *predictFlags
	// version and digest are what the output is of; 0 if only the answers can tell.
	version int
	digest  string
}

func (a *app) predict(ctx context.Context, model string, f predictFlags) error {
	if err := f.check(); err != nil {
		return err
	}
	p, err := a.predictor(ctx, model, &f)
	if err != nil {
		return err
	}
	src, err := rows.Open(f.input, f.format)
	if err != nil {
		return err
	}
	defer src.Close()
	if f.output == "-" {
		w, err := bulk.NewWriter(a.Stdout, f.as, false)
		if err != nil {
			return err
		}
		_, err = a.send(ctx, p, src, 0, w.Write)
		return err // the rows are the output, and nothing else may be in it
	}
	out, err := a.predictOutput(p)
	if err != nil {
		return err
	}
	skip := out.Rows()
	if out.Complete() {
		summary := predictSummary{Model: model, Skipped: skip}
		return a.print(summary, func(w io.Writer) {
			fmt.Fprintf(w, "%s has the answers of all %d rows already; --restart predicts them again\n", f.output, skip)
		})
	}
	if skip > 0 && !a.json {
		fmt.Fprintf(a.Stderr, "going on behind the %d rows that %s has\n", skip, f.output)
	}
	summary, err := a.send(ctx, p, src, skip, out.Write)
	if closing := out.Close(err == nil); err == nil {
		err = closing
	}
	if err != nil {
		if done := out.Rows(); done > 0 {
			fmt.Fprintf(a.Stderr, "the answers of %d rows are kept for %s; started again with the same arguments it goes on there\n", done, f.output)
		}
		return err
	}
	return a.print(summary, func(w io.Writer) {
		fmt.Fprintf(w, "%d rows of %s answered in %.1f s, %d retries, into %s\n", summary.Rows, model, summary.Seconds, summary.Retries, f.output)
	})
}

// predictor is a client of the stack, or of the backend, and what it says of the model.
func (a *app) predictor(ctx context.Context, model string, f *predictFlags) (*predictor, error) {
	p := &predictor{model: model, flags: f, version: f.version}
	var err error
	if f.backend != "" {
		p.client, err = endpoint.New(f.backend, endpoint.Open, endpoint.WithAnyServer(backendTimeout), endpoint.WithPatience(f.patience))
	} else {
		p.client, err = a.stackPredictor(ctx, p)
	}
	if err != nil {
		return nil, err
	}
	if p.meta, err = p.client.Metadata(ctx, model, f.version); err != nil {
		return nil, err
	}
	if len(p.meta.Inputs) == 0 {
		return nil, fault.New(fault.Unimplemented, "the server does not say what inputs model %q has; a table cannot fill them", model)
	}
	for _, in := range p.meta.Inputs {
		p.specs = append(p.specs, rows.Spec{Name: in.Name, Datatype: in.Datatype, Shape: in.Shape})
	}
	if p.digest == "" {
		p.digest = described(p.meta)
	}
	return p, nil
}

// stackPredictor asks the stack; the champion is what an output is of. A rollout
// may have other versions answer too, which is what it is for.
func (a *app) stackPredictor(ctx context.Context, p *predictor) (*endpoint.Client, error) {
	s, reg, err := a.open(ctx)
	if err != nil {
		return nil, err
	}
	state, err := stateOf(ctx, reg, p.model)
	if err != nil {
		return nil, err
	}
	if c := state.Slots.Champion; c != nil && p.version == 0 {
		p.version, p.digest = c.Version, c.Digest
	}
	return a.client(ctx, s)
}

// described is the digest of what a server says of a model.
func described(m endpoint.Metadata) string {
	m.Versions = nil // others come and go
	body, err := json.Marshal(m)
	if err != nil { // strings and numbers always encode
		panic(err)
	}
	sum := sha256.Sum256(body)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// predictOutput opens the output, or goes on with it.
func (a *app) predictOutput(p *predictor) (*bulk.Output, error) {
	o := bulk.Options{Path: p.flags.output, Restart: p.flags.restart, Journal: p.flags.input != "-", Now: time.Now, Single: p.flags.backend != "" || p.flags.version > 0,
		Identity: bulk.Identity{Model: p.model, Version: p.version, Digest: p.digest, Format: p.flags.as}}
	if o.Journal {
		var err error
		if o.Identity.Input, err = bulk.DigestFile(p.flags.input, p.flags.format); err != nil {
			return nil, err
		}
	}
	return bulk.OpenOutput(o)
}

// send predicts the rows of src behind skip and passes their answers to write.
func (a *app) send(ctx context.Context, p *predictor, src rows.Source, skip int, write func(bulk.Batch) error) (predictSummary, error) {
	pace, err := p.pace()
	if err != nil {
		return predictSummary{}, err
	}
	summary := predictSummary{Model: p.model, Skipped: skip, Version: map[string]int{}, ServedBy: map[string]int{}}
	start := a.Now()
	bar := a.progress(src.Total(), "predicting", false)
	checked := &named{Source: src, specs: p.specs, allowed: p.flags.allowMissingCols}
	job := bulk.Job{Source: checked, Specs: p.specs, Skip: skip, Pace: pace, Concurrency: p.flags.at, Send: p.infer, Emit: func(b bulk.Batch) error {
		summary.Retries += b.Result.Tries - 1
		summary.Version[fmt.Sprint(b.Result.Version)] += b.Rows
		if b.Result.ServedBy != "" {
			summary.ServedBy[b.Result.ServedBy] += b.Rows
		}
		bar.Describe(fmt.Sprintf("predicting, %d rows", b.First+b.Rows-1))
		bar.Set64(src.Position())
		return write(b)
	}}
	summary.Rows, err = job.Run(ctx)
	bar.Finish()
	summary.Seconds = a.Now().Sub(start).Round(time.Millisecond).Seconds()
	return summary, err
}

// pace is as many rows a request as --batch says, as the model takes, or as turns
// out to be quick.
func (p *predictor) pace() (*bulk.Pace, error) {
	width, fixed := 0, 0
	for _, s := range p.specs {
		n, err := s.Width()
		if err != nil {
			return nil, err
		}
		width += n
		if len(s.Shape) > 0 && s.Shape[0] > 0 {
			fixed = int(s.Shape[0])
		}
	}
	switch {
	case fixed > 0:
		return bulk.Whole(fixed), nil
	case p.flags.batch > 0:
		return bulk.Fixed(p.flags.batch), nil
	}
	return bulk.Adaptive(width), nil
}

func (p *predictor) infer(ctx context.Context, inputs []tensor.Tensor) (endpoint.Result, error) {
	return p.client.Infer(ctx, endpoint.Inference{Model: p.model, Version: p.flags.version, Inputs: inputs, Binary: !p.flags.json})
}

// named looks at the columns of the first row.
type named struct {
	rows.Source
	specs   []rows.Spec
	allowed bool // columns may be missing
	begun   bool
}

// Next implements rows.Source.
func (n *named) Next() (rows.Row, error) {
	row, err := n.Source.Next()
	if err != nil || n.begun {
		return row, err
	}
	n.begun = true
	if missing := rows.Missing(n.specs, row); len(missing) > 0 && !n.allowed {
		return nil, fault.New(fault.InvalidArgument, "no column for input %s (columns: %s); rename them, or send missing values with --allow-missing-columns",
			strings.Join(missing, ", "), strings.Join(slices.Sorted(maps.Keys(row)), ", "))
	}
	return row, nil
}

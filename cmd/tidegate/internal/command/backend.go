package command

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sagemakerruntime"
	"github.com/spf13/cobra"

	"github.com/tidegate/tidegate/cmd/tidegate/endpoint"
	"github.com/tidegate/tidegate/cmd/tidegate/internal/bulk"
	"github.com/tidegate/tidegate/cmd/tidegate/internal/twin"
	"github.com/tidegate/tidegate/cmd/tidegate/stack"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/inference"
	"github.com/tidegate/tidegate/shared/inference/remote"
	"github.com/tidegate/tidegate/shared/registration"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/rows"
	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/shared/tensor"
)

// What a backend's answers are compared with.
const (
	againstFunction = "function"
	againstTrainer  = "trainer"
)

// checkTimeout bounds a request of a check.
const checkTimeout = time.Minute

func (a *app) backendCommand() *cobra.Command {
	c := &cobra.Command{Use: "backend", Short: "Look after the endpoint that a model's settings name"}
	c.AddCommand(a.backendCheck())
	return c
}

type backendFlags struct {
	backend, identity string
	version           int
	rows, format      string
	against           string
	tolerance         float64
	evidence          bool
}

// backendFound is what backend check prints.
type backendFound struct {
	Model      string  `json:"model"`
	Version    int     `json:"version"`
	Digest     string  `json:"digest"`
	Backend    string  `json:"backend"`
	ServedBy   string  `json:"served_by"`
	Against    string  `json:"against"`
	Equal      bool    `json:"equal"`
	Rows       int     `json:"rows"`
	MaxAbsDiff float64 `json:"max_abs_diff"`
	Where      string  `json:"where,omitempty"`
	Tolerance  float64 `json:"tolerance"`
	Differs    string  `json:"differs,omitempty"`
	Evidence   string  `json:"evidence,omitempty"`
}

func (a *app) backendCheck() *cobra.Command {
	var f backendFlags
	c := &cobra.Command{
		Use:   "check MODEL",
		Short: "Say whether an endpoint answers as the function, or as the trainer did",
		Long: `Asks a backend for rows of a version and compares: with what the function answers to the same rows, before
a model is switched, or with the trainer's predictions of the holdout, for models that do not run in the
function. The backend must say that it answers with this very version. The rows are the version's holdout,
or those of a file. Differences are tolerated as registration tolerates them: absolute for values up to 1,
relative above; labels must be equal, unless two classes tie.

With --evidence the result is stored, and stands for the parity guard of "rollout start --evidence".

Exit codes: 0 the answers are the same within the tolerance, 1 they are not, 3 error.`,
		Example: `  tidegate backend check flights --backend http://gpu-1:8080
  tidegate backend check flights --backend http://gpu-1:8080 --rows april.csv
  tidegate backend check flights --version 8 --against trainer --evidence`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.checkBackend(c.Context(), args[0], f)
		},
	}
	c.Flags().StringVar(&f.backend, "backend", "", "URL of the backend (default: that of the settings in force)")
	c.Flags().StringVar(&f.identity, "identity", "digest", "how its answers say which version computed them: digest, version or none")
	c.Flags().IntVar(&f.version, "version", 0, "version to ask for (default: the champion)")
	c.Flags().StringVar(&f.rows, "rows", "", "CSV, NDJSON or Parquet file (default: the holdout that the version was registered with)")
	c.Flags().StringVar(&f.format, "format", "", "csv, ndjson or parquet (default: by the file's name)")
	c.Flags().StringVar(&f.against, "against", "", "function or trainer (default: function, or trainer where the settings send the model to a backend already)")
	c.Flags().Float64Var(&f.tolerance, "tolerance", registration.DefaultTolerance, "largest difference")
	c.Flags().BoolVar(&f.evidence, "evidence", false, "store the result as evidence, if the answers are the same")
	return c
}

func (f *backendFlags) check() error {
	switch {
	case f.against != "" && f.against != againstFunction && f.against != againstTrainer:
		return fault.New(fault.InvalidArgument, "--against must be function or trainer")
	case f.against == againstTrainer && f.rows != "":
		return fault.New(fault.InvalidArgument, "the trainer has predicted the holdout alone; leave --rows out, or compare with --against function")
	case !(f.tolerance > 0 && f.tolerance <= 1):
		return fault.New(fault.InvalidArgument, "--tolerance must be above 0 and at most 1")
	}
	return nil
}

// checked is a version and the backend that it is checked on.
type checked struct {
	stack    *stack.Stack
	reg      *registry.Registry
	manifest registry.Manifest
	schema   *schema.Schema
	backend  inference.Backend
}

func (a *app) checkBackend(ctx context.Context, model string, f backendFlags) error {
	if err := f.check(); err != nil {
		return err
	}
	c, err := a.checked(ctx, model, &f)
	if err != nil {
		return err
	}
	src, dataset, err := c.rows(ctx, &f)
	if err != nil {
		return err
	}
	defer src.Close()
	check := twin.Check{Name: c.backend.Name(), Signature: c.schema.Signature, Rows: src, Tolerance: f.tolerance}
	backends := remote.New(remote.Options{SageMaker: func() remote.Invoker { return sagemakerruntime.NewFromConfig(c.stack.Config) }})
	check.Backend = timed{backends.Client(c.backend, inference.Bound{Model: model, Version: c.manifest.Version, Digest: c.manifest.Digest, Signature: &c.schema.Signature})}
	if f.against == againstTrainer {
		body, err := c.reg.ReadFile(ctx, &c.manifest, "predictions.csv")
		if err != nil {
			return err
		}
		check.Trainer = bytes.NewReader(body)
	} else if check.Function, err = a.function(ctx, c); err != nil {
		return err
	}
	bar := a.progress(src.Total(), "comparing", false)
	check.Done = func(n int) {
		bar.Describe(fmt.Sprintf("comparing, %d rows", n))
		bar.Set64(src.Position())
	}
	found, err := check.Run(ctx)
	bar.Finish()
	if err != nil {
		return err
	}
	out := backendFound{Model: model, Version: c.manifest.Version, Digest: c.manifest.Digest, Backend: c.backend.Name(), ServedBy: found.ServedBy, Against: f.against,
		Equal: found.Differs == "", Rows: found.Rows, MaxAbsDiff: found.MaxAbsDiff, Where: found.Where, Tolerance: found.Tolerance, Differs: found.Differs}
	if !out.Equal {
		a.exit = ExitWrong
	} else if f.evidence {
		p := registry.BackendParity{Model: model, Version: registry.Ref{Version: out.Version, Digest: out.Digest}, Backend: out.Backend, Against: f.against, Dataset: dataset,
			Served: found.ServedBy, Parity: found.Parity, At: a.Now().UTC(), By: a.actor(ctx, c.stack, "")}
		if out.Evidence, err = c.reg.PutBackendParity(ctx, p); err != nil {
			return err
		}
	}
	return a.print(out, out.print)
}

// timed bounds each request.
type timed struct{ client *remote.Client }

// Infer implements twin.Backend.
func (t timed) Infer(ctx context.Context, call remote.Call) (remote.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	return t.client.Infer(ctx, call)
}

func (o *backendFound) print(w io.Writer) {
	if !o.Equal {
		fmt.Fprintf(w, "%s@%d on %s (%s): %s\n", o.Model, o.Version, o.Backend, o.ServedBy, o.Differs)
		return
	}
	where := ""
	if o.Where != "" {
		where = ", in " + o.Where
	}
	fmt.Fprintf(w, "%s@%d on %s (%s) answers as the %s did: %d rows, max |diff| %.2g%s (tolerance %g)\n", o.Model, o.Version, o.Backend, o.ServedBy, o.Against, o.Rows, o.MaxAbsDiff, where, o.Tolerance)
	if o.Evidence != "" {
		fmt.Fprintf(w, "evidence: %s\n", o.Evidence)
	}
}

// checked finds version and backend, and settles what to compare with.
func (a *app) checked(ctx context.Context, model string, f *backendFlags) (*checked, error) {
	s, reg, err := a.open(ctx)
	if err != nil {
		return nil, err
	}
	state, err := stateOf(ctx, reg, model)
	if err != nil {
		return nil, err
	}
	c := &checked{stack: s, reg: reg}
	inForce, err := settingsBackend(ctx, reg, state)
	if err != nil {
		return nil, err
	}
	if f.against == "" {
		f.against = againstFunction
		if inForce.Remote() && f.rows == "" {
			f.against = againstTrainer
		}
	}
	if c.backend = inForce; f.backend != "" {
		raw, err := json.Marshal(map[string]any{"kind": "url", "url": f.backend, "plain_http": strings.HasPrefix(f.backend, "http:"), "identity": f.identity})
		if err != nil {
			return nil, err
		}
		if c.backend, err = inference.ParseBackend(raw); err != nil {
			return nil, err
		}
	}
	if !c.backend.Remote() {
		return nil, fault.New(fault.InvalidArgument, "the settings of model %q name no backend: it runs in the function; name one with --backend", model)
	}
	if f.version == 0 {
		if state.Slots.Champion == nil {
			return nil, fault.New(fault.FailedPrecondition, "model %q has no champion; name a version with --version", model)
		}
		f.version = state.Slots.Champion.Version
	}
	if c.manifest, err = reg.Manifest(ctx, model, f.version); err != nil {
		return nil, err
	}
	body, err := reg.ReadFile(ctx, &c.manifest, "schema.json")
	if err != nil {
		return nil, err
	}
	c.schema, err = schema.Parse(body)
	return c, err
}

func settingsBackend(ctx context.Context, reg *registry.Registry, state registry.State) (inference.Backend, error) {
	if state.SettingsDigest == "" {
		return inference.DefaultBackend(), nil
	}
	settings, err := reg.Settings(ctx, state.Model, state.SettingsDigest)
	if err != nil {
		return inference.Backend{}, err
	}
	return inference.ParseBackend(settings.Backend)
}

// rows are those that are compared, and the digest of their file.
func (c *checked) rows(ctx context.Context, f *backendFlags) (src rows.Source, dataset string, err error) {
	if f.rows != "" {
		in, err := bulk.DigestFile(f.rows, f.format)
		if err != nil {
			return nil, "", err
		}
		src, err = rows.Open(f.rows, f.format)
		return src, in.Digest, err
	}
	file, ok := c.manifest.File("holdout.csv")
	if !ok {
		return nil, "", fault.New(fault.FailedPrecondition, "version %d was registered without a holdout; name rows with --rows", c.manifest.Version)
	}
	body, err := c.reg.ReadFile(ctx, &c.manifest, "holdout.csv")
	if err != nil {
		return nil, "", err
	}
	src, err = rows.At("holdout.csv", bytes.NewReader(body), nil)
	return src, "sha256:" + file.SHA256, err
}

// function asks the stack for the version, and takes answers that the function gave itself.
func (a *app) function(ctx context.Context, c *checked) (func(context.Context, []tensor.Tensor) (endpoint.Result, error), error) {
	client, err := a.client(ctx, c.stack)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, inputs []tensor.Tensor) (endpoint.Result, error) {
		r, err := client.Infer(ctx, endpoint.Inference{Model: c.manifest.Model, Version: c.manifest.Version, Inputs: inputs, Binary: true})
		if fault.Is(err, fault.NotFound) {
			return r, fault.Wrap(err, fault.FailedPrecondition, "the function has no version %d in any slot: start its shadow first, or compare with --against trainer", c.manifest.Version)
		}
		if err == nil && !strings.HasPrefix(r.ServedBy, "lambda") {
			return r, fault.New(fault.FailedPrecondition, "the stack was answered by %q, not by the function: the settings send the model to a backend already; compare with --against trainer", r.ServedBy)
		}
		return r, err
	}, nil
}

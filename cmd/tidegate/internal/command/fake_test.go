package command

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/tidegate/tidegate/cmd/tidegate/stack"
	"github.com/tidegate/tidegate/shared/approval"
	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/provenance/signature"
	"github.com/tidegate/tidegate/shared/registration"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/rollout"
)

// cloud is a stack in memory: real registry, steps that do the essential of their
// functions, and an API that adds columns. Its clock moves a second per call.
type cloud struct {
	store  *blob.Memory
	data   *blob.Memory
	reg    *registry.Registry
	api    *httptest.Server
	env    Env
	out    bytes.Buffer
	errs   bytes.Buffer
	clock  time.Time
	ids    int
	fail   func(function string) error // injected before a step runs
	train  func(payload map[string]any) (any, error)
	real   *registration.Registrar // runs models, where a test needs more of register than the essential
	busy   int                     // answers of 503 before the next prediction
	invoke []string
	keys   string // the output TrustedKeys
	trust  signature.Trust
}

func newCloud(t *testing.T) *cloud {
	t.Helper()
	c := &cloud{store: &blob.Memory{}, data: &blob.Memory{}, clock: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), fail: func(string) error { return nil }}
	c.store.Now = func() time.Time { return c.clock }
	c.reg = registry.New(c.store, registry.Options{Now: func() time.Time { return c.clock }, NewID: c.newID})
	c.api = httptest.NewServer(http.HandlerFunc(c.serve))
	t.Cleanup(c.api.Close)
	c.env = Env{
		Stdin: strings.NewReader(""), Stdout: &c.out, Stderr: &c.errs,
		Getenv: func(string) string { return "" },
		Now:    func() time.Time { return c.clock },
		Open: func(_ context.Context, o stack.Options) (*stack.Stack, error) {
			if o.Name != stack.DefaultName {
				return nil, fault.New(fault.NotFound, "there is no stack %q here", o.Name)
			}
			return &stack.Stack{
				Outputs: stack.Outputs{ApiEndpoint: c.api.URL, RegistryBucketName: "registry", TrustedKeys: c.keys, RegisterFunctionName: "register", PromoteFunctionName: "promote", TrainFunctionName: "train", ApproveFunctionName: "approve"},
				Name:    o.Name, Registry: c.store, Data: c.data, Garbage: c.store, Lambda: c, NewID: c.newID,
				Bucket: func(string) blob.Store { return c.store },
				Settings: func(context.Context, string) (stack.BucketSettings, error) {
					return stack.BucketSettings{Versioned: true, Events: true}, nil
				},
			}, nil
		},
	}
	return c
}

func (c *cloud) newID() string {
	c.ids++
	return fmt.Sprintf("01JD%022d", c.ids)
}

// run runs one command line and returns exit code, standard output and standard error.
func (c *cloud) run(args ...string) (code int, out, errs string) {
	c.out.Reset()
	c.errs.Reset()
	c.clock = c.clock.Add(time.Second)
	code = Main(context.Background(), args, c.env)
	return code, c.out.String(), c.errs.String()
}

// Invoke is Lambda: it answers errors the way lambdaapi.Step makes them arrive.
func (c *cloud) Invoke(ctx context.Context, in *lambda.InvokeInput, _ ...func(*lambda.Options)) (*lambda.InvokeOutput, error) {
	c.invoke = append(c.invoke, *in.FunctionName)
	out, err := c.step(ctx, *in.FunctionName, in.Payload)
	if err != nil {
		payload, merr := json.Marshal(map[string]string{"errorType": string(fault.KindOf(err)), "errorMessage": fault.Public(err).Message})
		return &lambda.InvokeOutput{FunctionError: aws.String("Unhandled"), Payload: payload}, merr
	}
	payload, err := json.Marshal(out)
	return &lambda.InvokeOutput{Payload: payload}, err
}

func (c *cloud) step(ctx context.Context, function string, payload []byte) (any, error) {
	if err := c.fail(function); err != nil {
		return nil, err
	}
	switch function {
	case "register":
		var in registration.In
		if err := strict(payload, &in); err != nil {
			return nil, err
		}
		if in.Signature != "" {
			return (&registration.Registrar{Registry: c.reg}).Run(ctx, in)
		}
		if c.real != nil {
			return c.real.Run(ctx, in)
		}
		return c.register(ctx, in)
	case "train":
		var in map[string]any
		if err := json.Unmarshal(payload, &in); err != nil {
			return nil, err
		}
		return c.train(in)
	case "promote":
		var in rollout.PromoteIn
		if err := strict(payload, &in); err != nil {
			return nil, err
		}
		return (&rollout.Promoter{Registry: c.reg, Trust: c.trust}).Run(ctx, in)
	case "approve":
		var in approval.In
		if err := strict(payload, &in); err != nil {
			return nil, err
		}
		return (&approval.Desk{Registry: c.reg, Now: func() time.Time { return c.clock }}).Run(ctx, in)
	}
	return nil, errors.New("no such function")
}

func (c *cloud) register(ctx context.Context, in registration.In) (out registration.Out, err error) {
	out.Model = in.Model
	if _, out.Created, err = c.reg.CreateModel(ctx, registry.Model{Name: in.Model, Task: in.Task, Target: in.Target, CreatedBy: in.Actor}); err != nil || in.Source == "" {
		return out, err
	}
	key := strings.TrimPrefix(in.Source, "s3://registry/")
	if strings.HasSuffix(key, "/") {
		key += "model.onnx"
	}
	model, err := c.store.Get(ctx, key)
	if err != nil {
		return out, fault.New(fault.InvalidArgument, "the source has no model.onnx")
	}
	file := registry.File{Path: "model.onnx", Size: model.Size, SHA256: fmt.Sprintf("%x", sha256.Sum256(model.Body)), Blob: true}
	out.Digest = registry.ContentDigest([]registry.File{file})
	if err := c.reg.PutBlob(ctx, file.SHA256, bytes.NewReader(model.Body), file.Size); err != nil {
		return out, err
	}
	if out.Version, err = c.reg.Claim(ctx, in.Model, out.Digest, in.Actor); err != nil {
		return out, err
	}
	out.Parity = &registry.Parity{Checked: strings.HasSuffix(in.Source, "/"), Rows: 20, MaxAbsDiff: 1.5e-7, Tolerance: 1e-5}
	if !out.Parity.Checked {
		out.Parity = &registry.Parity{Reason: "no holdout"}
	}
	_, out.Existing, err = c.reg.PutManifest(ctx, registry.Manifest{Model: in.Model, Version: out.Version, Digest: out.Digest,
		Files: []registry.File{file}, Runtime: "onnxruntime 1.27.0", Parity: *out.Parity, CreatedBy: in.Actor})
	return out, err
}

// advance makes a version the champion, as a rollout machine does at its end.
func (c *cloud) advance(ctx context.Context, model string, version int) error {
	m, err := c.reg.Manifest(ctx, model, version)
	if err != nil {
		return err
	}
	change := registry.Change{Kind: registry.KindPromote, Apply: func(next *registry.State, _ time.Time) error {
		next.Slots.Previous, next.Slots.Champion = next.Slots.Champion, &registry.Ref{Version: version, Digest: m.Digest}
		return nil
	}}
	_, err = c.reg.Apply(ctx, model, registry.Request{TransitionID: "run/promote/1", Actor: "rollout"}, change)
	return err
}

func strict(payload []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(payload))
	dec.DisallowUnknownFields()
	return dec.Decode(into)
}

// serve is a model with inputs a and b (FP64) and name (BYTES): it answers a+b.
func (c *cloud) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if c.busy > 0 {
		c.busy--
		w.Header().Set("Retry-After", "0")
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	switch r.URL.Path {
	case "/v2/health/ready", "/v2/models/sum/ready":
	case "/v2/models/sum":
		io.WriteString(w, `{"name":"sum","versions":["1"],"platform":"onnx_onnxv1",
			"inputs":[{"name":"a","datatype":"FP64","shape":[-1,1]},{"name":"b","datatype":"FP64","shape":[-1,1]},{"name":"name","datatype":"BYTES","shape":[-1,1]}],
			"outputs":[{"name":"sum","datatype":"FP64","shape":[-1,1]}]}`)
	case "/v2/models/sum/infer":
		var in struct {
			Inputs []struct {
				Shape []int64
				Data  []any
			}
		}
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			io.WriteString(w, `{"error":"not JSON"}`)
			return
		}
		sums := make([]float64, len(in.Inputs[0].Data))
		for i := range sums {
			sums[i] = in.Inputs[0].Data[i].(float64) + in.Inputs[1].Data[i].(float64)
		}
		data, err := json.Marshal(sums)
		if err != nil {
			panic(err)
		}
		w.Header().Set("Tidegate-Inference-Id", fmt.Sprintf("id-%v", sums[0]))
		w.Header().Set("Tidegate-Model-Version", "1")
		fmt.Fprintf(w, `{"outputs":[{"name":"sum","datatype":"FP64","shape":[%d,1],"data":%s}]}`, len(sums), data)
	default:
		w.WriteHeader(http.StatusNotFound)
		io.WriteString(w, `{"error":"there is no model of that name"}`)
	}
}

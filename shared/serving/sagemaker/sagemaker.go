// Package sagemaker is the contract of a SageMaker real-time endpoint over the
// handlers of httpapi: GET /ping and POST /invocations. Everything else goes
// through to the handlers.
//
// An invocation has no path, so who is asked is in the header
//
//	X-Amzn-SageMaker-Custom-Attributes: model=flights;version=7;deadline_ms=500;key=u-1;priority=low;trace=1-5759e988-bd86…
//
// the same header of the answer says who has answered: version, digest, served_by, inference_id,
// and what the body is, is in its content type: the Open Inference Protocol in JSON
// or with binary tensors, MLflow's scoring formats, rows, CSV (package mlflow).
// Another content type is 415. An invocation becomes a request of the protocol that
// its body is of: contract, capture, metrics and errors are the same.
//
// Source: SageMaker's developer guide, "Custom inference code with hosting services".
package sagemaker

import (
	"bytes"
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/httpapi"
	"github.com/tidegate/tidegate/shared/oip"
	"github.com/tidegate/tidegate/shared/serving/mlflow"
)

// Options of a handler.
type Options struct {
	Model   string // asked when an invocation names none; "" = it must
	MaxBody int    // bytes, also after inflation and rearrangement; 0 = httpapi.DefaultMaxBody
	// Ready says why the server cannot answer yet; nil = it can. /ping asks it, with little time.
	Ready func(ctx context.Context) error
	// Columns are those of a model's version (0 = the one in force), for formats that name or order them.
	Columns func(ctx context.Context, model string, version int) ([]mlflow.Column, error)
	// Observer is told of what the handlers behind do not see, with the routes "ping" and "invocations"; nil = nobody.
	Observer httpapi.Observer
	Now      httpapi.Clock // time.Now when nil
}

// Handler is an httpapi.Handler around another.
type Handler struct {
	api    httpapi.Handler
	opt    Options
	memory sync.Pool // of *invocation
}

// New returns a handler in front of api.
func New(api httpapi.Handler, o Options) *Handler {
	if o.MaxBody <= 0 {
		o.MaxBody = httpapi.DefaultMaxBody
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	h := &Handler{api: api, opt: o}
	h.memory.New = func() any { return &invocation{inner: httpapi.Request{Header: httpapi.Header{}}} }
	return h
}

// Serve implements httpapi.Handler.
func (h *Handler) Serve(ctx context.Context, req *httpapi.Request) httpapi.Response {
	switch strings.TrimSuffix(req.Path, "/") {
	case "/ping":
		return h.ping(ctx, req)
	case "/invocations":
		return h.invoke(ctx, req)
	}
	return h.api.Serve(ctx, req)
}

// ping answers 200 with an empty body once every model that must be there is
// loaded and warm, 503 before and while the server drains. SageMaker waits two
// seconds for it, and restarts what does not answer.
func (h *Handler) ping(ctx context.Context, req *httpapi.Request) httpapi.Response {
	if req.Method != "GET" && req.Method != "HEAD" {
		return h.failed("ping", req, 405, fault.New(fault.InvalidArgument, "this path takes GET, HEAD"), "GET, HEAD")
	}
	if h.opt.Ready != nil {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if err := h.opt.Ready(ctx); err != nil {
			return h.failed("ping", req, 503, err, "")
		}
	}
	return httpapi.Response{Status: 200, Header: httpapi.Header{"Content-Type": "application/json"}}
}

// invocation is the memory of one, kept for later ones.
type invocation struct {
	inner    httpapi.Request
	inflated []byte
	body     []byte
	columnar bool
}

// keep bounds the memory that is kept, in bytes.
const keep = 4 << 20

func (h *Handler) invoke(ctx context.Context, req *httpapi.Request) httpapi.Response {
	if req.Method != "POST" {
		return h.failed("invocations", req, 405, fault.New(fault.InvalidArgument, "this path takes POST"), "POST")
	}
	x := h.memory.Get().(*invocation)
	ctx, cancel, err := h.translate(ctx, x, req)
	defer cancel()
	if err != nil {
		h.rest(x)
		status := fault.KindOf(err).HTTPStatus()
		if fault.Is(err, fault.Unimplemented) {
			status = 415
		}
		return h.failed("invocations", req, status, err, "")
	}
	resp := h.api.Serve(ctx, &x.inner)
	tell(resp.Header)
	if x.columnar && resp.Status == 200 {
		resp.Body = predictions(x, resp.Body)
	}
	after := resp.After
	resp.After = func(ctx context.Context) {
		if after != nil {
			after(ctx)
		}
		h.rest(x)
	}
	return resp
}

// translate makes the request that an invocation stands for. Unimplemented: its
// media type is not read here.
func (h *Handler) translate(ctx context.Context, x *invocation, req *httpapi.Request) (context.Context, context.CancelFunc, error) {
	none := func() {}
	attributes, err := parseAttributes(req.Header[attributesHeader])
	if err != nil {
		return ctx, none, err
	}
	if attributes.model == "" {
		attributes.model = h.opt.Model
	}
	if attributes.model == "" {
		return ctx, none, fault.Invalid(fault.Violation{Path: "X-Amzn-SageMaker-Custom-Attributes", Problem: "must name the model, e.g. model=flights: several are served"})
	}
	ctx, cancel := attributes.context(ctx)
	x.inner.Method, x.inner.ID, x.inner.Query = "POST", req.ID, ""
	for name, value := range req.Header {
		x.inner.Header[name] = value
	}
	if attributes.key != "" {
		x.inner.Header["tidegate-key"] = attributes.key
	}
	route, err := h.content(ctx, x, req, &attributes)
	if err != nil {
		return ctx, cancel, err
	}
	x.inner.Path = attributes.path(route)
	return ctx, cancel, nil
}

// The two routes that invocations turn into.
const (
	infer   = "infer"
	predict = "predict"
)

// content reads the body as its content type says.
func (h *Handler) content(ctx context.Context, x *invocation, req *httpapi.Request, a *attributes) (route string, err error) {
	media, parameters, _ := strings.Cut(req.Header["content-type"], ";")
	media = strings.ToLower(strings.TrimSpace(media))
	x.inner.Body = req.Body
	switch {
	case media == oip.SageMakerType, req.Header[oip.HeaderName] != "":
		return infer, nil // its body is read as it is, also its Content-Encoding
	case media != "application/json" && media != "text/csv" && media != "":
		return "", fault.New(fault.Unimplemented, "this Content-Type is not read; send application/json, text/csv or %s;json-header-size=N", oip.SageMakerType)
	}
	body, err := req.Payload(&x.inflated, h.opt.MaxBody, "rows")
	if err != nil {
		return "", err
	}
	delete(x.inner.Header, "content-encoding")
	x.inner.Header["content-type"] = "application/json"
	if media == "text/csv" {
		columns, err := h.columns(ctx, a)
		if err == nil {
			x.body, err = mlflow.FromCSV(body, columns, parameter(parameters, "header"), h.opt.MaxBody, x.body)
		}
		x.inner.Body = x.body
		return predict, err
	}
	return h.json(ctx, x, body, a)
}

// json reads a JSON body by the keys it has.
func (h *Handler) json(ctx context.Context, x *invocation, body []byte, a *attributes) (route string, err error) {
	found, err := mlflow.Look(body, x.body)
	if err != nil {
		return "", err
	}
	x.inner.Body = body
	switch found.Form {
	case mlflow.OIP:
		return infer, nil
	case mlflow.Split:
		columns, err := h.columns(ctx, a)
		if err == nil {
			x.body, err = mlflow.FromSplit(found, columns, h.opt.MaxBody, x.body)
		}
		x.inner.Body = x.body
		return predict, err
	case mlflow.Rows:
		x.inner.Body, x.columnar = found.Rows, found.Columnar
		return predict, nil
	}
	return "", fault.New(fault.InvalidArgument, "the body has none of dataframe_split, dataframe_records, instances, inputs")
}

func (h *Handler) columns(ctx context.Context, a *attributes) ([]mlflow.Column, error) {
	if h.opt.Columns == nil {
		return nil, fault.New(fault.Unimplemented, "this server does not know the columns of its models; send instances")
	}
	return h.opt.Columns(ctx, a.model, a.version)
}

// predictions renames the one key of a columnar answer, as MLflow's clients want it.
func predictions(x *invocation, body []byte) []byte {
	rest, ok := bytes.CutPrefix(body, []byte(`{"outputs":`))
	if !ok {
		return body
	}
	x.body = append(append(x.body[:0], `{"predictions":`...), rest...)
	return x.body
}

// rest keeps the memory of an invocation for later ones.
func (h *Handler) rest(x *invocation) {
	clear(x.inner.Header)
	x.inner = httpapi.Request{Header: x.inner.Header}
	x.columnar = false
	if cap(x.body) > keep {
		x.body = nil
	}
	if cap(x.inflated) > keep {
		x.inflated = nil
	}
	h.memory.Put(x)
}

// failed is an answer of this package's own.
func (h *Handler) failed(route string, req *httpapi.Request, status int, err error, allow string) httpapi.Response {
	public, now := fault.Public(err), h.opt.Now()
	header := httpapi.Header{"Content-Type": "application/json"}
	if allow != "" {
		header["Allow"] = allow
	}
	if after := public.RetryAfter; after > 0 {
		header["Retry-After"] = strconv.Itoa(int((after + time.Second - 1) / time.Second))
	}
	resp := httpapi.Response{Status: status, Header: header, Body: httpapi.AppendError(nil, public, req.ID)}
	if h.opt.Observer != nil {
		seen := &httpapi.Observation{RequestID: req.ID, Route: route, Status: status, ErrorKind: string(public.Kind), Cause: err, BytesIn: len(req.Body), BytesOut: len(resp.Body), Start: now}
		resp.After = func(ctx context.Context) { h.opt.Observer.Observe(ctx, seen) }
	}
	return resp
}

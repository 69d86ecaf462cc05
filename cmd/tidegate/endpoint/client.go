// Package endpoint talks to the prediction API of a deployed stack as a client
// does: Open Inference Protocol v2 with JSON or binary tensors, and
// TensorFlow-Serving rows, authorized the way the stack asks for.
//
// It knows neither the registry nor CloudFormation (see cmd/tidegate/stack), and
// it is no general HTTP client: it retries exactly the answers that say that
// nothing was computed (429 and 503), so that a retry cannot make a second
// prediction. A client with patience ([WithPatience]) also outlasts a server that
// goes away, at the price that a prediction may be made twice.
//
// The same client talks to any server of the protocol, see [WithAnyServer].
//
//	c, err := endpoint.New(stack.ApiEndpoint, signer.Sign)
//	meta, err := c.Metadata(ctx, "flights")
//	result, err := c.Infer(ctx, endpoint.Inference{Model: "flights", Inputs: columns, Binary: true})
package endpoint

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/pause"
)

const (
	// DefaultTries is how often a request is sent at most.
	DefaultTries = 6
	// maxAnswer bounds what is read of an answer; Lambda's own limit is 6 MB, an endpoint's 32 MB unless it is set.
	maxAnswer = 64 << 20
	// requestTimeout is above HTTP API's own 30 s, so that its 504 arrives.
	requestTimeout = 40 * time.Second
)

// Authorizer makes a request acceptable to the stack. It is called once per try,
// last, with the whole body.
type Authorizer func(req *http.Request, body []byte) error

// Client is safe for concurrent use.
type Client struct {
	base      *url.URL
	http      *http.Client
	authorize Authorizer
	tries     int
	patience  time.Duration // how long a server that is busy or away is asked again, instead of tries
	foreign   bool          // the server need not be a Tidegate API
	sleep     func(ctx context.Context, d time.Duration) error
	now       func() time.Time
}

// Option changes a client.
type Option func(*Client)

// WithHTTP replaces the HTTP client.
func WithHTTP(h *http.Client) Option { return func(c *Client) { c.http = h } }

// WithTries sets how often a request is sent at most.
func WithTries(n int) Option { return func(c *Client) { c.tries = max(n, 1) } }

// WithPatience asks a server that is busy or away (429, 502, 503, no connection)
// again for so long from the first try on, however many tries that takes.
func WithPatience(d time.Duration) Option { return func(c *Client) { c.patience = d } }

// WithAnyServer accepts answers of any server of the Open Inference Protocol,
// which carry no inference id, and waits for one for so long.
func WithAnyServer(timeout time.Duration) Option {
	return func(c *Client) { c.foreign, c.http.Timeout = true, timeout }
}

// WithSleep replaces waiting between tries, for tests.
func WithSleep(sleep func(context.Context, time.Duration) error) Option {
	return func(c *Client) { c.sleep = sleep }
}

// New returns a client of the API at base, e.g. "https://abc.execute-api.eu-central-1.amazonaws.com".
func New(base string, authorize Authorizer, options ...Option) (*Client, error) {
	u, err := url.Parse(strings.TrimRight(base, "/"))
	if err != nil || u.Scheme == "" || u.Host == "" {
		return nil, fault.New(fault.InvalidArgument, "the endpoint %q is not a URL such as https://host", base)
	}
	c := &Client{base: u, authorize: authorize, tries: DefaultTries, sleep: pause.For, now: time.Now,
		http: &http.Client{Timeout: requestTimeout, Transport: transport()}}
	for _, o := range options {
		o(c)
	}
	return c, nil
}

// transport keeps as many connections as callers run at once; Go's default of two
// per host would open a new one for nearly every request of a bulk run.
func transport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = 64
	return t
}

// Call is one request. Path begins with a slash and is escaped already.
type Call struct {
	Method string
	Path   string
	Header http.Header
	Body   []byte
}

// Answer is a successful answer, 2xx.
type Answer struct {
	Header  http.Header
	Body    []byte
	Latency time.Duration // from the first try to the last byte, waits between tries included
	Tries   int
}

// Do sends call, again after 429 and 503 as long as tries are left, honouring
// Retry-After; with patience also when the server is away. An answer that is not
// 2xx is a fault of the kind that its status stands for.
func (c *Client) Do(ctx context.Context, call Call) (Answer, error) {
	start := c.now()
	for try := 1; ; try++ {
		resp, body, err := c.once(ctx, call)
		if err == nil && resp.StatusCode/100 == 2 {
			return Answer{Header: resp.Header, Body: body, Latency: c.now().Sub(start), Tries: try}, nil
		}
		var asked time.Duration
		if err == nil {
			refused := statusFault(resp, body)
			err, asked = refused, refused.RetryAfter
		}
		wait := backoff(try, asked)
		if !c.again(ctx, resp, err, try, c.now().Sub(start)+wait) || c.sleep(ctx, wait) != nil {
			return Answer{}, err
		}
	}
}

// again says whether a refused call is sent once more, which would be when it has
// taken so long. resp is nil if there was no answer.
func (c *Client) again(ctx context.Context, resp *http.Response, err error, try int, took time.Duration) bool {
	if c.patience > 0 {
		away := resp == nil && fault.Is(err, fault.Unavailable) && ctx.Err() == nil || resp != nil && resp.StatusCode == http.StatusBadGateway
		return (away || refusal(resp)) && took <= c.patience
	}
	return refusal(resp) && try < c.tries
}

// refusal is an answer that says that nothing was computed.
func refusal(resp *http.Response) bool {
	return resp != nil && (resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable)
}

func (c *Client) once(ctx context.Context, call Call) (*http.Response, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, call.Method, c.base.String()+call.Path, bytes.NewReader(call.Body))
	if err != nil {
		return nil, nil, fault.Wrap(err, fault.InvalidArgument, "the request cannot be made; check the model's name")
	}
	for name, values := range call.Header {
		req.Header[name] = values
	}
	if err := c.authorize(req, call.Body); err != nil {
		return nil, nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, nil, unreachable(ctx, err, c.base.Host)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, nil, unreachable(ctx, err, c.base.Host)
	}
	if len(body) == maxAnswer {
		return nil, nil, fault.New(fault.PayloadTooLarge, "the answer has more than %d bytes; send fewer rows at once", maxAnswer)
	}
	return resp, body, nil
}

func unreachable(ctx context.Context, err error, host string) error {
	switch {
	case ctx.Err() != nil:
		return fault.Wrap(err, fault.Unavailable, "interrupted")
	case errors.Is(err, context.DeadlineExceeded):
		return fault.Wrap(err, fault.DeadlineExceeded, "%s did not answer in time; send fewer rows at once", host)
	}
	return fault.Wrap(err, fault.Unavailable, "%s cannot be reached; check the endpoint and the network", host)
}

// statusFault reads an error answer: ours has {"error", "violations"}, API Gateway's {"message"}.
func statusFault(resp *http.Response, body []byte) *fault.Error {
	kind := kindOf(resp.StatusCode)
	var doc struct {
		Error      string            `json:"error"`
		Violations []fault.Violation `json:"violations"`
		Message    string            `json:"message"`
	}
	message := "the API answered " + resp.Status
	if json.Unmarshal(body, &doc) == nil {
		switch {
		case doc.Error != "":
			message = doc.Error
		case doc.Message != "":
			message += ": " + doc.Message
		}
	}
	if doc.Error == "" && kind == fault.PermissionDenied {
		message += "; check the credentials, their execute-api:Invoke permission, and the region"
	}
	e := fault.New(kind, "%s", message)
	e.Violations = doc.Violations
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds >= 0 {
		e.RetryAfter = time.Duration(seconds) * time.Second
	}
	return e
}

// kindOf inverts the table of fault.Kind.HTTPStatus. 409 has three kinds there;
// the API's callers cannot retry either of them as it is.
func kindOf(status int) fault.Kind {
	if status == http.StatusConflict {
		return fault.FailedPrecondition
	}
	if status == http.StatusUnauthorized {
		return fault.PermissionDenied
	}
	for _, k := range fault.Kinds() {
		if k.HTTPStatus() == status {
			return k
		}
	}
	if status/100 == 4 {
		return fault.InvalidArgument
	}
	return fault.Internal
}

// backoff is full jitter over a doubling range (0.2 s to 10 s), and never less than the server asks for.
func backoff(try int, asked time.Duration) time.Duration {
	ceiling := min(200*time.Millisecond<<(try-1), 10*time.Second)
	return max(asked, time.Duration(rand.Int64N(int64(ceiling)))+time.Millisecond)
}

package lambdaapi_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/httpapi"
	"github.com/tidegate/tidegate/shared/lambdaapi"
	"github.com/tidegate/tidegate/shared/lambdaapi/lambdaapitest"
)

// handler answers by a function.
type handler func(ctx context.Context, req *httpapi.Request) httpapi.Response

func (h handler) Serve(ctx context.Context, req *httpapi.Request) httpapi.Response {
	return h(ctx, req)
}

func text(body string) httpapi.Response {
	return httpapi.Response{Status: 200, Header: httpapi.Header{"Content-Type": "application/json"}, Body: []byte(body)}
}

// record is a log that the loop writes while a test reads it.
type record struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

// run starts a loop and returns its API, its log, and how to end it.
func run(t *testing.T, l *lambdaapi.Loop) (api *lambdaapitest.RuntimeAPI, log *record, end func() error) {
	t.Helper()
	api, log = lambdaapitest.Start(t), new(record)
	l.API, l.Log = api.Address, slog.New(slog.NewJSONHandler(log, nil))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	end = func() error {
		cancel()
		select {
		case err := <-ended:
			return err
		case <-time.After(5 * time.Second):
			return fmt.Errorf("the loop does not end")
		}
	}
	return api, log, end
}

func invoke(t *testing.T, api *lambdaapitest.RuntimeAPI, e lambdaapitest.HTTPEvent) lambdaapitest.HTTPResult {
	t.Helper()
	result, err := api.Invoke(t.Context(), e.JSON())
	if err != nil {
		t.Fatal(err)
	}
	h, err := result.HTTP()
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestLoopServesEventAfterEvent(t *testing.T) {
	var order []string
	l := &lambdaapi.Loop{Handler: handler(func(ctx context.Context, req *httpapi.Request) httpapi.Response {
		order = append(order, "serve "+req.ID)
		if v, _ := ctx.Value("x-amzn-trace-id").(string); !strings.HasPrefix(v, "Root=") {
			t.Errorf("trace header %q", v)
		}
		r := text(fmt.Sprintf(`{"path":%q,"method":%q,"query":%q,"type":%q,"body":%q}`, req.Path, req.Method, req.Query, req.Header["content-type"], req.Body))
		r.After = func(context.Context) { order = append(order, "after "+req.ID+" "+string(req.Body)) }
		return r
	})}
	api, _, end := run(t, l)
	for i := range 3 {
		e := lambdaapitest.NewHTTPEvent("POST", "/v2/models/m/infer", strings.Repeat("x", 100*i))
		e.RawQueryString = "a=b"
		got := invoke(t, api, e)
		want := fmt.Sprintf(`{"path":"/v2/models/m/infer","method":"POST","query":"a=b","type":"application/json","body":%q}`, e.Body)
		if got.StatusCode != 200 || got.Body != want || got.Headers["Content-Type"] != "application/json" {
			t.Errorf("answer %+v", got)
		}
	}
	if err := api.Idle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := end(); err != nil {
		t.Error(err)
	}
	want := []string{"serve request-1", "after request-1 ", "serve request-2", "after request-2 " + strings.Repeat("x", 100), "serve request-3", "after request-3 " + strings.Repeat("x", 200)}
	if fmt.Sprint(order) != fmt.Sprint(want) {
		t.Errorf("order %v", order)
	}
}

func TestLoopCarriesBinaryBothWays(t *testing.T) {
	l := &lambdaapi.Loop{Handler: handler(func(_ context.Context, req *httpapi.Request) httpapi.Response {
		return httpapi.Response{Status: 200, Header: httpapi.Header{"X": "1"}, Body: append([]byte{0xff}, req.Body...), Binary: true}
	})}
	api, _, end := run(t, l)
	defer end()
	e := lambdaapitest.NewHTTPEvent("POST", "/v2/models/m/infer", base64.StdEncoding.EncodeToString([]byte{0, 1, 254}))
	e.IsBase64Encoded = true
	got := invoke(t, api, e)
	body, err := base64.StdEncoding.DecodeString(got.Body)
	if err != nil || !got.IsBase64Encoded || !bytes.Equal(body, []byte{0xff, 0, 1, 254}) {
		t.Errorf("answer %+v, %v", got, err)
	}
}

func TestLoopStripsTheStage(t *testing.T) {
	l := &lambdaapi.Loop{Handler: handler(func(_ context.Context, req *httpapi.Request) httpapi.Response { return text(req.Path) })}
	api, _, end := run(t, l)
	defer end()
	for _, c := range []struct{ stage, path, want string }{
		{"$default", "/v2", "/v2"}, {"prod", "/prod/v2", "/v2"}, {"prod", "/prod", "/"}, {"prod", "/production", "/production"}, {"", "/v2", "/v2"},
	} {
		e := lambdaapitest.NewHTTPEvent("GET", c.path, "")
		e.RequestContext["stage"] = c.stage
		if got := invoke(t, api, e); got.Body != c.want {
			t.Errorf("stage %q, path %q: %q, want %q", c.stage, c.path, got.Body, c.want)
		}
	}
}

func TestLoopSurvivesWhatHandlersDo(t *testing.T) {
	var do atomic.Pointer[handler] // what the next event meets
	next := func(h handler) { do.Store(&h) }
	l := &lambdaapi.Loop{Handler: handler(func(ctx context.Context, req *httpapi.Request) httpapi.Response { return (*do.Load())(ctx, req) })}
	api, log, end := run(t, l)
	defer end()
	get := lambdaapitest.NewHTTPEvent("GET", "/v2", "")
	next(func(context.Context, *httpapi.Request) httpapi.Response { panic("in the handler") })
	if got := invoke(t, api, get); got.StatusCode != 500 || !strings.Contains(got.Body, "request-1") || strings.Contains(got.Body, "in the handler") {
		t.Errorf("panic: %+v", got)
	}
	next(func(context.Context, *httpapi.Request) httpapi.Response {
		return httpapi.Response{Status: 204, After: func(context.Context) { panic("after the answer") }}
	})
	if got := invoke(t, api, get); got.StatusCode != 204 {
		t.Errorf("%+v", got)
	}
	next(func(context.Context, *httpapi.Request) httpapi.Response { return text(strings.Repeat("x", 6_000_000)) })
	if got := invoke(t, api, get); got.StatusCode != 413 || !strings.Contains(got.Body, "fewer rows") {
		t.Errorf("large: %d %.100s", got.StatusCode, got.Body)
	}
	next(func(context.Context, *httpapi.Request) httpapi.Response { return text("still here") })
	if got := invoke(t, api, get); got.Body != "still here" {
		t.Errorf("%+v", got)
	}
	if l := log.String(); !strings.Contains(l, "in the handler") || !strings.Contains(l, "after the answer") {
		t.Errorf("log %s", l)
	}
}

func TestLoopRefusesWhatIsNoHTTPEvent(t *testing.T) {
	l := &lambdaapi.Loop{Handler: handler(func(context.Context, *httpapi.Request) httpapi.Response { return text("") })}
	api, _, end := run(t, l)
	defer end()
	for _, payload := range []string{``, `{}`, `null`, `"x"`, `[1]`, `{"rawPath":"/"}`, `{"version":"1.0","path":"/v2","httpMethod":"GET"}`, `{"rawPath":"/","requestContext":{"http":{"method":"GET"}}`, `{"rawPath":1,"requestContext":{"http":{"method":"GET"}}}`} {
		got, err := api.Invoke(t.Context(), []byte(payload))
		if err != nil {
			t.Fatal(err)
		}
		if !got.Failed || got.Kind != string(fault.InvalidArgument) {
			t.Errorf("%s: %+v", payload, got)
		}
	}
	bad := lambdaapitest.NewHTTPEvent("POST", "/v2", "not base64!")
	bad.IsBase64Encoded = true
	if got, _ := api.Invoke(t.Context(), bad.JSON()); !got.Failed {
		t.Errorf("bad base64: %s", got.Payload)
	}
	if got := invoke(t, api, lambdaapitest.NewHTTPEvent("GET", "/v2", "")); got.StatusCode != 200 {
		t.Errorf("%+v", got)
	}
}

func TestTheDeadlineIsTheNearerOfGatewayAndFunction(t *testing.T) {
	var left, after atomic.Int64 // nanoseconds
	l := &lambdaapi.Loop{Handler: handler(func(ctx context.Context, _ *httpapi.Request) httpapi.Response {
		d, _ := ctx.Deadline()
		left.Store(int64(time.Until(d)))
		r := text("")
		r.After = func(ctx context.Context) {
			d, _ := ctx.Deadline()
			after.Store(int64(time.Until(d)))
		}
		return r
	})}
	api, _, end := run(t, l)
	defer end()
	for _, c := range []struct {
		name            string
		function, since time.Duration
		want            time.Duration
	}{
		{"function", 10 * time.Second, 0, 9800 * time.Millisecond},
		{"gateway", 60 * time.Second, 0, 29 * time.Second},
		{"gateway, waited in its queue", 60 * time.Second, 20 * time.Second, 9 * time.Second},
		{"a sample event", 60 * time.Second, 1000 * time.Hour, 59800 * time.Millisecond},
		{"a clock ahead", 60 * time.Second, -time.Hour, 59800 * time.Millisecond},
	} {
		api.Timeout = c.function
		e := lambdaapitest.NewHTTPEvent("GET", "/v2", "")
		e.RequestContext["timeEpoch"] = time.Now().Add(-c.since).UnixMilli()
		invoke(t, api, e)
		if err := api.Idle(t.Context()); err != nil {
			t.Fatal(err)
		}
		if d := c.want - time.Duration(left.Load()); d < 0 || d > 2*time.Second {
			t.Errorf("%s: %v left, want %v", c.name, time.Duration(left.Load()), c.want)
		}
		if d := c.function - 500*time.Millisecond - time.Duration(after.Load()); d < 0 || d > 2*time.Second {
			t.Errorf("%s: %v after the answer, of %v", c.name, time.Duration(after.Load()), c.function)
		}
	}
}

func TestLoopEnds(t *testing.T) {
	flushed := 0
	l := &lambdaapi.Loop{
		Handler: handler(func(context.Context, *httpapi.Request) httpapi.Response { return text("") }),
		Flush: func(ctx context.Context) {
			if _, ok := ctx.Deadline(); ok && ctx.Err() == nil {
				flushed++
			}
		},
	}
	api, _, end := run(t, l)
	invoke(t, api, lambdaapitest.NewHTTPEvent("GET", "/v2", ""))
	if err := end(); err != nil || flushed != 1 {
		t.Errorf("ended with %v, flushed %d times", err, flushed)
	}
	l = &lambdaapi.Loop{Handler: l.Handler, Exhausted: func() bool { return true }}
	api, _, end = run(t, l)
	invoke(t, api, lambdaapitest.NewHTTPEvent("GET", "/v2", ""))
	if err := end(); err != nil {
		t.Error(err)
	}
	l = &lambdaapi.Loop{API: "127.0.0.1:1", Handler: l.Handler, Log: slog.New(slog.DiscardHandler)}
	if err := l.Run(t.Context()); err == nil {
		t.Error("runs without a Runtime API")
	}
}

func TestReportInit(t *testing.T) {
	api := lambdaapitest.Start(t)
	if err := lambdaapi.ReportInit(api.Address, fault.New(fault.Internal, "there is no library")); err != nil {
		t.Fatal(err)
	}
	got, err := api.InitError(t.Context())
	if err != nil || got.Kind != "Tidegate.Internal" || !strings.Contains(string(got.Payload), "there is no library") {
		t.Errorf("%+v, %v", got, err)
	}
}

package sagemaker

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/batching"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/httpapi"
	"github.com/tidegate/tidegate/shared/serving/mlflow"
)

// spy is the handlers behind: it keeps what it was asked.
type spy struct {
	asked    httpapi.Request
	deadline time.Duration
	answer   string
	header   httpapi.Header // of the answer
	trace    string
	after    int
}

func (s *spy) Serve(ctx context.Context, req *httpapi.Request) httpapi.Response {
	s.asked = *req
	s.asked.Body, s.asked.Header = bytes.Clone(req.Body), maps.Clone(req.Header)
	if at, ok := ctx.Deadline(); ok {
		s.deadline = time.Until(at)
	}
	s.trace = httpapi.Trace(ctx)
	if s.header == nil {
		s.header = httpapi.Header{}
	}
	return httpapi.Response{Status: 200, Header: s.header, Body: []byte(s.answer), After: func(context.Context) { s.after++ }}
}

type seen []httpapi.Observation

func (s *seen) Observe(_ context.Context, o *httpapi.Observation) { *s = append(*s, *o) }

func gzipped(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return b.String()
}

func TestInvocationsBecomeRequestsOfTheirProtocol(t *testing.T) {
	const tensors = `{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[1]}]}`
	for _, tt := range []struct {
		name             string
		header           httpapi.Header
		body             string
		path, want       string
		contentType      string
		answer, answered string
	}{
		{"tensors", httpapi.Header{"content-type": "application/json"}, tensors, "/v2/models/m/infer", tensors, "", `{}`, `{}`},
		{"no type", httpapi.Header{}, tensors, "/v2/models/m/infer", tensors, "", `{}`, `{}`},
		{"binary", httpapi.Header{"content-type": "application/vnd.sagemaker-triton.binary+json;json-header-size=5"}, "{..}\x00", "/v2/models/m/infer", "{..}\x00",
			"application/vnd.sagemaker-triton.binary+json;json-header-size=5", `{}`, `{}`},
		{"binary by header", httpapi.Header{"content-type": "application/octet-stream", "inference-header-content-length": "4"}, "{..}\x00", "/v2/models/m/infer", "{..}\x00", "application/octet-stream", `{}`, `{}`},
		{"rows of a version", httpapi.Header{"content-type": "application/json", attributesHeader: "model=flights; version=7"}, `{"instances":[1]}`,
			"/v1/models/flights/versions/7:predict", `{"instances":[1]}`, "", `{"predictions":[1]}`, `{"predictions":[1]}`},
		{"columns", httpapi.Header{"content-type": "application/json; charset=utf-8"}, `{"inputs":{"a":[1]}}`, "/v1/models/m:predict", `{"inputs":{"a":[1]}}`, "", `{"outputs":[2]}`, `{"predictions":[2]}`},
		{"records, compressed", httpapi.Header{"content-type": "application/json", "content-encoding": "gzip"}, gzipped(`{"dataframe_records":[{"a":1}]}`),
			"/v1/models/m:predict", `{"instances":[{"a":1}]}`, "", `{}`, `{}`},
		{"split", httpapi.Header{"content-type": "application/json"}, `{"dataframe_split":{"columns":["a"],"data":[[1]]}}`, "/v1/models/m:predict", `{"instances":[[1]]}`, "", `{}`, `{}`},
		{"csv", httpapi.Header{"content-type": `text/csv; header="present"`}, "a\n1\n", "/v1/models/m:predict", `{"instances":[[1]]}`, "", `{}`, `{}`},
	} {
		s := &spy{answer: tt.answer}
		h := New(s, Options{Model: "m", Columns: func(context.Context, string, int) ([]mlflow.Column, error) {
			return []mlflow.Column{{Name: "a", Width: 1}}, nil
		}})
		resp := h.Serve(t.Context(), &httpapi.Request{Method: "POST", Path: "/invocations", Header: tt.header, Body: []byte(tt.body)})
		if resp.Status != 200 || string(resp.Body) != tt.answered {
			t.Errorf("%s: %d %s", tt.name, resp.Status, resp.Body)
		}
		if s.asked.Path != tt.path || string(s.asked.Body) != tt.want || s.asked.Method != "POST" {
			t.Errorf("%s: asked %s %s", tt.name, s.asked.Path, s.asked.Body)
		}
		if tt.contentType != "" && s.asked.Header["content-type"] != tt.contentType {
			t.Errorf("%s: the content type became %q", tt.name, s.asked.Header["content-type"])
		}
		if s.asked.Header["content-encoding"] != "" {
			t.Errorf("%s: still said to be compressed", tt.name)
		}
		resp.After(t.Context())
		if s.after != 1 {
			t.Errorf("%s: the afterwork ran %d times", tt.name, s.after)
		}
	}
}

func TestAttributes(t *testing.T) {
	a, err := parseAttributes("model=m;version=7; deadline_ms=250 ;key=u=1;priority=low;tfs-model-name=half;;trace=1-2")
	if want := (attributes{model: "m", version: 7, deadline: 250 * time.Millisecond, key: "u=1", priority: batching.Low, trace: "1-2"}); err != nil || a != want {
		t.Errorf("%+v, %v", a, err)
	}
	if a, err := parseAttributes("trace=1-2\"evil"); err != nil || a.trace != "" {
		t.Errorf("%+v, %v", a, err)
	}
	for text, faults := range map[string]int{
		"version=0": 1, "version=-1;deadline_ms=0": 2, "deadline_ms=1.5": 1, "priority=high": 1, "model=a;model=b": 1, "version=99999999999": 1, strings.Repeat("x", 1025): 1,
	} {
		if _, err := parseAttributes(text); !fault.Is(err, fault.InvalidArgument) || len(fault.Public(err).Violations) != faults {
			t.Errorf("%.40s: %v", text, err)
		}
	}
	s := &spy{}
	h := New(s, Options{})
	resp := h.Serve(t.Context(), &httpapi.Request{Method: "POST", Path: "/invocations", Body: []byte(`{"instances":[]}`),
		Header: httpapi.Header{attributesHeader: "model=a/b;deadline_ms=5000;key=k"}})
	if resp.Status != 200 || s.asked.Path != "/v1/models/a%2Fb:predict" || s.asked.Header["tidegate-key"] != "k" || s.deadline <= 0 || s.deadline > 5*time.Second {
		t.Errorf("%d, asked %s with %v, deadline %v", resp.Status, s.asked.Path, s.asked.Header, s.deadline)
	}
}

// TestAnswersSayWhoAnswered: of all headers, SageMaker passes on this one.
func TestAnswersSayWhoAnswered(t *testing.T) {
	s := &spy{header: httpapi.Header{"Tidegate-Model-Version": "7", "Tidegate-Model-Digest": "sha256:07", "Tidegate-Served-By": "endpoint-cuda", "Tidegate-Inference-Id": "i-1"}}
	ask := func() string {
		resp := New(s, Options{}).Serve(t.Context(), &httpapi.Request{Method: "POST", Path: "/invocations", Body: []byte(`{"instances":[]}`),
			Header: httpapi.Header{attributesHeader: "model=m;trace=1-5759e988-bd86"}})
		return resp.Header[answerHeader]
	}
	if got := ask(); got != "version=7;digest=sha256:07;served_by=endpoint-cuda;inference_id=i-1" || s.trace != "1-5759e988-bd86" {
		t.Errorf("%q, trace %q", got, s.trace)
	}
	s.header = httpapi.Header{} // nobody was picked
	if got := ask(); got != "" {
		t.Errorf("%q", got)
	}
}

func TestRefusals(t *testing.T) {
	for _, tt := range []struct {
		name, method, path string
		header             httpapi.Header
		body               string
		status             int
		says               string
	}{
		{"media type", "POST", "/invocations", httpapi.Header{"content-type": "image/png"}, "x", 415, "application/json"},
		{"nothing known", "POST", "/invocations", httpapi.Header{"content-type": "application/json"}, `{"rows":1}`, 400, "dataframe_split"},
		{"no model", "POST", "/invocations", httpapi.Header{attributesHeader: "model="}, `{"instances":1}`, 400, "model=flights"},
		{"attributes", "POST", "/invocations", httpapi.Header{attributesHeader: "model=m;version=x"}, `{"instances":1}`, 400, "version"},
		{"compression", "POST", "/invocations", httpapi.Header{attributesHeader: "model=m", "content-encoding": "br"}, `{"instances":1}`, 400, "Content-Encoding"},
		{"too large", "POST", "/invocations", httpapi.Header{attributesHeader: "model=m"}, strings.Repeat(" ", 2000), 413, "1000 bytes"},
		{"columns unknown", "POST", "/invocations", httpapi.Header{attributesHeader: "model=m", "content-type": "text/csv"}, "1\n", 404, "no such model"},
		{"method", "GET", "/invocations", nil, "", 405, "POST"},
		{"method of ping", "POST", "/ping", nil, "", 405, "GET"},
		{"not ready", "GET", "/ping", nil, "", 503, "loaded"},
	} {
		var told seen
		h := New(&spy{}, Options{
			MaxBody: 1000, Observer: &told,
			Ready: func(context.Context) error {
				return fault.New(fault.Unavailable, "the models are being loaded").After(time.Second)
			},
			Columns: func(context.Context, string, int) ([]mlflow.Column, error) {
				return nil, fault.New(fault.NotFound, "no such model")
			},
		})
		if tt.name == "media type" || tt.name == "nothing known" {
			h.opt.Model = "m"
		}
		resp := h.Serve(t.Context(), &httpapi.Request{Method: tt.method, Path: tt.path, Header: tt.header, Body: []byte(tt.body), ID: "r-1"})
		if resp.Status != tt.status || !strings.Contains(string(resp.Body), tt.says) && resp.Header["Allow"] == "" || !strings.Contains(string(resp.Body), "r-1") {
			t.Errorf("%s: %d %s", tt.name, resp.Status, resp.Body)
		}
		resp.After(t.Context())
		if len(told) != 1 || told[0].Status != tt.status {
			t.Errorf("%s: observed %+v", tt.name, told)
		}
	}
}

func TestPing(t *testing.T) {
	var unready error
	h := New(&spy{}, Options{Ready: func(context.Context) error { return unready }})
	for _, err := range []error{nil, errors.New("down"), nil} {
		unready = err
		resp := h.Serve(t.Context(), &httpapi.Request{Method: "GET", Path: "/ping"})
		if (resp.Status == 200) != (err == nil) {
			t.Errorf("%v: %d", err, resp.Status)
		}
	}
}

func FuzzAttributes(f *testing.F) {
	for _, seed := range []string{"", "model=m;version=7;deadline_ms=5;key=k;priority=low", "=;=", "version=00000000001", "deadline_ms=18446744073709551616"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := parseAttributes(text)
		if err == nil && (a.version < 0 || a.deadline < 0) || err != nil && !fault.Is(err, fault.InvalidArgument) {
			t.Errorf("%q: %+v, %v", text, a, err)
		}
	})
}

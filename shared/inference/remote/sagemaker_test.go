package remote_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sagemakerruntime"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/inference"
	"github.com/tidegate/tidegate/shared/inference/inferencetest"
	"github.com/tidegate/tidegate/shared/inference/remote"
)

// runtime stands in for SageMaker's runtime before a container: it passes on body,
// content type and attributes, loses every other header, and calls what the container
// refuses a ModelError of status 424.
type runtime struct {
	*httptest.Server
	container *container
	fail      func(w http.ResponseWriter) bool // answers itself

	mu   sync.Mutex
	seen []*http.Request
}

// asked are the requests so far.
func (s *runtime) asked() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.seen)
}

func serveRuntime(t *testing.T) *runtime {
	t.Helper()
	r := &runtime{container: serveContainer(t)}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Server.Close)
	return r
}

func (s *runtime) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.seen = append(s.seen, r)
	s.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	if s.fail != nil && s.fail(w) {
		return
	}
	if r.URL.Path != "/endpoints/models/invocations" {
		refuse(w, 400, "ValidationError", map[string]any{"Message": "Endpoint secret of account 123456789012 not found."})
		return
	}
	inner, _ := http.NewRequestWithContext(r.Context(), http.MethodPost, s.container.URL+"/invocations", bytes.NewReader(body))
	for _, name := range []string{"Content-Type", "X-Amzn-Sagemaker-Custom-Attributes"} {
		inner.Header.Set(name, r.Header.Get(name))
	}
	resp, err := http.DefaultClient.Do(inner)
	if err != nil {
		refuse(w, 424, "ModelError", map[string]any{"Message": "no response", "OriginalMessage": ""})
		return
	}
	defer resp.Body.Close()
	answer, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != 200 {
		refuse(w, 424, "ModelError", map[string]any{"Message": "Received client error", "OriginalStatusCode": resp.StatusCode, "OriginalMessage": string(answer), "LogStreamArn": "arn"})
		return
	}
	w.Header().Set("Content-Type", resp.Header.Get("Content-Type"))
	w.Header().Set("X-Amzn-Sagemaker-Custom-Attributes", resp.Header.Get("X-Amzn-Sagemaker-Custom-Attributes"))
	w.Header().Set("X-Amzn-Invoked-Production-Variant", "all")
	_, _ = w.Write(answer)
}

func refuse(w http.ResponseWriter, status int, code string, fields map[string]any) {
	w.Header().Set("X-Amzn-Errortype", code)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(fields)
}

// client is the real SDK's, pointed at the stand-in.
func (s *runtime) client(t *testing.T, version int, o remote.Options, change func(*inference.Backend)) *remote.Client {
	t.Helper()
	o.SageMaker = func() remote.Invoker {
		return sagemakerruntime.NewFromConfig(aws.Config{Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("k", "s", ""), BaseEndpoint: &s.URL})
	}
	b := inference.DefaultBackend()
	b.Kind, b.Endpoint = inference.SageMaker, "models"
	if change != nil {
		change(&b)
	}
	return remote.New(o).Client(b, s.container.bound(t, version))
}

func TestSageMakerEndpoints(t *testing.T) {
	s := serveRuntime(t)
	trace := func(context.Context) string {
		return "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
	}
	for version, add := range map[int]float32{1: 6, 2: 7} {
		client := s.client(t, version, remote.Options{Trace: trace}, func(b *inference.Backend) { b.Component = "flights" })
		a, err := client.Infer(within(t, 5*time.Second), remote.Call{Inputs: rows(1, 2), Low: true})
		if err != nil {
			t.Fatal(err)
		}
		if a.Outputs[0].FP32s[1] != 2+add || a.Digest != s.container.bound(t, version).Digest || a.ServedBy != "endpoint" {
			t.Errorf("version %d: %+v", version, a)
		}
		a.Release()
		asked := s.asked()[len(s.asked())-1]
		attributes := asked.Header.Get("X-Amzn-Sagemaker-Custom-Attributes")
		for _, want := range []string{"model=m;version=", ";deadline_ms=", ";priority=low", ";trace=1-5759e988-bd862e3fe1be46a994272793"} {
			if !strings.Contains(attributes, want) {
				t.Errorf("attributes %q lack %q", attributes, want)
			}
		}
		if !strings.HasPrefix(asked.Header.Get("Content-Type"), "application/vnd.sagemaker-triton.binary+json;json-header-size=") || asked.Header.Get("X-Amzn-Sagemaker-Inference-Component") != "flights" || asked.Header.Get("Authorization") == "" {
			t.Errorf("asked with %v", asked.Header)
		}
	}
}

// TestWhatSageMakerRefuses: the container's status is OriginalStatusCode; a refusal of SageMaker's own is never one of the rows.
func TestWhatSageMakerRefuses(t *testing.T) {
	model := func(status int) func(http.ResponseWriter) bool {
		return func(w http.ResponseWriter) bool {
			refuse(w, 424, "ModelError", map[string]any{"OriginalStatusCode": status, "OriginalMessage": "secret"})
			return true
		}
	}
	own := func(status int, code string) func(http.ResponseWriter) bool {
		return func(w http.ResponseWriter) bool { refuse(w, status, code, map[string]any{"Message": "m"}); return true }
	}
	for name, tt := range map[string]struct {
		fail   func(http.ResponseWriter) bool
		reason remote.Reason
		asked  int // with one retry
	}{
		"a bug in the container": {model(500), remote.Failed, 1},
		"the container died":     {model(0), remote.Failed, 1},
		"it is full":             {model(429), remote.Throttled, 2},
		"it loads":               {model(503), remote.NoCapacity, 2},
		"it was late":            {model(504), remote.TooLate, 1},
		"no such version":        {model(404), remote.OtherVersion, 1},
		"throttled":              {own(400, "ThrottlingException"), remote.Throttled, 2},
		"unavailable":            {own(503, "ServiceUnavailable"), remote.NoCapacity, 2},
		"not ready":              {own(429, "ModelNotReadyException"), remote.NoCapacity, 1},
		"SageMaker's own fault":  {own(500, "InternalFailure"), remote.Failed, 1},
		"of something behind it": {own(530, "InternalDependencyException"), remote.Failed, 1},
		"unknown, of the server": {own(500, "Surprise"), remote.Failed, 1},
		"no permission":          {own(403, "AccessDeniedException"), remote.Denied, 1},
		"no such endpoint":       {own(400, "ValidationError"), remote.Denied, 1},
		"hung up":                {func(http.ResponseWriter) bool { panic(http.ErrAbortHandler) }, remote.Unreachable, 1},
		"garbage":                {func(w http.ResponseWriter) bool { _, _ = io.WriteString(w, "<html>"); return true }, remote.Garbage, 1},
		"garbage with a bad size": {func(w http.ResponseWriter) bool {
			w.Header().Set("Content-Type", "application/vnd.sagemaker-triton.binary+json;json-header-size=99")
			_, _ = io.WriteString(w, "{}")
			return true
		}, remote.Garbage, 1},
		"another digest": {func(w http.ResponseWriter) bool {
			w.Header().Set("X-Amzn-Sagemaker-Custom-Attributes", "version=1;digest=sha256:00")
			_, _ = io.WriteString(w, good)
			return true
		}, remote.OtherVersion, 1},
		"no attributes": {func(w http.ResponseWriter) bool { _, _ = io.WriteString(w, good); return true }, remote.OtherVersion, 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := serveRuntime(t)
			s.fail = tt.fail
			_, err := s.client(t, 1, remote.Options{}, nil).Infer(within(t, 5*time.Second), remote.Call{Inputs: rows(1)})
			if reasonOf(err) != tt.reason || len(s.asked()) != tt.asked || strings.Contains(err.Error(), "secret") {
				t.Errorf("%v; asked %d times, want %d", err, len(s.asked()), tt.asked)
			}
		})
	}
	s := serveRuntime(t)
	s.fail = model(400)
	if _, err := s.client(t, 1, remote.Options{}, nil).Infer(t.Context(), remote.Call{Inputs: rows(1)}); !fault.Is(err, fault.InvalidArgument) || strings.Contains(err.Error(), "secret") {
		t.Errorf("rows that the container refuses: %v", err)
	}
	s.fail = nil
	if _, err := s.client(t, 1, remote.Options{}, func(b *inference.Backend) { b.Endpoint = "another" }).Infer(t.Context(), remote.Call{Inputs: rows(1)}); reasonOf(err) != remote.Denied {
		t.Errorf("no such endpoint: %v", err)
	}
	// It hangs.
	s.fail = func(http.ResponseWriter) bool { time.Sleep(400 * time.Millisecond); return true }
	if _, err := s.client(t, 1, remote.Options{}, nil).Infer(within(t, 100*time.Millisecond), remote.Call{Inputs: rows(1)}); reasonOf(err) != remote.TooLate {
		t.Errorf("%v", err)
	}
	// Nothing is wired.
	b := inference.DefaultBackend()
	b.Kind, b.Endpoint = inference.SageMaker, "models"
	counts := new(inferencetest.Counts)
	_, _, ran, err := remote.New(remote.Options{Count: counts.Add}).Bind(b, s.container.bound(t, 1)).Run(t.Context(), inference.RemoteCall{Inputs: rows(1), Local: new(here).run})
	if err != nil || ran.Fallback != "denied" || counts.Of("BackendLostDenied") != 1 {
		t.Errorf("%v, %+v", err, ran)
	}
	// Nobody listens.
	s.Server.Close()
	if _, err := s.client(t, 1, remote.Options{}, nil).Infer(t.Context(), remote.Call{Inputs: rows(1)}); reasonOf(err) != remote.Unreachable {
		t.Errorf("%v", err)
	}
}

package s3

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/blob/blobtest"
	"github.com/tidegate/tidegate/shared/fault"
)

// open starts a fake S3 and returns the adapter on it, through the real SDK client.
func open(t *testing.T) (*Store, *fakeS3) {
	t.Helper()
	fake := &fakeS3{bucket: "bucket"}
	server := httptest.NewServer(fake)
	t.Cleanup(server.Close)
	return New(NewClient(config(server.URL)), "bucket"), fake
}

func config(url string) aws.Config {
	return aws.Config{
		Region: "eu-central-1", BaseEndpoint: &url,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "secret"}, nil
		}),
		Retryer: func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) {
				o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
			})
		},
	}
}

func TestConforms(t *testing.T) {
	blobtest.Run(t, func(t *testing.T) blob.Store { s, _ := open(t); return s })
}

func TestVersionsAreRemoved(t *testing.T) {
	blobtest.RunVersions(t, func(t *testing.T) blobtest.Versioned { s, _ := open(t); return s })
	s, fake := open(t)
	fake.answer = func(w http.ResponseWriter, r *http.Request) bool {
		refuse(w, http.StatusForbidden, "AccessDenied")
		return true
	}
	if err := s.DeleteVersion(t.Context(), "k", "1"); !fault.Is(err, fault.Internal) {
		t.Errorf("without permission: %v", err)
	}
	if seen := fake.seen()[0]; seen.Method != http.MethodDelete || seen.URL.Query().Get("versionId") != "1" {
		t.Errorf("%s %s", seen.Method, seen.URL)
	}
}

func TestConditionsAreHeaders(t *testing.T) {
	s, fake := open(t)
	ctx := t.Context()
	info, err := s.Put(ctx, "models/m/state.json", []byte("{}"), blob.Once())
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Put(ctx, "models/m/state.json", []byte("{ }"), blob.Match(info.ETag))
	if err != nil {
		t.Fatal(err)
	}
	if _, err = s.PutStream(ctx, "uploads/x", strings.NewReader("x"), 1, blob.Always()); err != nil {
		t.Fatal(err)
	}
	_, _, err = s.GetIfChanged(ctx, "models/m/state.json", info.ETag)
	if err != nil {
		t.Fatal(err)
	}
	want := []struct{ method, path, ifMatch, ifNoneMatch, contentType string }{
		{"PUT", "/bucket/models/m/state.json", "", "*", "application/json"},
		{"PUT", "/bucket/models/m/state.json", info.ETag, "", "application/json"},
		{"PUT", "/bucket/uploads/x", "", "", "application/octet-stream"},
		{"GET", "/bucket/models/m/state.json", "", info.ETag, ""},
	}
	for i, r := range fake.seen() {
		w := want[i]
		if r.Method != w.method || r.URL.Path != w.path || r.Header.Get("If-Match") != w.ifMatch || r.Header.Get("If-None-Match") != w.ifNoneMatch || r.Header.Get("Content-Type") != w.contentType {
			t.Errorf("request %d: %s %s %v, want %+v", i, r.Method, r.URL.Path, r.Header, w)
		}
		// The signature covers the body's sha256: that is the checksum, over plain HTTP too.
		if sum := r.Header.Get("X-Amz-Content-Sha256"); len(sum) != 64 {
			t.Errorf("request %d is not signed with the sha256 of its body: %q", i, sum)
		}
	}
}

// TestRetries: a conditional write must be sent once; everything else is the SDK's business.
func TestRetries(t *testing.T) {
	calls := map[string]struct {
		call  func(s *Store, ctx context.Context) error
		sends int
	}{
		"write once": {func(s *Store, ctx context.Context) error {
			_, err := s.Put(ctx, "k", nil, blob.Once())
			return err
		}, 1},
		"compare and swap": {func(s *Store, ctx context.Context) error {
			_, err := s.Put(ctx, "k", nil, blob.Match(`"x"`))
			return err
		}, 1},
		"streamed once": {func(s *Store, ctx context.Context) error {
			_, err := s.PutStream(ctx, "k", strings.NewReader("x"), 1, blob.Once())
			return err
		}, 1},
		"put": {func(s *Store, ctx context.Context) error {
			_, err := s.PutStream(ctx, "k", strings.NewReader("x"), 1, blob.Always())
			return err
		}, 3},
		"get": {func(s *Store, ctx context.Context) error { _, err := s.Get(ctx, "k"); return err }, 3},
		"list": {func(s *Store, ctx context.Context) error {
			for _, err := range s.List(ctx, "", "") {
				return err
			}
			return nil
		}, 3},
	}
	for name, tt := range calls {
		for _, how := range []string{"503", "connection lost"} {
			t.Run(name+", "+how, func(t *testing.T) {
				s, fake := open(t)
				fake.answer = func(w http.ResponseWriter, _ *http.Request) bool {
					if how == "503" {
						refuse(w, http.StatusServiceUnavailable, "SlowDown")
						return true
					}
					conn, _, err := http.NewResponseController(w).Hijack()
					if err != nil {
						t.Error(err)
						return true
					}
					return conn.Close() == nil
				}
				if err := tt.call(s, t.Context()); !fault.Is(err, fault.Unavailable) {
					t.Errorf("%v, want Unavailable", err)
				}
				if n := len(fake.seen()); n != tt.sends {
					t.Errorf("%d requests, want %d", n, tt.sends)
				}
			})
		}
	}
}

func TestClassify(t *testing.T) {
	tests := []struct {
		status int
		code   string
		want   fault.Kind
	}{
		{404, "NoSuchKey", fault.NotFound},
		{404, "NoSuchBucket", fault.Internal},
		{404, "", fault.NotFound},
		{412, "PreconditionFailed", fault.FailedPrecondition},
		{412, "", fault.FailedPrecondition},
		{409, "ConditionalRequestConflict", fault.Aborted},
		{409, "OperationAborted", fault.Aborted},
		{409, "", fault.Aborted},
		{400, "RequestTimeout", fault.Unavailable},
		{429, "TooManyRequests", fault.Unavailable},
		{500, "InternalError", fault.Unavailable},
		{500, "", fault.Unavailable},
		{502, "", fault.Unavailable},
		{503, "SlowDown", fault.Unavailable},
		{503, "ServiceUnavailable", fault.Unavailable},
		{403, "AccessDenied", fault.Internal},
		{403, "", fault.Internal},
		{403, "RequestTimeTooSkewed", fault.Internal},
		{301, "PermanentRedirect", fault.Internal},
		{400, "InvalidRequest", fault.Internal},
	}
	for _, tt := range tests {
		t.Run(http.StatusText(tt.status)+" "+tt.code, func(t *testing.T) {
			s, fake := open(t)
			fake.answer = func(w http.ResponseWriter, _ *http.Request) bool {
				if tt.code == "" {
					w.WriteHeader(tt.status)
					return true
				}
				refuse(w, tt.status, tt.code)
				return true
			}
			_, err := s.Put(t.Context(), "k", nil, blob.Once())
			if got := fault.KindOf(err); got != tt.want {
				t.Errorf("%s: %v, want %s", got, err, tt.want)
			}
			if text := fault.Public(err).Message; strings.Contains(text, "bucket/") || strings.Contains(text, "127.0.0.1") {
				t.Errorf("the public message shows internals: %s", text)
			}
		})
	}
}

func TestContextThatEndsMeanwhile(t *testing.T) {
	s, fake := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	fake.answer = func(_ http.ResponseWriter, r *http.Request) bool {
		cancel()
		<-r.Context().Done()
		return true
	}
	_, err := s.Put(ctx, "k", []byte("x"), blob.Once())
	if !fault.Is(err, fault.Unavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want Unavailable by the context", err)
	}
}

func TestTruncatedBody(t *testing.T) {
	s, fake := open(t)
	fake.answer = func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "short")
		return true
	}
	if _, err := s.Get(t.Context(), "k"); !fault.Is(err, fault.Unavailable) {
		t.Errorf("%v, want Unavailable", err)
	}
}

func TestMissingBucketIsOurFault(t *testing.T) {
	s, _ := open(t)
	s.bucket = "typo"
	if _, err := s.Get(t.Context(), "k"); !fault.Is(err, fault.Internal) {
		t.Errorf("%v, want Internal", err)
	}
}

func TestNobodyListens(t *testing.T) {
	server := httptest.NewServer(nil)
	server.Close()
	s := New(NewClient(config(server.URL)), "bucket")
	if _, err := s.Get(t.Context(), "k"); !fault.Is(err, fault.Unavailable) {
		t.Errorf("%v, want Unavailable", err)
	}
}

// BenchmarkNewClient is what a cold start pays for the client.
func BenchmarkNewClient(b *testing.B) {
	cfg := config("http://127.0.0.1:1")
	b.ReportAllocs()
	for b.Loop() {
		New(NewClient(cfg), "bucket")
	}
}

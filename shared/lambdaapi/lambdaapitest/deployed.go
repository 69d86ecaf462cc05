package lambdaapitest

import (
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambda/messages"

	"github.com/tidegate/tidegate/shared/fault"
)

// Env is the environment of a deployed function.
type Env map[string]string

// NewEnv is what Lambda sets for every function, with the function's own settings and
// pairs "NAME=value" over it.
func NewEnv(own map[string]string, pairs ...string) Env {
	env := Env{"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
	maps.Copy(env, own)
	for _, pair := range pairs {
		name, value, _ := strings.Cut(pair, "=")
		env[name] = value
	}
	return env
}

// Get is os.Getenv of it.
func (e Env) Get(name string) string { return e[name] }

// Needs holds that build refuses an environment without one of these names, or with
// pairs "NAME=value" a wrong value, and that the error says which.
func Needs[F any](t *testing.T, build func(*slog.Logger, func(string) string) (F, error), env Env, names ...string) {
	t.Helper()
	for _, wrong := range names {
		name, value, set := strings.Cut(wrong, "=")
		without := maps.Clone(env)
		delete(without, name)
		if set {
			without[name] = value
		}
		if _, err := build(slog.New(slog.DiscardHandler), without.Get); !fault.Is(err, fault.InvalidArgument) || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v", wrong, err)
		}
	}
}

// EmptyS3 is the address of an S3 without any object, in which nothing may be written.
func EmptyS3(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/xml")
		switch {
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			t.Errorf("%s %s: nothing may be written", r.Method, r.URL.Path)
		case r.URL.Query().Has("list-type"):
			_, _ = io.WriteString(w, `<ListBucketResult><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated></ListBucketResult>`)
			return
		}
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>`)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// Sample is one of the sample events.
func Sample(t *testing.T, folder, name string) []byte {
	t.Helper()
	event, err := os.ReadFile(filepath.Join(folder, name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return event
}

// ReplayKinds gives a step the named sample events of a folder and holds the kinds of
// their errors to want; "" is none.
func ReplayKinds(t *testing.T, handler lambda.Handler, folder string, want map[string]fault.Kind) {
	t.Helper()
	for name, kind := range want {
		out, err := handler.Invoke(t.Context(), Sample(t, folder, name))
		failure, failed := err.(messages.InvokeResponse_Error)
		switch {
		case kind == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case kind != "" && (!failed || failure.Type != string(kind) || failure.Message == ""):
			t.Errorf("%s: %s, %v; want %s", name, out, err, kind)
		}
	}
}

// Samples are the names of the sample events of a folder.
func Samples(t *testing.T, folder string) []string {
	t.Helper()
	files, err := filepath.Glob(folder + "/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal(folder, "has no events", err)
	}
	var names []string
	for _, file := range files {
		if name := strings.TrimSuffix(filepath.Base(file), ".json"); !strings.HasSuffix(name, ".want") {
			names = append(names, name)
		}
	}
	return names
}

package stack

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/google/go-cmp/cmp"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/rollout"
)

// cloud answers the wire protocols of CloudFormation (query, XML) and Lambda (REST).
type cloud struct {
	status  string
	outputs map[string]string
	steps   []func(w http.ResponseWriter, payload []byte) // one per Invoke, the last repeats
	invoked []string
}

func (c *cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(err)
	}
	if name, ok := strings.CutPrefix(r.URL.Path, "/2015-03-31/functions/"); ok {
		c.invoked = append(c.invoked, strings.TrimSuffix(name, "/invocations"))
		c.steps[min(len(c.invoked), len(c.steps))-1](w, body)
		return
	}
	form, err := url.ParseQuery(string(body))
	if err != nil || form.Get("Action") != "DescribeStacks" {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	if form.Get("StackName") != "tidegate" {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `<ErrorResponse><Error><Type>Sender</Type><Code>ValidationError</Code><Message>Stack with id x does not exist</Message></Error></ErrorResponse>`)
		return
	}
	fmt.Fprintf(w, `<DescribeStacksResponse><DescribeStacksResult><Stacks><member><StackName>tidegate</StackName><StackStatus>%s</StackStatus><Outputs>`, c.status)
	for k, v := range c.outputs {
		fmt.Fprintf(w, `<member><OutputKey>%s</OutputKey><OutputValue>%s</OutputValue></member>`, k, v)
	}
	fmt.Fprint(w, `</Outputs></member></Stacks></DescribeStacksResult></DescribeStacksResponse>`)
}

func start(t *testing.T, c *cloud) aws.Config {
	t.Helper()
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	return aws.Config{Region: "eu-central-1", BaseEndpoint: &server.URL, Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""),
		Retryer: func() aws.Retryer { return aws.NopRetryer{} }}
}

func everyOutput() map[string]string {
	all := map[string]string{}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Outputs]()) {
		all[f.Name] = "value-of-" + f.Name
	}
	all["ApiEndpoint"] = "https://api.example.com/"
	return all
}

func TestDiscover(t *testing.T) {
	api := cloudformation.NewFromConfig(start(t, &cloud{status: "CREATE_COMPLETE", outputs: everyOutput()}))
	got, err := Discover(context.Background(), api, "tidegate")
	if err != nil {
		t.Fatal(err)
	}
	if got.ApiEndpoint != "https://api.example.com" || got.PromoteFunctionName != "value-of-PromoteFunctionName" {
		t.Errorf("%+v", got)
	}
	if _, err := Discover(context.Background(), api, "other"); !fault.Is(err, fault.NotFound) || !strings.Contains(fault.Public(err).Message, "TIDEGATE_STACK") {
		t.Errorf("a stack that is not there: %v", err)
	}
}

func TestDiscoverNamesMissingOutputs(t *testing.T) {
	outputs := everyOutput()
	delete(outputs, "DataBucketName")
	_, err := Discover(context.Background(), cloudformation.NewFromConfig(start(t, &cloud{status: "ROLLBACK_COMPLETE", outputs: outputs})), "tidegate")
	if m := fault.Public(err).Message; !fault.Is(err, fault.FailedPrecondition) || !strings.Contains(m, "DataBucketName") || !strings.Contains(m, "ROLLBACK_COMPLETE") {
		t.Error(err)
	}
}

func TestUnreachable(t *testing.T) {
	cfg := start(t, &cloud{})
	dead := "http://127.0.0.1:1"
	cfg.BaseEndpoint = &dead
	if _, err := Discover(context.Background(), cloudformation.NewFromConfig(cfg), "tidegate"); !fault.Is(err, fault.Unavailable) {
		t.Error(err)
	}
}

func answer(body string) func(http.ResponseWriter, []byte) {
	return func(w http.ResponseWriter, _ []byte) { io.WriteString(w, body) }
}

func failure(kind, message string) func(http.ResponseWriter, []byte) {
	return func(w http.ResponseWriter, _ []byte) {
		w.Header().Set("X-Amz-Function-Error", "Unhandled")
		json.NewEncoder(w).Encode(map[string]string{"errorType": kind, "errorMessage": message})
	}
}

func refusal(status int, code string) func(http.ResponseWriter, []byte) {
	return func(w http.ResponseWriter, _ []byte) {
		w.Header().Set("X-Amzn-Errortype", code)
		w.WriteHeader(status)
		io.WriteString(w, `{"Message":"told"}`)
	}
}

func TestInvoke(t *testing.T) {
	type out struct{ Version int }
	cases := map[string]struct {
		steps []func(http.ResponseWriter, []byte)
		kind  fault.Kind
		says  string
		calls int
	}{
		"answer":                     {[]func(http.ResponseWriter, []byte){answer(`{"version":7,"new_field":1}`)}, "", "", 1},
		"a guard said no":            {[]func(http.ResponseWriter, []byte){failure("FailedPrecondition", "the champion is version 3")}, fault.FailedPrecondition, "the champion is version 3", 1},
		"busy, then fine":            {[]func(http.ResponseWriter, []byte){failure("Unavailable", "x"), failure("Aborted", "x"), answer(`{"version":7}`)}, "", "", 3},
		"busy for good":              {[]func(http.ResponseWriter, []byte){failure("ResourceExhausted", "x")}, fault.ResourceExhausted, "x", stepTries},
		"crash":                      {[]func(http.ResponseWriter, []byte){failure("Runtime.ExitError", "RequestId: 1 Error: exit status 2")}, fault.Internal, "crashed", 1},
		"out of time":                {[]func(http.ResponseWriter, []byte){failure("Sandbox.Timedout", "RequestId: 1 Error: Task timed out after 3.00 seconds")}, fault.DeadlineExceeded, "ran out of time", 1},
		"our deadline is not redone": {[]func(http.ResponseWriter, []byte){failure("DeadlineExceeded", "training took too long")}, fault.DeadlineExceeded, "training", 1},
		"throttled, then fine":       {[]func(http.ResponseWriter, []byte){refusal(429, "TooManyRequestsException"), answer(`{"version":7}`)}, "", "", 2},
		"denied":                     {[]func(http.ResponseWriter, []byte){refusal(403, "AccessDeniedException")}, fault.PermissionDenied, "AccessDeniedException", 1},
		"no such function":           {[]func(http.ResponseWriter, []byte){refusal(404, "ResourceNotFoundException")}, fault.NotFound, "deploy", 1},
		"another contract":           {[]func(http.ResponseWriter, []byte){answer(`[]`)}, fault.Internal, "same version", 1},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake := &cloud{steps: c.steps}
			s := New(start(t, fake), "tidegate", Outputs{})
			s.pause = 0
			var got out
			err := s.Invoke(context.Background(), "step", map[string]int{"a": 1}, &got)
			if fault.KindOf(err) != c.kind || len(fake.invoked) != c.calls {
				t.Fatalf("%d calls, %v", len(fake.invoked), err)
			}
			if err == nil && got.Version != 7 {
				t.Errorf("got %+v", got)
			}
			if err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("message %v, want it to say %q", err, c.says)
			}
		})
	}
}

func TestMoveKeepsItsIDOverTries(t *testing.T) {
	var ids []string
	see := func(next func(http.ResponseWriter, []byte)) func(http.ResponseWriter, []byte) {
		return func(w http.ResponseWriter, payload []byte) {
			var in rollout.PromoteIn
			if err := json.Unmarshal(payload, &in); err != nil {
				t.Error(err)
			}
			ids = append(ids, in.TransitionID)
			next(w, payload)
		}
	}
	fake := &cloud{steps: []func(http.ResponseWriter, []byte){see(failure("Unavailable", "x")), see(answer(`{"generation":4}`))}}
	out, err := New(start(t, fake), "tidegate", Outputs{PromoteFunctionName: "promote"}).Move(context.Background(), rollout.PromoteIn{Model: "m", Kind: "bootstrap"})
	if err != nil || out.Generation != 4 {
		t.Fatalf("%+v, %v", out, err)
	}
	if len(ids) != 2 || ids[0] == "" || ids[0] != ids[1] || fake.invoked[0] != "promote" {
		t.Errorf("ids %v, functions %v", ids, fake.invoked)
	}
}

func memory() (*Stack, *blob.Memory, *blob.Memory) {
	registry, other := &blob.Memory{}, &blob.Memory{}
	return &Stack{Outputs: Outputs{RegistryBucketName: "registry"}, Registry: registry, NewID: func() string { return "ID" },
		Bucket: func(name string) blob.Store {
			if name == "registry" {
				return registry
			}
			return other
		}}, registry, other
}

func TestUploadTakesTheFilesOfAFolder(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"model.onnx": "onnx", "holdout.csv": "a\n", ".hidden": "x", "sub/deep.csv": "y"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	files, err := Files(dir)
	if err != nil {
		t.Fatal(err)
	}
	s, registry, _ := memory()
	sent := int64(0)
	uri, err := s.Upload(context.Background(), files, func(n int64) { sent += n })
	if err != nil || uri != "s3://registry/uploads/ID/" || sent != 6 {
		t.Fatalf("%s, %d bytes, %v", uri, sent, err)
	}
	if diff := cmp.Diff([]string{"uploads/ID/holdout.csv", "uploads/ID/model.onnx"}, keys(t, registry)); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{filepath.Join(dir, "absent"), t.TempDir()} {
		if _, err := Files(bad); !fault.Is(err, fault.InvalidArgument) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestAdopt(t *testing.T) {
	for uri, c := range map[string]struct {
		want string
		kind fault.Kind
		keys []string
	}{
		"s3://registry/uploads/01/": {want: "s3://registry/uploads/01/"},
		"s3://lake/run/":            {want: "s3://registry/uploads/ID/", keys: []string{"uploads/ID/model.onnx", "uploads/ID/x.csv"}},
		"s3://lake/run/model.onnx":  {want: "s3://registry/uploads/ID/model.onnx", keys: []string{"uploads/ID/model.onnx"}},
		"s3://lake/top.onnx":        {want: "s3://registry/uploads/ID/top.onnx", keys: []string{"uploads/ID/top.onnx"}},
		"s3://lake/run":             {kind: fault.NotFound},
		"s3://lake/none/":           {kind: fault.NotFound},
		"s3://lake":                 {kind: fault.InvalidArgument},
		"s3:///x":                   {kind: fault.InvalidArgument},
	} {
		s, registry, other := memory()
		for _, key := range []string{"run/model.onnx", "run/x.csv", "run/sub/y.csv", "run/model.onnx.bak/z", "top.onnx"} {
			if _, err := other.PutStream(context.Background(), key, bytes.NewReader([]byte(key)), int64(len(key)), blob.Always()); err != nil {
				t.Fatal(err)
			}
		}
		got, err := s.Adopt(context.Background(), uri)
		if got != c.want || fault.KindOf(err) != c.kind {
			t.Errorf("%s: %q, %v", uri, got, err)
		}
		if diff := cmp.Diff(c.keys, keys(t, registry)); diff != "" {
			t.Errorf("%s: %s", uri, diff)
		}
	}
}

func keys(t *testing.T, store blob.Store) (all []string) {
	t.Helper()
	for info, err := range store.List(context.Background(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, info.Key)
	}
	return all
}

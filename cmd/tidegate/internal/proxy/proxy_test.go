package proxy

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/google/go-cmp/cmp"

	"github.com/tidegate/tidegate/cmd/tidegate/endpoint"
	"github.com/tidegate/tidegate/cmd/tidegate/endpoint/endpointtest"
)

type seen struct {
	Method, URI string
	Header      http.Header
	Body        []byte
}

// upstream is an API with AWS_IAM authorization that tells what reached it.
func upstream(t *testing.T) (*httptest.Server, *[]seen) {
	t.Helper()
	var requests []seen
	api := httptest.NewServer(endpointtest.IAM(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		requests = append(requests, seen{r.Method, r.URL.RequestURI(), r.Header.Clone(), body})
		w.Header().Set("Tidegate-Slot", "champion")
		w.Header().Set("Connection", "X-Hop")
		w.Header().Set("X-Hop", "1")
		w.WriteHeader(http.StatusAccepted)
		w.Write(body)
	})))
	t.Cleanup(api.Close)
	return api, &requests
}

func start(t *testing.T, target string) *httptest.Server {
	t.Helper()
	c := endpointtest.Credentials
	signer := endpoint.NewSigner(credentials.NewStaticCredentialsProvider(c.AccessKeyID, c.SecretAccessKey, c.SessionToken), endpointtest.Region, time.Now)
	h, err := New(target, signer.Sign)
	if err != nil {
		t.Fatal(err)
	}
	local := httptest.NewServer(h)
	t.Cleanup(local.Close)
	return local
}

func TestSignedRequestsReachTheAPI(t *testing.T) {
	api, requests := upstream(t)
	local := start(t, api.URL+"/prod")
	binary := bytes.Repeat([]byte{0, 255, '\n'}, 1000)
	cases := map[string]struct {
		method, path string
		body         []byte
		chunked      bool
	}{
		"metadata":                         {method: "GET", path: "/v2/models/iris"},
		"server metadata":                  {method: "GET", path: "/v2"},
		"query":                            {method: "GET", path: "/v2/models/iris?a=1%20x&b=2"},
		"colon":                            {method: "POST", path: "/v1/models/iris:predict", body: []byte(`{"instances":[[1]]}`)},
		"escaped":                          {method: "POST", path: "/v2/models/a%20b/infer", body: []byte(`{}`)},
		"binary":                           {method: "POST", path: "/v2/models/iris/infer", body: binary},
		"chunked, as some clients send it": {method: "POST", path: "/v2/models/iris/infer", body: binary, chunked: true},
		"empty post":                       {method: "POST", path: "/v2/models/iris/infer"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			*requests = nil
			var body io.Reader = bytes.NewReader(c.body)
			if c.chunked {
				body = struct{ io.Reader }{body} // hides the length
			}
			req, err := http.NewRequest(c.method, local.URL+c.path, body)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Inference-Header-Content-Length", "17")
			req.Header.Set("Authorization", "Bearer local")
			req.Header.Set("Connection", "X-Private")
			req.Header.Set("X-Private", "hop by hop")
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			got, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != http.StatusAccepted {
				t.Fatalf("status %d: %s", resp.StatusCode, got)
			}
			if !bytes.Equal(got, c.body) || resp.Header.Get("Tidegate-Slot") != "champion" || resp.Header.Get("X-Hop") != "" {
				t.Errorf("answer: %d bytes, headers %v", len(got), resp.Header)
			}
			if len(*requests) != 1 {
				t.Fatalf("%d requests reached the API", len(*requests))
			}
			r := (*requests)[0]
			if diff := cmp.Diff([]string{c.method, "/prod" + c.path}, []string{r.Method, r.URI}); diff != "" {
				t.Error(diff)
			}
			if r.Header.Get("X-Private") != "" || r.Header.Get("Inference-Header-Content-Length") != "17" || !bytes.Equal(r.Body, c.body) {
				t.Errorf("the API saw %d bytes with %v", len(r.Body), r.Header)
			}
		})
	}
}

func TestTheStandInRefusesWhatIsNotSigned(t *testing.T) {
	api, requests := upstream(t)
	resp, err := http.Get(api.URL + "/v2")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden || len(*requests) != 0 {
		t.Errorf("an unsigned request got %d", resp.StatusCode)
	}
}

func TestRefusals(t *testing.T) {
	api, requests := upstream(t)
	local := start(t, api.URL)
	cases := map[string]struct {
		path, host, origin string
		body               io.Reader
		status             int
	}{
		"web page":      {path: "/v2", origin: "https://example.com", status: 403},
		"rebound name":  {path: "/v2", host: "rebound.example.com", status: 403},
		"other route":   {path: "/", status: 404},
		"v2 lookalike":  {path: "/v2x", status: 404},
		"too large":     {path: "/v2/models/m/infer", body: strings.NewReader(strings.Repeat("x", maxBody+1)), status: 413},
		"localhost too": {path: "/v2", host: "localhost:1234", status: 202},
		"ipv6 too":      {path: "/v2", host: "[::1]:1234", status: 202},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			*requests = nil
			req, err := http.NewRequest("POST", local.URL+c.path, c.body)
			if err != nil {
				t.Fatal(err)
			}
			if c.host != "" {
				req.Host = c.host
			}
			if c.origin != "" {
				req.Header.Set("Origin", c.origin)
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if resp.StatusCode != c.status {
				t.Errorf("status %d, want %d", resp.StatusCode, c.status)
			}
			if passed := len(*requests) > 0; passed != (c.status == 202) {
				t.Errorf("passed on: %v", passed)
			}
		})
	}
}

func TestFaultsAreJSON(t *testing.T) {
	dead := httptest.NewServer(http.NotFoundHandler())
	dead.Close()
	resp, err := http.Get(start(t, dead.URL).URL + "/v2/health/ready")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var doc struct{ Error string }
	if err := json.NewDecoder(resp.Body).Decode(&doc); err != nil || resp.StatusCode != 503 || doc.Error == "" {
		t.Errorf("status %d, error %q, %v", resp.StatusCode, doc.Error, err)
	}
	if _, err := New("not a url", endpoint.Open); err == nil {
		t.Error("a target without a scheme is accepted")
	}
}

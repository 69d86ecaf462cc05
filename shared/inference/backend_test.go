package inference_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/inference"
)

func TestParseBackend(t *testing.T) {
	for _, raw := range []string{"", "null", " {} ", `{"kind":"lambda"}`} {
		if b, err := inference.ParseBackend([]byte(raw)); err != nil || b != inference.DefaultBackend() || b.Remote() {
			t.Errorf("%q: %+v, %v", raw, b, err)
		}
	}
	b, err := inference.ParseBackend([]byte(`{"kind":"url","url":"https://triton.example.com:8000/base/","model":"flights-v2","identity":"version","fallback":false,
		"timeout_ms":250,"share":0.5,"retries":0,"hedge_ms":40,"breaker":{"failures":3,"open_for_ms":1000}}`))
	want := inference.Backend{Kind: inference.URL, URL: "https://triton.example.com:8000/base", Model: "flights-v2", Identity: inference.ByVersion, Timeout: 250 * time.Millisecond,
		Share: 0.5, Hedge: 40 * time.Millisecond, Breaker: inference.BreakerSettings{Failures: 3, Window: 10 * time.Second, OpenFor: time.Second}}
	if err != nil || b != want || !b.Remote() {
		t.Errorf("%+v, %v", b, err)
	}
	b, err = inference.ParseBackend([]byte(`{"kind":"sagemaker","endpoint":"tidegate-models","component":"flights"}`))
	if err != nil || b.Endpoint != "tidegate-models" || b.Component != "flights" || !b.Fallback || b.Identity != inference.ByDigest {
		t.Errorf("%+v, %v", b, err)
	}
}

func TestBackendsThatCannotBe(t *testing.T) {
	for raw, paths := range map[string]string{
		`[]`:                                   "backend",
		`{"kind":"ecs"}`:                       "kind",
		`{"kind":"url"}`:                       "url",
		`{"kind":"url","url":"ftp://h/"}`:      "url",
		`{"kind":"url","url":"https://"}`:      "url",
		`{"kind":"url","url":"https://:8080"}`: "url",
		`{"kind":"url","url":"http://models.example.com"}`:                                   "url",
		`{"kind":"url","url":"http://8.8.8.8"}`:                                              "url",
		`{"kind":"url","url":"https://user:secret@h"}`:                                       "url",
		`{"kind":"url","url":"https://h?token=secret"}`:                                      "url",
		`{"kind":"url","url":"https://h#f"}`:                                                 "url",
		`{"kind":"url","url":"http://169.254.169.254/latest"}`:                               "url",
		`{"kind":"url","url":"https://[fe80::1]/"}`:                                          "url",
		`{"kind":"url","url":"https://[::ffff:169.254.169.254]/"}`:                           "url",
		`{"kind":"url","url":"http://0.0.0.0:80","plain_http":true}`:                         "url",
		`{"kind":"url","url":"https://h","endpoint":"e"}`:                                    "endpoint",
		`{"kind":"sagemaker"}`:                                                               "endpoint",
		`{"kind":"sagemaker","endpoint":"a_b"}`:                                              "endpoint",
		`{"kind":"sagemaker","endpoint":"e","component":"-"}`:                                "component",
		`{"kind":"sagemaker","endpoint":"e","url":"https://h","plain_http":true}`:            "url plain_http",
		`{"fallback":false}`:                                                                 "fallback",
		`{"kind":"url","url":"https://h","model":"a/b"}`:                                     "model",
		`{"kind":"url","url":"https://h","model":"a;version=9"}`:                             "model",
		`{"kind":"url","url":"https://h","identity":"name"}`:                                 "identity",
		`{"kind":"url","url":"https://h","share":1}`:                                         "share",
		`{"kind":"url","url":"https://h","share":0,"retries":9,"timeout_ms":-1}`:             "timeout_ms share retries",
		`{"kind":"url","url":"https://h","breaker":{"failures":0,"window_ms":1,"x":1}}`:      "breaker.x breaker.failures breaker.window_ms",
		`{"kind":"url","url":"https://h","breaker":7,"timeout_ms":"1s","surprise":"secret"}`: "breaker surprise timeout_ms",
	} {
		_, err := inference.ParseBackend([]byte(raw))
		var found []string
		if err != nil {
			for _, v := range fault.Public(err).Violations {
				found = append(found, v.Path)
			}
		}
		if got := strings.Join(found, " "); !fault.Is(err, fault.InvalidArgument) || got != paths || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %q, want %q: %v", raw, got, paths, err)
		}
	}
	for _, url := range []string{"https://models.example.com", "http://localhost:8080", "http://127.0.0.1:1", "http://10.1.2.3:8080", "http://[fd00::1]:80", "http://[::1]", "https://8.8.8.8/x"} {
		if _, err := inference.ParseBackend([]byte(`{"kind":"url","url":"` + url + `"}`)); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
	if _, err := inference.ParseBackend([]byte(`{"kind":"url","url":"http://endpoint.tidegate.internal","plain_http":true}`)); err != nil {
		t.Error(err)
	}
}

func FuzzParseBackend(f *testing.F) {
	for _, seed := range []string{"", "{}", `{"kind":"url","url":"http://[::1]:8080/a%2Fb"}`, `{"kind":"sagemaker","endpoint":"e","breaker":{"failures":1}}`, `{"kind":"url","url":"https://h","share":1e308}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		b, err := inference.ParseBackend(raw)
		if err != nil {
			if !fault.Is(err, fault.InvalidArgument) {
				t.Fatal(err)
			}
			return
		}
		if len(raw) > 0 && !json.Valid(raw) && strings.TrimSpace(string(raw)) != "" {
			t.Fatalf("%q is taken", raw)
		}
		if b.Share < 0.05 || b.Share > 0.95 || b.Retries < 0 || b.Breaker.Failures < 1 || b.Timeout < 0 || (b.Kind == inference.URL) != (b.URL != "") || (b.Kind == inference.SageMaker) != (b.Endpoint != "") {
			t.Fatalf("%q: %+v", raw, b)
		}
	})
}

package local

import (
	"net/http"
	"testing"
)

// What no route matches is answered by API Gateway itself and costs no invocation.
func TestOnlyTheRoutesReachAFunction(t *testing.T) {
	for _, path := range []string{"/", "/v3/models", "/metrics"} {
		res, body, err := local.Call(t.Context(), http.MethodGet, path, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != http.StatusNotFound {
			t.Errorf("%s: status %d: %s", path, res.StatusCode, body)
		}
	}
	for path, status := range map[string]int{"/v2": 200, "/v2/health/live": 200, "/v2/models/no-such-model": 404, "/v1/models/no-such-model": 404} {
		res, body, err := local.Call(t.Context(), http.MethodGet, path, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != status {
			t.Errorf("%s: status %d, want %d: %s", path, res.StatusCode, status, body)
		}
	}
}

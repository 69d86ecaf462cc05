package local

import (
	"fmt"
	"net/http"
	"strings"
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

// Large requests on their whole way. What they are held to in detail is tested with the function (functions/predict).
func TestLargeRequests(t *testing.T) {
	affine, echo := serveModel(t, "affine", "regression"), serveModel(t, "echo", "unspecified")
	const rows = 80_000
	numbers := strings.TrimSuffix(strings.Repeat("1.00000000000000000,2.00000000000000000,3.00000000000000000,", rows), ",")
	body := fmt.Sprintf(`{"inputs":[{"name":"x","shape":[%d,3],"datatype":"FP32","data":[%s]}]}`, rows, numbers)
	res, answer, err := local.Call(t.Context(), http.MethodPost, "/v2/models/"+affine+"/infer", nil, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK || !strings.HasSuffix(string(answer), ",22.5,27.5]}]}") {
		t.Errorf("%d bytes: status %d, %d bytes of answer, %.200s", len(body), res.StatusCode, len(answer), answer)
	}
	// A row of thirteen named outputs takes more than sixty bytes.
	body = `{"instances":[` + strings.TrimSuffix(strings.Repeat(`[true,1,1,1,1,1,1,1,1,1,1,1,"a"],`, 100_000), ",") + `]}`
	res, answer, err = local.Call(t.Context(), http.MethodPost, "/v1/models/"+echo+":predict", nil, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	if timing := res.Header.Get("Server-Timing"); res.StatusCode != http.StatusRequestEntityTooLarge || !strings.Contains(string(answer), " rows") || strings.Contains(timing, "run;") {
		t.Errorf("100,000 rows: status %d, %s, %.300s", res.StatusCode, timing, answer)
	}
}

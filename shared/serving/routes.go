package serving

import "net/http"

// Routes serves the page of metrics at /metrics and everything else by api. It
// takes paths as they are: net/http's own router would redirect what it finds untidy.
func Routes(metrics, api http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/metrics" {
			metrics.ServeHTTP(w, r)
			return
		}
		api.ServeHTTP(w, r)
	})
}

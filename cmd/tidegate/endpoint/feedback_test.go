package endpoint

import (
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/tidegate/tidegate/shared/fault"
)

func TestFeedback(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		want   Taken
		kind   fault.Kind
		tries  int
	}{
		"all":           {200, `{"accepted":2,"rejected":[]}`, Taken{Accepted: 2, Tries: 1}, "", 1},
		"some":          {200, `{"accepted":1,"rejected":[{"index":1,"id":"x","error":"has an id"}]}`, Taken{Accepted: 1, Tries: 1}, "", 1},
		"none":          {400, `{"accepted":0,"rejected":[{"index":0,"error":"has no id"}],"error":"none"}`, Taken{Tries: 1}, "", 1},
		"no labels":     {400, `{"error":"the body is empty"}`, Taken{}, fault.InvalidArgument, 1},
		"no model":      {404, `{"error":"there is no model"}`, Taken{}, fault.NotFound, 1},
		"load":          {503, `{"error":"later"}`, Taken{}, fault.Unavailable, 3},
		"another API":   {200, `{"predictions":[]}`, Taken{}, fault.Internal, 1},
		"a broken body": {200, `{"accepted":`, Taken{}, fault.Internal, 1},
	} {
		tries := 0
		cl := client(t, func(w http.ResponseWriter, r *http.Request) {
			tries++
			sent, err := io.ReadAll(r.Body)
			if err != nil || r.Method != http.MethodPost || r.URL.Path != "/v1/feedback/flights" || string(sent) != `{"labels":[]}` {
				t.Errorf("%s: %s %s %s", name, r.Method, r.URL.Path, sent)
			}
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(c.status)
			fmt.Fprint(w, c.body)
		}, WithTries(3))
		taken, err := cl.Feedback(t.Context(), "flights", []byte(`{"labels":[]}`))
		if fault.KindOf(err) != c.kind || tries != c.tries || taken.Accepted != c.want.Accepted || taken.Tries != c.want.Tries {
			t.Errorf("%s: %+v after %d tries, %v", name, taken, tries, err)
		}
		if name == "some" && (len(taken.Rejected) != 1 || taken.Rejected[0] != Rejected{1, "x", "has an id"}) {
			t.Errorf("%+v", taken.Rejected)
		}
	}
}

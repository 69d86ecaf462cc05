package endpoint

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/tidegate/tidegate/shared/fault"
)

// Taken is what became of the labels of one request.
type Taken struct {
	Accepted int        `json:"accepted"`
	Rejected []Rejected `json:"rejected"`
	Tries    int        `json:"-"`
}

// Rejected is a label that the API does not take.
type Rejected struct {
	Index int    `json:"index"` // among the labels of the request, from 0
	ID    string `json:"id"`    // its beginning
	Error string `json:"error"`
}

// Feedback sends labels of a model; body is one of the forms of docs/formats/label.md.
// That labels are rejected, even all of them, is an answer and no error. Labels
// may be sent again without harm, so 429 and 503 are tried again.
func (c *Client) Feedback(ctx context.Context, model string, body []byte) (Taken, error) {
	call := Call{Method: http.MethodPost, Path: "/v1/feedback/" + url.PathEscape(model), Body: body, Header: http.Header{"Content-Type": {"application/json"}}}
	for try := 1; ; try++ {
		resp, answer, err := c.once(ctx, call)
		if err != nil {
			return Taken{}, err
		}
		var taken struct {
			Taken
			Accepted *int `json:"accepted"`
		}
		if broken := json.Unmarshal(answer, &taken); broken == nil && taken.Accepted != nil && (resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusBadRequest) {
			return Taken{Accepted: *taken.Accepted, Rejected: taken.Rejected, Tries: try}, nil
		}
		if resp.StatusCode/100 == 2 {
			return Taken{}, fault.New(fault.Internal, "the answer to labels has no count of those accepted; is %s a Tidegate API of this version?", c.base.Host)
		}
		refused := statusFault(resp, answer)
		if (resp.StatusCode != http.StatusTooManyRequests && resp.StatusCode != http.StatusServiceUnavailable) || try >= c.tries {
			return Taken{}, refused
		}
		if err := c.sleep(ctx, backoff(try, refused.RetryAfter)); err != nil {
			return Taken{}, refused
		}
	}
}

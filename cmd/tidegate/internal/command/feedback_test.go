package command

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/tidegate/tidegate/cmd/tidegate/stack"
	"github.com/tidegate/tidegate/shared/httpapi"
	"github.com/tidegate/tidegate/shared/httpapi/feedback"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/schema"
)

// labelled is a cloud whose API takes labels with the handler of the function feedback.
type labelled struct {
	*cloud
	mu    sync.Mutex
	lines []byte
	busy  int // requests that are answered 503 first
}

func (l *labelled) Send(_ context.Context, records [][]byte) ([]int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range records {
		l.lines = append(l.lines, r...)
	}
	return nil, nil
}

func newLabelled(t *testing.T) *labelled {
	t.Helper()
	l := &labelled{cloud: newCloud(t)}
	if _, _, err := l.reg.CreateModel(t.Context(), registry.Model{Name: "flights", Task: schema.Binary}); err != nil {
		t.Fatal(err)
	}
	handler := feedback.New(feedback.Options{Stream: l, Models: l.reg})
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.mu.Lock()
		refuse := l.busy > 0
		l.busy--
		l.mu.Unlock()
		if refuse {
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		answer := handler.Serve(r.Context(), &httpapi.Request{Method: r.Method, Path: r.URL.EscapedPath(), Body: body, Header: httpapi.Header{}})
		for name, value := range answer.Header {
			w.Header().Set(name, value)
		}
		w.WriteHeader(answer.Status)
		_, _ = w.Write(answer.Body)
		answer.After(r.Context())
	}))
	t.Cleanup(api.Close)
	open := l.env.Open
	l.env.Open = func(ctx context.Context, o stack.Options) (*stack.Stack, error) {
		s, err := open(ctx, o)
		if err == nil {
			s.ApiEndpoint = api.URL
		}
		return s, err
	}
	return l
}

const inferenceID = "018eb3d2-1bb3-7a44-9d0b-3f2f5a6b7c8d"

func TestFeedbackSendsLabels(t *testing.T) {
	var csv, ndjson strings.Builder
	csv.WriteString("id,label,ts,note\n")
	for i := range 95 {
		fmt.Fprintf(&csv, "%s#%d,%d,,x\n", inferenceID, i, i%2)
		fmt.Fprintf(&ndjson, `{"id":"%s#%d","label":%d}`+"\n", inferenceID, i, i%2)
	}
	for name, content := range map[string]string{"a.csv": csv.String(), "a.ndjson": ndjson.String()} {
		l := newLabelled(t)
		l.busy = 2
		code, out, errs := l.run("feedback", "flights", write(t, name, content), "--batch", "10", "--concurrency", "3", "--json")
		var sum feedbackSummary
		if err := json.Unmarshal([]byte(out), &sum); err != nil || code != ExitOK || sum.Rows != 95 || sum.Accepted != 95 || sum.Rejected != 0 || sum.Retries != 2 {
			t.Errorf("%s: exit code %d: %s%s", name, code, out, errs)
		}
		if n := bytes.Count(l.lines, []byte(`"model":"flights","id":"`+inferenceID)); n != 95 || !bytes.Contains(l.lines, []byte(`#3","label":1,`)) {
			t.Errorf("%s: %d labels arrived: %s", name, n, l.lines)
		}
	}
}

func TestFeedbackListsWhatIsRejected(t *testing.T) {
	l := newLabelled(t)
	var csv strings.Builder
	csv.WriteString("who,when,late\n")
	for i := range 60 {
		when := "2024-04-06T14Z"
		if i%2 == 1 {
			when = "noon"
		}
		fmt.Fprintf(&csv, "order-%d,%s,yes\n", i, when)
	}
	rejects := filepath.Join(t.TempDir(), "rejected.ndjson")
	args := []string{"feedback", "flights", write(t, "a.csv", csv.String()), "--request-id", "who", "--predicted-at", "when", "--label", "late", "--batch", "7", "--rejects", rejects}
	code, out, errs := l.run(args...)
	if code != ExitError || !strings.HasPrefix(out, "row 2 order-1 has a predicted_at") || !strings.Contains(out, "\nrow 40 order-39 ") || !strings.Contains(out, "and 10 more") ||
		!strings.Contains(out, "30 of 60 labels of flights accepted") || !strings.Contains(errs, "30 of 60 labels were rejected") {
		t.Errorf("exit code %d: %s%s", code, out, errs)
	}
	listed, err := os.ReadFile(rejects)
	if err != nil || bytes.Count(listed, []byte("\n")) != 30 || !bytes.Contains(listed, []byte(`{"row":60,"id":"order-59","error":"has a predicted_at`)) {
		t.Errorf("%v: %s", err, listed)
	}
	// All of a request's labels may be rejected; that is an answer, too.
	code, out, _ = l.run("feedback", "flights", write(t, "b.csv", "id,label\nx,1\n"))
	if code != ExitError || !strings.Contains(out, "row 1 x has an id that is no inference id") {
		t.Errorf("exit code %d: %s", code, out)
	}
}

func TestFeedbackRefuses(t *testing.T) {
	good := "id,label\n" + inferenceID + ",1\n"
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"unknown model":   {[]string{"nobody", write(t, "a.csv", good)}, "there is no model"},
		"no label column": {[]string{"flights", write(t, "a.csv", "id,late\n"+inferenceID+",1\n")}, `no column "label"; name the one of the labels with --label`},
		"no file":         {[]string{"flights", "none.csv"}, "cannot be opened"},
		"no format":       {[]string{"flights", write(t, "a.txt", good)}, "--format"},
		"batch":           {[]string{"flights", write(t, "a.csv", good), "--batch", "5001"}, "1 to 5000"},
		"concurrency":     {[]string{"flights", write(t, "a.csv", good), "--concurrency", "0"}, "1 to 256"},
		"rejects":         {[]string{"flights", write(t, "a.csv", good), "--rejects", t.TempDir()}, "cannot be written"},
		"broken CSV":      {[]string{"flights", write(t, "a.csv", good+"x\n")}, "row 2 is not CSV"},
	} {
		l := newLabelled(t)
		code, out, errs := l.run(append([]string{"feedback"}, c.args...)...)
		if code != ExitError || !strings.Contains(errs, c.want) {
			t.Errorf("%s: exit code %d: %s%s", name, code, out, errs)
		}
	}
}

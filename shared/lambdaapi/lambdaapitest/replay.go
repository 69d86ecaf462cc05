package lambdaapitest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambda/messages"
)

// Replay gives a step the sample events of a pattern ("../../events/lease/*") that have
// a <name>.want.json, in the order of their names, and holds the answers to what stands
// there: "result", of which the answer must have all, or "error", with "error_contains".
func Replay(t *testing.T, handler lambda.Handler, pattern string) {
	t.Helper()
	files, err := filepath.Glob(pattern + ".want.json")
	if err != nil || len(files) == 0 {
		t.Fatal(pattern, "has no events", err)
	}
	slices.Sort(files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".want.json"), func(t *testing.T) { replay(t, handler, file) })
	}
}

func replay(t *testing.T, handler lambda.Handler, file string) {
	var want struct {
		Result        json.RawMessage `json:"result"`
		Error         string          `json:"error"`
		ErrorContains string          `json:"error_contains"`
	}
	read(t, file, &want)
	var event json.RawMessage
	read(t, strings.TrimSuffix(file, ".want.json")+".json", &event)
	out, err := handler.Invoke(t.Context(), event)
	failure, failed := err.(messages.InvokeResponse_Error)
	switch {
	case want.Error != "":
		if !failed || failure.Type != want.Error || failure.Message == "" || !strings.Contains(failure.Message, want.ErrorContains) {
			t.Errorf("%s, %v; want %s", out, err, want.Error)
		}
	case err != nil:
		t.Error(err)
	default:
		var g, w any
		if json.Unmarshal(out, &g) != nil || json.Unmarshal(want.Result, &w) != nil || !holds(g, w) {
			t.Errorf("%s, want %s in it", out, want.Result)
		}
	}
}

// holds says whether got has all of want.
func holds(got, want any) bool {
	object, ok := want.(map[string]any)
	if !ok {
		return got == want
	}
	has, _ := got.(map[string]any)
	for name, w := range object {
		if !holds(has[name], w) {
			return false
		}
	}
	return true
}

func read(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatal(path, err)
	}
}

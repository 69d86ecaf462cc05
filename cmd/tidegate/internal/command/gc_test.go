package command

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/blob"
)

// TestGarbage lists, removes and finds nothing more; what serves goes on serving.
func TestGarbage(t *testing.T) {
	c := newCloud(t)
	c.must(t, "version", "register", write(t, "m.onnx", "one"), "--model", "sum")
	c.must(t, "promote", "sum", "1")
	c.must(t, "configure", "sum", write(t, "settings.json", `{"capture":{"sampling":0.5}}`))
	lost := "blobs/sha256/aa/aa" + strings.Repeat("0", 62)
	if _, err := c.store.Put(t.Context(), lost, []byte("12345"), blob.Always()); err != nil {
		t.Fatal(err)
	}
	if out := c.must(t, "gc"); !strings.Contains(out, "nothing refers to 0 of ") || strings.Contains(out, "next:") {
		t.Errorf("at first:\n%s", out)
	}
	c.clock = c.clock.Add(8 * 24 * time.Hour)
	before := len(c.invoke)
	out := c.must(t, "gc")
	if !strings.Contains(out, "blob    "+lost) || !strings.Contains(out, "upload  uploads/") || !strings.Contains(out, "nothing was removed") || !strings.Contains(out, "8d") {
		t.Errorf("after a week:\n%s", out)
	}
	if again := c.must(t, "gc"); normalAge(again) != normalAge(out) {
		t.Errorf("the second time:\n%s", again)
	}
	var doc struct {
		Garbage []struct{ Kind, Key, Reason string }
		Bytes   int64
		Deleted *struct{ Objects, Bytes int64 }
	}
	if err := json.Unmarshal([]byte(c.must(t, "gc", "--delete", "--json")), &doc); err != nil {
		t.Fatal(err)
	}
	if len(doc.Garbage) != 2 || doc.Deleted == nil || doc.Deleted.Objects != 2 || doc.Deleted.Bytes != doc.Bytes || doc.Bytes != 8 {
		t.Errorf("%+v", doc)
	}
	if out := c.must(t, "gc", "--delete", "--older-than", "36h"); !strings.Contains(out, "removed 0 objects") {
		t.Errorf("afterwards:\n%s", out)
	}
	if len(c.invoke) != before {
		t.Error("a function was called")
	}
	if _, err := c.reg.Verify(t.Context(), "sum", 1); err != nil {
		t.Error(err)
	}
	if out := c.must(t, "status", "sum"); !strings.Contains(out, "champion") {
		t.Errorf("status:\n%s", out)
	}
}

// normalAge drops the line with the time of the search.
func normalAge(out string) string {
	out, _, _ = strings.Cut(out, "nothing refers to")
	return out
}

func TestGarbageUsage(t *testing.T) {
	c := newCloud(t)
	for _, args := range [][]string{{"--older-than", "23h"}, {"--older-than", "week"}, {"--older-than", "0d"}, {"--older-than", "-3d"}, {"--older-than", "99999999999d"}, {"--model", "NO"}, {"sum"}, {"--stack", "elsewhere"}} {
		code, out, errs := c.run(append([]string{"gc"}, args...)...)
		if code != ExitError || out != "" || strings.Count(errs, "\n") != 1 {
			t.Errorf("%v: exit code %d, %q, %q", args, code, out, errs)
		}
	}
}

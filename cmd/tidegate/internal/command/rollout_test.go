package command

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/evaluation/comparison"
	"github.com/tidegate/tidegate/shared/inference/inferencetest"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/routing"
	"github.com/tidegate/tidegate/shared/schema"
)

// publish makes a version READY that can stand beside any other of its kind.
func (c *cloud) publish(t *testing.T, model, content string) registry.Ref {
	t.Helper()
	ctx, s := t.Context(), inferencetest.Schema()
	document, err := s.Encode()
	check(t, err)
	_, _, err = c.reg.CreateModel(ctx, registry.Model{Name: model, Task: schema.Regression})
	check(t, err)
	hex := func(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b)) }
	m := registry.Manifest{Model: model, Runtime: "test", Parity: registry.Parity{Checked: true}, Files: []registry.File{
		{Path: "model.onnx", Size: int64(len(content)), SHA256: hex([]byte(content)), Blob: true},
		{Path: "schema.json", Size: int64(len(document)), SHA256: hex(document)}}}
	m.Digest = registry.ContentDigest(m.Files)
	m.Version, err = c.reg.Claim(ctx, model, m.Digest, "test")
	check(t, err)
	check(t, c.reg.PutBlob(ctx, m.Files[0].SHA256, strings.NewReader(content), int64(len(content))))
	_, err = c.reg.PutVersionFile(ctx, model, m.Version, "schema.json", document)
	check(t, err)
	_, _, err = c.reg.PutManifest(ctx, m)
	check(t, err)
	return registry.Ref{Version: m.Version, Digest: m.Digest}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// judge stores evidence for the state that is.
func (c *cloud) judge(t *testing.T, model string, challenger registry.Ref, decision string) string {
	t.Helper()
	s, _, err := c.reg.State(t.Context(), model)
	check(t, err)
	e := registry.Evidence{V: 1, Kind: registry.EvidenceComparison, Model: model, Champion: *s.Slots.Champion, Challenger: challenger, Decision: decision, At: c.clock, Dataset: "rows"}
	if s.Rollout != nil {
		e.RolloutID, e.Step = s.Rollout.ID, s.Rollout.Step
	}
	body, err := json.Marshal(e)
	check(t, err)
	digest := fmt.Sprintf("%x", sha256.Sum256(body))
	check(t, c.reg.PutBlob(t.Context(), digest, bytes.NewReader(body), int64(len(body))))
	return digest
}

// TestRolloutStory is a rollout led by hand, from shadow to rollback.
func TestRolloutStory(t *testing.T) {
	c := newCloud(t)
	c.publish(t, "late", "model one")
	two, three := c.publish(t, "late", "model two"), c.publish(t, "late", "model three")
	settings := write(t, "settings.json", `{"rollout":{"steps":[{"weight":500,"bake_seconds":60},{"weight":10000,"bake_seconds":60}]}}`)
	var story strings.Builder
	step := func(want int, args ...string) {
		t.Helper()
		code, out, errs := c.run(append(args, "--actor", "ada")...)
		story.WriteString("$ tidegate " + strings.Join(args, " ") + "\n" + out + errs)
		if code != want {
			t.Errorf("tidegate %v: exit code %d, want %d\n%s%s", args, code, want, out, errs)
		}
	}
	look := func(args ...string) {
		t.Helper()
		code, out, errs := c.run(args...)
		story.WriteString("$ tidegate " + strings.Join(args, " ") + "\n" + out + errs)
		if code != ExitOK {
			t.Errorf("tidegate %v: exit code %d\n%s%s", args, code, out, errs)
		}
	}
	step(ExitOK, "promote", "late", "1", "--reason", "first")
	look("route", "late", "customer-17")
	look("rollout", "status", "late")
	step(ExitOK, "configure", "late", settings)
	step(ExitOK, "shadow", "start", "late", "2")
	step(ExitOK, "shadow", "start", "late", "2")
	before := c.clock
	step(ExitError, "rollout", "start", "late", "2")
	step(ExitOK, "rollout", "start", "late", "2", "--evidence", c.judge(t, "late", two, string(comparison.Start)), "--reason", "not worse on March")
	look("route", "late", keyBelow(t, c, "late"))
	step(ExitError, "rollback", "late")
	step(ExitOK, "rollout", "pause", "late", "--reason", "labels are late")
	step(ExitError, "rollout", "advance", "late", "--evidence", c.judge(t, "late", two, string(comparison.Advance)))
	step(ExitOK, "rollout", "resume", "late", "--reason", "they came")
	step(ExitOK, "freeze", "late", "--for", "1h", "--reason", "audit")
	c.clock = c.clock.Add(time.Minute)
	step(ExitError, "rollout", "advance", "late", "--evidence", c.judge(t, "late", two, string(comparison.Advance)))
	step(ExitOK, "unfreeze", "late", "--reason", "over")
	step(ExitOK, "rollout", "advance", "late", "--evidence", c.judge(t, "late", two, string(comparison.Advance)))
	look("rollout", "status", "late")
	look("status", "late")
	c.clock = c.clock.Add(time.Minute)
	step(ExitOK, "rollout", "promote", "late", "--evidence", c.judge(t, "late", two, string(comparison.Promote)), "--reason", "better")
	step(ExitOK, "rollout", "start", "late", "3", "--waive", "evidence", "--reason", "a fix that cannot wait")
	step(ExitOK, "rollout", "abort", "late", "--reject", "--reason", "inverted scores")
	step(ExitError, "rollout", "start", "late", "3", "--evidence", c.judge(t, "late", three, string(comparison.Start)))
	step(ExitOK, "readmit", "late", "3", "--reason", "it was the data")
	step(ExitOK, "rollback", "late", "--reason", "shifted")
	look("log", "late", "--at", when(before))
	look("log", "late", "--at", when(c.clock))
	look("log", "late", "--last", "4")
	golden(t, "rollout", normal(regexp.MustCompile(`--evidence [0-9a-f]{64}|/\S*settings.json`).ReplaceAllString(story.String(), "…")))
}

// keyBelow finds a key that the challenger gets, by the rule itself.
func keyBelow(t *testing.T, c *cloud, model string) string {
	t.Helper()
	s, _, err := c.reg.State(t.Context(), model)
	check(t, err)
	for i := range 10_000 {
		if key := fmt.Sprint("customer-", i); (routing.Split{RolloutID: s.Rollout.ID, Weight: s.Weights.Challenger}).Challenger(key) {
			return key
		}
	}
	t.Fatal("no key gets the challenger")
	return ""
}

func TestRolloutUsage(t *testing.T) {
	c := newCloud(t)
	c.publish(t, "late", "model one")
	for want, args := range map[string][]string{
		"VERSION must be a number":           {"rollout", "start", "late", "x"},
		"model \"late\" serves nothing yet":  {"route", "late", "k"},
		"has no rollout under way":           {"rollout", "pause", "late", "--reason", "x"},
		"no rollout under way":               {"rollout", "abort", "late"},
		"there is no model":                  {"rollout", "status", "nobody"},
		"--until must be a time":             {"freeze", "late", "--until", "soon", "--reason", "x"},
		"give either --for or --until":       {"freeze", "late", "--until", "2026-10-06", "--for", "1h", "--reason", "x"},
		"--at must be a time":                {"log", "late", "--at", "yesterday"},
		"nothing served at":                  {"log", "late", "--at", "2020-01-01"},
		"accepts 2 arg(s)":                   {"readmit", "late"},
		"rollout.steps[0].weight must be at": {"configure", "late", write(t, "bad.json", `{"rollout":{"steps":[{"weight":0,"bake_seconds":1}]}}`)},
	} {
		code, out, errs := c.run(args...)
		if code != ExitError || out != "" || strings.Count(errs, "\n") != 1 || !strings.Contains(errs, want) {
			t.Errorf("%v: exit code %d, %q, %q, want %q", args, code, out, errs, want)
		}
	}
}

package command

import (
	"strings"
	"testing"

	"github.com/tidegate/tidegate/shared/approval"
	"github.com/tidegate/tidegate/shared/registry"
)

func TestApprovals(t *testing.T) {
	c := newCloud(t)
	c.publish(t, "late", "model one")
	two := c.publish(t, "late", "model two")
	c.run("promote", "late", "1")
	settings := write(t, "settings.json", `{"rollout":{"approval":"start"}}`)
	if code, out, errs := c.run("configure", "late", settings); code != ExitOK {
		t.Fatal(out, errs)
	}
	evidence := c.judge(t, "late", two, "start")
	want := func(code int, says string, args ...string) {
		t.Helper()
		got, out, errs := c.run(args...)
		if got != code || !strings.Contains(out+errs, says) {
			t.Errorf("%v: exit code %d, want %d and %q\n%s%s", args, got, code, says, out, errs)
		}
	}
	want(ExitOK, "nothing waits for a person", "approvals", "late")
	desk := approval.Desk{Registry: c.reg, Now: c.env.Now}
	for _, id := range []string{"one", "other"} {
		_, err := desk.Run(t.Context(), approval.In{Action: approval.ActionAsk, Model: "late", ID: id, For: registry.KindStart, Version: 2, Evidence: evidence, Actor: "machine"})
		check(t, err)
	}
	want(ExitError, "rollout.start needs an approval", "rollout", "start", "late", "2", "--evidence", evidence)
	want(ExitOK, "late/one", "approvals", "late")
	want(ExitError, "a decision needs a --reason", "approve", "late/one")
	want(ExitError, "ID must be MODEL/ID", "approve", "one", "--reason", "x")
	want(ExitError, "has no approval nobody", "reject", "late/nobody", "--reason", "x")
	want(ExitOK, "rollout.start of version 2 of late is approved by ana: fine", "approve", "late/one", "--reason", "fine", "--actor", "ana")
	want(ExitError, "was decided by ana", "reject", "late/one", "--reason", "no", "--actor", "bob")
	want(ExitOK, "is rejected by bob", "reject", "late/other", "--reason", "no", "--actor", "bob")
	want(ExitError, "approval other is rejected", "rollout", "start", "late", "2", "--evidence", evidence, "--approval", "other")
	want(ExitOK, "rollout of version 2: step 0, 1% of the keys", "rollout", "start", "late", "2", "--evidence", evidence, "--approval", "one")
	want(ExitOK, "nothing waits", "approvals", "late")
	want(ExitOK, "rejected", "approvals", "late", "--all")
	want(ExitOK, `"status": "approved"`, "approvals", "late", "--all", "--json")
	want(ExitError, "there is no model", "approvals", "nobody")
}

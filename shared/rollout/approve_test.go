package rollout_test

import (
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/approval"
	"github.com/tidegate/tidegate/shared/evaluation/comparison"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/rollout"
)

// TestApprovalsAreOfThisMove: a consent is to one move of one version on one evidence, and not for ever.
func TestApprovalsAreOfThisMove(t *testing.T) {
	w := newWorld(t, steps+`,"approval":"both"`)
	evidence, other := w.judge(2, string(comparison.Start), nil), w.judge(2, string(comparison.Start), func(e *registry.Evidence) { e.Summary = "another" })
	start := func(id string) rollout.PromoteIn {
		return rollout.PromoteIn{Kind: registry.KindStart, Version: 2, Evidence: []string{evidence}, Approval: id}
	}
	w.refused(start(""), "rollout.start needs an approval: ask for one")
	if _, err := w.try(start("nobody")); !fault.Is(err, fault.NotFound) {
		t.Errorf("an approval that nobody asked for: %v", err)
	}
	w.ask("waits", "rollout.start", 2, evidence, "")
	w.refused(start("waits"), "approval waits is pending")
	w.ask("no", "rollout.start", 2, evidence, approval.ActionReject)
	w.refused(start("no"), "approval no is rejected")
	w.ask("promote", "promote", 2, evidence, approval.ActionApprove)
	w.refused(start("promote"), "is for a promote of version 2, not for this rollout.start")
	w.ask("third", "rollout.start", 3, evidence, approval.ActionApprove)
	w.refused(start("third"), "is for a rollout.start of version 3")
	w.ask("other", "rollout.start", 2, other, approval.ActionApprove)
	w.refused(start("other"), "was asked for with other evidence")
	w.ask("bare", "rollout.start", 2, "", approval.ActionApprove)
	w.refused(start("bare"), "was asked for with other evidence")
	w.ask("yes", "rollout.start", 2, evidence, approval.ActionApprove)
	w.clock = w.clock.Add(2 * time.Hour)
	w.refused(start("waits"), "approval waits is expired")
	id := w.move(start("yes")).TransitionID

	for from := range 2 {
		w.clock = w.clock.Add(10 * time.Minute)
		w.advance(id, from)
	}
	w.clock = w.clock.Add(10 * time.Minute)
	last := w.judge(2, string(comparison.Promote), nil)
	promote := rollout.PromoteIn{Kind: registry.KindPromote, RolloutID: id, Evidence: []string{last}}
	w.refused(promote, "promote needs an approval")
	promote.Approval = "yes"
	w.refused(promote, "is for a rollout.start of version 2, not for this promote")
	w.ask("last", "promote", 2, strings.TrimPrefix(last, "sha256:"), approval.ActionApprove)
	promote.Approval = "last"
	w.move(promote)
}

// TestOldConsentIsNone: what was waived has no evidence whose age would count.
func TestOldConsentIsNone(t *testing.T) {
	w := newWorld(t, steps+`,"approval":"start"`)
	start := rollout.PromoteIn{Kind: registry.KindStart, Version: 2, Waive: []string{rollout.WaiveEvidence}, Reason: "a fix", Approval: "yes"}
	w.ask("yes", "rollout.start", 2, "", approval.ActionApprove)
	w.clock = w.clock.Add(25 * time.Hour)
	w.refused(start, "longer ago than evidence may be")
	w.ask("again", "rollout.start", 2, "", approval.ActionApprove)
	start.Approval = "again"
	w.move(start)
}

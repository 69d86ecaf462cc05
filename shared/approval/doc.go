// Package approval asks a person and keeps the answer: the step body of approve.
//
// A request is bound to one move of one version and to the digest of the evidence
// that was shown; the first decision wins, and nothing changes it. Both are written
// once (docs/formats/registry.md, Approvals). A machine waits by asking for the
// status; nobody holds a token. It moves no traffic: promote reads the decision.
//
//	desk := approval.Desk{Registry: reg, Topic: topic}
//	out, err := desk.Run(ctx, approval.In{Action: "ask", Model: "flights", ID: id, For: "rollout.start", Version: 8,
//		Evidence: digest, Actor: execution, ExpiresSeconds: 86400})
package approval

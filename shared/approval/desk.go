package approval

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
)

// What approve does.
const (
	ActionAsk     = "ask"
	ActionApprove = "approve"
	ActionReject  = "reject"
	ActionStatus  = "status"
)

// DefaultExpiry is how long a request waits where nothing else is asked for.
const DefaultExpiry = 7 * 24 * time.Hour

// In asks, answers or looks. For, Version, Evidence, Note and ExpiresSeconds belong
// to ask, Reason to an answer; all others are refused with them.
type In struct {
	Action         string `json:"action" validate:"required,oneof=ask approve reject status"`
	Model          string `json:"model" validate:"required"`
	ID             string `json:"id" validate:"required"`
	Actor          string `json:"actor,omitempty" validate:"max=200"`
	For            string `json:"for,omitempty" validate:"omitempty,oneof=rollout.start promote"`
	Version        int    `json:"version,omitempty" validate:"gte=0"`
	Evidence       string `json:"evidence,omitempty"`
	Note           string `json:"note,omitempty" validate:"max=4096"`
	ExpiresSeconds int64  `json:"expires_seconds,omitempty" validate:"gte=0,lte=31536000"` // default a week
	Reason         string `json:"reason,omitempty" validate:"max=1024"`
}

// Out is where the approval stands. PollSeconds is what a machine should wait
// before it looks again: a fiftieth of what is left, at least 15 s (1 s in the last
// ten minutes) and at most 15 min; 0 when there is nothing to wait for.
type Out struct {
	Record
	Status      Status `json:"status"`
	Repeated    bool   `json:"repeated,omitempty"` // it was asked for, or answered so, before
	PollSeconds int64  `json:"poll_seconds"`
}

// Topic tells people: SNS, or a list in tests.
type Topic interface {
	// Publish sends one text. Errors: Unavailable (try again), Internal.
	Publish(ctx context.Context, subject, text string) error
}

// Desk takes requests and answers.
type Desk struct {
	Registry *registry.Registry
	Topic    Topic // nil: nobody is told; people look at the list
	Now      func() time.Time
}

// Run does one action. Errors: InvalidArgument, the input; NotFound, no such model or
// approval; AlreadyExists, the id is that of another request; FailedPrecondition, it
// was decided otherwise or has expired; Unavailable and Aborted, repeat the call.
func (d *Desk) Run(ctx context.Context, in In) (Out, error) {
	if err := in.check(); err != nil {
		return Out{}, err
	}
	now := d.Now().UTC().Truncate(time.Millisecond)
	switch in.Action {
	case ActionAsk:
		return d.ask(ctx, &in, now)
	case ActionStatus:
		r, err := Read(ctx, d.Registry, in.Model, in.ID)
		return out(r, now, false), err
	}
	return d.decide(ctx, &in, now)
}

// ask writes the request and tells of it. A request whose notification failed is
// told of again by the repeated call: at least once.
func (d *Desk) ask(ctx context.Context, in *In, now time.Time) (Out, error) {
	if _, err := d.Registry.Manifest(ctx, in.Model, in.Version); err != nil {
		return Out{}, err
	}
	expiry := DefaultExpiry
	if in.ExpiresSeconds > 0 {
		expiry = time.Duration(in.ExpiresSeconds) * time.Second
	}
	asked := Request{V: Version, ID: in.ID, Model: in.Model, For: in.For, Version: in.Version, Evidence: registry.Hex(in.Evidence), Note: in.Note,
		AskedBy: in.Actor, AskedAt: now, ExpiresAt: now.Add(expiry)}
	_, created, err := d.Registry.PutRecord(ctx, registry.ApprovalKey(in.Model, in.ID, "request"), asked)
	if err != nil {
		return Out{}, err
	}
	r, err := Read(ctx, d.Registry, in.Model, in.ID)
	if err != nil {
		return Out{}, err
	}
	if s := r.Request; s.For != asked.For || s.Version != asked.Version || s.Evidence != asked.Evidence {
		return Out{}, fault.New(fault.AlreadyExists, "approval %s of model %q asks for another move (%s of version %d); choose a new id", in.ID, in.Model, s.For, s.Version)
	}
	if d.Topic != nil && r.Status(now) == Pending {
		if err := d.Topic.Publish(ctx, subject(&r.Request), text(&r.Request)); err != nil {
			return Out{}, fmt.Errorf("approval: tell of %s: %w", in.ID, err)
		}
	}
	return out(r, now, !created), nil
}

func subject(q *Request) string {
	return fmt.Sprintf("Approval wanted: %s of %s, version %d", q.For, q.Model, q.Version)
}

func text(q *Request) string {
	evidence := "none: the start rule is waived"
	if q.Evidence != "" {
		evidence = "sha256:" + q.Evidence
	}
	s := fmt.Sprintf("Model %s waits for a decision.\n\nMove      %s\nVersion   %d\nEvidence  %s\nAsked by  %s\nUntil     %s\n\ntidegate approve %s/%s --reason WHY\ntidegate reject %s/%s --reason WHY\n",
		q.Model, q.For, q.Version, evidence, q.AskedBy, q.ExpiresAt.Format(time.RFC3339), q.Model, q.ID, q.Model, q.ID)
	if q.Note != "" {
		s += "\n" + q.Note + "\n"
	}
	return s
}

// decide records an answer, unless there is one.
func (d *Desk) decide(ctx context.Context, in *In, now time.Time) (Out, error) {
	r, err := Read(ctx, d.Registry, in.Model, in.ID)
	if err != nil {
		return Out{}, err
	}
	yes, repeated := in.Action == ActionApprove, true
	if r.Decision == nil {
		if r.Status(now) == Expired {
			return Out{}, fault.New(fault.FailedPrecondition, "approval %s of model %q expired at %s; it must be asked for again", in.ID, in.Model, r.Request.ExpiresAt.Format(time.RFC3339))
		}
		made := Decision{V: Version, ID: in.ID, Model: in.Model, Approved: yes, By: in.Actor, Reason: in.Reason, At: now}
		var body []byte
		if body, repeated, err = d.Registry.PutRecord(ctx, registry.ApprovalKey(in.Model, in.ID, "decision"), made); err != nil {
			return Out{}, err
		}
		repeated = !repeated // PutRecord says created
		if r.Decision, err = parseDecision(in.Model, in.ID, body); err != nil {
			return Out{}, err
		}
	}
	if r.Decision.Approved != yes {
		return Out{}, fault.New(fault.FailedPrecondition, "approval %s of model %q was decided by %s at %s: %s (%s); the first decision counts",
			in.ID, in.Model, r.Decision.By, r.Decision.At.Format(time.RFC3339), r.Status(now), r.Decision.Reason)
	}
	return out(r, now, repeated), nil
}

func out(r Record, now time.Time, repeated bool) Out {
	o := Out{Record: r, Status: r.Status(now), Repeated: repeated}
	if o.Status == Pending {
		left, least := r.Request.ExpiresAt.Sub(now), 15*time.Second
		if left < 10*time.Minute {
			least = time.Second
		}
		o.PollSeconds = int64(min(max(left/50, least), 15*time.Minute) / time.Second)
	}
	return o
}

// check looks at what belongs to which action; the tags of In cover the rest.
func (in *In) check() error {
	var bad []fault.Violation
	field := func(path string, given, wanted, allowed bool) {
		if wanted && !given {
			bad = append(bad, fault.Violation{Path: path, Problem: "is required to " + in.Action})
		}
		if !wanted && !allowed && given {
			bad = append(bad, fault.Violation{Path: path, Problem: "does not belong to " + in.Action})
		}
	}
	ask, answer := in.Action == ActionAsk, in.Action == ActionApprove || in.Action == ActionReject
	field("actor", in.Actor != "", ask || answer, true)
	field("for", in.For != "", ask, false)
	field("version", in.Version != 0, ask, false)
	field("evidence", in.Evidence != "", false, ask)
	field("note", in.Note != "", false, ask)
	field("expires_seconds", in.ExpiresSeconds != 0, false, ask)
	field("reason", in.Reason != "", answer, false)
	if in.Evidence != "" && registry.CheckDigest(in.Evidence) != nil {
		bad = append(bad, fault.Violation{Path: "evidence", Problem: "must be a sha256 digest in lower-case hex"})
	}
	if len(bad) > 0 {
		return fault.Invalid(bad...)
	}
	return cmp.Or(registry.CheckName(in.Model), CheckID(in.ID))
}

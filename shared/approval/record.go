package approval

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/validate"
)

// Version is the format of requests and decisions.
const Version = 1

// Status says where an approval stands.
type Status string

// The statuses. A request that nobody decided in time stays Expired for ever.
const (
	Pending  Status = "pending"
	Approved Status = "approved"
	Rejected Status = "rejected"
	Expired  Status = "expired"
)

// Request is approvals/<id>/request.json.
type Request struct {
	V         int       `json:"v"`
	ID        string    `json:"id"`
	Model     string    `json:"model"`
	For       string    `json:"for"` // the kind of move: rollout.start or promote
	Version   int       `json:"version"`
	Evidence  string    `json:"evidence,omitempty"` // sha256 of the blob that was shown; none where a person waives it
	Note      string    `json:"note,omitempty"`     // for the person who decides
	AskedBy   string    `json:"asked_by"`
	AskedAt   time.Time `json:"asked_at"`
	ExpiresAt time.Time `json:"expires_at"`
}

// Decision is approvals/<id>/decision.json.
type Decision struct {
	V        int       `json:"v"`
	ID       string    `json:"id"`
	Model    string    `json:"model"`
	Approved bool      `json:"approved"`
	By       string    `json:"by"`
	Reason   string    `json:"reason"`
	At       time.Time `json:"at"`
}

// Record is a request with its decision, if there is one.
type Record struct {
	Request  Request   `json:"request"`
	Decision *Decision `json:"decision,omitempty"`
}

// Status of the record at now.
func (r *Record) Status(now time.Time) Status {
	switch {
	case r.Decision != nil && r.Decision.Approved:
		return Approved
	case r.Decision != nil:
		return Rejected
	case now.After(r.Request.ExpiresAt):
		return Expired
	}
	return Pending
}

var idPattern = validate.NewPattern(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$`)

// CheckID says whether id can name an approval. The error is InvalidArgument.
func CheckID(id string) error {
	if !idPattern.MatchString(id) {
		return fault.Invalid(fault.Violation{Path: "id", Problem: `must be 1 to 100 of letters, digits, "_", "-" and ".", beginning with a letter or digit`})
	}
	return nil
}

// Read returns an approval of a model. NotFound when nobody asked for it; Internal
// when what is stored is not what this package writes.
func Read(ctx context.Context, reg *registry.Registry, model, id string) (Record, error) {
	if err := cmp.Or(registry.CheckName(model), CheckID(id)); err != nil {
		return Record{}, err
	}
	var r Record
	key := registry.ApprovalKey(model, id, "request")
	body, err := reg.ReadRecord(ctx, key)
	if fault.Is(err, fault.NotFound) {
		return Record{}, fault.Wrap(err, fault.NotFound, "model %q has no approval %s; tidegate approvals %s lists them", model, id, model)
	}
	if err != nil {
		return Record{}, err
	}
	if err := parse(key, body, &r.Request); err != nil {
		return Record{}, err
	}
	if r.Request.V > Version || r.Request.Model != model || r.Request.ID != id {
		return Record{}, fault.New(fault.Internal, "%s is of another approval, or of a newer release", key)
	}
	r.Decision, err = decision(ctx, reg, model, id)
	return r, err
}

func decision(ctx context.Context, reg *registry.Registry, model, id string) (*Decision, error) {
	key := registry.ApprovalKey(model, id, "decision")
	body, err := reg.ReadRecord(ctx, key)
	if fault.Is(err, fault.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return parseDecision(model, id, body)
}

func parseDecision(model, id string, body []byte) (*Decision, error) {
	key := registry.ApprovalKey(model, id, "decision")
	var d Decision
	if err := parse(key, body, &d); err != nil {
		return nil, err
	}
	if d.V > Version || d.Model != model || d.ID != id {
		return nil, fault.New(fault.Internal, "%s is of another approval, or of a newer release", key)
	}
	return &d, nil
}

func parse(key string, body []byte, into any) error {
	if err := json.Unmarshal(body, into); err != nil {
		return fault.Wrap(err, fault.Internal, "%s is damaged; restore an older version of the object", key)
	}
	return nil
}

// List returns the approvals of a model in the order of their ids.
func List(ctx context.Context, reg *registry.Registry, model string) ([]Record, error) {
	if err := registry.CheckName(model); err != nil {
		return nil, err
	}
	prefix := strings.TrimSuffix(registry.ApprovalKey(model, "", ""), "/.json")
	all := []Record{}
	for key, err := range reg.Records(ctx, prefix) {
		if err != nil {
			return nil, err
		}
		id, part, _ := strings.Cut(strings.TrimPrefix(key, prefix), "/")
		if part != "request.json" || CheckID(id) != nil {
			continue
		}
		r, err := Read(ctx, reg, model, id)
		if err != nil {
			return nil, fmt.Errorf("approval: %w", err)
		}
		all = append(all, r)
	}
	return all, nil
}

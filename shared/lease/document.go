package lease

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
)

// Version is the format of the documents here.
const Version = 1

// Lease is models/<m>/lease.json. It moves by compare-and-swap.
type Lease struct {
	V         int       `json:"v"`
	Model     string    `json:"model"`
	Epoch     int64     `json:"epoch"`            // one more with each holder
	Holder    string    `json:"holder,omitempty"` // none: it is free
	Machine   string    `json:"machine,omitempty"`
	Trigger   string    `json:"trigger,omitempty"` // digest
	ExpiresAt time.Time `json:"expires_at"`
	Signals   []Signal  `json:"signals,omitempty"` // the newest, oldest first
	Runs      []Run     `json:"runs,omitempty"`    // the newest, oldest first; the last is the holder's
	Write     string    `json:"write"`             // random: whose write it is, when the answer was lost
}

// Signal is a trigger that arrived, whether or not a run came of it.
type Signal struct {
	Trigger string    `json:"trigger"` // digest
	Machine string    `json:"machine"`
	Source  string    `json:"source"`
	At      time.Time `json:"at"`
}

// Run is one holding of the lease.
type Run struct {
	Epoch   int64     `json:"epoch"`
	Machine string    `json:"machine"`
	Holder  string    `json:"holder"`
	Trigger string    `json:"trigger"`
	At      time.Time `json:"at"`
	Ended   time.Time `json:"ended,omitzero"`
	Outcome Outcome   `json:"outcome,omitempty"` // none: it runs, or was taken over
}

// Outcome is how a run ended.
type Outcome string

// The outcomes. A debounced run is over as one that succeeded: its trigger is used up.
const (
	Succeeded Outcome = "succeeded"
	Failed    Outcome = "failed"
	Debounced Outcome = "debounced"
)

// Claim is triggers/<machine>/<digest>.json. It moves by compare-and-swap, from one
// holder to the next.
type Claim struct {
	V       int       `json:"v"`
	Model   string    `json:"model"`
	Machine string    `json:"machine"`
	Trigger string    `json:"trigger"` // as it was given
	Source  string    `json:"source"`
	Holder  string    `json:"holder"`
	Attempt int       `json:"attempt"` // 1 for the first holder
	At      time.Time `json:"at"`
	Outcome Outcome   `json:"outcome,omitempty"`
	Write   string    `json:"write"`
}

// What the documents keep.
const (
	maxSignals = 100
	maxRuns    = 20
)

// Digest names a trigger of a model: sha256 of the model, a zero byte and the
// trigger. It is also the id of the run, under which steps keep their results.
func Digest(model, trigger string) string {
	sum := sha256.Sum256([]byte(model + "\x00" + trigger))
	return hex.EncodeToString(sum[:])
}

// Read returns the lease of a model; a model that never had one has the zero epoch.
func Read(ctx context.Context, reg *registry.Registry, model string) (Lease, error) {
	if err := registry.CheckName(model); err != nil {
		return Lease{}, err
	}
	body, err := reg.ReadRecord(ctx, registry.LeaseKey(model))
	if fault.Is(err, fault.NotFound) {
		return Lease{Model: model}, nil
	}
	if err != nil {
		return Lease{}, err
	}
	return parseLease(model, body)
}

// Check says whether holder still has the lease under its epoch; FailedPrecondition
// when it was overtaken. What a holder writes without checking is its own risk.
func Check(ctx context.Context, reg *registry.Registry, model, holder string, epoch int64) error {
	l, err := Read(ctx, reg, model)
	if err != nil {
		return err
	}
	return l.heldBy(holder, epoch)
}

func (l *Lease) heldBy(holder string, epoch int64) error {
	if l.Holder == holder && l.Epoch == epoch {
		return nil
	}
	now := "nobody holds it"
	if l.Holder != "" {
		now = "it belongs to " + l.Holder
	}
	return fault.New(fault.FailedPrecondition, "%s has lost the lease of model %q: epoch %d is over, %s at epoch %d", holder, l.Model, epoch, now, l.Epoch)
}

func parseLease(model string, body []byte) (Lease, error) {
	l := Lease{Model: model}
	if body == nil {
		return l, nil
	}
	key := registry.LeaseKey(model)
	if err := parse(key, body, &l); err != nil {
		return Lease{}, err
	}
	if l.V < 1 || l.V > Version || l.Model != model || l.Epoch < 1 && l.Holder != "" || l.Epoch < 0 {
		return Lease{}, damaged(key, fmt.Errorf("it is of another model or of a newer release"))
	}
	return l, nil
}

func parseClaim(key, model, machine string, body []byte) (Claim, error) {
	var c Claim
	if err := parse(key, body, &c); err != nil {
		return Claim{}, err
	}
	if c.V < 1 || c.V > Version || c.Model != model || c.Machine != machine || c.Holder == "" || c.Attempt < 1 {
		return Claim{}, damaged(key, fmt.Errorf("it is of another trigger or of a newer release"))
	}
	return c, nil
}

func parse(key string, body []byte, into any) error {
	if err := json.Unmarshal(body, into); err != nil {
		return damaged(key, err)
	}
	return nil
}

func damaged(key string, cause error) error {
	return fault.Wrap(cause, fault.Internal, "%s is damaged; restore an older version of the object", key)
}

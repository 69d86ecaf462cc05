package registry

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
)

// EvidenceVersion is the format of evidence that this package writes.
const EvidenceVersion = 1

// EvidenceComparison is the kind of evidence that compares two versions.
const EvidenceComparison = "comparison"

// Evidence is what a judgement leaves among the blobs, for the guards of transitions
// and for people. It says in full what it is about, so that it cannot stand for
// another move; Report holds all that was measured.
type Evidence struct {
	V          int             `json:"v"`
	Kind       string          `json:"kind"`
	Model      string          `json:"model"`
	Champion   Ref             `json:"champion"`
	Challenger Ref             `json:"challenger"`
	Decision   string          `json:"decision"`         // an action of evaluation/comparison
	Reject     bool            `json:"reject,omitempty"` // the challenger must not serve again
	Summary    string          `json:"summary,omitempty"`
	At         time.Time       `json:"at"`
	RolloutID  string          `json:"rollout_id,omitempty"` // whose pairs were looked at; none before a rollout
	Step       int             `json:"step"`                 // at which it was looked
	Generation int64           `json:"generation,omitempty"` // of the state that was looked at
	Dataset    string          `json:"dataset,omitempty"`    // digest of pinned rows
	Window     string          `json:"window,omitempty"`     // of outcomes
	Report     json.RawMessage `json:"report,omitempty"`
}

// PutEvidence stores e and returns its digest, "sha256:<hex>". V and Kind are set
// here. The error is InvalidArgument for evidence that says too little to be used.
func (r *Registry) PutEvidence(ctx context.Context, e Evidence) (digest string, err error) {
	e.V, e.Kind = EvidenceVersion, EvidenceComparison
	if CheckName(e.Model) != nil || CheckVersion(e.Champion.Version) != nil || CheckVersion(e.Challenger.Version) != nil || e.Decision == "" || e.At.IsZero() {
		return "", fault.New(fault.InvalidArgument, "evidence must name its model, champion, challenger, decision and time")
	}
	body, err := encode(e)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(body)
	digest = "sha256:" + hex.EncodeToString(sum[:])
	return digest, r.PutBlob(ctx, digest, bytes.NewReader(body), int64(len(body)))
}

// Evidence reads a judgement by its digest. FailedPrecondition when the blob is none,
// or there is none; Internal when the blob is damaged.
func (r *Registry) Evidence(ctx context.Context, digest string) (Evidence, error) {
	refused := func(cause error, problem string) (Evidence, error) {
		return Evidence{}, fault.Wrap(cause, fault.FailedPrecondition, "evidence %s %s", digest, problem)
	}
	body, err := r.ReadBlob(ctx, digest)
	if fault.Is(err, fault.NotFound) {
		return refused(err, "is not among the blobs; store it first")
	}
	if err != nil {
		return Evidence{}, err
	}
	var e Evidence
	if err = json.Unmarshal(body, &e); err == nil && (e.V < 1 || e.Kind != EvidenceComparison) {
		err = errors.New("it is of another kind")
	}
	if err != nil {
		return refused(err, "is not a judgement of two versions")
	}
	if e.V > EvidenceVersion {
		return refused(fmt.Errorf("format %d", e.V), fmt.Sprintf("has format %d, this program reads up to %d; deploy the newer release", e.V, EvidenceVersion))
	}
	return e, nil
}

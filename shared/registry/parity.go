package registry

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
)

// EvidenceBackend is the kind of evidence that says that a version answers the same
// on its backend as elsewhere.
const EvidenceBackend = "backend_parity"

// BackendParity is what a comparison of a backend's answers leaves among the blobs,
// if they are the same within the tolerance. It stands for the parity guard of a rollout.
type BackendParity struct {
	V       int       `json:"v"`
	Kind    string    `json:"kind"`
	Model   string    `json:"model"`
	Version Ref       `json:"version"`
	Backend string    `json:"backend"`             // URL, or sagemaker:<endpoint>[/<component>]
	Against string    `json:"against"`             // function, or trainer
	Dataset string    `json:"dataset"`             // sha256 of the rows' file
	Served  string    `json:"served_by,omitempty"` // as the backend says
	Parity  Parity    `json:"parity"`
	At      time.Time `json:"at"`
	By      string    `json:"by,omitempty"`
}

// PutBackendParity stores p and returns its digest, "sha256:<hex>". V and Kind are
// set here. The error is InvalidArgument for what says too little to be used.
func (r *Registry) PutBackendParity(ctx context.Context, p BackendParity) (digest string, err error) {
	p.V, p.Kind = EvidenceVersion, EvidenceBackend
	if problem := p.problem(); problem != "" {
		return "", fault.New(fault.InvalidArgument, "the parity of a backend %s", problem)
	}
	body, err := encode(p)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(body)
	digest = "sha256:" + hex.EncodeToString(sum[:])
	return digest, r.PutBlob(ctx, digest, bytes.NewReader(body), int64(len(body)))
}

func (p *BackendParity) problem() string {
	switch {
	case CheckName(p.Model) != nil || CheckVersion(p.Version.Version) != nil || p.Version.Digest == "" || p.Backend == "" || p.At.IsZero():
		return "must name model, version, digest, backend and time"
	case !p.Parity.Checked || p.Parity.Rows < 1:
		return "was not checked on any row"
	}
	return ""
}

// BackendParity reads one by its digest. FailedPrecondition when the blob is none, or
// there is none; Internal when it is damaged.
func (r *Registry) BackendParity(ctx context.Context, digest string) (p BackendParity, err error) {
	body, err := r.ReadBlob(ctx, digest)
	if fault.Is(err, fault.NotFound) {
		return p, fault.Wrap(err, fault.FailedPrecondition, "evidence %s is not among the blobs; store it first", digest)
	}
	if err != nil {
		return p, err
	}
	if err = json.Unmarshal(body, &p); err == nil && (p.V < 1 || p.V > EvidenceVersion || p.Kind != EvidenceBackend || p.problem() != "") {
		err = errors.New("it is of another kind or release")
	}
	return p, fault.Wrap(err, fault.FailedPrecondition, "evidence %s is not the parity of a backend", digest)
}

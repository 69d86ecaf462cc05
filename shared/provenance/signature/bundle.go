package signature

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/tidegate/tidegate/shared/fault"
)

// The names of the format, OpenSSF Model Signing v1.0 (model_signing/_signing of
// PyPI model-signing 1.1.1), DSSE v1 and the sigstore bundle v0.3.
const (
	mediaType     = "application/vnd.dev.sigstore.bundle.v0.3+json"
	payloadType   = "application/vnd.in-toto+json"
	statementType = "https://in-toto.io/Statement/v1"
	predicateType = "https://model_signing/signature/v1.0"
	method        = "files"
	algorithm     = "sha256"
)

// MaxBundle bounds a bundle, in bytes: a version has a dozen files, of a hundred bytes each.
const MaxBundle = 1 << 20

// Unsigned lists what lies in the folder of a version and is no file of it: a
// verifier of the folder must leave it out.
var Unsigned = []string{"claim.json", "manifest.json", "signatures"}

// File is a signed file: its path in the model's folder and its lower-case hex sha256.
type File struct{ Path, SHA256 string }

type bundle struct {
	MediaType string   `json:"mediaType"`
	Material  material `json:"verificationMaterial"`
	Envelope  envelope `json:"dsseEnvelope"`
}

type material struct {
	PublicKey struct {
		Hint string `json:"hint"`
	} `json:"publicKey"`
	TlogEntries []json.RawMessage `json:"tlogEntries"` // none: nothing is asked online
}

type envelope struct {
	Payload     []byte `json:"payload"`
	PayloadType string `json:"payloadType"`
	Signatures  []sig  `json:"signatures"`
}

type sig struct {
	Sig   []byte `json:"sig"`
	KeyID string `json:"keyid"`
}

type statement struct {
	Type          string    `json:"_type"`
	Subject       []subject `json:"subject"`
	PredicateType string    `json:"predicateType"`
	Predicate     predicate `json:"predicate"`
}

type subject struct {
	Name   string            `json:"name"`
	Digest map[string]string `json:"digest"`
}

type predicate struct {
	Serialization serialization `json:"serialization"`
	Resources     []resource    `json:"resources"`
}

type serialization struct {
	Method      string   `json:"method"`
	HashType    string   `json:"hash_type"`
	Symlinks    bool     `json:"allow_symlinks"`
	IgnorePaths []string `json:"ignore_paths,omitempty"`
}

type resource struct {
	Name      string `json:"name"`
	Algorithm string `json:"algorithm"`
	Digest    string `json:"digest"`
}

// Sign makes a bundle over the files of a model. name only informs. The same key and
// files give the same bytes: the signature is deterministic (RFC 6979). The error is
// InvalidArgument: no file, one twice, or a digest that is none.
func (s *Signer) Sign(name string, files []File) ([]byte, error) {
	resources := make([]resource, len(files))
	for i, f := range files {
		resources[i] = resource{Name: f.Path, Algorithm: algorithm, Digest: f.SHA256}
	}
	slices.SortFunc(resources, func(a, b resource) int { // as the tool sorts paths: part by part
		return slices.Compare(strings.Split(a.Name, "/"), strings.Split(b.Name, "/"))
	})
	if _, err := listed(resources); err != nil {
		return nil, err
	}
	payload, err := json.Marshal(statement{
		Type: statementType, Subject: []subject{{Name: name, Digest: map[string]string{algorithm: root(resources)}}}, PredicateType: predicateType,
		Predicate: predicate{Serialization: serialization{Method: method, HashType: algorithm, IgnorePaths: Unsigned}, Resources: resources},
	})
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the statement cannot be encoded")
	}
	sum := sha256.Sum256(encode(payloadType, payload))
	signed, err := s.private.Sign(nil, sum[:], crypto.SHA256)
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the key cannot sign")
	}
	b := bundle{MediaType: mediaType, Envelope: envelope{Payload: payload, PayloadType: payloadType, Signatures: []sig{{Sig: signed}}}}
	b.Material.PublicKey.Hint, b.Material.TlogEntries = s.key.id, []json.RawMessage{}
	out, err := json.Marshal(b)
	return append(out, '\n'), fault.Wrap(err, fault.Internal, "the bundle cannot be encoded")
}

// encode is DSSE's pre-authentication encoding.
func encode(kind string, payload []byte) []byte {
	return fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(kind), kind, len(payload), payload)
}

// root is the digest of a model: sha256 over the digests of its resources, in their order.
func root(resources []resource) string {
	h := sha256.New()
	for _, r := range resources {
		raw, _ := hex.DecodeString(r.Digest) // listed() has looked at it
		h.Write(raw)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Open verifies that k signed a bundle and returns the files that it lists. Errors:
// InvalidArgument, this is no such bundle; FailedPrecondition, another key, or
// something was changed after signing.
func (k Key) Open(data []byte) ([]File, error) {
	b, err := parse(data)
	if err != nil {
		return nil, err
	}
	if hint := b.Material.PublicKey.Hint; hint != k.id {
		return nil, fault.New(fault.FailedPrecondition, "the signature is by another key than %s", k.Short())
	}
	// Nothing of the payload is looked at before this.
	sum := sha256.Sum256(encode(b.Envelope.PayloadType, b.Envelope.Payload))
	if !ecdsa.VerifyASN1(k.public, sum[:], b.Envelope.Signatures[0].Sig) {
		return nil, fault.New(fault.FailedPrecondition, "the signature by key %s is not valid: the bundle was changed after it was signed, or another key signed it", k.Short())
	}
	return filesOf(b.Envelope.Payload)
}

// parse reads a bundle and looks at its form.
func parse(data []byte) (bundle, error) {
	var b bundle
	bad := func(format string, args ...any) (bundle, error) {
		return b, fault.New(fault.InvalidArgument, "the signature is not a bundle of OpenSSF Model Signing by a key: "+format, args...)
	}
	if len(data) > MaxBundle {
		return bad("it has %d bytes, limit %d", len(data), MaxBundle)
	}
	if err := json.Unmarshal(data, &b); err != nil {
		return b, fault.Wrap(err, fault.InvalidArgument, "the signature is not a bundle of OpenSSF Model Signing: it is not JSON of that form")
	}
	switch {
	case b.MediaType != mediaType:
		return bad("mediaType must be %s", mediaType)
	case b.Material.PublicKey.Hint == "":
		return bad("verificationMaterial.publicKey.hint is missing; sign with a key (not a certificate, not an identity), by a tool of version 1.0.1 or later")
	case b.Envelope.PayloadType != payloadType:
		return bad("dsseEnvelope.payloadType must be %s", payloadType)
	case len(b.Envelope.Signatures) != 1:
		return bad("dsseEnvelope.signatures must be one signature, not %d", len(b.Envelope.Signatures))
	}
	return b, nil
}

// filesOf reads the statement.
func filesOf(payload []byte) ([]File, error) {
	var s statement
	bad := func(format string, args ...any) ([]File, error) {
		return nil, fault.New(fault.InvalidArgument, "what was signed is not a statement of OpenSSF Model Signing v1.0: "+format, args...)
	}
	if err := json.Unmarshal(payload, &s); err != nil {
		return nil, fault.Wrap(err, fault.InvalidArgument, "what was signed is not a statement of OpenSSF Model Signing v1.0: it is not JSON of that form")
	}
	switch {
	case s.Type != statementType:
		return bad("_type must be %s", statementType)
	case s.PredicateType != predicateType:
		return bad("predicateType must be %s", predicateType)
	case s.Predicate.Serialization.Method != method || s.Predicate.Serialization.HashType != algorithm:
		return bad("its serialization must be %q with %q: sign whole files, not shards", method, algorithm)
	case len(s.Subject) != 1:
		return bad("it must have one subject, not %d", len(s.Subject))
	}
	files, err := listed(s.Predicate.Resources)
	if err != nil {
		return nil, err
	}
	if s.Subject[0].Digest[algorithm] != root(s.Predicate.Resources) {
		return bad("its digest is not that of its resources")
	}
	return files, nil
}

// listed checks the list of files: some, none twice, each with a digest.
func listed(resources []resource) ([]File, error) {
	if len(resources) == 0 {
		return nil, fault.New(fault.InvalidArgument, "no file is listed")
	}
	seen := map[string]bool{}
	files := make([]File, len(resources))
	for i, r := range resources {
		raw, err := hex.DecodeString(r.Digest)
		if r.Name == "" || seen[r.Name] || r.Algorithm != algorithm || err != nil || len(raw) != sha256.Size {
			return nil, fault.New(fault.InvalidArgument, "resources[%d] must have a name of its own and a sha256 digest", i)
		}
		seen[r.Name] = true
		files[i] = File{Path: r.Name, SHA256: hex.EncodeToString(raw)}
	}
	return files, nil
}

package registration

import (
	"bytes"
	"context"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/provenance/signature"
)

// check looks at what belongs together; the tags of In cover the rest.
func (in *In) check() error {
	var bad []fault.Violation
	add := func(wrong bool, path, problem string) {
		if wrong {
			bad = append(bad, fault.Violation{Path: path, Problem: problem})
		}
	}
	if in.Signature == "" {
		add(in.Version != 0, "version", "belongs to a signature: registering finds the number itself")
		add(in.PublicKey != "", "public_key", "belongs to a signature")
	} else {
		add(in.Version == 0, "version", "is required with a signature: the version that was signed")
		add(in.PublicKey == "", "public_key", "is required with a signature: the key that verifies it")
		add(in.Source != "", "source", "does not go with a signature: register first, then sign what was registered")
		add(in.Task != "", "task", "does not go with a signature")
		add(in.Target != "", "target", "does not go with a signature")
		add(in.Tolerance != 0, "tolerance", "does not go with a signature")
	}
	if len(bad) > 0 {
		return fault.Invalid(bad...)
	}
	return nil
}

// attach stores a signature of a version under the key that made it, once. Whether
// the key is trusted is for those who serve to say: keys change, and a version is
// signed with the next one before that is trusted.
//
// Errors: InvalidArgument, no key or no signature; NotFound, no such version;
// FailedPrecondition, the signature is of other files or by another key.
func (r *Registrar) attach(ctx context.Context, in In) (Out, error) {
	m, err := r.Registry.Manifest(ctx, in.Model, in.Version)
	if fault.Is(err, fault.NotFound) {
		return Out{}, fault.Wrap(err, fault.NotFound, "version %d of model %q is not there, or not ready", in.Version, in.Model)
	}
	if err != nil {
		return Out{}, err
	}
	key, err := signature.ParseKey(in.PublicKey)
	if err != nil {
		return Out{}, fault.Wrap(err, fault.InvalidArgument, "public_key: %s", fault.Public(err).Message)
	}
	body := []byte(in.Signature)
	if err := key.Verify(body, &m); err != nil {
		return Out{}, err
	}
	stored, err := r.Registry.PutVersionFile(ctx, m.Model, m.Version, key.Path(), body)
	if err != nil {
		return Out{}, err
	}
	existing := !bytes.Equal(stored, body)
	if existing { // other tools' signatures are random: another one of the same is as good
		if err := key.Verify(stored, &m); err != nil {
			return Out{}, fault.Wrap(err, fault.Internal, "%s of version %d of model %q is damaged: it was changed after it was stored; restore the object's older version", key.Path(), m.Version, m.Model)
		}
	}
	return Out{Model: m.Model, Version: m.Version, Digest: m.Digest, Existing: existing, SignedBy: key.ID()}, nil
}

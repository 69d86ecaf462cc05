// Package signature signs the files of a version and verifies what was signed, in
// the format of OpenSSF Model Signing v1.0 with an ECDSA P-256 key: a sigstore bundle
// around a DSSE envelope around an in-toto statement that lists every file with its
// digest (docs/formats/provenance.md). What it signs the tool model_signing verifies,
// and the other way round.
//
// It reads no certificates, asks no transparency log and keeps no private keys.
//
// Invariant: [Trust.Check] returns nil only if a trusted key signed exactly the
// files that the manifest lists, by path and digest. It reads no file: whoever loads
// one compares it with the manifest.
//
//	trust := signature.TrustIn(key)
//	err := trust.Check(ctx, reg, &manifest)
package signature

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
)

// Path is where the signature by k lies among the files of a version. It is no file
// of the version: it comes after the manifest.
func (k Key) Path() string { return "signatures/" + k.id + ".sig" }

// Files are the files of a version.
func Files(m *registry.Manifest) []File {
	files := make([]File, len(m.Files))
	for i, f := range m.Files {
		files[i] = File{Path: f.Path, SHA256: f.SHA256}
	}
	return files
}

// Verify checks that data is k's signature over exactly the files of m. Errors:
// InvalidArgument, it is no signature; FailedPrecondition, it is one of another key
// or of other files, with what differs.
func (k Key) Verify(data []byte, m *registry.Manifest) error {
	signed, err := k.Open(data)
	if err != nil {
		return err
	}
	if differs := difference(signed, Files(m)); differs != "" {
		return fault.New(fault.FailedPrecondition, "the signature is not of version %d of model %q: %s", m.Version, m.Model, differs)
	}
	return nil
}

// difference says in which files a version is not what was signed, "" for none.
func difference(signed, present []File) string {
	want := map[string]string{}
	for _, f := range signed {
		want[f.Path] = f.SHA256
	}
	var changed, extra, missing []string
	for _, f := range present {
		switch digest, ok := want[f.Path]; {
		case !ok:
			extra = append(extra, f.Path)
		case digest != f.SHA256:
			changed = append(changed, f.Path)
		}
		delete(want, f.Path)
	}
	for path := range want {
		missing = append(missing, fmt.Sprintf("%q", path))
	}
	slices.Sort(missing)
	var parts []string
	for _, p := range []struct {
		text  string
		paths []string
	}{{"other content than was signed: ", changed}, {"not signed: ", extra}, {"signed but not there: ", missing}} {
		const most = 5
		switch {
		case len(p.paths) > most:
			parts = append(parts, p.text+strings.Join(p.paths[:most], ", ")+", …")
		case len(p.paths) > 0:
			parts = append(parts, p.text+strings.Join(p.paths, ", "))
		}
	}
	return strings.Join(parts, "; ")
}

// Trust is the keys of which one must have signed a version. The zero value asks for
// no signature.
type Trust struct{ keys []Key }

// TrustIn trusts the given keys.
func TrustIn(keys ...Key) Trust { return Trust{keys: keys} }

// UnmarshalText reads a list of public keys as ParseKeys does; "" asks for no
// signature. The error is InvalidArgument.
func (t *Trust) UnmarshalText(text []byte) error {
	keys, err := ParseKeys(string(text))
	if err == nil && len(keys) == 0 && len(bytes.TrimSpace(text)) > 0 {
		// A typing error must not open the gate.
		err = fault.New(fault.InvalidArgument, "there is no key in the list; leave it empty to ask for no signature")
	}
	if err == nil {
		t.keys = keys
	}
	return err
}

// Required says whether versions must be signed.
func (t Trust) Required() bool { return len(t.keys) > 0 }

// Check verifies that one of the trusted keys signed the version that m describes.
// FailedPrecondition when none did, with why; other errors are those of the store.
func (t Trust) Check(ctx context.Context, reg *registry.Registry, m *registry.Manifest) error {
	if !t.Required() {
		return nil
	}
	var why []string
	var ids []string
	for _, k := range t.keys {
		ids = append(ids, k.Short())
		data, err := reg.ReadVersionFile(ctx, m.Model, m.Version, k.Path())
		if fault.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if err = k.Verify(data, m); err == nil {
			return nil
		}
		why = append(why, fault.Public(err).Message)
	}
	if len(why) == 0 {
		why = []string{"it has no signature by a trusted key (" + strings.Join(ids, ", ") + ")"}
	}
	return fault.New(fault.FailedPrecondition, "version %d of model %q is not to be trusted: %s; sign it with tidegate version sign", m.Version, m.Model, strings.Join(why, "; "))
}

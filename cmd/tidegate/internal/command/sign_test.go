package command

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/provenance/signature"
	"github.com/tidegate/tidegate/shared/provenance/signature/signaturetest"
	"github.com/tidegate/tidegate/shared/registry"
)

// keys writes a key pair and returns the paths of the private and the public one.
func keys(t *testing.T) (private, public string, key signature.Key) {
	t.Helper()
	text := signaturetest.PrivatePEM(t)
	s, err := signature.ParseSigner(text)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, "key.pem", string(text)), write(t, "key.pub", string(s.Key().PEM())), s.Key()
}

// tells is says, by a caller with a name where the command takes one.
func (c *cloud) tells(t *testing.T, code int, want string, args ...string) {
	t.Helper()
	if args[1] != "verify" {
		args = append(args, "--actor", "ada")
	}
	c.says(t, code, want, args...)
}

func TestSignAndVerify(t *testing.T) {
	c := newCloud(t)
	private, public, key := keys(t)
	other, otherPublic, _ := keys(t)
	c.tells(t, ExitOK, "registered sum@1", "version", "register", write(t, "m.onnx", "one"), "--model", "sum")
	c.tells(t, ExitError, "no key to verify with", "version", "verify", "sum", "1")
	c.tells(t, ExitError, "no signature by a trusted key", "version", "verify", "sum", "1", "--key", public)
	c.tells(t, ExitOK, "signed sum@1: 1 files, key "+key.ID()[:12]+"\nto serve signed versions only, deploy with TrustedKeys="+key.String(), "version", "sign", "sum", "1", "--key", private)
	c.tells(t, ExitOK, "sum@1 is what was signed by key "+key.ID()[:12], "version", "verify", "sum", "1", "--key", public)
	c.tells(t, ExitError, "no signature by a trusted key", "version", "verify", "sum", "1", "--key", otherPublic)
	c.tells(t, ExitOK, "signed sum@1", "version", "sign", "sum", "1", "--key", private)
	c.tells(t, ExitOK, "signed sum@1", "version", "sign", "sum", "1", "--key", other)
	c.tells(t, ExitOK, "signed by key "+key.ID()[:12]+"\nnext: tidegate promote", "version", "register", write(t, "m.onnx", "two"), "--model", "sum", "--sign", private)
	c.keys = key.String()
	c.tells(t, ExitOK, "sum@2 is what was signed", "version", "verify", "sum", "2")
	c.tells(t, ExitOK, "next: tidegate version sign sum 3 --key key.pem", "version", "register", write(t, "m.onnx", "three"), "--model", "sum")
	c.trust = signature.TrustIn(key)
	c.tells(t, ExitError, "no signature by a trusted key", "promote", "sum", "3")
	c.tells(t, ExitOK, "champion is version 2", "promote", "sum", "2")
	// The key never leaves: register gets the public one.
	if _, out, _ := c.run("version", "sign", "sum", "3", "--key", private, "--json", "--actor", "ada"); !json.Valid([]byte(out)) || strings.Contains(out, "PRIVATE") {
		t.Errorf("%s", out)
	}
}

func TestSignaturesOfOtherTools(t *testing.T) {
	c := newCloud(t)
	private, public, _ := keys(t)
	_, otherPublic, _ := keys(t)
	c.tells(t, ExitOK, "registered", "version", "register", write(t, "m.onnx", "one"), "--model", "sum")
	text, err := os.ReadFile(private)
	if err != nil {
		t.Fatal(err)
	}
	s, err := signature.ParseSigner(text)
	if err != nil {
		t.Fatal(err)
	}
	bundle := write(t, "model.sig", string(signaturetest.Bundle(t, c.reg, s, "sum", 1)))
	c.tells(t, ExitError, "private key", "version", "sign", "sum", "1", "--bundle", bundle, "--key", private)
	c.tells(t, ExitError, "another key", "version", "sign", "sum", "1", "--bundle", bundle, "--key", otherPublic)
	c.tells(t, ExitError, "cannot be read", "version", "sign", "sum", "1", "--bundle", filepath.Join(t.TempDir(), "none"), "--key", public)
	c.tells(t, ExitError, "not a bundle", "version", "sign", "sum", "1", "--bundle", write(t, "b.sig", "{}"), "--key", public)
	c.tells(t, ExitOK, "signed sum@1", "version", "sign", "sum", "1", "--bundle", bundle, "--key", public)
	c.tells(t, ExitOK, "is what was signed", "version", "verify", "sum", "1", "--key", public)
}

func TestOddSigning(t *testing.T) {
	c := newCloud(t)
	private, public, _ := keys(t)
	c.tells(t, ExitOK, "registered", "version", "register", write(t, "m.onnx", "one"), "--model", "sum")
	c.tells(t, ExitError, "needs the private one", "version", "sign", "sum", "1", "--key", public)
	c.tells(t, ExitError, "cannot be read; check the path", "version", "sign", "sum", "1", "--key", filepath.Join(t.TempDir(), "none"))
	c.tells(t, ExitError, "no version 9 that is ready", "version", "sign", "sum", "9", "--key", private)
	c.tells(t, ExitError, "VERSION must be a number", "version", "verify", "sum", "x", "--key", public)
	c.tells(t, ExitError, "private key, which must not leave", "version", "verify", "sum", "1", "--key", private)
	before := len(c.invoke)
	c.tells(t, ExitError, "no PEM block", "version", "register", write(t, "m.onnx", "two"), "--model", "sum", "--sign", write(t, "k", "hello"))
	if len(c.invoke) != before {
		t.Error("something was registered before the key was looked at")
	}
	// A damaged version is neither signed nor verified.
	m, err := c.reg.Manifest(t.Context(), "sum", 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.store.Put(t.Context(), registry.BlobKey(m.Files[0].SHA256), []byte("another"), blob.Always()); err != nil {
		t.Fatal(err)
	}
	c.tells(t, ExitError, "", "version", "sign", "sum", "1", "--key", private)
	if n := len(c.invoke); n != before {
		t.Errorf("a damaged version was signed: %v", c.invoke[before:])
	}
	c.tells(t, ExitError, "", "version", "verify", "sum", "1", "--key", public)
}

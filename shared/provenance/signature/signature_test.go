package signature_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/provenance/signature"
	"github.com/tidegate/tidegate/shared/registry"
)

var update = flag.Bool("update", false, "write testdata/ours.sig; then let make_signatures.py verify it")

func read(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func signer(t testing.TB, name string) *signature.Signer {
	t.Helper()
	s, err := signature.ParseSigner(read(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// files of testdata/model, in the order of the directory.
func files(t testing.TB) []signature.File {
	t.Helper()
	var all []signature.File
	err := filepath.WalkDir("testdata/model", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		sum := sha256.Sum256(data)
		rel, _ := filepath.Rel("testdata/model", path)
		all = append(all, signature.File{Path: filepath.ToSlash(rel), SHA256: hex.EncodeToString(sum[:])})
		return err
	})
	if err != nil || len(all) != 5 {
		t.Fatalf("%d files, %v", len(all), err)
	}
	return all
}

func manifest(files []signature.File) *registry.Manifest {
	m := &registry.Manifest{Model: "flights", Version: 3}
	for _, f := range files {
		m.Files = append(m.Files, registry.File{Path: f.Path, SHA256: f.SHA256})
	}
	return m
}

// TestSignaturesAreTheGolden: a signature is deterministic, and the tool has verified these very bytes.
func TestSignaturesAreTheGolden(t *testing.T) {
	got, err := signer(t, "key.pem").Sign("flights", files(t))
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("testdata/ours.sig", got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(got, read(t, "ours.sig")) {
		t.Errorf("the bytes are others than those that the tool verified; run with -update, then make_signatures.py verify:\n%s", got)
	}
	reversed := files(t)
	for i, j := 0, len(reversed)-1; i < j; i, j = i+1, j-1 {
		reversed[i], reversed[j] = reversed[j], reversed[i]
	}
	if again, err := signer(t, "key.pem").Sign("flights", reversed); err != nil || !bytes.Equal(again, got) {
		t.Errorf("the order of the files counts: %v", err)
	}
}

// TestToolSignaturesVerify: what the tool signs is verified here, and by no other key.
func TestToolSignaturesVerify(t *testing.T) {
	bundle, m := read(t, "tool.sig"), manifest(files(t))
	key, err := signature.ParseKey(string(read(t, "key.pub")))
	if err != nil {
		t.Fatal(err)
	}
	if err := key.Verify(bundle, m); err != nil {
		t.Errorf("the tool's signature: %v", err)
	}
	other, err := signature.ParseKey(string(read(t, "other.pub")))
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Verify(bundle, m); !fault.Is(err, fault.FailedPrecondition) || !strings.Contains(err.Error(), "another key") {
		t.Errorf("another key: %v", err)
	}
	if err := key.Verify(read(t, "tool_p384.sig"), m); !fault.Is(err, fault.FailedPrecondition) {
		t.Errorf("a key of another curve: %v", err)
	}
	if err := key.Verify(read(t, "tool_shards.sig"), m); !fault.Is(err, fault.InvalidArgument) || !strings.Contains(err.Error(), "not shards") {
		t.Errorf("shards: %v", err)
	}
	if _, err := signature.ParseKey(string(read(t, "p384.pub"))); !fault.Is(err, fault.InvalidArgument) || !strings.Contains(err.Error(), "P-256") {
		t.Errorf("another curve: %v", err)
	}
}

func TestSignedFilesAreExactlyThoseOfTheVersion(t *testing.T) {
	s, all := signer(t, "key.pem"), files(t)
	bundle, err := s.Sign("flights", all)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Key().Verify(bundle, manifest(all)); err != nil {
		t.Fatal(err)
	}
	changed := append([]signature.File(nil), all...)
	changed[2].SHA256 = strings.Repeat("a", 64)
	more := append([]signature.File{{Path: "extra.json", SHA256: strings.Repeat("b", 64)}}, all...)
	for name, c := range map[string]struct {
		present []signature.File
		want    string
	}{
		"a file has other content": {changed, "other content than was signed: " + changed[2].Path},
		"a file was not signed":    {more, "not signed: extra.json"},
		"a signed file is missing": {all[1:], `signed but not there: "` + all[0].Path + `"`},
		"another version":          {[]signature.File{{Path: "model.onnx", SHA256: strings.Repeat("c", 64)}}, "model.onnx"},
	} {
		err := s.Key().Verify(bundle, manifest(c.present))
		if !fault.Is(err, fault.FailedPrecondition) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAnyChangeOfABundleIsNoticed flips every bit of payload and signature, and changes every field.
func TestAnyChangeOfABundleIsNoticed(t *testing.T) {
	s, all := signer(t, "key.pem"), files(t)
	bundle, err := s.Sign("flights", all)
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(bundle, &doc); err != nil {
		t.Fatal(err)
	}
	envelope := doc["dsseEnvelope"].(map[string]any)
	entry := envelope["signatures"].([]any)[0].(map[string]any)
	for _, at := range []struct {
		in    map[string]any
		field string
	}{{envelope, "payload"}, {entry, "sig"}} {
		kept := at.in[at.field].(string)
		raw, err := base64.StdEncoding.DecodeString(kept)
		if err != nil {
			t.Fatal(err)
		}
		for i := range raw {
			raw[i] ^= 1 << (i % 8)
			at.in[at.field] = base64.StdEncoding.EncodeToString(raw)
			raw[i] ^= 1 << (i % 8)
			damaged, err := json.Marshal(doc)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Key().Verify(damaged, manifest(all)); !fault.Is(err, fault.FailedPrecondition) {
				t.Fatalf("%s, byte %d: %v", at.field, i, err)
			}
		}
		at.in[at.field] = kept
	}
	for name, change := range map[string]func(){
		"mediaType":   func() { doc["mediaType"] = "application/vnd.dev.sigstore.bundle.v0.2+json" },
		"certificate": func() { doc["verificationMaterial"] = map[string]any{"x509CertificateChain": map[string]any{}} },
		"payloadType": func() { envelope["payloadType"] = "text/plain" },
		"none":        func() { envelope["signatures"] = []any{} },
		"two":         func() { envelope["signatures"] = []any{entry, entry} },
		"base64":      func() { envelope["payload"] = "%%%" },
	} {
		if err := json.Unmarshal(bundle, &doc); err != nil {
			t.Fatal(err)
		}
		envelope = doc["dsseEnvelope"].(map[string]any)
		entry = envelope["signatures"].([]any)[0].(map[string]any)
		change()
		damaged, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Key().Verify(damaged, manifest(all)); !fault.Is(err, fault.InvalidArgument) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := s.Key().Verify(make([]byte, signature.MaxBundle+1), manifest(all)); !fault.Is(err, fault.InvalidArgument) {
		t.Errorf("a long bundle: %v", err)
	}
}

func TestOddListsAreNotSigned(t *testing.T) {
	s, digest := signer(t, "key.pem"), strings.Repeat("a", 64)
	for name, list := range map[string][]signature.File{
		"none":       nil,
		"twice":      {{Path: "a", SHA256: digest}, {Path: "a", SHA256: digest}},
		"no name":    {{SHA256: digest}},
		"no digest":  {{Path: "a"}},
		"odd digest": {{Path: "a", SHA256: "sha256:" + digest}},
	} {
		if _, err := s.Sign("flights", list); !fault.Is(err, fault.InvalidArgument) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestKeys(t *testing.T) {
	a, b := string(read(t, "key.pub")), string(read(t, "other.pub"))
	key, other := signer(t, "key.pem").Key(), signer(t, "other.pem").Key()
	ids := func(keys []signature.Key) (all []string) {
		for _, k := range keys {
			all = append(all, k.ID())
		}
		return all
	}
	both := []string{key.ID(), other.ID()}
	for name, text := range map[string]string{
		"PEM":                     a + b,
		"PEM without line breaks": strings.ReplaceAll(a+b, "\n", " "),
		"Base64":                  key.String() + "," + other.String(),
		"mixed":                   " " + key.String() + ",\n" + b + ",",
	} {
		keys, err := signature.ParseKeys(text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if diff := cmp.Diff(both, ids(keys)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if string(key.PEM()) != a {
		t.Errorf("PEM is\n%s, want\n%s", key.PEM(), a)
	}
	for name, text := range map[string]string{
		"a private key":  string(read(t, "key.pem")),
		"not Base64":     "hello!",
		"not a key":      "aGVsbG8=",
		"another curve":  string(read(t, "p384.pub")),
		"too many":       strings.Repeat(key.String()+",", 9),
		"one cut short":  key.String() + "," + other.String()[:40],
		"no key at all ": ",",
	} {
		var trust signature.Trust
		if err := trust.UnmarshalText([]byte(text)); !fault.Is(err, fault.InvalidArgument) || trust.Required() || strings.Contains(fault.Public(err).Message, key.String()) {
			t.Errorf("%s: %v, %v", name, trust.Required(), err)
		}
	}
	var trust signature.Trust
	if err := trust.UnmarshalText([]byte(" ")); err != nil || trust.Required() {
		t.Errorf("an empty list: %v", err)
	}
}

func TestPrivateKeys(t *testing.T) {
	want := signer(t, "key.pem").Key().ID()
	for _, name := range []string{"key_sec1.pem", "key_params.pem"} { // openssl ec; openssl ecparam -genkey writes parameters first
		if got := signer(t, name).Key().ID(); got != want {
			t.Errorf("%s is key %s", name, got)
		}
	}
	for name, c := range map[string]struct {
		text []byte
		want string
	}{
		"public":           {read(t, "key.pub"), "private"},
		"encrypted":        {read(t, "key_encrypted.pem"), "encrypted"},
		"older encryption": {[]byte("-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END EC PRIVATE KEY-----\n"), "encrypted"},
		"curve":            {read(t, "p384.pem"), "P-256"},
		"empty":            {nil, "no PEM"},
		"damaged":          {[]byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), "PEM of an ECDSA"},
	} {
		if _, err := signature.ParseSigner(c.text); !fault.Is(err, fault.InvalidArgument) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

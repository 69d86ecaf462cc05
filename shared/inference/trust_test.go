package inference_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/inference"
	"github.com/tidegate/tidegate/shared/provenance/signature"
	"github.com/tidegate/tidegate/shared/provenance/signature/signaturetest"
	"github.com/tidegate/tidegate/shared/registry"
)

// trusting is a stage that asks for s's signature, and what it logs.
func trusting(t *testing.T, s *signature.Signer) (*stage, *bytes.Buffer) {
	log := new(bytes.Buffer)
	return newStage(t, func(o *inference.Options) {
		o.Trust, o.Log = signature.TrustIn(s.Key()), slog.New(slog.NewJSONHandler(log, nil))
	}), log
}

var plain = inference.Selection{Model: "m", Key: "k"}

// TestOnlySignedVersionsAreLoaded: each way in which a signature can be wrong answers 503 in a cold environment, with a line that says why.
func TestOnlySignedVersionsAreLoaded(t *testing.T) {
	key, other := signaturetest.Signer(t), signaturetest.Signer(t)
	cases := map[string]struct {
		sign func(s *stage)
		want string // in the log, "" = it is loaded
	}{
		"signed":          {func(s *stage) { signaturetest.Sign(t, s.Registry, key, "m", 1) }, ""},
		"unsigned":        {func(*stage) {}, "no signature by a trusted key"},
		"another's":       {func(s *stage) { signaturetest.Sign(t, s.Registry, other, "m", 1) }, "no signature by a trusted key"},
		"another version": {func(s *stage) { s.publish("m", 2); put(t, s, key, signaturetest.Bundle(t, s.Registry, key, "m", 2)) }, "other content than was signed: model.onnx"},
		"a file more": {func(s *stage) {
			bundle, err := key.Sign("m", append(filesOf(t, s), signature.File{Path: "more", SHA256: strings.Repeat("a", 64)}))
			put(t, s, key, must(t, bundle, err))
		}, "signed but not there"},
		"a file less": {func(s *stage) {
			bundle, err := key.Sign("m", filesOf(t, s)[:1])
			put(t, s, key, must(t, bundle, err))
		}, "not signed: schema.json"},
		"damaged": {func(s *stage) {
			put(t, s, key, bytes.Replace(signaturetest.Bundle(t, s.Registry, key, "m", 1), []byte(`"sig":"M`), []byte(`"sig":"N`), 1))
		}, "is not valid"},
		"no bundle": {func(s *stage) { put(t, s, key, []byte("{}")) }, "not a bundle"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s, log := trusting(t, key)
			s.Serve("m", s.publish("m", 1))
			c.sign(s)
			v, err := s.ask(plain)
			s.fleet.Close() // the log is at rest
			if c.want == "" {
				if err != nil || v.Number != 1 || s.counts.Of(inference.Untrusted) != 0 {
					t.Errorf("%+v, %v, %v", v, err, s.counts.All())
				}
				return
			}
			if !fault.Is(err, fault.Unavailable) || strings.Contains(fault.Public(err).Message, "sign") {
				t.Errorf("%+v, %v; want Unavailable that tells the caller nothing of keys", v, err)
			}
			if n := len(s.runtime.Loads()); n != 0 {
				t.Errorf("the runtime has seen %d models", n)
			}
			if s.counts.Of(inference.Untrusted) != 1 || s.counts.Of(inference.LoadFailures) != 1 {
				t.Errorf("counts %v", s.counts.All())
			}
			if line := log.String(); !strings.Contains(line, `"level":"ERROR","msg":"version not trusted and not loaded","model":"m","version":1`) || !strings.Contains(line, c.want) {
				t.Errorf("the log has no line with %q:\n%s", c.want, line)
			}
		})
	}
}

func put(t *testing.T, s *stage, key *signature.Signer, bundle []byte) {
	t.Helper()
	signaturetest.Put(t, s.Registry, key.Key(), "m", 1, bundle)
}

func filesOf(t *testing.T, s *stage) []signature.File {
	t.Helper()
	m, err := s.Registry.Manifest(t.Context(), "m", 1)
	if err != nil {
		t.Fatal(err)
	}
	return signature.Files(&m)
}

func must(t *testing.T, b []byte, err error) []byte {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestSignedVersionWithAnotherModelIsNotLoaded: the signature fits the manifest, the bytes do not.
func TestSignedVersionWithAnotherModelIsNotLoaded(t *testing.T) {
	key := signaturetest.Signer(t)
	s, _ := trusting(t, key)
	s.Serve("m", s.publish("m", 1))
	signaturetest.Sign(t, s.Registry, key, "m", 1)
	m, err := s.Registry.Manifest(t.Context(), "m", 1)
	if err != nil {
		t.Fatal(err)
	}
	s.Overwrite(registry.BlobKey(m.Files[0].SHA256), []byte("mudel."))
	if _, err := s.ask(plain); !fault.Is(err, fault.Unavailable) {
		t.Errorf("%v", err)
	}
	if n := len(s.runtime.Loads()); n != 0 {
		t.Errorf("the runtime has seen %d models", n)
	}
}

// TestUntrustedVersionLeavesTheStateInForce: whoever moved the pointer, what serves goes on serving, until the version is signed.
func TestUntrustedVersionLeavesTheStateInForce(t *testing.T) {
	key := signaturetest.Signer(t)
	s, _ := trusting(t, key)
	s.Serve("m", s.publish("m", 1))
	signaturetest.Sign(t, s.Registry, key, "m", 1)
	ask := func(want int) {
		t.Helper()
		if v, err := s.ask(plain); err != nil || v.Number != want {
			t.Fatalf("%+v, %v; want version %d", v, err, want)
		}
	}
	ask(1)
	s.Serve("m", s.publish("m", 2))
	for range 3 {
		s.clock.Pass(3 * time.Second)
		ask(1)
		s.fleet.AfterRequest(t.Context())
	}
	if s.counts.Of(inference.Untrusted) == 0 {
		t.Errorf("counts %v", s.counts.All())
	}
	signaturetest.Sign(t, s.Registry, key, "m", 2)
	s.clock.Pass(time.Minute)
	if _, err := s.ask(plain); err != nil { // by either
		t.Fatal(err)
	}
	s.fleet.AfterRequest(t.Context())
	ask(2)
}

// TestUntrustedShadowIsLeftOut: it does not keep the champion from answering.
func TestUntrustedShadowIsLeftOut(t *testing.T) {
	key := signaturetest.Signer(t)
	s, _ := trusting(t, key)
	s.Serve("m", s.publish("m", 1))
	signaturetest.Sign(t, s.Registry, key, "m", 1)
	s.Apply("m", registry.StartShadow(s.publish("m", 2)))
	for range 3 {
		if v, err := s.ask(plain); err != nil || v.Number != 1 {
			t.Fatalf("%+v, %v", v, err)
		}
		s.fleet.AfterRequest(t.Context())
		s.clock.Pass(3 * time.Second)
	}
	if got := s.runtime.Loads(); len(got) != 1 {
		t.Errorf("the runtime has seen %v", got)
	}
}

// closed is a store that does not give signatures out.
type closed struct{ blob.Store }

func (c closed) Get(ctx context.Context, key string) (blob.Object, error) {
	if strings.Contains(key, "/signatures/") {
		return blob.Object{}, fault.New(fault.Unavailable, "the store is down")
	}
	return c.Store.Get(ctx, key)
}

// TestSignatureThatCannotBeReadIsNoVerdict: the store is down, which is not the version's fault, and opens nothing.
func TestSignatureThatCannotBeReadIsNoVerdict(t *testing.T) {
	key := signaturetest.Signer(t)
	s, log := trusting(t, key)
	s.gate.Store = closed{s.gate.Store}
	s.Serve("m", s.publish("m", 1))
	signaturetest.Sign(t, s.Registry, key, "m", 1)
	if _, err := s.ask(plain); !fault.Is(err, fault.Unavailable) {
		t.Errorf("%v", err)
	}
	s.fleet.Close()
	if s.counts.Of(inference.Untrusted) != 0 || s.counts.Of(inference.LoadFailures) != 1 || strings.Contains(log.String(), "not trusted") {
		t.Errorf("counts %v, log %s", s.counts.All(), log)
	}
}

// TestUntrustedVersionsDoNotServeFromBackends: what runs elsewhere answers too, with a fallback or without one.
func TestUntrustedVersionsDoNotServeFromBackends(t *testing.T) {
	for name, backend := range map[string]string{"endpoint only": endpointOnly, "with fallback": withFallback} {
		t.Run(name, func(t *testing.T) {
			key := signaturetest.Signer(t)
			s, e := remotely(t, func(o *inference.Options) { o.Trust = signature.TrustIn(key.Key()) })
			s.Serve("m", s.publish("m", 1))
			s.Configure("m", registry.Settings{Backend: json.RawMessage(backend)})
			if _, _, err := s.sends(plain); !fault.Is(err, fault.Unavailable) {
				t.Errorf("%v", err)
			}
			s.fleet.Close()
			if len(e.calls) != 0 || s.counts.Of(inference.Untrusted) == 0 {
				t.Errorf("%d calls of the backend, counts %v", len(e.calls), s.counts.All())
			}
			signaturetest.Sign(t, s.Registry, key, "m", 1)
			s.clock.Pass(2 * time.Minute)
			if y, ran, err := s.sends(plain); err != nil || y != 102 || ran.ServedBy != "endpoint" {
				t.Errorf("signed: %v, %+v, %v", y, ran, err)
			}
		})
	}
}

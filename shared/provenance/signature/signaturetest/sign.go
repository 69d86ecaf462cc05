// Package signaturetest makes keys and signs versions of registries. It is for
// tests only.
package signaturetest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"testing"

	"github.com/tidegate/tidegate/shared/provenance/signature"
	"github.com/tidegate/tidegate/shared/registry"
)

// PrivatePEM makes a private key, as a file.
func PrivatePEM(tb testing.TB) []byte {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// Signer is a signer with a key of its own.
func Signer(tb testing.TB) *signature.Signer {
	tb.Helper()
	s, err := signature.ParseSigner(PrivatePEM(tb))
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// Bundle is s's signature of a READY version.
func Bundle(tb testing.TB, reg *registry.Registry, s *signature.Signer, model string, version int) []byte {
	tb.Helper()
	m, err := reg.Manifest(tb.Context(), model, version)
	if err != nil {
		tb.Fatal(err)
	}
	bundle, err := s.Sign(model, signature.Files(&m))
	if err != nil {
		tb.Fatal(err)
	}
	return bundle
}

// Sign stores s's signature of a READY version, as register does.
func Sign(tb testing.TB, reg *registry.Registry, s *signature.Signer, model string, version int) {
	tb.Helper()
	Put(tb, reg, s.Key(), model, version, Bundle(tb, reg, s, model, version))
}

// Put stores whatever it is given as k's signature of a version: what register never does.
func Put(tb testing.TB, reg *registry.Registry, k signature.Key, model string, version int, bundle []byte) {
	tb.Helper()
	if _, err := reg.PutVersionFile(tb.Context(), model, version, k.Path(), bundle); err != nil {
		tb.Fatal(err)
	}
}

package signature

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"strings"

	"github.com/tidegate/tidegate/shared/fault"
)

const (
	pemBegin = "-----BEGIN PUBLIC KEY-----"
	pemEnd   = "-----END PUBLIC KEY-----"
	// maxKeys bounds a list of trusted keys: each is looked for when a version is loaded, and all of
	// them share Lambda's 4 KB of environment with everything else.
	maxKeys = 8
)

// Key is an ECDSA P-256 public key.
type Key struct {
	public *ecdsa.PublicKey
	id     string
}

// ID is the lower-case hex sha256 of the key's PEM text: the hint of a bundle, as
// the OpenSSF tool computes it.
func (k Key) ID() string { return k.id }

// Short is enough of the ID to tell keys apart in a message.
func (k Key) Short() string { return k.id[:min(12, len(k.id))] }

// PEM is the key as a file (SubjectPublicKeyInfo).
func (k Key) PEM() []byte {
	der, err := x509.MarshalPKIXPublicKey(k.public)
	if err != nil {
		panic(err) // keys are made by newKey, of a curve that it knows
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// String is the key on one line, as a list of trusted keys takes it.
func (k Key) String() string {
	block, _ := pem.Decode(k.PEM())
	return base64.StdEncoding.EncodeToString(block.Bytes)
}

func newKey(public any) (Key, error) {
	p, ok := public.(*ecdsa.PublicKey)
	if !ok || p.Curve != elliptic.P256() {
		return Key{}, fault.New(fault.InvalidArgument, "the key is not an ECDSA key of the curve P-256; make one with: openssl ecparam -name prime256v1 -genkey -noout -out key.pem")
	}
	k := Key{public: p}
	sum := sha256.Sum256(k.PEM())
	k.id = hex.EncodeToString(sum[:])
	return k, nil
}

// ParseKeys reads public keys: PEM blocks, or the Base64 text between their first
// and last lines, separated by commas. Line breaks and blanks do not count, so that
// a list can be passed where line breaks get lost. The error is InvalidArgument.
func ParseKeys(text string) ([]Key, error) {
	if strings.Contains(text, "PRIVATE KEY-----") {
		return nil, fault.New(fault.InvalidArgument, "this is a private key, which must not leave your hands; give its public key (openssl ec -in key.pem -pubout)")
	}
	text = strings.NewReplacer(pemBegin, ",", pemEnd, ",").Replace(text)
	var keys []Key
	for part := range strings.SplitSeq(text, ",") {
		part = strings.Join(strings.Fields(part), "")
		if part == "" {
			continue
		}
		der, err := base64.StdEncoding.DecodeString(part)
		if err != nil {
			return nil, fault.Wrap(err, fault.InvalidArgument, "key %d of the list is neither a PEM block (%s) nor its Base64 text", len(keys)+1, pemBegin)
		}
		public, err := x509.ParsePKIXPublicKey(der)
		if err != nil {
			return nil, fault.Wrap(err, fault.InvalidArgument, "key %d of the list is not a public key in the form of openssl ec -pubout", len(keys)+1)
		}
		k, err := newKey(public)
		if err != nil {
			return nil, err
		}
		if keys = append(keys, k); len(keys) > maxKeys {
			return nil, fault.New(fault.InvalidArgument, "the list has more than %d keys", maxKeys)
		}
	}
	return keys, nil
}

// ParseKey reads one public key, as ParseKeys does.
func ParseKey(text string) (Key, error) {
	keys, err := ParseKeys(text)
	if err == nil && len(keys) != 1 {
		err = fault.New(fault.InvalidArgument, "there are %d public keys where one is needed; give a PEM block (%s)", len(keys), pemBegin)
	}
	if err != nil {
		return Key{}, err
	}
	return keys[0], nil
}

// Signer holds a private key.
type Signer struct {
	private *ecdsa.PrivateKey
	key     Key
}

// Key is the public key of the signer.
func (s *Signer) Key() Key { return s.key }

// ParseSigner reads a private key from PEM: PKCS #8 or SEC 1, without a password,
// with or without a block of EC parameters before it. The error is InvalidArgument.
func ParseSigner(text []byte) (*Signer, error) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		var key any
		var err error
		switch block.Type {
		case "EC PARAMETERS":
			continue
		case "PRIVATE KEY":
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		case "EC PRIVATE KEY":
			if block.Headers["DEK-Info"] != "" {
				return nil, encrypted()
			}
			key, err = x509.ParseECPrivateKey(block.Bytes)
		case "ENCRYPTED PRIVATE KEY":
			return nil, encrypted()
		case "PUBLIC KEY":
			return nil, fault.New(fault.InvalidArgument, "this is a public key; signing needs the private one")
		default:
			err = errors.New("another kind of block: " + block.Type)
		}
		if err != nil {
			return nil, fault.Wrap(err, fault.InvalidArgument, "the private key cannot be read; it must be PEM of an ECDSA P-256 key")
		}
		private, ok := key.(*ecdsa.PrivateKey)
		if !ok {
			private = &ecdsa.PrivateKey{}
		}
		k, err := newKey(&private.PublicKey)
		return &Signer{private: private, key: k}, err
	}
	return nil, fault.New(fault.InvalidArgument, "the file has no PEM block of a private key")
}

func encrypted() error {
	return fault.New(fault.InvalidArgument, "the private key is encrypted; decrypt it for the moment (openssl pkcs8 -in key.pem), or sign with the OpenSSF tool and attach the bundle")
}

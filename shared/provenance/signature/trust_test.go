package signature_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/blob/blobtest"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/provenance/signature"
	"github.com/tidegate/tidegate/shared/registry"
)

func TestTrust(t *testing.T) {
	ctx := context.Background()
	key, other := signer(t, "key.pem"), signer(t, "other.pem")
	all := files(t)
	good, err := key.Sign("flights", all)
	if err != nil {
		t.Fatal(err)
	}
	byOther, err := other.Sign("flights", all)
	if err != nil {
		t.Fatal(err)
	}
	ofAnother, err := key.Sign("flights", all[1:])
	if err != nil {
		t.Fatal(err)
	}
	cut := good[:len(good)-40]
	for name, c := range map[string]struct {
		trusted []signature.Key
		stored  map[string][]byte // by the path of a key
		want    string            // "" = trusted
	}{
		"no keys":              {nil, nil, ""},
		"signed":               {[]signature.Key{key.Key()}, map[string][]byte{key.Key().Path(): good}, ""},
		"by the second key":    {[]signature.Key{key.Key(), other.Key()}, map[string][]byte{other.Key().Path(): byOther}, ""},
		"one good one damaged": {[]signature.Key{key.Key(), other.Key()}, map[string][]byte{key.Key().Path(): cut, other.Key().Path(): byOther}, ""},
		"unsigned":             {[]signature.Key{key.Key()}, nil, "no signature by a trusted key (" + key.Key().Short() + ")"},
		"another's key":        {[]signature.Key{key.Key()}, map[string][]byte{other.Key().Path(): byOther}, "no signature by a trusted key"},
		"under another's name": {[]signature.Key{key.Key()}, map[string][]byte{key.Key().Path(): byOther}, "by another key"},
		"another version's":    {[]signature.Key{key.Key()}, map[string][]byte{key.Key().Path(): ofAnother}, "not signed: " + all[0].Path},
		"cut short":            {[]signature.Key{key.Key()}, map[string][]byte{key.Key().Path(): cut}, "not a bundle"},
		"hint changed":         {[]signature.Key{key.Key()}, map[string][]byte{key.Key().Path(): bytes.ReplaceAll(byOther, []byte(other.Key().ID()), []byte(key.Key().ID()))}, "is not valid"},
	} {
		t.Run(name, func(t *testing.T) {
			store := new(blob.Memory)
			reg := registry.New(store, registry.Options{})
			for path, data := range c.stored {
				if _, err := reg.PutVersionFile(ctx, "flights", 3, path, data); err != nil {
					t.Fatal(err)
				}
			}
			err := signature.TrustIn(c.trusted...).Check(ctx, reg, manifest(all))
			switch {
			case c.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case c.want != "" && (!fault.Is(err, fault.FailedPrecondition) || !strings.Contains(err.Error(), c.want)):
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

// TestTrustIsNotDecidedByAStoreThatIsDown: an answer that is missing neither opens the gate nor blames the version.
func TestTrustIsNotDecidedByAStoreThatIsDown(t *testing.T) {
	store := blobtest.Faulty(new(blob.Memory), 1, blobtest.Faults{Unavailable503: 1})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	err := signature.TrustIn(signer(t, "key.pem").Key()).Check(ctx, registry.New(store, registry.Options{}), manifest(files(t)))
	if !fault.Is(err, fault.Unavailable) {
		t.Errorf("%v", err)
	}
}

// FuzzVerify: no bundle makes it panic, and none but a signed one passes.
func FuzzVerify(f *testing.F) {
	key, all := signer(f, "key.pem"), files(f)
	good, err := key.Sign("flights", all)
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range [][]byte{good, read(f, "tool.sig"), read(f, "tool_shards.sig"), read(f, "tool_p384.sig"), []byte("{}"), []byte("null"), good[:100], nil} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := key.Key().Open(data)
		var known *fault.Error
		switch {
		case err == nil && len(list) == 0:
			t.Error("a bundle without files passed")
		case err != nil && (!errors.As(err, &known) || known.Kind != fault.InvalidArgument && known.Kind != fault.FailedPrecondition):
			t.Errorf("%v", err)
		}
	})
}

// FuzzStatement signs whatever payload it is given: what a holder of the key could sign.
func FuzzStatement(f *testing.F) {
	f.Add([]byte(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"m","digest":{"sha256":"x"}}],"predicateType":"https://model_signing/signature/v1.0","predicate":{"serialization":{"method":"files","hash_type":"sha256"},"resources":[{"name":"a","algorithm":"sha256","digest":"00"}]}}`))
	f.Add([]byte(`{"subject":null,"predicate":{"resources":[null]}}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		list, err := signature.FilesOf(payload)
		if err == nil && len(list) == 0 || err != nil && !fault.Is(err, fault.InvalidArgument) {
			t.Errorf("%d files, %v", len(list), err)
		}
	})
}

// FuzzKeys: no text makes the parsers of keys panic, and what they take is written as they read it.
func FuzzKeys(f *testing.F) {
	for _, name := range []string{"key.pub", "key.pem", "key_sec1.pem", "key_params.pem", "key_encrypted.pem", "p384.pub"} {
		f.Add(string(read(f, name)))
	}
	f.Fuzz(func(t *testing.T, text string) {
		_, _ = signature.ParseSigner([]byte(text))
		keys, err := signature.ParseKeys(text)
		if err != nil && !fault.Is(err, fault.InvalidArgument) {
			t.Fatal(err)
		}
		for _, k := range keys {
			if again, err := signature.ParseKey(k.String()); err != nil || again.ID() != k.ID() {
				t.Fatalf("%s: %v", k, err)
			}
		}
	})
}

package command

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/tidegate/tidegate/cmd/tidegate/stack"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/provenance/signature"
	"github.com/tidegate/tidegate/shared/registration"
	"github.com/tidegate/tidegate/shared/registry"
)

// sign makes a signature of a version, or has one, and says whose it is.
type sign func(*registry.Manifest) ([]byte, signature.Key, error)

// signed is what sign and verify print.
type signed struct {
	Model    string   `json:"model"`
	Version  int      `json:"version"`
	Digest   string   `json:"digest"`
	Files    int      `json:"files"`
	Keys     []string `json:"keys"`               // ids: of the key that signed, or of those that would do
	Key      string   `json:"key,omitempty"`      // of sign: the public key, as the parameter TrustedKeys takes it
	Existing bool     `json:"existing,omitempty"` // of sign: the key had signed the version before
}

func (a *app) versionSignCommand() *cobra.Command {
	var key, bundle, actor string
	c := &cobra.Command{
		Use:   "sign MODEL VERSION",
		Short: "Sign the files of a version with your key",
		Long: `Compares every file of the version with its manifest, signs the list of files and their
digests with a private key (ECDSA P-256, PEM), and attaches the signature to the version. The
key stays here. The format is that of OpenSSF Model Signing. A signature that another tool
made (a key in a security module, say) is attached with --bundle; --key is then its public key.`,
		Example: `  openssl ecparam -name prime256v1 -genkey -noout -out key.pem
  tidegate version sign flights 2 --key key.pem
  tidegate version sign flights 2 --bundle model.sig --key key.pub`,
		Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			version, err := versionNumber(args[1])
			if err != nil {
				return err
			}
			text, err := readKey(key)
			if err != nil {
				return err
			}
			var how sign
			if bundle == "" {
				how, err = signing(text)
			} else {
				how, err = attaching(bundle, text)
			}
			if err != nil {
				return err
			}
			s, reg, err := a.open(c.Context())
			if err != nil {
				return err
			}
			m, err := reg.Verify(c.Context(), args[0], version)
			if err != nil {
				return err
			}
			out, err := a.attach(c.Context(), s, &m, how, actor)
			if err != nil {
				return err
			}
			return a.print(out, func(w io.Writer) { printSigned(w, &out) })
		},
	}
	c.Flags().StringVar(&key, "key", "", "file of the private key; with --bundle of the public one")
	c.Flags().StringVar(&bundle, "bundle", "", "file of a signature that was made elsewhere")
	c.Flags().StringVar(&actor, "actor", "", "who does this, for the record (default: the caller's ARN)")
	if err := c.MarkFlagRequired("key"); err != nil {
		panic(err) // the flag is defined three lines above
	}
	return c
}

func printSigned(w io.Writer, out *signed) {
	what := "signed"
	if out.Existing {
		what = "already signed"
	}
	fmt.Fprintf(w, "%s %s@%d: %d files, key %s\n", what, out.Model, out.Version, out.Files, short(out.Keys[0]))
	fmt.Fprintf(w, "to serve signed versions only, deploy with TrustedKeys=%s\n", out.Key)
}

// signing signs with a private key.
func signing(text []byte) (sign, error) {
	signer, err := signature.ParseSigner(text)
	if err != nil {
		return nil, err
	}
	return func(m *registry.Manifest) ([]byte, signature.Key, error) {
		body, err := signer.Sign(m.Model, signature.Files(m))
		return body, signer.Key(), err
	}, nil
}

// signingWith is signing with the key of a file, nil without one.
func signingWith(path string) (sign, error) {
	if path == "" {
		return nil, nil
	}
	text, err := readKey(path)
	if err != nil {
		return nil, err
	}
	return signing(text)
}

// attaching takes a signature from a file, after a look at it.
func attaching(path string, key []byte) (sign, error) {
	k, err := signature.ParseKey(string(key))
	if err != nil {
		return nil, err
	}
	body, err := os.ReadFile(path)
	if err != nil {
		return nil, fault.Wrap(err, fault.InvalidArgument, "%s cannot be read; check the path", path)
	}
	return func(m *registry.Manifest) ([]byte, signature.Key, error) { return body, k, k.Verify(body, m) }, nil
}

// attach makes a signature of the version and gives it to register.
func (a *app) attach(ctx context.Context, s *stack.Stack, m *registry.Manifest, how sign, actor string) (signed, error) {
	body, key, err := how(m)
	if err != nil {
		return signed{}, err
	}
	in := registration.In{Model: m.Model, Version: m.Version, Signature: string(body), PublicKey: string(key.PEM()), Actor: a.actor(ctx, s, actor)}
	var out registration.Out
	if err := s.Invoke(ctx, s.RegisterFunctionName, in, &out); err != nil {
		return signed{}, err
	}
	return signed{Model: m.Model, Version: m.Version, Digest: m.Digest, Files: len(m.Files), Keys: []string{key.ID()}, Key: key.String(), Existing: out.Existing}, nil
}

func readKey(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	return text, fault.Wrap(err, fault.InvalidArgument, "the key file %s cannot be read; check the path", path)
}

func (a *app) versionVerifyCommand() *cobra.Command {
	var key string
	c := &cobra.Command{
		Use:   "verify MODEL VERSION",
		Short: "Compare every file of a version with its manifest and its signature",
		Long: `Reads every file of the version, compares it with the manifest, and checks that a key signed
exactly these files: one of --key, or one that the stack trusts (its parameter TrustedKeys).
The exit code tells.`,
		Example: "  tidegate version verify flights 2\n  tidegate version verify flights 2 --key key.pub",
		Args:    cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			version, err := versionNumber(args[1])
			if err != nil {
				return err
			}
			var given []byte
			if key != "" {
				if given, err = readKey(key); err != nil {
					return err
				}
			}
			s, reg, err := a.open(c.Context())
			if err != nil {
				return err
			}
			if key == "" {
				given = []byte(s.TrustedKeys)
			}
			keys, err := signature.ParseKeys(string(given))
			if err == nil && len(keys) == 0 {
				err = fault.New(fault.InvalidArgument, "there is no key to verify with: give --key, or deploy the stack with TrustedKeys")
			}
			if err != nil {
				return err
			}
			m, err := reg.Verify(c.Context(), args[0], version)
			if err != nil {
				return err
			}
			if err := signature.TrustIn(keys...).Check(c.Context(), reg, &m); err != nil {
				return err
			}
			out := signed{Model: m.Model, Version: m.Version, Digest: m.Digest, Files: len(m.Files)}
			for _, k := range keys {
				out.Keys = append(out.Keys, k.ID())
			}
			return a.print(out, func(w io.Writer) { fmt.Fprintln(w, verified(&out)) })
		},
	}
	c.Flags().StringVar(&key, "key", "", "file of the public key, or of several (default: those that the stack trusts)")
	return c
}

func verified(out *signed) string {
	by := "key " + short(out.Keys[0])
	if len(out.Keys) > 1 {
		by = fmt.Sprintf("one of %d trusted keys", len(out.Keys))
	}
	return fmt.Sprintf("%s@%d is what was signed by %s: %d files, all with the digests of the manifest", out.Model, out.Version, by, out.Files)
}

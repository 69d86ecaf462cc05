package command

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tidegate/tidegate/cmd/tidegate/internal/archive"
	"github.com/tidegate/tidegate/cmd/tidegate/stack"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registration"
	"github.com/tidegate/tidegate/shared/registry"
)

func (a *app) versionExportCommand() *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "export MODEL VERSION",
		Short: "Write a version as one file, for another registry",
		Long: `Writes a version with all of its files as a tar, or as a tar in zstd when the name ends in .zst.
tidegate version import makes the same version of it, with the same digest, in another stack. The
files are checked on the way. The same version is the same bytes each time.`,
		Example: "  tidegate version export flights 7 -o flights-7.tar.zst\n  tidegate --stack prod version import flights-7.tar.zst",
		Args:    cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			version, err := versionNumber(args[1])
			if err != nil {
				return err
			}
			compress := strings.HasSuffix(output, ".zst")
			if !compress && !strings.HasSuffix(output, ".tar") {
				return fault.New(fault.InvalidArgument, "name the file with -o; it ends in .tar or .tar.zst")
			}
			_, reg, err := a.open(c.Context())
			if err != nil {
				return err
			}
			m, err := reg.Manifest(c.Context(), args[0], version)
			if err != nil {
				return err
			}
			total := int64(0)
			for _, f := range m.Files {
				total += f.Size
			}
			bar := a.progress(total, "exporting", true)
			defer bar.Finish()
			out, err := replace(output, func(w io.Writer) (archive.Index, error) {
				return archive.Write(c.Context(), w, reg, args[0], version, archive.Options{Compress: compress, Wrote: func(n int64) { bar.Add64(n) }})
			})
			if err != nil {
				return err
			}
			return a.print(out, func(w io.Writer) {
				fmt.Fprintf(w, "%s@%d (%s) into %s: %d files, %d bytes\n", out.Model.Name, out.Version, short(out.Digest), output, len(m.Files), total)
				fmt.Fprintf(w, "next: tidegate --stack OTHER version import %s\n", output)
			})
		},
	}
	c.Flags().StringVarP(&output, "output", "o", "", "the file: .tar or .tar.zst")
	return c
}

func (a *app) versionImportCommand() *cobra.Command {
	var model, actor string
	c := &cobra.Command{
		Use:   "import FILE",
		Short: "Register a version that version export wrote",
		Long: `Checks every byte of the archive, uploads its files, and has them registered: the model has to run
and to answer the holdout as it did, with the runtime that serves here. The version keeps its
digest, and what its first registry said of it as its origin; content that is registered here
already is that version.`,
		Example: "  tidegate version import flights-7.tar.zst\n  tidegate version import flights-7.tar --model flights-eu",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.carry(c.Context(), args[0], model, actor)
		},
	}
	c.Flags().StringVar(&model, "model", "", "model that the version belongs to, created if need be (default: as in the registry that it comes from)")
	c.Flags().StringVar(&actor, "actor", "", "who does this, for the record (default: the caller's ARN)")
	return c
}

// carry reads an archive before it opens the stack: a broken one touches nothing.
func (a *app) carry(ctx context.Context, path, model, actor string) error {
	from, err := os.Open(path)
	if err != nil {
		return fault.Wrap(err, fault.InvalidArgument, "%s cannot be opened; check the path", path)
	}
	defer from.Close()
	scratch, err := os.CreateTemp("", "tidegate-import-*")
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, "no temporary file can be made; check TMPDIR")
	}
	defer os.Remove(scratch.Name())
	defer scratch.Close()
	packed, err := archive.Read(from, scratch)
	if err != nil {
		return err
	}
	s, _, err := a.open(ctx)
	if err != nil {
		return err
	}
	source, err := a.uploadArchive(ctx, s, packed)
	if err != nil {
		return err
	}
	x := packed.Index
	in := registration.In{Model: first(model, x.Model.Name), Task: x.Model.Task, Target: x.Model.Target, Source: source, Actor: a.actor(ctx, s, actor), Carried: true}
	var out registration.Out
	if err := s.Invoke(ctx, s.RegisterFunctionName, in, &out); err != nil {
		return err
	}
	if registry.Hex(out.Digest) != registry.Hex(x.Digest) {
		return fault.New(fault.Internal, "%s@%d has another digest than the archive; is the stack older than this program?", out.Model, out.Version)
	}
	return a.print(out, func(w io.Writer) {
		fmt.Fprintf(w, "from %s@%d of another registry\n", x.Model.Name, x.Version)
		registered(w, out, s.TrustedKeys != "")
	})
}

func (a *app) uploadArchive(ctx context.Context, s *stack.Stack, from *archive.Archive) (uri string, err error) {
	files := make([]stack.File, len(from.Index.Files))
	total := int64(0)
	for i, f := range from.Index.Files {
		files[i] = stack.File{Name: f.Name(), Size: f.Size, Open: func() (io.ReadSeekCloser, error) { return unclosed{from.Open(f)}, nil }}
		total += f.Size
	}
	bar := a.progress(total, "uploading", true)
	defer bar.Finish()
	return s.Upload(ctx, files, func(n int64) { bar.Add64(n) })
}

// unclosed is a part of a file that is closed as a whole.
type unclosed struct{ io.ReadSeeker }

func (unclosed) Close() error { return nil }

package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidegate/tidegate/cmd/tidegate/internal/export"
	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/capture"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
)

type exportFlags struct {
	captures       []string
	model          string
	window, prefix string
	version        int
	role, slot     string
	output         string
}

func (a *app) exportCommand() *cobra.Command {
	var f exportFlags
	c := &cobra.Command{
		Use:   "export [MODEL]",
		Short: "Write captured predictions as a Parquet file, a row for each predicted row",
		Long: `Writes captured predictions as Parquet: inputs and outputs by name, and id, ts, version and slot.
Repeated records are taken once.

With MODEL they come from the stack's data bucket, by --window (a day or an hour, UTC, by the time
of the prediction) or by --prefix. With --captures they come from files or folders, without any AWS.`,
		Example: "  tidegate export flights --window 2026-11-24 -o window.parquet\n  tidegate export --captures captures/2026-11-24/ --model flights -o window.parquet",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.export(c.Context(), first(append(args, "")...), f)
		},
	}
	c.Flags().StringArrayVar(&f.captures, "captures", nil, "file or folder of captures; may be given more than once")
	c.Flags().StringVar(&f.model, "model", "", "with --captures: records of this model only")
	c.Flags().StringVar(&f.window, "window", "", "2026-11-24 or 2026-11-24T13, UTC")
	c.Flags().StringVar(&f.prefix, "prefix", "", "with MODEL: all records of the objects under captures/PREFIX, e.g. 2026-11-24/13/")
	c.Flags().IntVar(&f.version, "version-number", 0, "records of this version only")
	c.Flags().StringVar(&f.role, "role", string(capture.Served), "served, paired (another version on the same rows) or all")
	c.Flags().StringVar(&f.slot, "slot", "", "records of this slot only")
	c.Flags().StringVarP(&f.output, "output", "o", "", "the Parquet file")
	return c
}

func (f *exportFlags) selection(model string) (export.Selection, error) {
	sel := export.Selection{Model: first(model, f.model), Version: f.version, Slot: registry.Slot(f.slot)}
	switch {
	case f.output == "":
		return sel, fault.New(fault.InvalidArgument, "name the Parquet file with -o")
	case model == "" && len(f.captures) == 0:
		return sel, fault.New(fault.InvalidArgument, "name a model of the stack, or give files as --captures")
	case model != "" && (len(f.captures) > 0 || f.model != ""):
		return sel, fault.New(fault.InvalidArgument, "MODEL is for the stack; with --captures use --model")
	case model != "" && (f.window == "") == (f.prefix == ""):
		return sel, fault.New(fault.InvalidArgument, "say which records: --window, e.g. 2026-11-24, or --prefix")
	case model == "" && f.prefix != "":
		return sel, fault.New(fault.InvalidArgument, "--prefix is for the stack; name the folder in --captures")
	}
	switch f.role {
	case "all":
	case string(capture.Served), string(capture.Paired):
		sel.Role = capture.Role(f.role)
	default:
		return sel, fault.New(fault.InvalidArgument, "--role must be served, paired or all")
	}
	if f.window == "" {
		return sel, nil
	}
	for layout, length := range map[string]time.Duration{time.DateOnly: 24 * time.Hour, "2006-01-02T15": time.Hour} {
		if at, err := time.Parse(layout, f.window); err == nil {
			sel.From, sel.To = at, at.Add(length)
			return sel, nil
		}
	}
	return sel, fault.New(fault.InvalidArgument, "--window must be a day, 2026-11-24, or an hour, 2026-11-24T13")
}

func (a *app) export(ctx context.Context, model string, f exportFlags) error {
	sel, err := f.selection(model)
	if err != nil {
		return err
	}
	source, err := a.exportSource(ctx, model, f, sel)
	if err != nil {
		return err
	}
	out, err := replace(f.output, func(w io.Writer) (*export.Summary, error) { return export.Run(ctx, source, sel, w) })
	if err != nil {
		return err
	}
	return a.print(out, func(w io.Writer) {
		for _, name := range slices.Sorted(maps.Keys(out.LeftOut)) {
			fmt.Fprintf(w, "left out: column %s (%s)\n", name, out.LeftOut[name])
		}
		if out.Malformed > 0 {
			fmt.Fprintf(w, "left out: %d lines that are no records; the first: %s\n", out.Malformed, out.First)
		}
		fmt.Fprintf(w, "%d rows of %d records into %s; %d repeated, %d failed and %d other records were left out\n",
			out.Rows, out.Records, f.output, out.Duplicates, out.Failed, out.Other)
	})
}

// replace writes path by way of a file beside it, so that no half of a file is left.
func replace[T any](path string, write func(w io.Writer) (T, error)) (out T, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".tidegate-*")
	if err != nil {
		return out, fault.Wrap(err, fault.InvalidArgument, "%s cannot be written; check the path", path)
	}
	defer os.Remove(f.Name()) // gone already when all went well
	out, err = write(f)
	if closing := f.Close(); err == nil {
		err = fault.Wrap(closing, fault.Unavailable, "%s cannot be written; is the disk full?", path)
	}
	if err != nil {
		return out, err
	}
	if err := os.Chmod(f.Name(), 0o644); err != nil {
		return out, fault.Wrap(err, fault.InvalidArgument, "%s cannot be written; check the path", path)
	}
	return out, fault.Wrap(os.Rename(f.Name(), path), fault.InvalidArgument, "%s cannot be written; check the path", path)
}

func (a *app) exportSource(ctx context.Context, model string, f exportFlags, sel export.Selection) (export.Source, error) {
	if model == "" {
		return localCaptures(f.captures)
	}
	s, reg, err := a.open(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := reg.Model(ctx, model); err != nil {
		return nil, err
	}
	prefixes := []string{"captures/" + f.prefix}
	if f.prefix == "" {
		prefixes = hours(sel.From, sel.To)
	}
	return a.storedCaptures(s.Data, prefixes), nil
}

// hours are the folders that records of a window arrive in: its own and one more.
func hours(from, to time.Time) []string {
	var out []string
	for at := from; !at.After(to); at = at.Add(time.Hour) {
		out = append(out, at.UTC().Format("captures/2006-01-02/15/"))
	}
	return out
}

func (a *app) storedCaptures(store blob.Store, prefixes []string) export.Source {
	return func(ctx context.Context, read func(string, io.Reader) error) error {
		bar := a.progress(int64(len(prefixes)), "reading captures", false)
		defer bar.Finish()
		for _, prefix := range prefixes {
			for info, err := range store.List(ctx, prefix, "") {
				if err != nil {
					return err
				}
				r, _, err := store.Open(ctx, info.Key, 0, -1)
				if err != nil {
					return err
				}
				err = read(info.Key, r)
				r.Close()
				if err != nil {
					return err
				}
			}
			bar.Add(1)
		}
		return nil
	}
}

// localCaptures reads files and, in the order of their paths, all files of folders.
func localCaptures(paths []string) (export.Source, error) {
	var files []string
	for _, path := range paths {
		err := filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && (p == path || !strings.HasPrefix(d.Name(), ".")) {
				files = append(files, p)
			}
			return err
		})
		if err != nil {
			return nil, fault.Wrap(err, fault.InvalidArgument, "%s cannot be opened; check the path", path)
		}
	}
	slices.Sort(files)
	files = slices.Compact(files)
	if len(files) == 0 {
		return nil, fault.New(fault.InvalidArgument, "%s holds no files", strings.Join(paths, ", "))
	}
	return func(_ context.Context, read func(string, io.Reader) error) error {
		for _, path := range files {
			f, err := os.Open(path)
			if err != nil {
				return fault.Wrap(err, fault.InvalidArgument, "%s cannot be opened; check its permissions", path)
			}
			err = errors.Join(read(path, f), f.Close())
			if err != nil {
				return err
			}
		}
		return nil
	}, nil
}

package command

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidegate/tidegate/cmd/tidegate/stack"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/profile"
	"github.com/tidegate/tidegate/shared/registration"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/schema"
)

func (a *app) versionCommand() *cobra.Command {
	group := &cobra.Command{
		Use:   "version",
		Short: "Register, list, sign, verify, export and import versions of a model; alone: print this program's own version",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			doc := map[string]string{"version": version(), "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH}
			return a.print(doc, func(w io.Writer) {
				fmt.Fprintf(w, "tidegate %s, %s, %s\n", doc["version"], doc["go"], doc["platform"])
			})
		},
	}
	group.AddCommand(a.versionRegisterCommand(), a.versionListCommand(), a.versionSignCommand(), a.versionVerifyCommand(), a.versionExportCommand(), a.versionImportCommand())
	return group
}

// version is what the Go toolchain recorded: the module's version, or the commit.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return "devel-" + s.Value[:min(12, len(s.Value))]
		}
	}
	return "devel"
}

func (a *app) versionRegisterCommand() *cobra.Command {
	var model, task, target, actor, key string
	var tolerance float64
	var by profile.By
	c := &cobra.Command{
		Use:   "register FILE|DIR|s3://…",
		Short: "Upload a model and register it as a version",
		Long: `Uploads an ONNX file, or a folder that holds model.onnx and, from the trainer,
holdout.csv and predictions.csv, and registers it. The stack scores the holdout again with
the runtime that will serve and refuses the version when the answers differ from the
trainer's. The same content is the same version, however often it is registered.`,
		Example: "  tidegate version register model.onnx --model flights\n  tidegate version register out/ --model flights --sign key.pem\n  tidegate version register s3://bucket/run7/ --model flights",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			how, err := signingWith(key)
			if err != nil {
				return err
			}
			s, reg, err := a.open(c.Context())
			if err != nil {
				return err
			}
			source, err := a.upload(c.Context(), s, args[0])
			if err != nil {
				return err
			}
			in := registration.In{Segments: by.Segments, MaxSegments: by.Values, Cluster: by.Cluster, Model: model, Task: schema.Task(task), Target: target, Source: source, Tolerance: tolerance, Actor: a.actor(c.Context(), s, actor)}
			var out registration.Out
			if err := s.Invoke(c.Context(), s.RegisterFunctionName, in, &out); err != nil {
				return err
			}
			if how != nil {
				m, err := reg.Verify(c.Context(), out.Model, out.Version)
				if err != nil {
					return err
				}
				by, err := a.attach(c.Context(), s, &m, how, actor)
				if err != nil {
					return fault.Wrap(err, fault.KindOf(err), "%s@%d is registered, and could not be signed: %s; try tidegate version sign", out.Model, out.Version, fault.Public(err).Message)
				}
				out.SignedBy = by.Keys[0]
			}
			return a.print(out, func(w io.Writer) { registered(w, out, s.TrustedKeys != "") })
		},
	}
	splitFlags(c, &by)
	c.Flags().StringVar(&model, "model", "", "model that the version belongs to; created if need be")
	c.Flags().StringVar(&task, "task", "", "task of a model that is created")
	c.Flags().StringVar(&target, "target", "", "target of a model that is created")
	c.Flags().StringVar(&actor, "actor", "", "who does this, for the record (default: the caller's ARN)")
	c.Flags().StringVar(&key, "sign", "", "file of a private key to sign the version with (see version sign)")
	c.Flags().Float64Var(&tolerance, "tolerance", 0, "largest difference from the trainer's answers (default 1e-5)")
	if err := c.MarkFlagRequired("model"); err != nil {
		panic(err) // the flag is defined three lines above
	}
	return c
}

// upload returns the source for the register step: one file is named itself, a folder by its prefix.
func (a *app) upload(ctx context.Context, s *stack.Stack, path string) (string, error) {
	if strings.HasPrefix(path, "s3://") {
		return s.Adopt(ctx, path)
	}
	files, err := stack.Files(path)
	if err != nil {
		return "", err
	}
	total := int64(0)
	for _, f := range files {
		total += f.Size
	}
	bar := a.progress(total, "uploading", true)
	defer bar.Finish()
	uri, err := s.Upload(ctx, files, func(n int64) { bar.Add64(n) })
	if err == nil && len(files) == 1 && strings.HasSuffix(files[0].Name, ".onnx") {
		uri += files[0].Name
	}
	return uri, err
}

func registered(w io.Writer, out registration.Out, mustSign bool) {
	what := "registered"
	if out.Existing {
		what = "already registered as"
	}
	fmt.Fprintf(w, "%s %s@%d (%s)\n", what, out.Model, out.Version, short(out.Digest))
	fmt.Fprintf(w, "parity with the trainer: %s\n", parity(out.Parity))
	for _, warning := range out.Warnings {
		fmt.Fprintf(w, "warning: %s\n", warning)
	}
	switch {
	case out.SignedBy != "":
		fmt.Fprintf(w, "signed by key %s\n", short(out.SignedBy))
	case mustSign:
		fmt.Fprintf(w, "next: tidegate version sign %s %d --key key.pem, since the stack serves signed versions only\n", out.Model, out.Version)
		return
	}
	fmt.Fprintf(w, "next: tidegate promote %s %d\n", out.Model, out.Version)
}

// versionRow is one line of version list.
type versionRow struct {
	Version int                `json:"version"`
	Ready   bool               `json:"ready"`
	Slots   []registry.Slot    `json:"slots,omitempty"`
	Digest  string             `json:"digest,omitempty"`
	Runtime string             `json:"runtime,omitempty"`
	Parity  *registry.Parity   `json:"parity,omitempty"`
	Metrics map[string]float64 `json:"metrics,omitempty"`
	At      time.Time          `json:"at"`
	By      string             `json:"by,omitempty"`
}

func (a *app) versionListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list MODEL",
		Short: "List the versions of a model",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			_, reg, err := a.open(c.Context())
			if err != nil {
				return err
			}
			rows, err := versions(c.Context(), reg, args[0])
			if err != nil {
				return err
			}
			return a.print(rows, func(w io.Writer) {
				cells := make([][]string, len(rows))
				for i, r := range rows {
					ready := "no"
					if r.Ready {
						ready = "yes"
					}
					slots := make([]string, len(r.Slots))
					for j, s := range r.Slots {
						slots[j] = string(s)
					}
					cells[i] = []string{fmt.Sprint(r.Version), ready, strings.Join(slots, ","), short(r.Digest), parity(r.Parity), r.Runtime, when(r.At)}
				}
				table(w, []string{"VERSION", "READY", "SLOT", "DIGEST", "PARITY", "RUNTIME", "AT"}, cells)
			})
		},
	}
}

func versions(ctx context.Context, reg *registry.Registry, model string) ([]versionRow, error) {
	if _, err := reg.Model(ctx, model); err != nil {
		return nil, err
	}
	state, err := stateOf(ctx, reg, model)
	if err != nil {
		return nil, err
	}
	rows := []versionRow{}
	for entry, err := range reg.Versions(ctx, model, 0) {
		if err != nil {
			return nil, err
		}
		row := versionRow{Version: entry.Version, Ready: entry.Ready, At: entry.At, Slots: slotsOf(state, entry.Version)}
		if entry.Ready {
			m, err := reg.Manifest(ctx, model, entry.Version)
			if err != nil {
				return nil, err
			}
			row.Digest, row.Runtime, row.Parity, row.Metrics, row.At, row.By = m.Digest, m.Runtime, &m.Parity, m.Metrics, m.CreatedAt, m.CreatedBy
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// stateOf reads a model's pointer; a model that was never promoted has the zero state.
func stateOf(ctx context.Context, reg *registry.Registry, model string) (registry.State, error) {
	state, _, err := reg.State(ctx, model)
	if fault.Is(err, fault.NotFound) {
		return registry.State{Model: model}, nil
	}
	return state, err
}

func slotsOf(s registry.State, version int) []registry.Slot {
	var slots []registry.Slot
	for _, h := range holders(s) {
		if h.Ref != nil && h.Ref.Version == version {
			slots = append(slots, h.Slot)
		}
	}
	return slots
}

type holder struct {
	Slot registry.Slot
	Ref  *registry.Ref
}

func holders(s registry.State) []holder {
	return []holder{{registry.Champion, s.Slots.Champion}, {registry.Challenger, s.Slots.Challenger},
		{registry.Shadow, s.Slots.Shadow}, {registry.Previous, s.Slots.Previous}}
}

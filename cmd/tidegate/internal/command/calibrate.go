package command

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tidegate/tidegate/cmd/tidegate/internal/tables"
	"github.com/tidegate/tidegate/shared/drift"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/profile"
)

type calibrateFlags struct {
	windows, reference []string
	time, chunk        string
	policy             string
	tolerances         []float64
	table              tableFlags
}

func (a *app) calibrateCommand() *cobra.Command {
	var f calibrateFlags
	c := &cobra.Command{
		Use:   "calibrate [MODEL]",
		Short: "Replay past windows: how often each tolerance would have alarmed",
		Long: `Compares each past window with all the others together, at several tolerances of the distances, and
prints how many would have alarmed, with a 95 % interval. Needs 10 windows with rows.

With MODEL the windows are those of the stack's profiles, on the baseline of the champion. With
--windows no stack is needed: one file a window, or with --time and --chunk the days or months of
a column of times. Their cells are frozen from all the windows, or are those of --reference.`,
		Example: "  tidegate drift calibrate flights\n  tidegate drift calibrate --windows months/\n  tidegate drift calibrate --windows flights.csv --time time_hour --chunk month",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := f.check(args); err != nil {
				return err
			}
			return a.calibrate(c.Context(), first(append(args, "")...), f)
		},
	}
	c.Flags().StringArrayVar(&f.windows, "windows", nil, "file or folder with a file for each window; may be given more than once")
	c.Flags().StringArrayVar(&f.reference, "reference", nil, "baseline whose cells are used (default: frozen from all windows)")
	c.Flags().StringVar(&f.time, "time", "", "column of times that cuts the rows of --windows into windows")
	c.Flags().StringVar(&f.chunk, "chunk", "", "day or month, with --time (default day)")
	c.Flags().StringVar(&f.policy, "policy", "", "a drift policy (JSON); its tolerances of distances are replaced by those tried")
	c.Flags().Float64SliceVar(&f.tolerances, "tolerances", []float64{0.05, 0.1, 0.15, 0.2, 0.3}, "tolerances to try")
	f.table.register(c)
	return c
}

func (f *calibrateFlags) check(args []string) error {
	switch {
	case len(args) == 0 && len(f.windows) == 0:
		return fault.New(fault.InvalidArgument, "name a model of the stack, or give files as --windows")
	case len(args) == 1 && len(f.windows) > 0:
		return fault.New(fault.InvalidArgument, "name a model or give --windows, not both (several --windows are given one flag each)")
	case len(args) == 1 && (f.time != "" || f.reference != nil):
		return fault.New(fault.InvalidArgument, "--time and --reference belong to --windows; a model has its own")
	case f.chunk != "" && f.time == "":
		return fault.New(fault.InvalidArgument, "--chunk needs --time, the column of times to cut by")
	case !slices.Contains([]string{"", "day", "month"}, f.chunk):
		return fault.New(fault.InvalidArgument, "--chunk must be day or month")
	case len(f.tolerances) == 0:
		return fault.New(fault.InvalidArgument, "--tolerances needs at least one number")
	}
	return nil
}

func (a *app) calibrate(ctx context.Context, model string, f calibrateFlags) error {
	slices.Sort(f.tolerances)
	f.tolerances = slices.Compact(f.tolerances)
	policy, err := readPolicy(f.policy)
	if err != nil {
		return err
	}
	var b *profile.Baseline
	var windows []drift.PastWindow
	switch {
	case model != "":
		var own drift.Policy
		if b, windows, own, err = a.pastWindows(ctx, model); f.policy == "" {
			policy = own
		}
	default:
		b, windows, err = a.offlineWindows(ctx, f)
	}
	if err != nil {
		return err
	}
	out, err := drift.Calibrate(b, windows, policy, f.tolerances)
	if err != nil {
		return err
	}
	return a.print(out, func(w io.Writer) { calibrationTable(w, out) })
}

// offlineWindows counts each window of the files.
func (a *app) offlineWindows(ctx context.Context, f calibrateFlags) (*profile.Baseline, []drift.PastWindow, error) {
	o, err := f.table.options()
	if err != nil {
		return nil, nil, err
	}
	source := f.reference
	if source == nil {
		source = f.windows
	}
	ref, err := a.reference(ctx, source, o)
	if err != nil {
		return nil, nil, err
	}
	set, err := a.rowsOf(f.windows)
	if err != nil {
		return nil, nil, err
	}
	defer set.Close()
	if f.time != "" {
		windows, err := a.chunks(ctx, set, ref.baseline, f.time, first(f.chunk, "day"), o)
		return ref.baseline, windows, err
	}
	var windows []drift.PastWindow
	for _, file := range set.Files {
		one := &tables.Set{Files: []*tables.File{file}}
		t, report, err := a.countSet(ctx, one, ref.baseline, tables.Options{Workers: o.Workers})
		if err != nil {
			return nil, nil, err
		}
		a.warn(report)
		windows = append(windows, drift.PastWindow{Name: filepath.Base(file.Path),
			Strata: []profile.Stratum{{Sampled: 1, Rows: report.Rows, Columns: t.States}}})
	}
	return ref.baseline, windows, nil
}

func (a *app) chunks(ctx context.Context, set *tables.Set, b *profile.Baseline, column, chunk string, o tables.Options) ([]drift.PastWindow, error) {
	bar := a.progress(set.Size(), "cutting into windows", true)
	defer bar.Finish()
	o.Read = func(n int64) { bar.Add64(n) }
	chunks, unplaced, err := set.Chunks(ctx, b, column, chunk, o)
	if err != nil {
		return nil, err
	}
	if unplaced > 0 {
		fmt.Fprintf(a.Stderr, "note: %d rows have no time in column %q, or are no rows, and are in no window\n", unplaced, profile.Cut(column))
	}
	windows := make([]drift.PastWindow, len(chunks))
	for i, c := range chunks {
		windows[i] = drift.PastWindow{Name: c.Name, Strata: []profile.Stratum{{Sampled: 1, Rows: c.Rows, Columns: c.Counts.States}}}
	}
	return windows, nil
}

func calibrationTable(w io.Writer, c drift.Calibration) {
	fmt.Fprintf(w, "%d windows, %d rows; each compared with all the others\n\n", c.Windows, c.Rows)
	cells := make([][]string, len(c.Tolerances))
	for i, t := range c.Tolerances {
		columns := make([]string, 0, 5)
		for _, col := range t.Columns[:min(5, len(t.Columns))] {
			columns = append(columns, fmt.Sprintf("%s %d", profile.Cut(col.Name), col.Alarms))
		}
		if more := len(t.Columns) - len(columns); more > 0 {
			columns = append(columns, fmt.Sprintf("and %d more", more))
		}
		cells[i] = []string{fmt.Sprintf("%g", t.Tolerance), fmt.Sprintf("%d/%d", t.Alarms, c.Windows),
			fmt.Sprintf("%.0f … %.0f %%", 100*t.Lo, 100*t.Hi), fmt.Sprint(t.Undecided), strings.Join(columns, ", ")}
	}
	table(w, []string{"TOLERANCE", "ALARMS", "95 % INTERVAL", "UNDECIDED", "COLUMNS THAT ALARM"}, cells)
}

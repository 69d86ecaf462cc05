package command

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidegate/tidegate/cmd/tidegate/internal/tables"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/profile"
)

// tableFlags say how files of rows are read.
type tableFlags struct {
	columns []string
	kinds   []string
	workers int
}

func (f *tableFlags) register(c *cobra.Command) {
	c.Flags().StringSliceVar(&f.columns, "columns", nil, "count only these columns, separated by commas (default: all)")
	c.Flags().StringSliceVar(&f.kinds, "kind", nil, "COLUMN=numeric or COLUMN=categorical, where the values alone would say otherwise")
	c.Flags().IntVar(&f.workers, "workers", 0, "files and row groups read at once (default: one for each core)")
}

func (f *tableFlags) options() (tables.Options, error) {
	o := tables.Options{Columns: f.columns, Workers: f.workers, Kinds: map[string]profile.Kind{}}
	if f.workers < 0 || f.workers > 256 {
		return o, fault.New(fault.InvalidArgument, "--workers must be 1 to 256, or 0 for one for each core")
	}
	for _, pair := range f.kinds {
		at := strings.LastIndex(pair, "=") // a name may hold one, a kind never does
		if at <= 0 || pair[at+1:] != string(profile.Numeric) && pair[at+1:] != string(profile.Categorical) {
			return o, fault.New(fault.InvalidArgument, "--kind must be COLUMN=numeric or COLUMN=categorical")
		}
		o.Kinds[pair[:at]] = profile.Kind(pair[at+1:])
	}
	return o, nil
}

// profileSummary is what profile prints when the profile goes to a file.
type profileSummary struct {
	Output   string          `json:"output"`
	Baseline string          `json:"baseline"` // sha256 of the baseline whose cells are counted on
	Frozen   bool            `json:"frozen"`   // the output is that baseline
	Rows     uint64          `json:"rows"`
	Seconds  float64         `json:"seconds"`
	Columns  []columnSummary `json:"columns"`
	Report   tables.Report   `json:"report"`
}

// columnSummary is one counted column.
type columnSummary struct {
	Name      string       `json:"name"`
	Kind      profile.Kind `json:"kind"`
	Distinct  uint64       `json:"distinct,omitempty"` // of a frozen column
	Missing   float64      `json:"missing"`            // share of the rows
	WrongType float64      `json:"wrong_type,omitempty"`
	Min       *float64     `json:"min,omitempty"`
	Max       *float64     `json:"max,omitempty"`
	Note      string       `json:"note,omitempty"`
}

func (a *app) profileCommand() *cobra.Command {
	var f tableFlags
	var output, baseline string
	var by profile.By
	c := &cobra.Command{
		Use:   "profile FILE…",
		Short: "Count the rows of files, as a baseline or on the cells of one; needs no stack",
		Long: `Counts the rows of Parquet, CSV and NDJSON files (the last two also compressed with gzip or zstd),
all together as one table; a folder stands for its files. Without --baseline the cells are frozen from
these rows and the output is a baseline, which drift takes as its reference. With --baseline the rows
are counted on the cells of that one, which makes a profile that drift takes as --current.

With --segment the baseline also holds the counts of each of a column's frequent values, and what is
counted on it likewise; with --cluster those of groups of rows that depend on one another. A drift
policy that names segments or a cluster column needs them.

The output depends on the rows alone: not on their order, nor on how they are spread over files.`,
		Example: "  tidegate profile train/*.parquet -o baseline.json\n  tidegate profile train.csv --segment carrier --cluster tailnum -o baseline.json\n  tidegate profile july.csv.gz --baseline baseline.json -o july.json",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			o, err := f.options()
			if err != nil {
				return err
			}
			if baseline != "" && (len(by.Segments) > 0 || by.Values != 0 || by.Cluster != "") {
				return fault.New(fault.InvalidArgument, "--segment, --segments-max and --cluster are the baseline's with --baseline; give them when it is frozen")
			}
			o.By = by
			return a.profile(c.Context(), args, baseline, output, o)
		},
	}
	f.register(c)
	c.Flags().StringVarP(&output, "output", "o", "-", "where the profile goes; - is standard output")
	c.Flags().StringVar(&baseline, "baseline", "", "count on the cells of this baseline instead of freezing new ones")
	splitFlags(c, &by)
	return c
}

// splitFlags say what a baseline is split by.
func splitFlags(c *cobra.Command, by *profile.By) {
	c.Flags().StringSliceVar(&by.Segments, "segment", nil, "column whose frequent values are counted apart for drift; up to three")
	c.Flags().IntVar(&by.Values, "segments-max", 0, "values of a --segment column that are counted apart, at most 50 (default 20)")
	c.Flags().StringVar(&by.Cluster, "cluster", "", "column whose equal values mark rows that depend on one another")
}

func (a *app) profile(ctx context.Context, files []string, baseline, output string, o tables.Options) error {
	start := a.Now()
	set, err := a.rowsOf(files)
	if err != nil {
		return err
	}
	defer set.Close()
	var out profileSummary
	var raw []byte
	if baseline == "" {
		_, raw, out, err = a.freeze(ctx, set, o)
	} else {
		raw, out, err = a.count(ctx, set, baseline, o)
	}
	if err != nil {
		return err
	}
	a.warn(out.Report)
	if output == "-" {
		_, err := a.Stdout.Write(raw)
		return fault.Wrap(err, fault.Internal, "the profile cannot be written")
	}
	if err := os.WriteFile(output, raw, 0o644); err != nil {
		return fault.Wrap(err, fault.InvalidArgument, "%s cannot be written; check the path", output)
	}
	out.Output, out.Seconds = output, a.Now().Sub(start).Round(time.Millisecond).Seconds()
	return a.print(out, func(w io.Writer) { profileTable(w, out) })
}

// smallSet is the size of files in bytes up to which a command is over before it pays
// to collect its garbage as often as Go does: of 25 ms, that took a tenth.
const smallSet = 64 << 20

// rowsOf opens files of rows as one table.
func (a *app) rowsOf(paths []string) (*tables.Set, error) {
	set, err := tables.Open(paths)
	if err == nil && set.Size() <= smallSet && a.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	return set, err
}

// freeze makes a baseline of the set, and its stored form.
func (a *app) freeze(ctx context.Context, set *tables.Set, o tables.Options) (*profile.Baseline, []byte, profileSummary, error) {
	passes := int64(2) // for the kinds and for the values
	if len(o.By.Segments) > 0 || o.By.Cluster != "" {
		passes++
	}
	bar := a.progress(passes*set.Size(), "profiling", true)
	defer bar.Finish()
	o.Read = func(n int64) { bar.Add64(n) }
	b, report, err := set.Freeze(ctx, o)
	if err != nil {
		return nil, nil, profileSummary{}, err
	}
	raw, err := encode(b)
	if err != nil {
		return nil, nil, profileSummary{}, err
	}
	states := make([]profile.State, len(b.Columns))
	for i := range b.Columns {
		states[i] = b.Columns[i].State
	}
	return b, raw, profileSummary{Baseline: digest(raw), Frozen: true, Rows: b.Rows, Columns: columnsOf(b, states, true), Report: report}, nil
}

// count counts the set on the cells of a baseline.
func (a *app) count(ctx context.Context, set *tables.Set, baseline string, o tables.Options) ([]byte, profileSummary, error) {
	if o.Columns != nil || len(o.Kinds) > 0 {
		return nil, profileSummary{}, fault.New(fault.InvalidArgument, "--columns and --kind are the baseline's with --baseline; give them when it is frozen")
	}
	ref, err := a.storedBaseline(baseline)
	if err != nil {
		return nil, profileSummary{}, err
	}
	t, report, err := a.countSet(ctx, set, ref.baseline, o)
	if err != nil {
		return nil, profileSummary{}, err
	}
	d := profile.NewDocument("", 0, ref.digest, profile.Source{Key: "files"}, t, report.Stored())
	raw, err := d.Encode()
	if err != nil {
		return nil, profileSummary{}, err
	}
	return raw, profileSummary{Baseline: ref.digest, Rows: report.Rows, Columns: columnsOf(ref.baseline, t.States, false), Report: report}, nil
}

func (a *app) countSet(ctx context.Context, set *tables.Set, b *profile.Baseline, o tables.Options) (*profile.Tally, tables.Report, error) {
	bar := a.progress(set.Size(), "counting", true)
	defer bar.Finish()
	o.Read = func(n int64) { bar.Add64(n) }
	return set.Count(ctx, b, o)
}

func encode(b *profile.Baseline) ([]byte, error) {
	raw, err := json.Marshal(b)
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the baseline cannot be encoded")
	}
	return append(raw, '\n'), nil
}

func digest(raw []byte) string {
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}

// warn tells what reading found, on standard error: it is in no document.
func (a *app) warn(r tables.Report) {
	for _, n := range r.Notes {
		fmt.Fprintln(a.Stderr, "note: "+n)
	}
}

func columnsOf(b *profile.Baseline, states []profile.State, frozen bool) []columnSummary {
	out := make([]columnSummary, len(states))
	for i := range states {
		c, s := &b.Columns[i], &states[i]
		out[i] = columnSummary{Name: profile.Cut(c.Name), Kind: c.Kind, Min: s.Min, Max: s.Max}
		if s.Rows > 0 {
			out[i].Missing = float64(s.Missing+s.NaN) / float64(s.Rows)
			out[i].WrongType = float64(s.WrongType) / float64(s.Rows)
		}
		if frozen {
			out[i].Distinct = c.Distinct
		}
		switch {
		case s.Values() == 0:
			out[i].Note = "no values"
		case c.Identifier:
			out[i].Note = "identifier"
		case frozen && c.Distinct == 1:
			out[i].Note = "constant"
		}
	}
	return out
}

func profileTable(w io.Writer, out profileSummary) {
	cells := make([][]string, len(out.Columns))
	for i, c := range out.Columns {
		distinct := ""
		if c.Distinct > 0 {
			distinct = fmt.Sprint(c.Distinct)
		}
		cells[i] = []string{c.Name, string(c.Kind), distinct, ofRows(c.Missing), ofRows(c.WrongType), number(c.Min), number(c.Max), c.Note}
	}
	table(w, []string{"COLUMN", "KIND", "DISTINCT", "MISSING", "WRONG TYPE", "MIN", "MAX", "NOTE"}, cells)
	leftOut(w, out.Report)
	what := "profile"
	if out.Frozen {
		what = "baseline"
	}
	fmt.Fprintf(w, "%d rows in %.1f s, %s %.12s into %s\n", out.Rows, out.Seconds, what, out.Baseline, out.Output)
}

// leftOut prints what was not counted, and why.
func leftOut(w io.Writer, r tables.Report) {
	reasons := map[string][]string{}
	for _, l := range r.LeftOut {
		reasons[l.Reason] = append(reasons[l.Reason], profile.Cut(l.Column))
	}
	for _, reason := range slices.Sorted(maps.Keys(reasons)) {
		fmt.Fprintf(w, "left out: %s (%s)\n", strings.Join(reasons[reason], ", "), reason)
	}
	if len(r.Extra) > 0 {
		fmt.Fprintf(w, "not compared, as the reference does not have them: %s\n", few(r.Extra))
	}
	if len(r.Absent) > 0 {
		fmt.Fprintf(w, "in no file, so missing in all rows: %s\n", few(r.Absent))
	}
	if r.Malformed > 0 {
		fmt.Fprintf(w, "left out: %d lines that are no rows\n", r.Malformed)
	}
}

// few joins names, the first twenty.
func few(names []string) string {
	if len(names) > 20 {
		return strings.Join(names[:20], ", ") + fmt.Sprintf(" and %d more", len(names)-20)
	}
	return strings.Join(names, ", ")
}

func ofRows(share float64) string {
	if share == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f %%", 100*share)
}

func number(x *float64) string {
	if x == nil {
		return ""
	}
	return fmt.Sprintf("%.6g", *x)
}

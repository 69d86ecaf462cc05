package command

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/garbage"
)

// collected is the document that gc prints.
type collected struct {
	*garbage.Report
	Deleted *deleted `json:"deleted,omitempty"`
}

type deleted struct {
	Items   []garbage.Outcome `json:"items"`
	Objects int               `json:"objects"`
	Bytes   int64             `json:"bytes"`
}

func (a *app) gcCommand() *cobra.Command {
	var model, age string
	var remove bool
	c := &cobra.Command{
		Use:   "gc",
		Short: "List what nothing in the registry refers to, and remove it with --delete",
		Long: `Searches the whole registry bucket and lists, with reason, size and age: blobs that no document
mentions, uploads, and results of runs that came to nothing. Without --delete nothing is changed. What
a version, the log, a state, an approval, a dataset, a lease or a kept run mentions is never listed,
nor anything younger than --older-than, which is at least a day: a registration writes its blobs
before the manifest that names them. Numbers whose registration was given up are kept, so that they
are never used again. Registrations may go on meanwhile.

Removing takes a permission that no function of the stack has: the policy in its output CollectPolicyArn.`,
		Example: "  tidegate gc\n  tidegate gc --delete --older-than 30d",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			limit, err := days(age)
			if err != nil {
				return err
			}
			return a.gc(c.Context(), garbage.Options{OlderThan: limit, Model: model}, remove)
		},
	}
	c.Flags().StringVar(&model, "model", "", "only runs and numbers of this model; blobs and uploads belong to none")
	c.Flags().StringVar(&age, "older-than", "7d", "leave alone what is younger: days (7d) or hours (36h)")
	c.Flags().BoolVar(&remove, "delete", false, "remove what is listed")
	return c
}

func (a *app) gc(ctx context.Context, opt garbage.Options, remove bool) error {
	s, _, err := a.open(ctx)
	if err != nil {
		return err
	}
	collector := &garbage.Collector{Bucket: s.Garbage, Now: a.Now}
	report, err := collector.Find(ctx, opt)
	if err != nil {
		return err
	}
	out := collected{Report: report}
	if remove {
		out.Deleted = &deleted{Items: []garbage.Outcome{}}
		bar := a.progress(int64(len(report.Garbage)), "removing", false)
		err = collector.Delete(ctx, report, func(o garbage.Outcome) {
			out.Deleted.Items = append(out.Deleted.Items, o)
			out.Deleted.Objects += o.Objects
			out.Deleted.Bytes += o.Bytes
			bar.Add64(1)
		})
		bar.Finish()
	}
	if printed := a.print(out, func(w io.Writer) { printCollected(w, out) }); printed != nil {
		return printed
	}
	return err
}

func printCollected(w io.Writer, out collected) {
	age := func(at time.Time) string { return fmt.Sprintf("%dd", int(out.At.Sub(at).Hours()/24)) }
	lines := func(items []garbage.Item) {
		cells := make([][]string, len(items))
		for i, item := range items {
			cells[i] = []string{item.Kind, item.Key, fmt.Sprint(item.Objects), fmt.Sprint(item.Bytes), age(item.At), item.Reason}
		}
		table(w, []string{"KIND", "KEY", "OBJECTS", "BYTES", "AGE", "REASON"}, cells)
	}
	if len(out.Garbage) > 0 {
		lines(out.Garbage)
	}
	if len(out.Kept) > 0 {
		fmt.Fprintln(w, "kept:")
		lines(out.Kept)
	}
	fmt.Fprintf(w, "nothing refers to %d of %d objects, %d bytes, older than %s\n", out.Objects, out.Looked, out.Bytes, when(out.Before))
	if out.Deleted == nil {
		if out.Objects > 0 {
			fmt.Fprintln(w, "nothing was removed; next: tidegate gc --delete")
		}
		return
	}
	for _, o := range out.Deleted.Items {
		if o.Left != "" {
			fmt.Fprintf(w, "left: %s (%s)\n", o.Item.Key, o.Left)
		}
	}
	fmt.Fprintf(w, "removed %d objects, %d bytes\n", out.Deleted.Objects, out.Deleted.Bytes)
}

// days reads a length of time, which may be in days.
func days(text string) (time.Duration, error) {
	if n, ok := strings.CutSuffix(text, "d"); ok {
		if v, err := strconv.Atoi(n); err == nil && v > 0 && v <= 36500 {
			return time.Duration(v) * 24 * time.Hour, nil
		}
	} else if v, err := time.ParseDuration(text); err == nil && v > 0 {
		return v, nil
	}
	return 0, fault.New(fault.InvalidArgument, "--older-than must be a length of time in days or hours, 7d or 36h")
}

package command

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
)

func (a *app) logCommand() *cobra.Command {
	var last int64
	var at string
	c := &cobra.Command{
		Use:   "log MODEL",
		Short: "Print who moved the pointer of a model, when and why",
		Example: `  tidegate log flights --last 5
  tidegate log flights --at 2026-10-05T12:00:00Z   # which version served then, moved by whom, on what evidence`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if last < 0 {
				return fault.New(fault.InvalidArgument, "--last must be 0 (all) or more")
			}
			_, reg, err := a.open(c.Context())
			if err != nil {
				return err
			}
			if _, err := reg.Model(c.Context(), args[0]); err != nil {
				return err
			}
			state, err := stateOf(c.Context(), reg, args[0])
			if err != nil {
				return err
			}
			if at != "" {
				t, err := readTime("--at", at)
				if err != nil {
					return err
				}
				m, err := servedAt(c.Context(), reg, state, t)
				if err != nil {
					return err
				}
				return a.print(m, func(w io.Writer) { momentLines(w, m) })
			}
			from := int64(1)
			if last > 0 {
				from = max(1, state.Generation-last+1)
			}
			entries := []registry.State{}
			for entry, err := range reg.Log(c.Context(), args[0], from, state.Generation) {
				if err != nil {
					return err
				}
				entries = append(entries, entry)
			}
			return a.print(entries, func(w io.Writer) { logTable(w, entries) })
		},
	}
	c.Flags().Int64Var(&last, "last", 20, "how many generations to print, 0 for all")
	c.Flags().StringVar(&at, "at", "", "say which version served at this time, and by which move")
	return c
}

func logTable(w io.Writer, entries []registry.State) {
	cells := make([][]string, len(entries))
	for i, e := range entries {
		cells[i] = []string{fmt.Sprint(e.Generation), when(e.Last.At), e.Last.Kind, ref(e.Slots.Champion), ref(e.Slots.Challenger), e.Last.Actor, e.Last.Reason}
	}
	table(w, []string{"GENERATION", "AT", "KIND", "CHAMPION", "CHALLENGER", "ACTOR", "REASON"}, cells)
}

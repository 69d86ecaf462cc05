package command

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tidegate/tidegate/shared/approval"
	"github.com/tidegate/tidegate/shared/fault"
)

func (a *app) decideCommand(action string) *cobra.Command {
	var actor, reason string
	short := map[string]string{approval.ActionApprove: "Agree to a move that waits for a person", approval.ActionReject: "Refuse a move that waits for a person"}[action]
	c := &cobra.Command{
		Use:     action + " ID",
		Short:   short,
		Long:    short + ". ID is MODEL/ID, as tidegate approvals and the notification\nname it. The first decision counts, and nothing changes it.",
		Example: "  tidegate " + action + " flights/01KJ3B2R9V6N3Z0W8M4C5XQ8B0 --reason 'looked at the report'",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			model, id, ok := strings.Cut(args[0], "/")
			if !ok || approval.CheckID(id) != nil {
				return fault.New(fault.InvalidArgument, "ID must be MODEL/ID; tidegate approvals MODEL lists them")
			}
			if reason == "" {
				return fault.New(fault.InvalidArgument, "a decision needs a --reason, for the record")
			}
			s, _, err := a.open(c.Context())
			if err != nil {
				return err
			}
			out, err := s.Decide(c.Context(), approval.In{Action: action, Model: model, ID: id, Actor: a.actor(c.Context(), s, actor), Reason: reason})
			if err != nil {
				return err
			}
			return a.print(out, func(w io.Writer) {
				fmt.Fprintf(w, "%s of version %d of %s is %s by %s: %s\n", out.Request.For, out.Request.Version, model, out.Status, out.Decision.By, out.Decision.Reason)
			})
		},
	}
	c.Flags().StringVar(&actor, "actor", "", "who decides (default: the caller's ARN)")
	c.Flags().StringVar(&reason, "reason", "", "why")
	return c
}

// approvalLine is one approval as approvals prints it.
type approvalLine struct {
	approval.Record
	Status approval.Status `json:"status"`
}

func (a *app) approvalsCommand() *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use:   "approvals MODEL",
		Short: "List the moves that wait for a person",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			_, reg, err := a.open(c.Context())
			if err != nil {
				return err
			}
			if _, err := reg.Model(c.Context(), args[0]); err != nil {
				return err
			}
			records, err := approval.List(c.Context(), reg, args[0])
			if err != nil {
				return err
			}
			lines := []approvalLine{}
			for _, r := range records {
				if s := r.Status(a.Now()); all || s == approval.Pending {
					lines = append(lines, approvalLine{r, s})
				}
			}
			return a.print(lines, func(w io.Writer) { approvalTable(w, lines) })
		},
	}
	c.Flags().BoolVar(&all, "all", false, "also those that are decided or have expired")
	return c
}

func approvalTable(w io.Writer, lines []approvalLine) {
	if len(lines) == 0 {
		fmt.Fprintln(w, "nothing waits for a person")
		return
	}
	cells := make([][]string, len(lines))
	for i, l := range lines {
		by := ""
		if l.Decision != nil {
			by = l.Decision.By
		}
		q := l.Request
		cells[i] = []string{q.Model + "/" + q.ID, string(l.Status), q.For, fmt.Sprint(q.Version), short(q.Evidence), q.AskedBy, when(q.ExpiresAt), by, q.Note}
	}
	table(w, []string{"ID", "STATUS", "MOVE", "VERSION", "EVIDENCE", "ASKED BY", "UNTIL", "DECIDED BY", "NOTE"}, cells)
}

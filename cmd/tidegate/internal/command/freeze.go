package command

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/rollout"
)

func (a *app) freezeCommand() *cobra.Command {
	var f transitionFlags
	var span time.Duration
	var until string
	c := &cobra.Command{
		Use:   "freeze MODEL",
		Short: "Let no version gain traffic until a time",
		Long: `Blocks shadow, start, advance and promote until a time, for machines and people alike. Aborting
a rollout and rolling back work all the same. A later freeze replaces an earlier one.`,
		Example: `  tidegate freeze flights --reason 'no changes during the audit'
  tidegate freeze flights --until 2026-10-06T09:00:00Z --reason audit`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			end := a.Now().Add(span)
			if until != "" {
				if c.Flags().Changed("for") {
					return fault.New(fault.InvalidArgument, "give either --for or --until")
				}
				var err error
				if end, err = readTime("--until", until); err != nil {
					return err
				}
			}
			end = end.UTC().Truncate(time.Second)
			return a.move(c, &f, rollout.PromoteIn{Model: args[0], Kind: registry.KindFreeze, Until: &end}, asIs)
		},
	}
	c.Flags().DurationVar(&span, "for", 24*time.Hour, "how long")
	c.Flags().StringVar(&until, "until", "", "until when, e.g. 2026-10-06T09:00:00Z")
	f.register(c)
	return c
}

func (a *app) unfreezeCommand() *cobra.Command {
	var f transitionFlags
	c := &cobra.Command{
		Use:     "unfreeze MODEL",
		Short:   "Lift a freeze",
		Example: "  tidegate unfreeze flights --reason 'the audit is over'",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.move(c, &f, rollout.PromoteIn{Model: args[0], Kind: registry.KindUnfreeze}, asIs)
		},
	}
	f.register(c)
	return c
}

// readTime takes what people write and what this program prints: RFC 3339, a blank
// for the T, or a day, which is its first moment. All of it is UTC unless it says otherwise.
func readTime(flag, text string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02"} {
		if t, err := time.Parse(layout, strings.Replace(text, " ", "T", 1)); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fault.New(fault.InvalidArgument, "%s must be a time such as 2026-10-06T09:00:00Z, or a day", flag)
}

package command

import (
	"github.com/spf13/cobra"

	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/rollout"
)

func (a *app) shadowCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "shadow",
		Short: "Let a version score beside the champion without answering",
	}
	c.AddCommand(
		a.ofVersion("start MODEL VERSION", registry.KindShadowStart, "Score the champion's requests with a version too", "  tidegate shadow start flights 2"),
		a.ofVersion("stop MODEL VERSION", registry.KindShadowStop, "Take a version out of the shadow slot", "  tidegate shadow stop flights 2"))
	return c
}

func (a *app) readmitCommand() *cobra.Command {
	return a.ofVersion("readmit MODEL VERSION", registry.KindReadmit, "Let a rejected version take part in rollouts again",
		"  tidegate readmit flights 2 --reason 'the labels were wrong, not the model'")
}

// ofVersion is a command whose transition takes a version and nothing else.
func (a *app) ofVersion(use, kind, short, example string) *cobra.Command {
	var f transitionFlags
	c := &cobra.Command{
		Use:     use,
		Short:   short,
		Example: example,
		Args:    cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			version, err := versionNumber(args[1])
			if err != nil {
				return err
			}
			return a.move(c, &f, rollout.PromoteIn{Model: args[0], Kind: kind, Version: version}, asIs)
		},
	}
	f.register(c)
	return c
}

package command

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/tidegate/tidegate/shared/registration"
	"github.com/tidegate/tidegate/shared/schema"
)

func (a *app) modelCommand() *cobra.Command {
	group := &cobra.Command{Use: "model", Short: "Create models"}
	group.AddCommand(a.modelCreateCommand())
	return group
}

func (a *app) modelCreateCommand() *cobra.Command {
	var task, target, actor string
	c := &cobra.Command{
		Use:     "create MODEL",
		Short:   "Create a model: its name, task and target, which never change",
		Example: "  tidegate model create flights --task binary_classification --target late",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			s, _, err := a.open(c.Context())
			if err != nil {
				return err
			}
			in := registration.In{Model: args[0], Task: schema.Task(task), Target: target, Actor: a.actor(c.Context(), s, actor)}
			var out registration.Out
			if err := s.Invoke(c.Context(), s.RegisterFunctionName, in, &out); err != nil {
				return err
			}
			return a.print(out, func(w io.Writer) {
				if out.Created {
					fmt.Fprintf(w, "created model %s\n", out.Model)
				} else {
					fmt.Fprintf(w, "model %s is already there\n", out.Model)
				}
				fmt.Fprintf(w, "next: tidegate version register model.onnx --model %s\n", out.Model)
			})
		},
	}
	c.Flags().StringVar(&task, "task", "", "binary_classification, multiclass_classification, regression or unspecified")
	c.Flags().StringVar(&target, "target", "", "column that labels fill")
	c.Flags().StringVar(&actor, "actor", "", "who does this, for the record (default: the caller's ARN)")
	return c
}

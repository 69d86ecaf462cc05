package command

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/rows"
)

type feedbackFlags struct {
	input, format string
	rejects       string
	columns       [5]string // names of the members in the file, in the order of members
	batch, at     int
}

// members of a label, as the API names them.
var members = [5]string{"id", "request_id", "predicted_at", "label", "ts"}

const labelMember = 3

// maxListed is how many rejected labels are printed.
const maxListed = 20

// feedbackSummary is what feedback prints at the end.
type feedbackSummary struct {
	Model    string        `json:"model"`
	Rows     int           `json:"rows"`
	Accepted int           `json:"accepted"`
	Rejected int           `json:"rejected"`
	First    []rejectedRow `json:"first_rejected,omitempty"` // at most 20, by row
	Retries  int           `json:"retries"`
	Seconds  float64       `json:"seconds"`
}

type rejectedRow struct {
	Row   int    `json:"row"` // from 1
	ID    string `json:"id,omitempty"`
	Error string `json:"error"`
}

func (a *app) feedbackCommand() *cobra.Command {
	var f feedbackFlags
	c := &cobra.Command{
		Use:   "feedback MODEL FILE",
		Short: "Send labels of earlier predictions through the API",
		Long: `Sends the labels in a CSV, NDJSON or Parquet file ("-" reads standard input). A row has the inference
id of a prediction and what it should have been: id,label[,ts]. With your own request ids it is
request_id,predicted_at,label[,ts], where predicted_at says when, to the hour. ts is when the label became
known; of two labels of one row the later one counts. A text that is a number is sent as a number.

Rows that are rejected are listed and the rest is sent; the exit code is then 3. Refusals for load (429, 503)
are tried again: labels may arrive twice without harm. Files above some gigabytes are better put into the data
bucket, under labels/landed/files/MODEL/.`,
		Example: "  tidegate feedback flights april.csv\n  tidegate feedback flights outcomes.parquet --id inference_id --label late --rejects rejected.ndjson",
		Args:    cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			f.input = args[1]
			return a.feedback(c.Context(), args[0], f)
		},
	}
	c.Flags().StringVar(&f.format, "format", "", "csv, ndjson or parquet (default: by the file's name)")
	for i, name := range []string{"id", "request-id", "predicted-at", "label", "ts"} {
		c.Flags().StringVar(&f.columns[i], name, members[i], "column of "+members[i])
	}
	c.Flags().StringVar(&f.rejects, "rejects", "", "write every rejected row to this file, as NDJSON")
	c.Flags().IntVar(&f.batch, "batch", 1000, "labels per request, at most 5000")
	c.Flags().IntVar(&f.at, "concurrency", 4, "requests at once")
	return c
}

func (f *feedbackFlags) check() error {
	switch {
	case f.batch < 1 || f.batch > 5000:
		return fault.New(fault.InvalidArgument, "--batch must be 1 to 5000")
	case f.at < 1 || f.at > 256:
		return fault.New(fault.InvalidArgument, "--concurrency must be 1 to 256")
	}
	return nil
}

func (a *app) feedback(ctx context.Context, model string, f feedbackFlags) error {
	if err := f.check(); err != nil {
		return err
	}
	s, _, err := a.open(ctx)
	if err != nil {
		return err
	}
	client, err := a.client(ctx, s)
	if err != nil {
		return err
	}
	src, err := rows.Open(f.input, f.format)
	if err != nil {
		return err
	}
	defer src.Close()
	job := &labelJob{client: client, model: model, flags: f, summary: feedbackSummary{Model: model}}
	if f.rejects != "" {
		file, err := os.Create(f.rejects)
		if err != nil {
			return fault.Wrap(err, fault.InvalidArgument, "%s cannot be written; check the path", f.rejects)
		}
		defer file.Close()
		job.rejects = json.NewEncoder(file)
	}
	start := a.Now()
	bar := a.progress(src.Total(), "sending labels", false)
	job.sent = func(accepted int) {
		bar.Describe(fmt.Sprintf("sending labels, %d accepted", accepted))
		bar.Set64(src.Position())
	}
	err = job.run(ctx, src)
	bar.Finish()
	sum := job.summary
	sum.Seconds = a.Now().Sub(start).Round(time.Millisecond).Seconds()
	if err != nil {
		if sum.Accepted > 0 {
			fmt.Fprintf(a.Stderr, "%d labels were accepted before; sending the file again does no harm\n", sum.Accepted)
		}
		return err
	}
	return a.reportLabels(sum)
}

func (a *app) reportLabels(sum feedbackSummary) error {
	err := a.print(sum, func(out io.Writer) {
		for _, r := range sum.First {
			fmt.Fprintf(out, "row %d %s %s\n", r.Row, r.ID, r.Error)
		}
		if more := sum.Rejected - len(sum.First); more > 0 {
			fmt.Fprintf(out, "and %d more; --rejects FILE lists them all\n", more)
		}
		fmt.Fprintf(out, "%d of %d labels of %s accepted in %.1f s, %d retries\n", sum.Accepted, sum.Rows, sum.Model, sum.Seconds, sum.Retries)
	})
	if err == nil && sum.Rejected > 0 {
		err = fault.New(fault.InvalidArgument, "%d of %d labels were rejected; correct them and send them again", sum.Rejected, sum.Rows)
	}
	return err
}

package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tidegate/tidegate/cmd/tidegate/endpoint"
	"github.com/tidegate/tidegate/cmd/tidegate/internal/doctor"
	"github.com/tidegate/tidegate/cmd/tidegate/stack"
	"github.com/tidegate/tidegate/shared/fault"
)

// notable are the modules whose versions matter when something odd is reported.
var notable = []string{"github.com/aws/aws-sdk-go-v2", "github.com/aws/aws-sdk-go-v2/service/s3", "github.com/aws/smithy-go", "github.com/parquet-go/parquet-go"}

type diagnosis struct {
	OK        bool              `json:"ok"` // nothing failed; warnings do not count
	Stack     string            `json:"stack"`
	Endpoint  string            `json:"endpoint,omitempty"`
	Libraries map[string]string `json:"libraries"`
	Checks    []doctor.Check    `json:"checks"`
}

func (a *app) doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Examine the stack: permissions, the store's compare-and-swap, the API, pointers and logs",
		Long: `Examines a deployed stack and prints one line per check: ok, warn (something to know or to do)
or fail. It writes only under doctor/ of the registry bucket. Exit code 1 when a check failed.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			d := a.diagnose(c.Context())
			if !d.OK {
				a.exit = ExitWrong
			}
			return a.print(d, func(w io.Writer) { diagnosisTable(w, d) })
		},
	}
}

func (a *app) diagnose(ctx context.Context) diagnosis {
	d := diagnosis{OK: true, Stack: a.options().Name, Libraries: libraries()}
	bar := a.progress(-1, "examining", false)
	defer bar.Finish()
	report := func(c doctor.Check) {
		d.Checks = append(d.Checks, c)
		d.OK = d.OK && c.Status != doctor.Fail
		bar.Add(1)
	}
	s, _, err := a.open(ctx)
	if err != nil {
		report(doctor.Check{Name: "stack", Status: doctor.Fail, Detail: said(err)})
		return d
	}
	d.Endpoint = s.ApiEndpoint
	report(doctor.Check{Name: "stack", Status: doctor.OK, Detail: s.Name + " in " + first(s.Config.Region, "an unnamed region")})
	client, err := a.client(ctx, s)
	if err != nil {
		report(doctor.Check{Name: "prediction API", Status: doctor.Fail, Detail: said(err)})
		return d
	}
	report(a.identity(ctx, s))
	settings := func(bucket string) func(context.Context) (bool, bool, error) {
		return func(ctx context.Context) (versioned, events bool, err error) {
			found, err := s.Settings(ctx, bucket)
			return found.Versioned, found.Events, err
		}
	}
	examined := doctor.Stack{Registry: s.Registry, Data: s.Data, API: client, Now: a.Now, NewID: s.NewID,
		Buckets: map[string]func(context.Context) (bool, bool, error){"data bucket": settings(s.DataBucketName), "registry bucket": settings(s.RegistryBucketName)}}
	examined.Run(ctx, report)
	return d
}

// identity says as whom this runs, which is the first question when something is denied.
func (a *app) identity(ctx context.Context, s *stack.Stack) doctor.Check {
	if s.Config.Credentials == nil {
		return doctor.Check{Name: "identity", Status: doctor.Warn, Detail: "no AWS credentials; the API is called unsigned"}
	}
	return doctor.Check{Name: "identity", Status: doctor.OK, Detail: a.actor(ctx, s, "")}
}

var _ doctor.API = (*endpoint.Client)(nil)

func said(err error) string {
	var known *fault.Error
	if errors.As(err, &known) {
		return known.Message
	}
	return err.Error()
}

func libraries() map[string]string {
	found := map[string]string{"tidegate": version(), "go": runtime.Version()}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if slices.Contains(notable, m.Path) {
				found[m.Path] = m.Version
			}
		}
	}
	return found
}

func diagnosisTable(w io.Writer, d diagnosis) {
	cells := make([][]string, len(d.Checks))
	count := map[doctor.Status]int{}
	for i, c := range d.Checks {
		cells[i] = []string{string(c.Status), c.Name, c.Detail}
		count[c.Status]++
	}
	table(w, []string{"", "CHECK", "FOUND"}, cells)
	names := make([]string, 0, len(d.Libraries))
	for name := range d.Libraries {
		names = append(names, name)
	}
	slices.Sort(names)
	for i, name := range names {
		names[i] = strings.TrimPrefix(name, "github.com/") + " " + d.Libraries[name]
	}
	fmt.Fprintf(w, "\nlibraries: %s\n%d ok, %d warnings, %d failed\n", strings.Join(names, ", "), count[doctor.OK], count[doctor.Warn], count[doctor.Fail])
}

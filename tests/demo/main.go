// Command demo tells Tidegate's story on a deployed stack with the real flights of a
// year: it trains in the stack's own train function, registers, makes the version the
// champion, sends April through the prediction API and proves from what lies in S3
// that every row was captured once with the answer that was given. April's labels
// come as they would have come: what the early ones say, and what all of them say.
// Then it drops later months, which drift, until the drift starts a retraining by
// itself; what comes of that is shadowed in August and rolled out in September, on
// evidence. A broken version is aborted, a person rolls back, and single months are
// put before the same gate. In the end the model moves to a container endpoint, which
// is killed under traffic. It tells each move with the evidence that it rests on.
//
//	demo -flights .local/data/flights.csv -out .local/demo.json
//
// `make demo` calls it through scripts/demo. It ends with 0 only if everything that
// it prints as true is true.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/tidegate/tidegate/cmd/tidegate/stack"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo: "+err.Error())
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out, errs io.Writer) error {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.SetOutput(errs)
	name := flags.String("stack", stack.DefaultName, "CloudFormation stack")
	file := flags.String("flights", ".local/data/flights.csv", "the flights (scripts/flights-data fetches them)")
	facts := flags.String("out", ".local/demo.json", "where the facts are written")
	memo := flags.String("memo", ".local/demo-trained.json", "what was trained from what, so that it is not trained again")
	root := flags.String("root", ".", "the repository, whose training code is part of what decides that")
	singles := flags.Int("singles", 300, "requests of one row")
	hundreds := flags.Int("hundreds", 90, "requests of a hundred rows")
	concurrency := flags.Int("concurrency", 4, "requests at once")
	wait := flags.Bool("wait", true, "wait for the window of April's requests to close (at most five minutes) and judge it")
	patience := flags.Duration("patience", 3*time.Minute, "how long no capture may land before the rest counts as missing")
	var programs programs
	flags.StringVar(&programs.endpoint, "endpoint", "", "functions/endpoint, built; without it its chapter is left out")
	flags.StringVar(&programs.tidegate, "tidegate", "", "cmd/tidegate, built")
	flags.StringVar(&programs.library, "library", "", "libonnxruntime.so, for the endpoint")
	if err := flags.Parse(args); err != nil {
		return err
	}
	s, err := stack.Open(ctx, stack.Options{Name: *name})
	if err != nil {
		return err
	}
	d := demo{
		Stack: s, out: out, errs: errs, interactive: isTerminal(errs), root: *root, memo: *memo, facts: *facts,
		singles: *singles, hundreds: *hundreds, concurrency: *concurrency, patience: *patience, wait: *wait, programs: programs, begun: time.Now(), windows: map[string]time.Month{},
	}
	return d.tell(ctx, *file)
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

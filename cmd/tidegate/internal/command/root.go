// Package command is the tree of tidegate's commands: flags, order of calls and
// what is printed. What a command does lies in the packages it calls.
//
// Every command prints a table or a few lines for people, and with --json exactly
// one JSON document on standard output. Progress and errors go to standard error.
//
// Exit codes, the same for every command:
//
//	0  done; of a command that judges: nothing is wrong
//	1  a command that judges says that something is wrong (doctor: a check failed; drift: drift; evaluate: degraded; compare: worse; replay: it differs)
//	2  a command that judges cannot tell yet
//	3  an error: usage, input, permission, or the stack; one line says what to do
package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/user"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/spf13/cobra"

	"github.com/tidegate/tidegate/cmd/tidegate/endpoint"
	"github.com/tidegate/tidegate/cmd/tidegate/stack"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
)

// Exit codes.
const (
	ExitOK      = 0
	ExitWrong   = 1
	ExitUnknown = 2
	ExitError   = 3
)

// Env is what commands take from their surroundings.
type Env struct {
	Stdin       io.Reader
	Stdout      io.Writer
	Stderr      io.Writer
	Interactive bool // standard error is a terminal: progress bars are drawn
	Getenv      func(string) string
	Now         func() time.Time
	// Open finds the stack; stack.Open but in tests.
	Open func(ctx context.Context, o stack.Options) (*stack.Stack, error)
}

// app is one run: the environment and the flags that every command has.
type app struct {
	Env
	name, region, endpoint, auth string
	json, verbose                bool
	exit                         int
}

// Main runs args (without the program's name) and returns the exit code.
func Main(ctx context.Context, args []string, env Env) int {
	a := &app{Env: env}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	if err := root.ExecuteContext(ctx); err != nil {
		a.fail(err)
		return ExitError
	}
	return a.exit
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "tidegate",
		Short: "Serve ONNX models on Lambda, capture what they predict, move traffic on evidence",
		Long: `tidegate works on a deployed stack: registers versions, moves the pointer that says
which version serves, sends predictions and looks after the stack's health. profile, drift,
evaluate, compare and export also work on files alone, without any AWS.

It uses AWS's usual configuration (profile, region, credentials) and AWS_ENDPOINT_URL.
Exit codes: 0 done, 1 something is wrong (doctor, drift, evaluate, compare, replay, backend check), 2 cannot tell yet, 3 error.`,
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	flags := root.PersistentFlags()
	flags.StringVar(&a.name, "stack", "", "CloudFormation stack (default $TIDEGATE_STACK, else "+stack.DefaultName+")")
	flags.StringVar(&a.region, "region", "", "AWS region (default: AWS's configuration)")
	flags.StringVar(&a.endpoint, "endpoint", "", "prediction API (default $TIDEGATE_ENDPOINT, else the stack's output ApiEndpoint)")
	flags.StringVar(&a.auth, "auth", "auto", "how the API is called: iam (SigV4), jwt ($TIDEGATE_TOKEN), none, or auto")
	flags.BoolVar(&a.json, "json", false, "print one JSON document")
	flags.BoolVarP(&a.verbose, "verbose", "v", false, "print the causes of an error")
	root.AddCommand(a.modelCommand(), a.versionCommand(), a.statusCommand(), a.logCommand(), a.promoteCommand(),
		a.rollbackCommand(), a.configureCommand(), a.predictCommand(), a.feedbackCommand(), a.proxyCommand(), a.doctorCommand(),
		a.profileCommand(), a.driftCommand(), a.exportCommand(), a.evaluateCommand(), a.compareCommand())
	root.AddCommand(a.rolloutCommand(), a.shadowCommand(), a.freezeCommand(), a.unfreezeCommand(), a.readmitCommand(), a.routeCommand(),
		a.backendCommand(), a.approvalsCommand(), a.decideCommand("approve"), a.decideCommand("reject"), a.retrainCommand(), a.replayCommand(), a.gcCommand())
	return root
}

func (a *app) options() stack.Options {
	return stack.Options{
		Name:     first(a.name, a.Getenv("TIDEGATE_STACK"), stack.DefaultName),
		Region:   a.region,
		Endpoint: first(a.endpoint, a.Getenv("TIDEGATE_ENDPOINT")),
	}
}

func (a *app) open(ctx context.Context) (*stack.Stack, *registry.Registry, error) {
	s, err := a.Open(ctx, a.options())
	if err != nil {
		return nil, nil, err
	}
	return s, registry.New(s.Registry, registry.Options{}), nil
}

// client returns a client of the stack's prediction API.
func (a *app) client(ctx context.Context, s *stack.Stack) (*endpoint.Client, error) {
	authorize, err := a.authorizer(ctx, s)
	if err != nil {
		return nil, err
	}
	return endpoint.New(s.ApiEndpoint, authorize)
}

// authorizer follows --auth. auto takes the token if there is one, else signs if
// there are credentials: a stack without authorization ignores either.
func (a *app) authorizer(ctx context.Context, s *stack.Stack) (endpoint.Authorizer, error) {
	token := a.Getenv("TIDEGATE_TOKEN")
	sign := func() endpoint.Authorizer {
		return endpoint.NewSigner(s.Config.Credentials, s.Config.Region, a.Now).Sign
	}
	switch a.auth {
	case "none":
		return endpoint.Open, nil
	case "jwt":
		if token == "" {
			return nil, fault.New(fault.InvalidArgument, "--auth jwt needs a token in TIDEGATE_TOKEN")
		}
		return endpoint.Bearer(token), nil
	case "iam":
		return sign(), nil
	case "auto":
		if token != "" {
			return endpoint.Bearer(token), nil
		}
		if s.Config.Credentials != nil {
			if _, err := s.Config.Credentials.Retrieve(ctx); err == nil {
				return sign(), nil
			}
		}
		return endpoint.Open, nil
	}
	return nil, fault.New(fault.InvalidArgument, "--auth must be iam, jwt, none or auto")
}

// actor names who acts, for the log: --actor, else the caller's ARN, else the user of this machine.
func (a *app) actor(ctx context.Context, s *stack.Stack, flag string) string {
	if flag != "" {
		return flag
	}
	if s.Config.Credentials != nil {
		if id, err := sts.NewFromConfig(s.Config).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{}); err == nil {
			return *id.Arn
		}
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "unknown"
}

// fail prints err as one line that says what to do, or as a document with --json.
func (a *app) fail(err error) {
	kind, message := fault.KindOf(err), err.Error()
	var known *fault.Error
	if errors.As(err, &known) {
		message = known.Message
		if len(known.Violations) > 1 {
			all := make([]string, len(known.Violations))
			for i, v := range known.Violations {
				all[i] = v.Path + " " + v.Problem
			}
			message = strings.Join(all, "; ")
		}
	} else if kind == fault.Internal {
		kind = fault.InvalidArgument // what is no fault here comes from cobra: flags and arguments
		message += "; see tidegate --help"
	}
	if a.json {
		doc := map[string]any{"error": map[string]any{"kind": kind, "message": message}}
		json.NewEncoder(a.Stderr).Encode(doc)
		return
	}
	fmt.Fprintln(a.Stderr, "tidegate: "+strings.ReplaceAll(message, "\n", " "))
	if a.verbose {
		fmt.Fprintln(a.Stderr, "  "+err.Error())
	}
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// Command tidegate is the command line of Tidegate: it registers versions, moves
// the pointer that says which one serves, sends predictions, and examines a stack;
// and, on files alone, counts rows, judges drift and exports captures.
// See `tidegate --help`; the commands are in internal/command.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/tidegate/tidegate/cmd/tidegate/internal/command"
	"github.com/tidegate/tidegate/cmd/tidegate/stack"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := command.Main(ctx, os.Args[1:], command.Env{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Interactive: term.IsTerminal(int(os.Stderr.Fd())),
		Getenv:      os.Getenv,
		Now:         time.Now,
		Open:        stack.Open,
	})
	stop()
	os.Exit(code)
}

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/tidegate/tidegate/tests/bench/host"
	"github.com/tidegate/tidegate/tests/bench/workload"
)

// invocationTimeout bounds one event: it is never reached unless something hangs.
const invocationTimeout = 20 * time.Second

// load is one thing that is measured again in every round.
type load struct {
	name string // key of the report
	runs int    // in a round
	warm int    // unmeasured runs before the first round
	do   func(ctx context.Context, runs int) (samples, error)
}

// samples are the times of one round.
type samples struct {
	answer []time.Duration
	busy   []time.Duration // empty for raw runs
}

// function makes the load of sending event to fn; the first answer of every round is checked.
func function(name string, runs int, fn *host.Function, event *workload.Event, check func([]byte) error) load {
	return load{name: name, runs: runs, warm: runs, do: func(ctx context.Context, runs int) (samples, error) {
		var s samples
		for i := range runs {
			inv, err := invoke(ctx, fn, event)
			if err != nil {
				return s, err
			}
			if i == 0 && check != nil {
				if err := check(inv.Payload); err != nil {
					return s, fmt.Errorf("%s: %w", name, err)
				}
			}
			s.answer, s.busy = append(s.answer, inv.Answer), append(s.busy, inv.Busy)
		}
		return s, nil
	}}
}

func invoke(ctx context.Context, fn *host.Function, event *workload.Event) (host.Invocation, error) {
	ctx, cancel := context.WithTimeout(ctx, invocationTimeout)
	defer cancel()
	return fn.Invoke(ctx, event.At(time.Now()))
}

// raw is a program that times bare runs of a session: a line with a number in, a JSON array of nanoseconds out.
type raw struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *json.Decoder
}

func startRaw(path string, args ...string) (*raw, error) {
	cmd := exec.Command(path, args...) // #nosec G204 -- the benchmark's own programs
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("bench: start %s: %w", path, err)
	}
	return &raw{cmd: cmd, in: in, out: json.NewDecoder(bufio.NewReader(out))}, nil
}

// stop ends the program by closing its input.
func (r *raw) stop() error {
	if err := r.in.Close(); err != nil {
		return err
	}
	return r.cmd.Wait()
}

// load asks for each run on its own, as events ask for a function's: in a loop of nothing else the model would stay in
// the caches, as it stays in no process that also reads events and writes answers.
func (r *raw) load(name string, runs int) load {
	return load{name: name, runs: runs, warm: runs, do: func(_ context.Context, runs int) (samples, error) {
		var s samples
		for range runs {
			var taken []time.Duration
			if _, err := io.WriteString(r.in, "1\n"); err != nil {
				return s, fmt.Errorf("%s: %w", name, err)
			}
			if err := r.out.Decode(&taken); err != nil {
				return s, fmt.Errorf("%s: %w", name, err)
			}
			s.answer = append(s.answer, taken...)
		}
		return s, nil
	}}
}

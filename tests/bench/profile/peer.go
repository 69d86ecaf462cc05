package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/tidegate/tidegate/shared/profile"
)

// peer is a Python process that answers each line on its standard input with a run.
type peer struct {
	name string
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
	last answer
}

type answer struct {
	Seconds float64          `json:"seconds"`
	Columns map[string]found `json:"columns"`
}

// found is what a peer computes of a column. Texts have no mean.
type found struct {
	Min      any     `json:"min"`
	Max      any     `json:"max"`
	Mean     float64 `json:"mean"`
	Distinct float64 `json:"distinct"`
}

func startPeer(ctx context.Context, o options, name, file string) (*peer, error) {
	cmd := exec.CommandContext(ctx, o.python, "tests/bench/profile/peer.py", name, o.path(file), strconv.Itoa(o.workers)) // #nosec G204
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("bench: %s: %w", name, err)
	}
	p := &peer{name: name, cmd: cmd, in: in, out: bufio.NewReader(out)}
	if _, err := p.out.ReadString('\n'); err != nil {
		return nil, errors.Join(fmt.Errorf("bench: %s does not start: %w", name, err), p.stop())
	}
	return p, nil
}

// run is the time of one run by the peer's own clock, imports and connection left out.
func (p *peer) run(context.Context) (time.Duration, error) {
	if _, err := io.WriteString(p.in, "\n"); err != nil {
		return 0, err
	}
	line, err := p.out.ReadBytes('\n')
	if err != nil {
		return 0, err
	}
	p.last = answer{}
	if err := json.Unmarshal(line, &p.last); err != nil {
		return 0, err
	}
	return time.Duration(p.last.Seconds * float64(time.Second)), nil
}

// check compares the peer's last answer with ours: the same rows were read.
func (p *peer) check(b *profile.Baseline, t *profile.Tally) error {
	for i := range b.Columns {
		c, s := &b.Columns[i], &t.States[i]
		got, ok := p.last.Columns[c.Name]
		if !ok {
			return fmt.Errorf("bench: %s computed nothing of %s", p.name, c.Name)
		}
		if c.Kind != profile.Numeric {
			continue
		}
		mean := s.Sum.Float64() / float64(s.Values())
		if got.Min != *s.Min || got.Max != *s.Max || got.Mean-mean > 1e-9*(1+mean) || mean-got.Mean > 1e-9*(1+mean) {
			return fmt.Errorf("bench: %s: %s found %+v, we %g to %g with the mean %g", c.Name, p.name, got, *s.Min, *s.Max, mean)
		}
	}
	return nil
}

func (p *peer) stop() error { return errors.Join(p.in.Close(), p.cmd.Wait()) }

package figures

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
)

// Peak is what tests/bench/peak finds of one run of a program.
type Peak struct {
	Seconds float64 `json:"seconds"`
	RSSMB   float64 `json:"rss_mb"`
}

// RunPeak runs a command by the program peak and returns its figures and its
// standard output. Exit codes up to most are no errors.
func RunPeak(ctx context.Context, peak string, most int, command ...string) (Peak, []byte, error) {
	file, err := os.CreateTemp("", "peak-*.json")
	if err != nil {
		return Peak{}, nil, err
	}
	defer func() { _ = os.Remove(file.Name()) }()
	if err := file.Close(); err != nil {
		return Peak{}, nil, err
	}
	var errs bytes.Buffer
	cmd := exec.CommandContext(ctx, peak, append([]string{file.Name()}, command...)...) // #nosec G204
	cmd.Stderr = &errs
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !(errors.As(err, &exit) && exit.ExitCode() > 0 && exit.ExitCode() <= most) {
		text := errs.Bytes()
		return Peak{}, nil, fmt.Errorf("bench: %s: %w\n%s", command[0], err, text[max(0, len(text)-2000):])
	}
	raw, err := os.ReadFile(file.Name())
	if err != nil {
		return Peak{}, nil, err
	}
	var p Peak
	return p, out, json.Unmarshal(raw, &p)
}

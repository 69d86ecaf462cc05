package local

import (
	"bufio"
	"context"
	"os"
	"strings"
	"testing"
	"time"
)

// The API answers public clients, not only ours: Triton's and TensorFlow Serving's form, and Triton's through the command line's signing port.
func TestPublicClients(t *testing.T) {
	affine, mixed := serveModel(t, "affine", "regression"), serveModel(t, "mixed", "binary_classification")
	t.Run("triton", func(t *testing.T) {
		python(t, "triton.py", strings.TrimPrefix(local.Endpoint, "http://"), affine, mixed)
	})
	t.Run("rows", func(t *testing.T) { python(t, "rows.py", local.Endpoint, affine, mixed) })
	t.Run("proxy", func(t *testing.T) {
		address := proxy(t)
		python(t, "triton.py", strings.TrimPrefix(address, "http://"), affine, mixed)
		python(t, "rows.py", address, affine, mixed)
	})
}

// proxy runs `tidegate proxy` until the test ends and returns its address. The stack wants no signature here; it is signed all the same.
func proxy(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	cmd := command(ctx, t, "proxy", "--auth", "iam")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait() // its error is that of cancel
		if code := cmd.ProcessState.ExitCode(); code != 0 {
			t.Errorf("proxy ended with %d after an interrupt", code)
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	address, target, ok := strings.Cut(strings.TrimSpace(line), " -> ")
	if err != nil || !ok || target != local.Endpoint {
		t.Fatalf("proxy says %q, %v", line, err)
	}
	return address
}

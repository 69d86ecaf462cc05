package host

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestDrivesNoop builds the no-op function and drives it: the protocol as AWS's own runtime speaks it.
func TestDrivesNoop(t *testing.T) {
	fn := startNoop(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if boot, err := fn.Ready(ctx); err != nil || boot <= 0 {
		t.Fatalf("Ready = %v, %v; want a positive time", boot, err)
	}
	for range 20 {
		inv, err := fn.Invoke(ctx, []byte(`{"version":"2.0","rawPath":"/"}`))
		if err != nil {
			t.Fatal(err)
		}
		if want := `"statusCode":200`; !strings.Contains(string(inv.Payload), want) {
			t.Errorf("payload %s has no %s", inv.Payload, want)
		}
		if inv.Answer <= 0 || inv.Busy < 0 || inv.Answered.Before(fn.Started) {
			t.Errorf("measured %+v", inv)
		}
	}
	if rss, err := fn.RSS(); err != nil || rss < 1<<20 {
		t.Errorf("RSS = %d, %v; a Go program has at least 1 MiB", rss, err)
	}
	if _, err := fn.CPU(); err != nil {
		t.Error(err)
	}
}

func TestReportsFunctionErrors(t *testing.T) {
	fn := startNoop(t)
	_, err := fn.Invoke(t.Context(), []byte(`"not an HTTP API event"`))
	var reported *FunctionError
	if !errors.As(err, &reported) || reported.Type == "" {
		t.Fatalf("err = %v; want the error that the function posted", err)
	}
	if _, err := fn.Invoke(t.Context(), []byte(`{}`)); err != nil {
		t.Errorf("after an error the function goes on: %v", err)
	}
}

func TestReportsADeadChild(t *testing.T) {
	fn, err := Start(Command{Name: "false", Path: "/bin/sh", Args: []string{"-c", "echo broken; exit 3"}})
	if err != nil {
		t.Fatal(err)
	}
	defer stop(t, fn)
	if _, err := fn.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("err = %v; want one that quotes the output", err)
	}
}

func TestRefusesAForeignAnswer(t *testing.T) {
	fn := &Function{answers: make(chan answer, 1), failed: make(chan struct{}), done: context.Background()}
	w := httptest.NewRecorder()
	r, _ := http.NewRequest(http.MethodPost, "/2018-06-01/runtime/invocation/other/response", strings.NewReader("{}"))
	fn.handler().ServeHTTP(w, r)
	if w.Code != http.StatusBadRequest || fn.failure == nil {
		t.Errorf("status %d, failure %v; want 400 and a failure", w.Code, fn.failure)
	}
}

func TestExtensionRegister(t *testing.T) {
	fn := &Function{Name: "f", failed: make(chan struct{})}
	tests := []struct {
		name, extension string
		status          int
	}{
		{"named", "internal", http.StatusOK},
		{"without a name", "", http.StatusBadRequest},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			r, _ := http.NewRequest(http.MethodPost, "/2020-01-01/extension/register", strings.NewReader(`{"events":[]}`))
			r.Header.Set("Lambda-Extension-Name", tt.extension)
			fn.handler().ServeHTTP(w, r)
			if w.Code != tt.status || (tt.status == http.StatusOK) != (w.Header().Get("Lambda-Extension-Identifier") != "") {
				t.Errorf("status %d, header %v", w.Code, w.Header())
			}
		})
	}
}

func TestTail(t *testing.T) {
	var out tail
	for range 3000 {
		_, _ = io.WriteString(&out, "line\n")
	}
	if text, lines := out.read(); len(text) != tailBytes || lines != 3000 || !strings.HasSuffix(text, "line\n") {
		t.Errorf("%d bytes and %d lines kept", len(text), lines)
	}
}

func startNoop(t *testing.T) *Function {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bootstrap")
	build := exec.CommandContext(t.Context(), "go", "build", "-tags", "lambda.norpc", "-o", path, "../noop") // #nosec G204
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		t.Fatal(err)
	}
	fn, err := Start(Command{Name: "noop", Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, fn) })
	return fn
}

func stop(t *testing.T, fn *Function) {
	t.Helper()
	if err := fn.Stop(); err != nil {
		t.Error(err)
	}
	select {
	case <-fn.child.exited:
	default:
		t.Error("the child still runs")
	}
}

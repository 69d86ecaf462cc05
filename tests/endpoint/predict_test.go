package endpoint

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// rowsOf the affine model: x is [3i, 3i+1, 3i+2] for row i, from 1.
const manyRows = 40_000

// rowsFile writes them as CSV, or compressed if the name says so.
func rowsFile(t *testing.T, name string) string {
	t.Helper()
	var text bytes.Buffer
	text.WriteString("x_0,x_1,x_2,note\n")
	for i := 1; i <= manyRows; i++ {
		fmt.Fprintf(&text, "%d,%d,%d,\"row %d\"\n", 3*i, 3*i+1, 3*i+2, i)
	}
	path := filepath.Join(t.TempDir(), name)
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if !strings.HasSuffix(name, ".gz") {
		_, err = f.Write(text.Bytes())
	} else {
		z := gzip.NewWriter(f)
		if _, err = z.Write(text.Bytes()); err == nil {
			err = z.Close()
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// checkAnswers reads the output: every row once, in order, with what y = xW + b is.
func checkAnswers(t *testing.T, path string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines, n := bufio.NewScanner(f), 0
	for lines.Scan() {
		n++
		var a struct {
			Row, Version int
			ID           string
			Y            []float64
		}
		if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
			t.Fatalf("line %d: %v: %.200s", n, err, lines.Text())
		}
		x := float64(3 * n)
		want := []float64{x + 3*(x+1) + 5*(x+2) + 0.5, 2*x + 4*(x+1) + 6*(x+2) - 0.5}
		if a.Row != n || a.Version != 1 || a.ID == "" || len(a.Y) != 2 || math.Abs(a.Y[0]-want[0]) > 0.1 || math.Abs(a.Y[1]-want[1]) > 0.1 {
			t.Fatalf("line %d: %s, want %v", n, lines.Text(), want)
		}
	}
	if err := lines.Err(); err != nil || n != manyRows {
		t.Fatalf("%d rows of %d, %v", n, manyRows, err)
	}
}

// predict is the command line with small requests, so that there is time to break it.
func predict(program, backend, rows, out string, more ...string) *exec.Cmd {
	args := append([]string{"predict", "affine", rows, "--backend", backend, "-o", out, "--batch", "20", "--concurrency", "3"}, more...)
	return exec.Command(program, args...)
}

// grown waits until the output has more bytes than given.
func grown(t *testing.T, path string, bytes int64) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		if info, err := os.Stat(path); err == nil && info.Size() > bytes {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not grow", path)
		}
	}
}

func TestPredictThroughTheEndpoint(t *testing.T) {
	program, tidegate := build(t, "functions/endpoint"), build(t, "cmd/tidegate")
	s := start(t, program, "affine")
	backend := "http://127.0.0.1:" + s.web

	t.Run("compressed, at full speed", func(t *testing.T) {
		out := filepath.Join(t.TempDir(), "out.ndjson")
		text, err := exec.Command(tidegate, "predict", "affine", rowsFile(t, "rows.csv.gz"), "--backend", backend, "-o", out, "--json").CombinedOutput()
		if err != nil || !strings.Contains(string(text), `"endpoint": 40000`) {
			t.Fatalf("%v\n%s", err, text)
		}
		checkAnswers(t, out)
	})

	t.Run("the client is killed again and again", func(t *testing.T) {
		rows, out := rowsFile(t, "rows.csv"), filepath.Join(t.TempDir(), "out.ndjson")
		for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGINT, syscall.SIGKILL, syscall.SIGTERM} {
			cmd := predict(tidegate, backend, rows, out)
			var said bytes.Buffer
			cmd.Stderr = &said
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			before := int64(0)
			if info, err := os.Stat(out); err == nil {
				before = info.Size()
			}
			grown(t, out, before+100_000)
			if err := cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			err := cmd.Wait()
			if err == nil {
				t.Fatalf("%v came too late", sig)
			}
			if sig != syscall.SIGKILL && (cmd.ProcessState.ExitCode() != 3 || !strings.Contains(said.String(), "interrupted") || !strings.Contains(said.String(), "it goes on there")) {
				t.Errorf("%v: %v, %s", sig, err, said.String())
			}
		}
		text, err := predict(tidegate, backend, rows, out).CombinedOutput()
		if err != nil || !strings.Contains(string(text), "going on behind the ") {
			t.Fatalf("%v\n%s", err, text)
		}
		checkAnswers(t, out)
	})

	t.Run("the server is killed and comes back", func(t *testing.T) {
		rows, out := rowsFile(t, "rows.csv"), filepath.Join(t.TempDir(), "out.ndjson")
		cmd := predict(tidegate, backend, rows, out)
		var said bytes.Buffer
		cmd.Stdout, cmd.Stderr = &said, &said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for i := range 2 {
			grown(t, out, int64(i+1)*300_000)
			if err := s.cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = s.cmd.Wait() // it was killed
			time.Sleep(500 * time.Millisecond)
			s.again(t)
		}
		if err := cmd.Wait(); err != nil {
			t.Fatalf("%v\n%s", err, said.String())
		}
		checkAnswers(t, out)
	})

	t.Run("the server stays away, then the run is started again", func(t *testing.T) {
		rows, out := rowsFile(t, "rows.csv"), filepath.Join(t.TempDir(), "out.ndjson")
		cmd := predict(tidegate, backend, rows, out, "--wait", "300ms")
		var said bytes.Buffer
		cmd.Stderr = &said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		grown(t, out, 100_000)
		s.stop(t) // in-flight requests are answered, later ones find nobody
		if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 3 || !strings.Contains(said.String(), "cannot be reached") || !strings.Contains(said.String(), "tidegate: row") {
			t.Fatalf("%v, %s", err, said.String())
		}
		model := filepath.Join(s.dir, "affine", "model.onnx")
		whole, err := os.ReadFile(model)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(model, bytes.Replace(whole, []byte("tidegate-testdata"), []byte("tidegate-testdatA"), 1), 0o600); err != nil {
			t.Fatal(err)
		}
		s.again(t)
		if text, err := predict(tidegate, backend, rows, out).CombinedOutput(); err == nil || !strings.Contains(string(text), "on another model answers than before") {
			t.Errorf("the model was swapped: %v\n%s", err, text)
		}
		s.stop(t)
		if err := os.WriteFile(model, whole, 0o600); err != nil {
			t.Fatal(err)
		}
		s.again(t)
		if text, err := predict(tidegate, backend, rows, out, "--wait", "300ms").CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		checkAnswers(t, out)
	})
	s.stop(t)
}

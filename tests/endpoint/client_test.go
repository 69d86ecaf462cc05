// Package endpoint runs functions/endpoint as what it is, a process that is started,
// asked and told to end by signals, and calls it with clients that are not ours.
// scripts/test-endpoint installs them and runs this.
package endpoint

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const root = "../.."

// process is a running server.
type process struct {
	cmd      *exec.Cmd
	dir      string // of the models
	web, rpc string
	log      *strings.Builder
}

// build makes a program of the repository.
func build(t *testing.T, folder string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), filepath.Base(folder))
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", path, "./"+folder)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

// port is one that was free a moment ago.
func port(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// start runs the program as SageMaker does, with `serve`.
func start(t *testing.T, program string, models ...string) *process {
	t.Helper()
	dir := t.TempDir()
	for _, m := range models {
		body, err := os.ReadFile(filepath.Join(root, "shared", "inference", "onnx", "testdata", m+".onnx"))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(dir, m), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, m, "model.onnx"), body, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	library := os.Getenv("TIDEGATE_ONNXRUNTIME_LIB")
	if library == "" {
		t.Fatal("TIDEGATE_ONNXRUNTIME_LIB is not set: run scripts/test-endpoint")
	}
	p := &process{dir: dir, web: port(t), rpc: port(t), log: new(strings.Builder)}
	p.cmd = exec.Command(program, "serve")
	p.cmd.Env = []string{"SAGEMAKER_BIND_TO_PORT=" + p.web, "TIDEGATE_PORT=1", "TIDEGATE_GRPC_PORT=" + p.rpc, "TIDEGATE_HOST=127.0.0.1", "TIDEGATE_MODEL_DIR=" + dir,
		"TIDEGATE_ONNXRUNTIME_LIB=" + library, "TIDEGATE_REQUEST_LINES=false"}
	p.run(t)
	t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			p.stop(t)
		}
		if t.Failed() {
			t.Logf("the server's log:\n%s", p.log.String())
		}
	})
	return p
}

// again starts the program that has ended once more, as it was.
func (p *process) again(t *testing.T) {
	t.Helper()
	env := p.cmd.Env
	p.cmd = exec.Command(p.cmd.Path, p.cmd.Args[1:]...)
	p.cmd.Env = env
	p.run(t)
}

// run starts the program and waits until it is ready.
func (p *process) run(t *testing.T) {
	t.Helper()
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); p.ping() != 200; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no answer to /ping within 30 s")
		}
	}
}

// ping is the status of /ping within the two seconds that SageMaker waits, 0 without an answer.
func (p *process) ping() int {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:"+p.web+"/ping", http.NoBody)
	if err != nil {
		return 0
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

// stop tells the process to end, which it must within SageMaker's 30 s and with status 0.
func (p *process) stop(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- p.cmd.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("after SIGTERM: %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Error("still there 30 s after SIGTERM")
		_ = p.cmd.Process.Kill()
		<-ended
	}
}

func python(t *testing.T, script string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	interpreter := filepath.Join(root, ".local", "venv-endpoint-clients", "bin", "python")
	if _, err := os.Stat(interpreter); err != nil {
		t.Fatal("the clients are not installed: run scripts/test-endpoint")
	}
	interpreter, err := filepath.Abs(interpreter)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, interpreter, append([]string{"-I", script}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", script, err, out)
	}
}

func TestPublicClients(t *testing.T) {
	p := start(t, build(t, "functions/endpoint"), "affine", "mixed")
	t.Run("triton over HTTP", func(t *testing.T) {
		python(t, filepath.Join("..", "local", "clients", "triton.py"), "127.0.0.1:"+p.web, "affine", "mixed")
	})
	t.Run("triton over gRPC", func(t *testing.T) {
		python(t, filepath.Join("clients", "triton_grpc.py"), "127.0.0.1:"+p.rpc, "affine", "mixed")
	})
	t.Run("rows", func(t *testing.T) {
		python(t, filepath.Join("..", "local", "clients", "rows.py"), "http://127.0.0.1:"+p.web, "affine", "mixed")
	})
	t.Run("invocations", func(t *testing.T) {
		python(t, filepath.Join("clients", "invocations.py"), "http://127.0.0.1:"+p.web, "affine", "mixed")
	})
	p.stop(t)
}

func TestTheCommandLine(t *testing.T) {
	program := build(t, "functions/endpoint")
	for _, args := range [][]string{{"train"}, {"serve", "now"}} {
		out, err := exec.Command(program, args...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "neither serve nor health") {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
	}
	cmd := exec.Command(program)
	cmd.Env = []string{"TIDEGATE_MODEL_DIR=" + t.TempDir()}
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "model.onnx") {
		t.Errorf("an empty folder: %v\n%s", err, out)
	}
}

package local

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidegate/tidegate/tests/local/stack"
)

// testdata is a file or folder of the repository's packages.
func testdata(parts ...string) string {
	return filepath.Join(append([]string{stack.Root(), "shared"}, parts...)...)
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// serveModel makes version 1 of a model of shared/inference/onnx/testdata the champion of a model of the test's own, and returns its name.
func serveModel(t *testing.T, file, task string) string {
	t.Helper()
	name := stack.Name(t.Name() + "-" + file)
	if _, err := local.Serve(t.Context(), name, task, read(t, testdata("inference", "onnx", "testdata", file+".onnx"))); err != nil {
		t.Fatal(err)
	}
	return name
}

// environment is this process's, with the local AWS in place of any other.
func environment() []string {
	var env []string
	for _, pair := range os.Environ() {
		if !strings.HasPrefix(pair, "AWS_") && !strings.HasPrefix(pair, "TIDEGATE_") {
			env = append(env, pair)
		}
	}
	return append(env, "AWS_ENDPOINT_URL="+local.AWS, "AWS_REGION="+local.Region, "AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test",
		"AWS_CONFIG_FILE="+os.DevNull, "AWS_SHARED_CREDENTIALS_FILE="+os.DevNull, "AWS_EC2_METADATA_DISABLED=true", "TIDEGATE_STACK="+local.Name)
}

// commandLine builds cmd/tidegate, once for all tests.
var commandLine = sync.OnceValues(func() (string, error) {
	path := filepath.Join(stack.Root(), ".local", "bin", "tidegate-under-test")
	build := exec.Command("go", "build", "-o", path, "./cmd/tidegate")
	build.Dir = stack.Root()
	if out, err := build.CombinedOutput(); err != nil {
		return "", errors.New("go build ./cmd/tidegate: " + string(out))
	}
	return path, nil
})

// command prepares a run of the command line on the local stack.
func command(ctx context.Context, t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	path, err := commandLine()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env, cmd.Dir = environment(), t.TempDir()
	return cmd
}

// outcome is what a run of the command line left.
type outcome struct {
	code        int
	out, errors string
}

func tidegate(t *testing.T, args ...string) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := command(ctx, t, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return outcome{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// python runs a script of clients/ with the public clients installed (scripts/install-tools clients).
func python(t *testing.T, script string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	interpreter := filepath.Join(stack.Root(), ".local", "venv-clients", "bin", "python")
	if _, err := os.Stat(interpreter); err != nil {
		t.Fatal("the clients are not installed: scripts/install-tools clients")
	}
	cmd := exec.CommandContext(ctx, interpreter, append([]string{"-I", filepath.Join("clients", script)}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", script, err, out)
	}
}

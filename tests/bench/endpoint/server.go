package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// server is a running endpoint.
type server struct {
	cmd      *exec.Cmd
	log      *os.File
	web, rpc string
	dir      string // of a peer, removed at its end
}

// startServer runs program with models from dir; env is added to its environment.
func startServer(ctx context.Context, program, library, dir string, env ...string) (*server, error) {
	s := &server{}
	var err error
	if s.web, err = freePort(); err != nil {
		return nil, err
	}
	if s.rpc, err = freePort(); err != nil {
		return nil, err
	}
	s.cmd = exec.CommandContext(ctx, program, "serve") // #nosec G204
	s.cmd.Env = append([]string{"TIDEGATE_HOST=127.0.0.1", "TIDEGATE_PORT=" + s.web, "TIDEGATE_GRPC_PORT=" + s.rpc, "TIDEGATE_MODEL_DIR=" + dir,
		"TIDEGATE_ONNXRUNTIME_LIB=" + library, "TIDEGATE_REQUEST_LINES=false"}, env...)
	for _, name := range []string{"TIDEGATE_PROVIDER", "LD_LIBRARY_PATH"} { // for a run on a GPU
		if value, set := os.LookupEnv(name); set {
			s.cmd.Env = append(s.cmd.Env, name+"="+value)
		}
	}
	return s, s.begin("/ping")
}

// begin starts the program and waits until path answers 200.
func (s *server) begin(path string) (err error) {
	if s.log, err = os.CreateTemp("", "endpoint-*.log"); err != nil {
		return err
	}
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	if err := s.cmd.Start(); err != nil {
		return err
	}
	for deadline := time.Now().Add(2 * time.Minute); !answers("http://127.0.0.1:" + s.web + path); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			text, _ := os.ReadFile(s.log.Name())
			return fmt.Errorf("not ready after two minutes:\n%s", text)
		}
	}
	return nil
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port), nil
}

// stop ends the server as its host does.
func (s *server) stop() error {
	defer os.Remove(s.log.Name())
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	if err := s.cmd.Wait(); err != nil {
		text, _ := os.ReadFile(s.log.Name())
		return fmt.Errorf("endpoint: %w\n%s", err, text)
	}
	return nil
}

// end tells a peer to end, so that it ends its workers, some of which lead groups of
// their own, and kills what is left after a while.
func (s *server) end() {
	if s.cmd.Process != nil {
		_ = s.cmd.Process.Signal(syscall.SIGTERM)
		late := time.AfterFunc(10*time.Second, func() { _ = killGroup(s.cmd) })
		_ = s.cmd.Wait() // of a program told to end
		late.Stop()
		_ = killGroup(s.cmd)
	}
	if s.log != nil {
		_ = os.Remove(s.log.Name())
	}
	_ = os.RemoveAll(s.dir)
}

// ownGroup gives the processes that cmd starts a group of their own.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

func killGroup(cmd *exec.Cmd) error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }

// rss is the server's resident memory in bytes.
func (s *server) rss() (int64, error) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(s.cmd.Process.Pid), "statm")) // #nosec G304
	fields := strings.Fields(string(text))
	if err != nil || len(fields) < 2 {
		return 0, fmt.Errorf("endpoint: memory: %w", err)
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize()), err
}

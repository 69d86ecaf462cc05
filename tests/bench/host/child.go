package host

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// grace is the time between SIGTERM and SIGKILL. Lambda gives 2 s at most.
const grace = 2 * time.Second

// tailBytes of output are kept for messages.
const tailBytes = 4 << 10

// Command says what to run as a function.
type Command struct {
	Name    string   // function name
	Path    string   // the bootstrap or the interpreter
	Args    []string // of the interpreter
	Handler string   // _HANDLER; "bootstrap" when empty
	Dir     string   // LAMBDA_TASK_ROOT and the working directory; that of Path when empty
	Env     []string // NAME=value, added to the environment that Lambda sets
	Memory  int      // MB, as the environment says; it is not enforced. 1769 when zero
}

// child is the process of one function. Only processes started here are ever signalled.
type child struct {
	cmd     *exec.Cmd
	started time.Time
	exited  chan struct{}
	out     *tail

	mu       sync.Mutex
	stopping bool
}

func start(c Command, api string, onExit func(error)) (*child, error) {
	dir := c.Dir
	if dir == "" {
		dir = filepath.Dir(c.Path)
	}
	p := &child{cmd: exec.Command(c.Path, c.Args...), exited: make(chan struct{}), out: &tail{}}
	p.cmd.Dir = dir
	p.cmd.Env = environment(c, dir, api)
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	// The child dies with this process, whatever ends it.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	p.started = time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("bench host: start %s: %w", c.Name, err)
	}
	go func() {
		err := p.cmd.Wait()
		close(p.exited)
		p.mu.Lock()
		stopping := p.stopping
		p.mu.Unlock()
		if !stopping {
			text, _ := p.out.read()
			onExit(fmt.Errorf("the process ended by itself (%w): %s", errors.Join(err, io.EOF), text))
		}
	}()
	return p, nil
}

// environment is what Lambda sets for a function of a custom runtime ("Defined runtime environment
// variables" in its developer guide), and nothing of this process but PATH.
func environment(c Command, dir, api string) []string {
	memory, handler := c.Memory, c.Handler
	if memory == 0 {
		memory = 1769 // one full processor
	}
	if handler == "" {
		handler = "bootstrap"
	}
	env := []string{
		"PATH=" + os.Getenv("PATH"), "LANG=en_US.UTF-8", "TZ=:UTC", "HOME=" + dir,
		"AWS_LAMBDA_RUNTIME_API=" + api,
		"_HANDLER=" + handler,
		"LAMBDA_TASK_ROOT=" + dir, "LAMBDA_RUNTIME_DIR=" + dir,
		"AWS_LAMBDA_FUNCTION_NAME=" + c.Name, "AWS_LAMBDA_FUNCTION_VERSION=$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE=" + strconv.Itoa(memory),
		"AWS_LAMBDA_INITIALIZATION_TYPE=on-demand",
		"AWS_LAMBDA_LOG_GROUP_NAME=/aws/lambda/" + c.Name, "AWS_LAMBDA_LOG_STREAM_NAME=bench",
		"AWS_REGION=eu-central-1", "AWS_DEFAULT_REGION=eu-central-1",
		"AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test", "AWS_SESSION_TOKEN=test",
	}
	return append(env, c.Env...)
}

// stop ends the child and waits for it.
func (p *child) stop() error {
	p.mu.Lock()
	p.stopping = true
	p.mu.Unlock()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("bench host: SIGTERM: %w", err)
	}
	select {
	case <-p.exited:
		return nil
	case <-time.After(grace):
	}
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("bench host: SIGKILL: %w", err)
	}
	<-p.exited
	return nil
}

func (p *child) output() (string, int64) { return p.out.read() }

// rss reads the resident pages from /proc/<pid>/statm (proc(5)): its second field.
func (p *child) rss() (int64, error) {
	fields, err := p.proc("statm")
	if err != nil {
		return 0, err
	}
	if len(fields) < 2 {
		return 0, fmt.Errorf("bench host: statm has %d fields", len(fields))
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize()), err
}

// cpu reads utime and stime from /proc/<pid>/stat, in ticks of 10 ms (proc(5); USER_HZ is 100).
func (p *child) cpu() (time.Duration, error) {
	fields, err := p.proc("stat")
	if err != nil {
		return 0, err
	}
	if len(fields) < 15 {
		return 0, fmt.Errorf("bench host: stat has %d fields", len(fields))
	}
	var ticks int64
	for _, f := range fields[13:15] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("bench host: stat: %w", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}

func (p *child) proc(name string) ([]string, error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(p.cmd.Process.Pid) + "/" + name)
	if err != nil {
		return nil, fmt.Errorf("bench host: %w", err)
	}
	return strings.Fields(string(text)), nil
}

// tail keeps the end of what is written to it and counts lines.
type tail struct {
	mu    sync.Mutex
	kept  []byte
	lines int64
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines += int64(bytes.Count(b, []byte{'\n'}))
	t.kept = append(t.kept, b...)
	if over := len(t.kept) - tailBytes; over > 0 {
		t.kept = append(t.kept[:0], t.kept[over:]...)
	}
	return len(b), nil
}

func (t *tail) read() (string, int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.kept), t.lines
}

package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/tidegate/tidegate/tests/local/stack"
)

// endpointProgram builds functions/endpoint, once for all tests.
var endpointProgram = sync.OnceValues(func() (string, error) {
	path := filepath.Join(stack.Root(), ".local", "bin", "endpoint-under-test")
	build := exec.Command("go", "build", "-o", path, "./functions/endpoint")
	build.Dir = stack.Root()
	if out, err := build.CombinedOutput(); err != nil {
		return "", errors.New("go build ./functions/endpoint: " + string(out))
	}
	return path, nil
})

// endpoint is functions/endpoint as a process beside the stack, over the stack's registry.
type endpoint struct {
	port  string
	model string
	cmd   *exec.Cmd
}

func (e *endpoint) start(t *testing.T) {
	t.Helper()
	program, err := endpointProgram()
	if err != nil {
		t.Fatal(err)
	}
	if e.port == "" {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		e.port = strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
		_ = l.Close()
	}
	e.cmd = exec.Command(program, "serve")
	e.cmd.Env = append(environment(), "TIDEGATE_HOST=127.0.0.1", "TIDEGATE_PORT="+e.port, "TIDEGATE_GRPC_PORT=-1", "TIDEGATE_REQUEST_LINES=false",
		"TIDEGATE_REGISTRY_BUCKET="+local.Outputs["RegistryBucketName"], "TIDEGATE_PRELOAD_MODELS="+e.model,
		"TIDEGATE_ONNXRUNTIME_LIB="+filepath.Join(stack.Root(), ".local", "onnxruntime", "lib", "libonnxruntime.so"))
	var log strings.Builder
	e.cmd.Stdout, e.cmd.Stderr = &log, &log
	if err := e.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(60 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		resp, err := http.Get("http://127.0.0.1:" + e.port + "/ping")
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == 200 {
				return
			}
		}
		if time.Now().After(end) {
			e.end(syscall.SIGKILL)
			t.Fatalf("the endpoint is not ready: %v\n%s", err, log.String())
		}
	}
}

// end sends a signal and waits for the process.
func (e *endpoint) end(signal syscall.Signal) {
	if e.cmd != nil {
		_ = e.cmd.Process.Signal(signal)
		_ = e.cmd.Wait()
		e.cmd = nil
	}
}

// TestAModelIsSwitchedToAnEndpoint by its settings alone: rows go to a process of functions/endpoint, which is killed under traffic and started again. No
// request fails, each is captured once with who served it, and the way back is a setting too.
func TestAModelIsSwitchedToAnEndpoint(t *testing.T) {
	model := serveModel(t, "affine", "regression")
	e := &endpoint{model: model}
	e.start(t)
	defer func() { e.end(syscall.SIGKILL) }()
	path := "/v2/models/" + model + "/infer"
	var sent, failed atomic.Int64
	ask := func(x int) (by string) {
		res, body, err := local.Call(t.Context(), http.MethodPost, path, nil, fmt.Appendf(nil, `{"inputs":[{"name":"x","shape":[1,3],"datatype":"FP32","data":[%d,2,3]}]}`, x))
		sent.Add(1)
		if err != nil || res.StatusCode != 200 || !strings.Contains(string(body), fmt.Sprintf(`"data":[%g,`, float64(x)+21.5)) {
			failed.Add(1)
			t.Errorf("%v, %v: %s", err, res, body)
			return ""
		}
		return res.Header.Get("Tidegate-Served-By")
	}
	until := func(by string) {
		t.Helper()
		for end := time.Now().Add(60 * time.Second); ask(1) != by; time.Sleep(200 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("not served by %s within a minute", by)
			}
		}
	}
	until("lambda")
	event, err := json.Marshal(map[string]any{"model": model, "kind": "configure", "transition_id": ulid.Make().String(), "seen_generation": 0, "actor": "test",
		"settings": json.RawMessage(`{"backend":{"kind":"url","url":"http://models.example.com"}}`)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := local.Invoke(t.Context(), "promote", event); err == nil || !strings.Contains(err.Error(), "backend.url") {
		t.Errorf("plain HTTP to a host of the internet: %v", err)
	}
	configure(t, model, `{"backend":{"kind":"url","url":"http://127.0.0.1:`+e.port+`","timeout_ms":2000,"breaker":{"failures":3,"open_for_ms":500}}}`)
	until("endpoint")

	var stop atomic.Bool
	var callers sync.WaitGroup
	var lambda, remote atomic.Int64
	for c := range 3 {
		callers.Go(func() {
			for i := 0; !stop.Load(); i++ {
				switch ask(c*1000 + i%1000) {
				case "lambda":
					lambda.Add(1)
				case "endpoint":
					remote.Add(1)
				}
			}
		})
	}
	time.Sleep(time.Second)
	before := remote.Load()
	e.end(syscall.SIGKILL)
	time.Sleep(3 * time.Second)
	e.start(t)
	after := remote.Load()
	for end := time.Now().Add(30 * time.Second); remote.Load() < after+20 && time.Now().Before(end); {
		time.Sleep(100 * time.Millisecond)
	}
	stop.Store(true)
	callers.Wait()
	if before == 0 || lambda.Load() == 0 || remote.Load() < after+20 {
		t.Errorf("the endpoint answered %d before it was killed and %d after it came back, the Lambda %d meanwhile", before, remote.Load()-after, lambda.Load())
	}
	t.Logf("%d requests, %d failed; %d by the endpoint, %d by the Lambda", sent.Load(), failed.Load(), remote.Load(), lambda.Load())

	configure(t, model, `{}`)
	until("lambda")
	by := map[string]int{}
	for _, records := range waitForCaptures(t, model, int(sent.Load())) {
		for _, r := range records {
			by[r.ServedBy]++
		}
	}
	if by["lambda"]+by["endpoint"] != int(sent.Load()) || by["endpoint"] < int(remote.Load()) {
		t.Errorf("captured by who served: %v of %d", by, sent.Load())
	}
}

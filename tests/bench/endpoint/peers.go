package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/tidegate/tidegate/tests/bench/figures"
	"github.com/tidegate/tidegate/tests/bench/workload"
)

// peerCallers is how many one-row callers each peer gets, and ours in turn with it.
const peerCallers = 16

// peer is another server with the flights model. Each runs as its documentation
// starts it, with access logs off.
type peer struct {
	name     string
	packages []string
	path     string // of a prediction
	ready    string // answers 200 when there is a model
	byName   bool   // tensors travel by their names
	// command is what is run in the virtual environment bin, with peers/ on its path, for the model in a scratch folder.
	command func(bin, dir, port string) (args []string, err error)
}

var peers = []peer{
	{name: "fastapi", packages: []string{"fastapi", "uvicorn", "uvloop"}, path: "/infer", ready: "/ready", command: func(bin, _, port string) ([]string, error) {
		return []string{filepath.Join(bin, "uvicorn"), "fastapi_app:app", "--port", port, "--no-access-log"}, nil
	}},
	{name: "bentoml", packages: []string{"bentoml"}, path: "/infer", ready: "/readyz", command: func(bin, _, port string) ([]string, error) {
		return []string{filepath.Join(bin, "bentoml"), "serve", "bentoml_service:Flights", "--port", port}, nil
	}},
	{name: "mlflow", packages: []string{"mlflow"}, path: "/invocations", ready: "/ping", byName: true, command: func(bin, dir, port string) ([]string, error) {
		model := filepath.Join(dir, "mlflow")
		if out, err := exec.Command(filepath.Join(bin, "python"), "tests/bench/endpoint/peers/mlflow_model.py", filepath.Join(dir, "flights.onnx"), model).CombinedOutput(); err != nil { // #nosec G204
			return nil, fmt.Errorf("mlflow's model: %w\n%s", err, out)
		}
		return []string{filepath.Join(bin, "mlflow"), "models", "serve", "--model-uri", model, "--env-manager", "local", "--port", port}, nil
	}},
	{name: "mlserver", packages: []string{"mlserver"}, path: "/v2/models/flights/infer", ready: "/v2/models/flights/ready", command: func(bin, dir, port string) ([]string, error) {
		var ports [2]string
		var err error
		for i := range ports {
			var failed error
			ports[i], failed = freePort()
			err = errors.Join(err, failed)
		}
		settings := fmt.Sprintf(`{"host":"127.0.0.1","http_port":%s,"grpc_port":%s,"metrics_port":%s,"metrics_dir":%q,"environments_dir":%q,"debug":false}`, port, ports[0], ports[1], dir, dir)
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, "settings.json"), []byte(settings), 0o600))
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, "model-settings.json"), []byte(`{"name":"flights","implementation":"mlserver_runtime.Flights"}`), 0o600))
		return []string{filepath.Join(bin, "mlserver"), "start", dir}, err
	}},
}

// comparePeers runs each of the named peers in turn with ours, round by round.
func comparePeers(ctx context.Context, o options, names []string) error {
	flights, err := workload.Load(o.models, "flights", 1)
	if err != nil {
		return err
	}
	dir, err := modelFolder(map[string][]byte{flights.Name: flights.ONNX})
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	own, err := startServer(ctx, o.program, o.library, dir)
	if err != nil {
		return err
	}
	found := &peerReport{At: time.Now().UTC(), Machine: figures.ThisMachine(), Rounds: o.rounds, Versions: map[string]map[string]string{"tidegate": figures.Versions("")},
		Loads: map[string]load{}, rounds: map[string][]load{}}
	for _, p := range peers {
		for _, name := range names {
			if name == p.name {
				err = errors.Join(err, found.against(ctx, o, own, p, flights))
			}
		}
	}
	return errors.Join(found.write(o.out), err, own.stop()) // what was found stays, though one of them fails
}

// against takes the figures of one peer, each beside ours of the seconds before.
func (r *peerReport) against(ctx context.Context, o options, own *server, p peer, flights *workload.Model) error {
	say("starting %s", p.name)
	s, err := startPeer(ctx, o, p, flights)
	if err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	defer s.end()
	r.Versions[p.name] = figures.Versions(filepath.Join(o.venv(p), "python"), append([]string{"onnxruntime", "numpy"}, p.packages...)...)
	asked := repeat(flights, 1)
	ours := func(int) (caller, error) { return flightsCaller(own, "json", asked) }
	theirs := func(int) (caller, error) { return peerCaller(s, p, asked, flights.Expected) }
	for range o.rounds {
		for name, make := range map[string]func(int) (caller, error){"tidegate beside " + p.name: ours, p.name: theirs} {
			l, err := drive(peerCallers, o.during, make)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			r.rounds[name] = append(r.rounds[name], l)
		}
	}
	return nil
}

func (o options) venv(p peer) string { return filepath.Join(o.venvs, "venv-peer-"+p.name, "bin") }

func startPeer(ctx context.Context, o options, p peer, flights *workload.Model) (*server, error) {
	dir, err := os.MkdirTemp("", "peer-*")
	if err != nil {
		return nil, err
	}
	s := &server{dir: dir}
	if err := os.WriteFile(filepath.Join(dir, "flights.onnx"), flights.ONNX, 0o600); err != nil {
		return nil, err
	}
	if s.web, err = freePort(); err != nil {
		return nil, err
	}
	bin, err := filepath.Abs(o.venv(p))
	if err != nil {
		return nil, err
	}
	args, err := p.command(bin, dir, s.web)
	if err != nil {
		return nil, err
	}
	scripts, err := filepath.Abs("tests/bench/endpoint/peers")
	if err != nil {
		return nil, err
	}
	s.cmd = exec.CommandContext(ctx, args[0], args[1:]...) // #nosec G204
	s.cmd.Dir = scripts
	s.cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "PYTHONPATH="+scripts, "PYTHONDONTWRITEBYTECODE=1", "MODEL_PATH="+filepath.Join(dir, "flights.onnx"))
	ownGroup(s.cmd) // they have processes of their own
	if err := s.begin(p.ready); err != nil {
		s.end()
		return nil, err
	}
	return s, nil
}

// peerCaller asks a peer for the row and wants what ONNX Runtime in Python says of
// it the first time, and the same answer each time.
func peerCaller(s *server, p peer, r rows, want workload.Expected) (caller, error) {
	var first []byte
	body := append([]byte(`{"id":"1",`), r.json()[1:]...) // MLServer gives an answer a random id if it has none
	if p.byName {
		body = r.byName()
	}
	return newWebCaller(s.web, p.path, map[string]string{"Content-Type": "application/json"}, body, func(body []byte) error {
		if first == nil {
			if err := holds(body, want); err != nil {
				return err
			}
			first = bytes.Clone(body)
		}
		if !bytes.Equal(first, body) {
			return fmt.Errorf("the answer changed: %.200q", body)
		}
		return nil
	})
}

// holds says whether an answer, whatever its form, has the probabilities.
func holds(body []byte, want workload.Expected) error {
	var doc any
	if err := json.Unmarshal(body, &doc); err != nil {
		return fmt.Errorf("answer %.200q: %w", body, err)
	}
	var numbers []float64
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case float64:
			numbers = append(numbers, v)
		case []any:
			for _, e := range v {
				walk(e)
			}
		case map[string]any:
			for _, e := range v {
				walk(e)
			}
		}
	}
	walk(doc)
	for _, p := range want.Probabilities {
		there := false
		for _, n := range numbers {
			there = there || math.Abs(n-float64(p)) < 1e-6
		}
		if !there {
			return fmt.Errorf("the answer %.300q has no %v", body, p)
		}
	}
	return nil
}

// byName is the request as MLflow's "inputs": tensors by name, as nested lists.
func (r rows) byName() []byte {
	b := []byte(`{"inputs":{`)
	for i := range r.columns {
		c := &r.columns[i]
		b = append(strconv.AppendQuote(b, c.Name), ":["...)
		for k := range r.n * c.Width {
			if k%c.Width == 0 {
				b = append(b, '[')
			}
			if len(c.Strings) > 0 {
				b = strconv.AppendQuote(b, c.Strings[k])
			} else {
				b = append(b, decimal(c.Floats[k])...)
			}
			if b = append(b, ','); k%c.Width == c.Width-1 {
				b[len(b)-1] = ']'
				b = append(b, ',')
			}
		}
		b[len(b)-1] = ']'
		b = append(b, ',')
	}
	return append(b[:len(b)-1], "}}"...)
}

// decimal writes a float so that it reads back as one: NumPy makes whole numbers int64.
func decimal(f float32) string {
	text := strconv.FormatFloat(float64(f), 'f', -1, 32)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}

func say(format string, args ...any) { fmt.Fprintf(os.Stderr, "bench: "+format+"\n", args...) }

// answers says whether a URL answers 200.
func answers(url string) bool {
	resp, err := http.Get(url) // #nosec G107 -- of this machine
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/rollout"
	"github.com/tidegate/tidegate/tests/demo/flights"
	"github.com/tidegate/tidegate/tests/demo/traffic"
)

// Endpoint is what the chapter of the container endpoint has shown.
type Endpoint struct {
	Parity struct {
		Rows       int     `json:"rows"`
		MaxAbsDiff float64 `json:"max_abs_diff"`
	} `json:"parity"` // of the whole April set, on the endpoint and in the function
	ServedBy string         `json:"served_by"` // once the settings name it
	Requests int            `json:"requests"`  // while it is killed and started again
	Failed   int            `json:"failed"`
	Rows     map[string]int `json:"rows_by_server"`
	SlowMS   float64        `json:"slowest_ms"`
	Back     string         `json:"served_by_in_the_end"`
}

// programs are those that the chapter starts; without them it is left out.
type programs struct {
	endpoint, tidegate, library string
}

// switchToEndpoint starts the container endpoint beside the stack, holds its answers
// against the function's, sends the model there, and kills it under traffic.
func (d *demo) switchToEndpoint(ctx context.Context, reg *registry.Registry, all []flights.Flight, facts *Facts) (err error) {
	if d.programs.endpoint == "" {
		return nil
	}
	d.chapter("The same model on a container endpoint, which dies")
	s, err := d.startEndpoint(ctx)
	if err != nil {
		return err
	}
	defer func() { s.kill() }()
	e := &Endpoint{Rows: map[string]int{}}
	facts.Endpoint = e
	april := flights.Departed(flights.Of(all, 4))
	if err := d.sameAnswers(ctx, april, s.url(), e); err != nil {
		return err
	}
	before, err := d.settings(ctx, reg)
	if err != nil {
		return err
	}
	there := before
	if there.Backend, err = json.Marshal(map[string]any{"kind": "url", "url": s.url(), "timeout_ms": 1500, "breaker": map[string]any{"failures": 3, "open_for_ms": 500}}); err != nil {
		return err
	}
	if err := d.configure(ctx, there, "to the endpoint"); err != nil {
		return err
	}
	defer func() { // the model is left as it was found
		err = errors.Join(err, d.configure(context.WithoutCancel(ctx), before, "back to the function"))
	}()
	if e.ServedBy, err = d.servedBy(ctx, april, "endpoint"); err != nil {
		return err
	}
	d.say("One setting later, with nothing deployed, answers say served_by: %s.", e.ServedBy)
	if err := d.killUnderTraffic(ctx, april, s, e); err != nil {
		return err
	}
	if e.Back, err = d.servedBy(ctx, april, "endpoint"); err != nil {
		return err
	}
	d.say("It was killed and started again meanwhile: %d requests, %d failed; %d were answered there and %d by the function, the slowest in %.0f ms. In the end: served_by %s.",
		e.Requests, e.Failed, e.Rows["endpoint"], e.Rows["lambda"], e.SlowMS, e.Back)
	if e.Failed > 0 || e.Rows["lambda"] == 0 || e.Rows["endpoint"] == 0 {
		return fmt.Errorf("the endpoint's death was felt, or never seen: %+v", *e)
	}
	return nil
}

// sameAnswers asks both for the whole of April.
func (d *demo) sameAnswers(ctx context.Context, april []flights.Flight, url string, e *Endpoint) error {
	rows, err := flights.Batch(april)
	if err != nil {
		return err
	}
	file := filepath.Join(filepath.Dir(d.facts), "demo-april.csv")
	if err := os.WriteFile(file, rows, 0o600); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, d.programs.tidegate, "backend", "check", modelName, "--backend", url, "--rows", file, "--against", "function", "--json") // #nosec G204
	out, err := cmd.Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) && len(failed.Stderr) > 0 {
		return fmt.Errorf("backend check: %s", failed.Stderr)
	}
	var found struct {
		Equal      bool    `json:"equal"`
		Rows       int     `json:"rows"`
		MaxAbsDiff float64 `json:"max_abs_diff"`
		Differs    string  `json:"differs"`
	}
	if unread := json.Unmarshal(out, &found); unread != nil {
		return fmt.Errorf("backend check: %w", errors.Join(err, unread))
	}
	e.Parity.Rows, e.Parity.MaxAbsDiff = found.Rows, found.MaxAbsDiff
	if !found.Equal || found.Rows != len(april) {
		return fmt.Errorf("the endpoint answers otherwise than the function: %s (%d rows of %d)", found.Differs, found.Rows, len(april))
	}
	d.say("tidegate backend check: all %d flights of April, asked there and in the function, differ by %.1g at most.", found.Rows, found.MaxAbsDiff)
	return nil
}

// settings are those in force.
func (d *demo) settings(ctx context.Context, reg *registry.Registry) (registry.Settings, error) {
	state, _, err := reg.State(ctx, modelName)
	if err != nil || state.SettingsDigest == "" {
		return registry.Settings{}, err
	}
	return reg.Settings(ctx, modelName, state.SettingsDigest)
}

func (d *demo) configure(ctx context.Context, s registry.Settings, why string) error {
	body, err := json.Marshal(s)
	if err != nil {
		return err
	}
	in := rollout.PromoteIn{Model: modelName, Kind: registry.KindConfigure, TransitionID: d.NewID(), Actor: actor, Reason: why, Settings: body}
	var out rollout.PromoteOut
	return d.Invoke(ctx, d.PromoteFunctionName, in, &out)
}

// servedBy asks until an answer comes from where it should; functions look at the
// settings again every few seconds.
func (d *demo) servedBy(ctx context.Context, april []flights.Flight, want string) (string, error) {
	client, err := d.client(ctx)
	if err != nil {
		return "", err
	}
	one := traffic.Sender{Client: client, Model: modelName, Flights: april, Concurrency: 1}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		sent := one.Send(ctx, []traffic.Request{{Form: traffic.Binary, First: 0, Rows: 1}}, func(traffic.Sent) {})
		if err := failures(sent); err != nil {
			return "", err
		}
		if sent[0].ServedBy == want {
			return want, nil
		}
		if time.Now().After(end) {
			return "", fmt.Errorf("after 20 s answers are still served by %q, not %q", sent[0].ServedBy, want)
		}
	}
}

// killUnderTraffic sends single flights in rounds; the endpoint dies in the second and
// is back in the fourth.
func (d *demo) killUnderTraffic(ctx context.Context, april []flights.Flight, s *beside, e *Endpoint) error {
	client, err := d.client(ctx)
	if err != nil {
		return err
	}
	sender := traffic.Sender{Client: client, Model: modelName, Flights: april, Concurrency: d.concurrency}
	const requests = 160
	var plan []traffic.Request
	for i := range requests {
		plan = append(plan, traffic.Request{Form: traffic.Forms()[i%3], First: i, Rows: 1})
	}
	var done atomic.Int64
	var started error
	events := make(chan struct{})
	go func() {
		defer close(events)
		reached := func(n int64) {
			for done.Load() < n && ctx.Err() == nil {
				time.Sleep(time.Millisecond)
			}
		}
		reached(requests / 4)
		s.kill()
		reached(requests / 2)
		started = s.start(ctx)
	}()
	sent := sender.Send(ctx, plan, func(traffic.Sent) { done.Add(1) })
	<-events
	for _, one := range sent {
		e.Requests++
		e.SlowMS = max(e.SlowMS, float64(one.Latency.Microseconds())/1000)
		if one.Err != nil {
			e.Failed++
			continue
		}
		e.Rows[one.ServedBy] += one.Rows
	}
	return errors.Join(started, failures(sent))
}

// beside is the endpoint as a process beside the stack.
type beside struct {
	d    *demo
	port string
	cmd  *exec.Cmd
}

func (s *beside) url() string { return "http://127.0.0.1:" + s.port }

func (d *demo) startEndpoint(ctx context.Context) (*beside, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &beside{d: d, port: strconv.Itoa(l.Addr().(*net.TCPAddr).Port)}
	if err := l.Close(); err != nil {
		return nil, err
	}
	return s, s.start(ctx)
}

// start runs the program over the stack's registry until it is ready.
func (s *beside) start(ctx context.Context) error {
	log, err := os.Create(filepath.Join(filepath.Dir(s.d.facts), "demo-endpoint.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	s.cmd = exec.Command(s.d.programs.endpoint, "serve") // #nosec G204
	s.cmd.Env = append(os.Environ(), "TIDEGATE_HOST=127.0.0.1", "TIDEGATE_PORT="+s.port, "TIDEGATE_GRPC_PORT=-1", "TIDEGATE_REQUEST_LINES=false",
		"TIDEGATE_REGISTRY_BUCKET="+s.d.RegistryBucketName, "TIDEGATE_PRELOAD_MODELS="+modelName, "TIDEGATE_ONNXRUNTIME_LIB="+s.d.programs.library)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := s.cmd.Start(); err != nil {
		return err
	}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if resp, err := http.Get(s.url() + "/ping"); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		if ctx.Err() != nil || time.Now().After(end) {
			return fmt.Errorf("the endpoint is not ready; see %s", log.Name())
		}
	}
}

// kill ends it as a host that dies would.
func (s *beside) kill() {
	if s.cmd != nil && s.cmd.Process != nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait() // it was killed
		s.cmd = nil
	}
}

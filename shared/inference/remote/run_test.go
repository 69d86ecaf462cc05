package remote_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/inference"
	"github.com/tidegate/tidegate/shared/inference/inferencetest"
	"github.com/tidegate/tidegate/shared/inference/remote"
)

// status answers with a status and counts.
func status(code int, header ...string) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		_, _ = io.Copy(io.Discard, r.Body)
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
	}
}

// TestTriesMore: what says that nothing ran is asked again, within bounds.
func TestTriesMore(t *testing.T) {
	for name, tt := range map[string]struct {
		front   func(http.ResponseWriter, *http.Request, http.Handler)
		retries int
		patient bool
		asked   int64
		reason  remote.Reason
	}{
		"busy":                 {status(429), 2, false, 3, remote.Throttled},
		"not ready":            {status(503), 1, false, 2, remote.NoCapacity},
		"told not to":          {status(503), 0, false, 1, remote.NoCapacity},
		"it asks for a pause":  {status(429, "Retry-After", "1"), 3, false, 1, remote.Throttled},
		"longer than there is": {status(429, "Retry-After", "600"), 3, true, 1, remote.Throttled},
		"a bug":                {status(500), 3, true, 1, remote.Failed},
		"a proxy":              {status(502), 3, true, 1, remote.Failed},
		"too large":            {status(413), 3, true, 1, remote.NoCapacity},
		"refused":              {status(400), 3, true, 1, ""},
	} {
		c := serveContainer(t)
		c.behave(tt.front)
		counts := new(inferencetest.Counts)
		client := remote.New(remote.Options{Count: counts.Add}).Client(c.backend(func(b *inference.Backend) { b.Retries = tt.retries }), c.bound(t, 1))
		_, err := client.Infer(within(t, 2*time.Second), remote.Call{Inputs: rows(1), Patient: tt.patient})
		if reasonOf(err) != tt.reason || err == nil || c.asked.Load() != tt.asked || counts.Of(remote.BackendRetries) != tt.asked-1 {
			t.Errorf("%s: %v, asked %d times, counted %v", name, err, c.asked.Load(), counts.All())
		}
	}
	// One that recovers.
	c := serveContainer(t)
	c.behave(func(w http.ResponseWriter, r *http.Request, through http.Handler) {
		if c.asked.Load() == 1 {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(429)
			return
		}
		through.ServeHTTP(w, r)
	})
	a, err := remote.New(remote.Options{}).Client(c.backend(nil), c.bound(t, 1)).Infer(within(t, 10*time.Second), remote.Call{Inputs: rows(1), Patient: true})
	if err != nil || a.Outputs[0].FP32s[0] != 7 || c.asked.Load() != 2 {
		t.Errorf("%v, asked %d times", err, c.asked.Load())
	}
}

// TestNobodyListens: a connection that is refused is tried again, and fails at once.
func TestNobodyListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	c, counts := serveContainer(t), new(inferencetest.Counts)
	client := remote.New(remote.Options{Count: counts.Add}).Client(c.backend(func(b *inference.Backend) { b.URL = "http://" + l.Addr().String() }), c.bound(t, 1))
	_, err = client.Infer(within(t, 5*time.Second), remote.Call{Inputs: rows(1)})
	if reasonOf(err) != remote.Unreachable || counts.Of(remote.BackendRetries) != 1 {
		t.Errorf("%v, %v", err, counts.All())
	}
}

// TestKeptConnectionsThatWereClosed: a process that was frozen finds its connections closed by the other side. That is no failure.
func TestKeptConnectionsThatWereClosed(t *testing.T) {
	c, counts := serveContainer(t), new(inferencetest.Counts)
	client := remote.New(remote.Options{Count: counts.Add}).Client(c.backend(func(b *inference.Backend) { b.Retries = 0 }), c.bound(t, 1))
	for i := range 20 {
		a, err := client.Infer(t.Context(), remote.Call{Inputs: rows(1)})
		if err != nil {
			t.Fatalf("call %d: %v", i, err)
		}
		a.Release()
		c.CloseClientConnections()
	}
}

func TestHedges(t *testing.T) {
	c, counts := serveContainer(t), new(inferencetest.Counts)
	var stuck atomic.Bool
	given := make(chan struct{}, 1)
	c.behave(func(w http.ResponseWriter, r *http.Request, through http.Handler) {
		if stuck.CompareAndSwap(true, false) {
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
			given <- struct{}{}
			return
		}
		through.ServeHTTP(w, r)
	})
	client := remote.New(remote.Options{Count: counts.Add}).Client(c.backend(func(b *inference.Backend) { b.Hedge = 30 * time.Millisecond }), c.bound(t, 1))
	stuck.Store(true)
	a, err := client.Infer(within(t, 10*time.Second), remote.Call{Inputs: rows(3)})
	if err != nil || a.Outputs[0].FP32s[0] != 9 || counts.Of(remote.BackendHedges) != 1 {
		t.Fatalf("%v, %v", err, counts.All())
	}
	a.Release()
	<-given // the slower request is given up
	c.behave(status(500))
	if _, err := client.Infer(within(t, 10*time.Second), remote.Call{Inputs: rows(3)}); reasonOf(err) != remote.Failed {
		t.Errorf("%v", err)
	}
	var first atomic.Bool
	c.behave(func(w http.ResponseWriter, r *http.Request, through http.Handler) { // the first fails after the second was sent, which succeeds later
		if first.CompareAndSwap(false, true) {
			time.Sleep(60 * time.Millisecond)
			w.WriteHeader(500)
			return
		}
		time.Sleep(80 * time.Millisecond)
		through.ServeHTTP(w, r)
	})
	if a, err := client.Infer(within(t, 10*time.Second), remote.Call{Inputs: rows(3)}); err != nil || a.Outputs[0].FP32s[0] != 9 {
		t.Errorf("%v", err)
	}
}

// TestFallsBack: whatever the backend does, the run here answers, and it is said why.
func TestFallsBack(t *testing.T) {
	for name, tt := range map[string]struct {
		front  func(http.ResponseWriter, *http.Request, http.Handler)
		reason string
		count  string
	}{
		"throttled": {status(429), "throttle", "BackendLostThrottle"},
		"capacity":  {status(503), "capacity", "BackendLostCapacity"},
		"a bug":     {status(500), "server", "BackendLostServer"},
		"version":   {status(404), "version", "BackendLostVersion"},
		"denied":    {status(403), "denied", "BackendLostDenied"},
		"garbage":   {status(200), "garbage", "BackendLostGarbage"},
		"hung up":   {func(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) }, "connection", "BackendLostConnection"},
		"silence": {func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		}, "deadline", "BackendLostDeadline"},
	} {
		c, counts, local := serveContainer(t), new(inferencetest.Counts), new(here)
		c.behave(tt.front)
		v := remote.New(remote.Options{Count: counts.Add}).Bind(c.backend(func(b *inference.Backend) { b.Share, b.Retries = 0.3, 0 }), c.bound(t, 1))
		started := time.Now()
		out, release, ran, err := v.Run(within(t, time.Second), inference.RemoteCall{Inputs: rows(1), Local: local.run})
		if err != nil || out[0].FP32s[0] != 7 || ran.Fallback != tt.reason || ran.ServedBy != "" || ran.Remote <= 0 || ran.Open || counts.Of(tt.count) != 1 || time.Since(started) > 900*time.Millisecond {
			t.Errorf("%s: %v, %+v, counts %v, in %v", name, err, ran, counts.All(), time.Since(started))
			continue
		}
		release()
		out, _, ran, err = v.Run(within(t, time.Second), inference.RemoteCall{Inputs: rows(1)})
		var f *fault.Error
		if !errors.As(err, &f) || f.Kind != fault.Unavailable || f.RetryAfter < time.Second || out != nil || ran.ServedBy != "endpoint" {
			if !(name == "silence" && fault.Is(err, fault.DeadlineExceeded)) { // without a run here all of the time is the backend's
				t.Errorf("%s, not loaded here: %v, %+v", name, err, ran)
			}
		}
	}
	c, local := serveContainer(t), new(here)
	c.behave(status(400))
	_, _, ran, err := remote.New(remote.Options{}).Bind(c.backend(nil), c.bound(t, 1)).Run(within(t, time.Second), inference.RemoteCall{Inputs: rows(1), Local: local.run})
	if !fault.Is(err, fault.InvalidArgument) || local.runs.Load() != 0 || ran.Fallback != "" {
		t.Errorf("a refusal is run again: %v, %+v", err, ran)
	}
}

// TestTimeoutsAreWhatIsSet: timeout_ms bounds the backend's part below its share, also for models that only run there.
func TestTimeoutsAreWhatIsSet(t *testing.T) {
	c, local := serveContainer(t), new(here)
	c.behave(func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	})
	v := remote.New(remote.Options{}).Bind(c.backend(func(b *inference.Backend) { b.Timeout = 80 * time.Millisecond }), c.bound(t, 1))
	for _, run := range []func(context.Context, inference.RemoteCall) (inference.Ran, error){
		func(ctx context.Context, call inference.RemoteCall) (inference.Ran, error) {
			call.Local = local.run
			_, _, ran, err := v.Run(ctx, call)
			return ran, err
		},
		func(ctx context.Context, call inference.RemoteCall) (inference.Ran, error) {
			_, _, ran, err := v.Run(ctx, call)
			if !fault.Is(err, fault.Unavailable) {
				t.Errorf("%v", err)
			}
			return ran, nil
		},
	} {
		ran, err := run(within(t, 20*time.Second), inference.RemoteCall{Inputs: rows(1)})
		if err != nil || ran.Fallback != "deadline" || ran.Remote < 50*time.Millisecond || ran.Remote > 10*time.Second {
			t.Errorf("%v, %+v", err, ran)
		}
	}
}

// TestACallerThatLeaves says nothing of the backend.
func TestACallerThatLeaves(t *testing.T) {
	c := serveContainer(t)
	c.behave(func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	})
	v := remote.New(remote.Options{}).Bind(c.backend(func(b *inference.Backend) { b.Breaker.Failures = 1 }), c.bound(t, 1))
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, _, _, err := v.Run(ctx, inference.RemoteCall{Inputs: rows(1), Local: new(here).run}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("%v", err)
	}
	c.behave(nil)
	if _, release, ran, err := v.Run(t.Context(), inference.RemoteCall{Inputs: rows(1)}); err != nil || ran.Open {
		t.Errorf("%v, %+v", err, ran)
	} else {
		release()
	}
}

// TestTheBreakerLeavesABackendAlone, and finds it again; the versions of a backend have one each, and equal settings share it.
func TestTheBreakerLeavesABackendAlone(t *testing.T) {
	c, counts, clock, local := serveContainer(t), new(inferencetest.Counts), inferencetest.NewClock(), new(here)
	backends := remote.New(remote.Options{Count: counts.Add, Now: clock.Now})
	set := c.backend(func(b *inference.Backend) { b.Breaker.Failures = 3 })
	run := func(local *here) inference.Ran {
		t.Helper()
		call := inference.RemoteCall{Inputs: rows(1)}
		if local != nil {
			call.Local = local.run
		}
		out, release, ran, err := backends.Bind(set, c.bound(t, 1)).Run(t.Context(), call)
		if local == nil {
			if !fault.Is(err, fault.Unavailable) || fault.Public(err).RetryAfter != 5*time.Second {
				t.Errorf("%v, again after %v", err, fault.Public(err).RetryAfter)
			}
			return ran
		}
		if err != nil || out[0].FP32s[0] != 7 {
			t.Fatal(err)
		}
		release()
		return ran
	}
	c.behave(status(500))
	var reasons []string
	for range 10 {
		reasons = append(reasons, run(local).Fallback)
	}
	if got := strings.Join(reasons, " "); got != "server server server open open open open open open open" || c.asked.Load() != 3 || local.runs.Load() != 10 {
		t.Errorf("%s; asked %d times", got, c.asked.Load())
	}
	if ran := run(nil); !ran.Open || ran.Remote != 0 || ran.ServedBy != "endpoint" {
		t.Errorf("%+v", ran)
	}
	if _, release, ran, err := backends.Bind(c.backend(func(b *inference.Backend) { b.Breaker.Failures = 3 }), c.bound(t, 2)).Run(t.Context(), inference.RemoteCall{Inputs: rows(1), Local: local.run}); err != nil || ran.Open {
		t.Errorf("another version: %v %+v", err, ran)
	} else {
		release()
	}
	c.behave(nil)
	clock.Pass(5 * time.Second)
	if ran := run(local); ran.Fallback != "" || !ran.Open || ran.ServedBy != "endpoint" {
		t.Errorf("the probe: %+v", ran)
	}
	if ran := run(local); ran.Open || ran.Fallback != "" {
		t.Errorf("after it: %+v", ran)
	}
	if counts.Of(remote.BreakerOpened) != 1 || counts.Of(remote.BreakerClosed) != 1 || counts.Of("BackendLostOpen") != 8 {
		t.Errorf("%v", counts.All())
	}
}

// TestOneProbeAtATime: when a backend that hangs is tried again, one request pays for it, the others do not wait.
func TestOneProbeAtATime(t *testing.T) {
	c, clock, local := serveContainer(t), inferencetest.NewClock(), new(here)
	hold := make(chan struct{})
	c.behave(status(500))
	v := remote.New(remote.Options{Now: clock.Now}).Bind(c.backend(func(b *inference.Backend) { b.Breaker.Failures = 1 }), c.bound(t, 1))
	run := func() string {
		_, _, ran, err := v.Run(t.Context(), inference.RemoteCall{Inputs: rows(1), Local: local.run})
		if err != nil {
			t.Error(err)
		}
		return ran.Fallback
	}
	run()
	clock.Pass(6 * time.Second)
	c.behave(func(w http.ResponseWriter, r *http.Request, through http.Handler) { <-hold; through.ServeHTTP(w, r) })
	before := c.asked.Load()
	var all sync.WaitGroup
	reasons := make(chan string, 16)
	for range 16 {
		all.Go(func() { reasons <- run() })
	}
	for range 15 {
		if got := <-reasons; got != "open" {
			t.Errorf("fell back for %q", got)
		}
	}
	close(hold)
	all.Wait()
	if got := <-reasons; got != "" || c.asked.Load()-before != 1 {
		t.Errorf("the probe: %q, asked %d times", got, c.asked.Load()-before)
	}
}

// TestLinkLocalAddressesAreNotDialled, also when a redirect or a name leads there.
func TestLinkLocalAddressesAreNotDialled(t *testing.T) {
	c := serveContainer(t)
	for _, url := range []string{"http://169.254.169.254:80", "http://[::ffff:169.254.169.254]:80"} {
		client := remote.New(remote.Options{}).Client(c.backend(func(b *inference.Backend) { b.URL = url }), c.bound(t, 1))
		_, err := client.Infer(within(t, time.Second), remote.Call{Inputs: rows(1)})
		if reasonOf(err) != remote.Unreachable || !strings.Contains(err.Error(), "link-local") {
			t.Errorf("%s: %v", url, err)
		}
	}
}

// TestReasonsAreCountable: the names of counts are what telemetry takes.
func TestReasonsAreCountable(t *testing.T) {
	for _, r := range []remote.Reason{remote.Throttled, remote.NoCapacity, remote.Failed, remote.Unreachable, remote.TooLate, remote.Garbage, remote.OtherVersion, remote.Denied, remote.BreakerOpen} {
		if strings.Trim(string(r), "abcdefghijklmnopqrstuvwxyz") != "" || slices.Contains([]string{""}, string(r)) {
			t.Errorf("%q", r)
		}
	}
}

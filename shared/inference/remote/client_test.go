package remote_test

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/inference"
	"github.com/tidegate/tidegate/shared/inference/inferencetest"
	"github.com/tidegate/tidegate/shared/inference/remote"
	"github.com/tidegate/tidegate/shared/oip"
	"github.com/tidegate/tidegate/shared/tensor"
)

func TestAVersionIsAskedForAndAnswers(t *testing.T) {
	c := serveContainer(t)
	backends := remote.New(remote.Options{Trace: func(context.Context) string { return "Root=1-a-b;Sampled=1" }})
	for version, add := range map[int]float32{1: 6, 2: 7} {
		client := backends.Client(c.backend(nil), c.bound(t, version))
		a, err := client.Infer(within(t, 5*time.Second), remote.Call{Inputs: rows(1, 2.5), Low: version == 2})
		if err != nil {
			t.Fatal(err)
		}
		if len(a.Outputs) != 1 || a.Outputs[0].Name != "y" || a.Outputs[0].FP32s[0] != 1+add || a.Outputs[0].FP32s[1] != 2.5+add || a.ServedBy != "endpoint" || a.Version != fmt.Sprint(version) {
			t.Errorf("version %d: %+v", version, a)
		}
		a.Release()
		asked := c.last.Load()
		if asked.URL.Path != fmt.Sprintf("/v2/models/m/versions/%d/infer", version) || asked.Header.Get("X-Amzn-Trace-Id") != "Root=1-a-b;Sampled=1" ||
			(asked.Header.Get("Tidegate-Priority") == "low") != (version == 2) || asked.Header.Get("Tidegate-Deadline-Ms") == "" || asked.Header.Get("Inference-Header-Content-Length") == "" {
			t.Errorf("version %d: asked %s %v", version, asked.URL, asked.Header)
		}
		if asked.Header.Get("X-Idempotency-Key") != "" {
			t.Error("net/http's own marker is sent")
		}
	}
}

// TestManyCallers: each gets its own rows, on connections that stay open.
func TestManyCallers(t *testing.T) {
	c := serveContainer(t)
	var connections atomic.Int64
	var known sync.Map
	c.behave(func(w http.ResponseWriter, r *http.Request, through http.Handler) {
		if _, old := known.LoadOrStore(r.RemoteAddr, true); !old {
			connections.Add(1)
		}
		through.ServeHTTP(w, r)
	})
	client := remote.New(remote.Options{}).Client(c.backend(nil), c.bound(t, 1))
	var all sync.WaitGroup
	for caller := range 8 {
		all.Go(func() {
			for i := range 200 {
				x := make([]float32, 1+(caller+i)%7)
				for k := range x {
					x[k] = float32(caller*1000 + i + k)
				}
				a, err := client.Infer(t.Context(), remote.Call{Inputs: rows(x...)})
				if err != nil {
					t.Error(err)
					return
				}
				for k := range x {
					if a.Outputs[0].FP32s[k] != x[k]+6 {
						t.Errorf("caller %d got %v for %v", caller, a.Outputs[0].FP32s[k], x[k])
					}
				}
				a.Release()
			}
		})
	}
	all.Wait()
	if n := connections.Load(); n == 0 || n > 16 {
		t.Errorf("%d connections for 8 callers", n)
	}
}

const good = `{"model_name":"m","model_version":"1","outputs":[{"name":"y","shape":[1,1],"datatype":"FP32","data":[7]}]}`

// TestAnswersThatAreNotTaken is what servers do wrong, each with the reason that it goes by.
func TestAnswersThatAreNotTaken(t *testing.T) {
	s := inferencetest.Schema()
	bound := inference.Bound{Model: "m", Version: 1, Digest: "sha256:01", Signature: &s.Signature}
	say := func(status int, header map[string]string, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Tidegate-Model-Digest", "sha256:01")
			for name, value := range header {
				w.Header().Set(name, value)
			}
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	body, n := oip.AppendAnswer(nil, &oip.Answer{Model: "m", Version: "1", Binary: func(string) bool { return true },
		Outputs: []tensor.Tensor{{Name: "y", Datatype: tensor.FP32, Shape: []int64{1, 1}, FP32s: []float32{7}}}})
	binary, length := body, strconv.Itoa(n)
	output := func(o string) string { return `{"model_version":"1","outputs":[` + o + `]}` }
	for name, tt := range map[string]struct {
		handler http.HandlerFunc
		reason  remote.Reason
	}{
		"good":                     {say(200, nil, good), ""},
		"good in binary":           {say(200, map[string]string{"Inference-Header-Content-Length": length}, string(binary)), ""},
		"another digest":           {say(200, map[string]string{"Tidegate-Model-Digest": "sha256:02"}, good), remote.OtherVersion},
		"no digest":                {say(200, map[string]string{"Tidegate-Model-Digest": ""}, good), remote.OtherVersion},
		"another version":          {say(200, nil, strings.Replace(good, `"1"`, `"2"`, 1)), remote.OtherVersion},
		"another version, header":  {say(200, map[string]string{"Tidegate-Model-Version": "2"}, good), remote.OtherVersion},
		"unknown version":          {say(404, nil, `{"error":"no"}`), remote.OtherVersion},
		"busy":                     {say(429, nil, ""), remote.Throttled},
		"loading":                  {say(503, nil, ""), remote.NoCapacity},
		"too large":                {say(413, nil, ""), remote.NoCapacity},
		"a bug":                    {say(500, nil, "stack trace"), remote.Failed},
		"a proxy":                  {say(502, nil, "<html>"), remote.Failed},
		"a proxy's time-out":       {say(504, nil, ""), remote.TooLate},
		"credentials":              {say(401, nil, ""), remote.Denied},
		"forbidden":                {say(403, nil, ""), remote.Denied},
		"a redirect":               {say(307, map[string]string{"Location": "http://169.254.169.254/"}, ""), remote.Garbage},
		"no such method":           {say(405, nil, ""), remote.Garbage},
		"not offered":              {say(501, nil, ""), remote.Garbage},
		"nothing to say":           {say(204, nil, ""), remote.Garbage},
		"a page":                   {say(200, nil, "<html>hello</html>"), remote.Garbage},
		"nothing":                  {say(200, nil, ""), remote.Garbage},
		"an error as 200":          {say(200, nil, `{"error":"x"}`), remote.Garbage},
		"no output":                {say(200, nil, output("")), remote.Garbage},
		"another output":           {say(200, nil, output(`{"name":"z","shape":[1,1],"datatype":"FP32","data":[7]}`)), remote.Garbage},
		"another datatype":         {say(200, nil, output(`{"name":"y","shape":[1,1],"datatype":"FP64","data":[7]}`)), remote.Garbage},
		"more rows":                {say(200, nil, output(`{"name":"y","shape":[2,1],"datatype":"FP32","data":[7,8]}`)), remote.Garbage},
		"no rows":                  {say(200, nil, output(`{"name":"y","shape":[0,1],"datatype":"FP32","data":[]}`)), remote.Garbage},
		"wider":                    {say(200, nil, output(`{"name":"y","shape":[1,2],"datatype":"FP32","data":[7,8]}`)), remote.Garbage},
		"another rank":             {say(200, nil, output(`{"name":"y","shape":[1],"datatype":"FP32","data":[7]}`)), remote.Garbage},
		"fewer values":             {say(200, nil, output(`{"name":"y","shape":[1,1],"datatype":"FP32","data":[]}`)), remote.Garbage},
		"a length beyond the body": {say(200, map[string]string{"Inference-Header-Content-Length": "9999"}, good), remote.Garbage},
		"a length that is none":    {say(200, map[string]string{"Inference-Header-Content-Length": "-1"}, good), remote.Garbage},
		"random bytes":             {say(200, map[string]string{"Inference-Header-Content-Length": "3"}, "\x00\xff\x80\x12\x99"), remote.Garbage},
		"huge":                     {say(200, nil, strings.Repeat(" ", 70_000)+good), remote.Garbage},
		"huge without a length": {func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			for range 100 {
				_, _ = io.WriteString(w, strings.Repeat(" ", 1000))
				w.(http.Flusher).Flush()
			}
		}, remote.Garbage},
		"cut off": {func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Length", "200")
			_, _ = io.WriteString(w, good[:50])
			panic(http.ErrAbortHandler)
		}, remote.Unreachable},
		"hung up": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, remote.Unreachable},
		"hung up in a body": {func(w http.ResponseWriter, r *http.Request) {
			hijack(w, "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{")
		}, remote.Unreachable},
		"no HTTP": {func(w http.ResponseWriter, r *http.Request) { hijack(w, "SSH-2.0-OpenSSH_9.6\r\n") }, remote.Unreachable},
		"a header for ever": {func(w http.ResponseWriter, r *http.Request) {
			hijack(w, "HTTP/1.1 200 OK\r\nX: "+strings.Repeat("x", 200_000))
		}, remote.Unreachable},
		"a slow body": {func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			for range 1000 {
				if _, err := io.WriteString(w, " "); err != nil || r.Context().Err() != nil {
					return
				}
				w.(http.Flusher).Flush()
				time.Sleep(5 * time.Millisecond)
			}
		}, remote.TooLate},
		"silence": {func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		}, remote.TooLate},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(tt.handler)
			defer server.Close()
			b := inference.DefaultBackend()
			b.Kind, b.URL, b.Retries = inference.URL, server.URL, 0
			client := remote.New(remote.Options{MaxAnswer: 64 << 10}).Client(b, bound)
			started := time.Now()
			a, err := client.Infer(within(t, 300*time.Millisecond), remote.Call{Inputs: rows(1)})
			if got := reasonOf(err); got != tt.reason || (err != nil) != (tt.reason != "") {
				t.Errorf("%v, want %q", err, tt.reason)
			}
			if took := time.Since(started); took > 3*time.Second {
				t.Errorf("it took %v of 300 ms", took)
			}
			if err == nil {
				if a.Outputs[0].FP32s[0] != 7 {
					t.Errorf("%+v", a)
				}
				a.Release()
			}
		})
	}
}

// hijack writes text to the connection and closes it.
func hijack(w http.ResponseWriter, text string) {
	conn, buffered, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	_, _ = buffered.WriteString(text)
	_ = buffered.Flush()
	_ = conn.Close()
}

// TestRowsThatTheBackendRefuses: what is wrong with them is told as our own endpoint tells it, and not of others, who may repeat values.
func TestRowsThatTheBackendRefuses(t *testing.T) {
	c := serveContainer(t)
	client := remote.New(remote.Options{}).Client(c.backend(nil), c.bound(t, 1))
	_, err := client.Infer(t.Context(), remote.Call{Inputs: rows(float32(math.Inf(1)))})
	if v := fault.Public(err).Violations; !fault.Is(err, fault.InvalidArgument) || len(v) != 1 || !strings.Contains(v[0].Path, "x") || reasonOf(err) != "" {
		t.Errorf("%v", err)
	}
	for _, status := range []int{400, 422} {
		c.behave(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, `{"error":"secret","violations":[{"path":"secret","problem":"secret"}]}`)
		})
		_, err := client.Infer(t.Context(), remote.Call{Inputs: rows(1)})
		if !fault.Is(err, fault.InvalidArgument) || strings.Contains(err.Error(), "secret") || reasonOf(err) != "" {
			t.Errorf("%d: %v", status, err)
		}
	}
	if n := c.asked.Load(); n != 3 {
		t.Errorf("asked %d times: what is refused is not sent again", n)
	}
}

func TestIdentities(t *testing.T) {
	for name, tt := range map[string]struct {
		identity inference.Identity
		answers  string
		path     string
		reason   remote.Reason
	}{
		"a version":          {inference.ByVersion, good, "/v2/models/there/versions/1/infer", ""},
		"another":            {inference.ByVersion, strings.Replace(good, `"1"`, `"3"`, 1), "/v2/models/there/versions/1/infer", remote.OtherVersion},
		"no version":         {inference.ByVersion, strings.Replace(good, `"1"`, `null`, 1), "/v2/models/there/versions/1/infer", remote.OtherVersion},
		"none checked":       {inference.Unchecked, strings.Replace(good, `"1"`, `null`, 1), "/v2/models/there/infer", ""},
		"none, whatever":     {inference.Unchecked, strings.Replace(good, `"1"`, `"v9"`, 1), "/v2/models/there/infer", ""},
		"digest, of a stray": {inference.ByDigest, good, "/v2/models/there/versions/1/infer", remote.OtherVersion},
	} {
		c := serveContainer(t)
		c.behave(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { _, _ = io.WriteString(w, tt.answers) })
		client := remote.New(remote.Options{}).Client(c.backend(func(b *inference.Backend) { b.Identity, b.Model = tt.identity, "there" }), c.bound(t, 1))
		_, err := client.Infer(t.Context(), remote.Call{Inputs: rows(1)})
		if reasonOf(err) != tt.reason || (err == nil) != (tt.reason == "") || c.last.Load().URL.Path != tt.path {
			t.Errorf("%s: %v, asked %s", name, err, c.last.Load().URL)
		}
	}
}

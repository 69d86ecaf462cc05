package main

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/inference/inferencetest"
	"github.com/tidegate/tidegate/shared/lambdaapi/lambdaapitest"
)

// samples is a world with the two models that the sample events name.
func samples(tb testing.TB) *inferencetest.World {
	world := inferencetest.New(tb)
	serve(tb, world, "affine", "affine")
	serve(tb, world, "mixed", "mixed")
	return world
}

// TestSampleEvents replays every sample event; tests/local does so on the deployed stack and compares more of the answers.
func TestSampleEvents(t *testing.T) {
	f := start(t, open(t, samples(t)), nil)
	files, err := filepath.Glob("../../events/predict/*.want.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no sample events", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".want.json"), func(t *testing.T) {
			var want struct {
				Status       int
				BodyContains []string `json:"body_contains"`
			}
			text, err := os.ReadFile(file)
			if err != nil || json.Unmarshal(text, &want) != nil {
				t.Fatal(err)
			}
			event, err := os.ReadFile(strings.TrimSuffix(file, ".want.json") + ".json")
			if err != nil {
				t.Fatal(err)
			}
			result, err := f.Invoke(t.Context(), event)
			if err != nil {
				t.Fatal(err)
			}
			answer, err := result.HTTP()
			if err != nil {
				t.Fatal(err)
			}
			if answer.StatusCode != want.Status {
				t.Errorf("status %d, want %d: %.300s", answer.StatusCode, want.Status, answer.Body)
			}
			for _, part := range want.BodyContains {
				if !strings.Contains(answer.Body, part) {
					t.Errorf("the body lacks %q: %.300s", part, answer.Body)
				}
			}
		})
	}
}

func TestBuildSaysWhatIsMissing(t *testing.T) {
	refused := func(env map[string]string) error {
		_, err := build(t.Context(), slog.New(slog.DiscardHandler), func(k string) string { return env[k] })
		return err
	}
	for _, name := range []string{"TIDEGATE_REGISTRY_BUCKET", "TIDEGATE_CAPTURE_STREAM", "AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} {
		env := environment(t, nil)
		delete(env, name)
		if err := refused(env); !fault.Is(err, fault.InvalidArgument) || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v", name, err)
		}
	}
	for name, value := range map[string]string{
		"TIDEGATE_CAPTURE_MODE": "sometimes", "TIDEGATE_CAPTURE_FLUSH_REQUESTS": "0", "TIDEGATE_CAPTURE_FLUSH_AFTER": "soon",
		"TIDEGATE_MODEL_CACHE_BYTES": "-1", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "much",
	} {
		env := environment(t, nil)
		env[name] = value
		if err := refused(env); !fault.Is(err, fault.InvalidArgument) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s=%s: %v", name, value, err)
		}
	}
	env := environment(t, nil)
	env["TIDEGATE_ONNXRUNTIME_LIB"] = "/no/such/lib.so"
	if err := refused(env); !fault.Is(err, fault.Internal) {
		t.Errorf("without a library: %v", err)
	}
}

// TestLargeRequests: five megabytes of JSON are answered; a request whose answer cannot be sent is refused before the
// model runs, with the number of rows that can.
func TestLargeRequests(t *testing.T) {
	world := samples(t)
	serve(t, world, "echo", "echo")
	f := start(t, open(t, world), nil)

	const rows = 80_000
	var body strings.Builder
	body.WriteString(`{"inputs":[{"name":"x","shape":[` + strconv.Itoa(rows) + `,3],"datatype":"FP32","data":[`)
	body.WriteString(strings.TrimSuffix(strings.Repeat("1.00000000000000000,2.00000000000000000,3.00000000000000000,", rows), ","))
	body.WriteString(`]}]}`)
	if body.Len() < 4_800_000 {
		t.Fatalf("%d bytes are no large body", body.Len())
	}
	answer := f.post(t, "/v2/models/affine/infer", body.String())
	if answer.StatusCode != 200 || !strings.HasSuffix(answer.Body, ",22.5,27.5]}]}") {
		t.Errorf("status %d, %d bytes, ends %q", answer.StatusCode, len(answer.Body), answer.Body[max(0, len(answer.Body)-40):])
	}

	many := `{"instances":[` + strings.TrimSuffix(strings.Repeat(`[true,1,1,1,1,1,1,1,1,1,1,1,"a"],`, 100_000), ",") + `]}`
	answer = f.post(t, "/v1/models/echo:predict", many)
	if answer.StatusCode != 413 || !strings.Contains(answer.Body, " rows") || strings.Contains(answer.Headers["Server-Timing"], "run;") {
		t.Fatalf("100,000 rows: status %d, %s, %s", answer.StatusCode, answer.Headers["Server-Timing"], answer.Body)
	}
	advised := 0
	for word := range strings.FieldsSeq(answer.Body) {
		if n, err := strconv.Atoi(word); err == nil && n > 0 && n < 100_000 {
			advised = n
		}
	}
	few := `{"instances":[` + strings.TrimSuffix(strings.Repeat(`[true,1,1,1,1,1,1,1,1,1,1,1,"a"],`, advised), ",") + `]}`
	if again := f.post(t, "/v1/models/echo:predict", few); advised == 0 || again.StatusCode != 200 {
		t.Errorf("%q advises %d rows, which are answered %d", answer.Body, advised, again.StatusCode)
	}
}

// TestNothingOfTheInputIsLogged: lines have no value, name or category that a client sent, whether it was served or refused.
func TestNothingOfTheInputIsLogged(t *testing.T) {
	f := start(t, open(t, samples(t)), nil)
	const word, number = "sentinel-word", "31337.25"
	columns := func(n0, t0 string) string {
		var b strings.Builder
		for i := range 7 {
			value := "1"
			if i == 0 {
				value = n0
			}
			b.WriteString(`"n` + strconv.Itoa(i) + `":` + value + `,`)
		}
		return `{"instances":[{` + b.String() + `"t0":` + t0 + `,"t1":"` + word + `","t2":"a","t3":"a"}]}`
	}
	for _, tt := range []struct {
		path, body string
		status     int
	}{
		{"/v1/models/mixed:predict", columns(number, `"`+word+`"`), 200},
		{"/v1/models/mixed:predict", columns(`"`+word+`"`, number), 400},
		{"/v1/models/mixed:predict", columns(number+"e99", `null`), 400},
		{"/v2/models/affine/infer", `{"id":"batch-1","inputs":[{"name":"` + word + `","shape":[1,3],"datatype":"FP32","data":[1,2,` + number + `]}]}`, 400},
		{"/v2/models/affine/infer", `{"inputs":[{"name":"x","shape":[1,3],"datatype":"FP32","data":[1,2,` + number + `]}],"outputs":[{"name":"` + word + `"}]}`, 400},
		{"/v2/models/affine/infer", word + number, 400},
	} {
		if answer := f.post(t, tt.path, tt.body); answer.StatusCode != tt.status || tt.status >= 400 && (strings.Contains(answer.Body, word) || strings.Contains(answer.Body, "31337")) {
			t.Errorf("%.60s: status %d, want %d: %s", tt.body, answer.StatusCode, tt.status, answer.Body)
		}
	}
	requests := 0
	for _, line := range f.lines(t) {
		if line["msg"] == "request" {
			requests++
		}
	}
	if requests != 6 {
		t.Errorf("%d lines of requests, want 6", requests)
	}
	text, err := os.ReadFile(f.stdout)
	if err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{word, "31337"} {
		if bytes.Contains(text, []byte(value)) {
			t.Errorf("%q is in the log:\n%s", value, text)
		}
	}
}

// TestCaptures: each prediction is captured once under its inference id, also one that failed after its version was
// found, and none that failed before.
func TestCaptures(t *testing.T) {
	f := start(t, open(t, samples(t)), nil)
	for i, tt := range []struct {
		path, body string
		records    int64 // captured so far
	}{
		{"/v2/models/affine/infer", `{"inputs":[{"name":"x","shape":[1,3],"datatype":"FP32","data":[1,2,3]}]}`, 1},
		{"/v2/models/affine/infer", `{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[1,2]}]}`, 2}, // against the contract
		{"/v2/models/affine/infer", `{"inputs":[{`, 2},                                                           // before any version
		{"/v1/models/absent:predict", `{"instances":[[1,2,3]]}`, 2},
	} {
		answer := f.post(t, tt.path, tt.body)
		f.lines(t) // until it polls again
		if taken := f.cloud.Firehose.Taken(); taken.Lines != tt.records {
			t.Errorf("request %d: %d records, want %d", i, taken.Lines, tt.records)
		}
		if id := answer.Headers["Tidegate-Inference-Id"]; i < 2 && (id == "" || !bytes.Contains(f.cloud.Firehose.Last(), []byte(`"id":"`+id+`"`))) {
			t.Errorf("request %d: the record %s is not of %q", i, f.cloud.Firehose.Last(), id)
		}
	}
}

// TestBufferedCapturesLeaveAtTheEnd: SIGTERM, which ends the loop's context, sends what the buffer holds.
func TestBufferedCapturesLeaveAtTheEnd(t *testing.T) {
	f := start(t, open(t, samples(t)), map[string]string{"TIDEGATE_CAPTURE_MODE": "buffered"})
	for range 3 {
		f.post(t, "/v1/models/affine:predict", `{"instances":[[1,2,3]]}`)
	}
	f.lines(t)
	if taken := f.cloud.Firehose.Taken(); taken.Lines != 0 {
		t.Errorf("%d records were sent one by one", taken.Lines)
	}
	f.stop()
	if taken := f.cloud.Firehose.Taken(); taken.Lines != 3 || taken.Calls != 1 {
		t.Errorf("at the end %+v, want 3 records in 1 call", taken)
	}
}

// TestEncodings: bodies in base64 and gzip, as an HTTP API carries them.
func TestEncodings(t *testing.T) {
	f := start(t, open(t, samples(t)), nil)
	packed := func(r io.Reader) []byte {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		if _, err := io.Copy(w, r); err != nil {
			t.Fatal(err)
		}
		_ = w.Close()
		return b.Bytes()
	}
	const body = `{"instances":[[1,2,3]]}`
	good := packed(strings.NewReader(body))
	for _, tt := range []struct {
		name, encoding string
		body           []byte
		status         int
	}{
		{"base64", "", []byte(body), 200},
		{"gzip", "gzip", good, 200},
		{"gzip in capitals", "GZIP", good, 200},
		{"cut off", "gzip", good[:len(good)/2], 400},
		{"not gzip", "gzip", []byte(body), 400},
		{"unknown", "zstd", good, 400},
		{"bomb", "gzip", packed(io.LimitReader(spaces{}, 64<<20)), 413},
	} {
		event := lambdaapitest.NewHTTPEvent("POST", "/v1/models/affine:predict", base64.StdEncoding.EncodeToString(tt.body))
		event.IsBase64Encoded = true
		if tt.encoding != "" {
			event.Headers["content-encoding"] = tt.encoding
		}
		if answer := f.send(t, event); answer.StatusCode != tt.status {
			t.Errorf("%s: status %d, want %d: %.200s", tt.name, answer.StatusCode, tt.status, answer.Body)
		}
	}
}

type spaces struct{}

func (spaces) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

package lambdaapi

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tidegate/tidegate/shared/httpapi"
)

// known is what decode reads of an event, as encoding/json reads it into
// aws-lambda-go's type. Its names are compared exactly: encoding/json would take
// "RAWPATH" too.
func known(data []byte) (events.APIGatewayV2HTTPRequest, bool) {
	var e events.APIGatewayV2HTTPRequest
	if json.Unmarshal(data, &e) != nil {
		return e, false
	}
	return e, true
}

func TestDecodeReadsWhatAWSSends(t *testing.T) {
	samples, err := filepath.Glob("../../events/predict/*.json")
	if err != nil || len(samples) == 0 {
		t.Fatalf("no sample events: %v", err)
	}
	for _, name := range samples {
		if strings.HasSuffix(name, ".want.json") {
			continue
		}
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		compareWithEncodingJSON(t, data)
	}
}

// compareWithEncodingJSON decodes data both ways.
func compareWithEncodingJSON(t *testing.T, data []byte) {
	t.Helper()
	want, ok := known(data)
	var e httpEvent
	err := e.decode([]byte(string(data)))
	if !ok || want.RawPath == "" || want.RequestContext.HTTP.Method == "" {
		if ok && err == nil {
			t.Errorf("%s: accepted without path or method", data)
		}
		return // what is skipped is not checked: decode may accept more than JSON
	}
	if err != nil {
		if want.IsBase64Encoded {
			return // not base64, or not read to its end
		}
		t.Fatalf("%s: %v", data, err)
	}
	path := want.RawPath
	if s := want.RequestContext.Stage; s != "" && s != "$default" {
		if rest, found := strings.CutPrefix(path, "/"+s); found && (rest == "" || rest[0] == '/') {
			path = "/" + strings.TrimPrefix(rest, "/")
			if rest != "" {
				path = rest
			}
		}
	}
	body := []byte(want.Body)
	if want.IsBase64Encoded {
		body = e.request.Body // decoded by the same standard library
	}
	expected := httpapi.Request{Method: want.RequestContext.HTTP.Method, Path: path, Query: want.RawQueryString, Header: want.Headers, Body: body}
	if d := cmp.Diff(expected, e.request, cmpopts.EquateEmpty()); d != "" {
		t.Errorf("%s:\n%s", data, d)
	}
	if !e.arrived.IsZero() && e.arrived.UnixMilli() != want.RequestContext.TimeEpoch {
		t.Errorf("%s: arrived %v, want %d", data, e.arrived, want.RequestContext.TimeEpoch)
	}
}

func TestDecodeUnescapes(t *testing.T) {
	for raw, want := range map[string]string{
		``: "", `plain`: "plain", `{\"a\":1}`: `{"a":1}`, `\\`: `\`, `\\\"`: `\"`, `a\nb\tc\rd\be\ff\/`: "a\nb\tc\rd\be\ff/",
		`\u0041\u00e9\u20ac`: "Aé€", `\ud83d\ude00!`: "😀!", `\ud83d`: "\ufffd", `\ud83dx`: "\ufffdx", `\ude00\ud83d`: "\ufffd\ufffd",
		`\ud83d\u0041`: "\ufffdA", "\u00fc and 😀": "ü and 😀", strings.Repeat(`\n`, 1000): strings.Repeat("\n", 1000),
		strings.Repeat(`x\"`, 1000) + "y": strings.Repeat(`x"`, 1000) + "y",
	} {
		var e httpEvent
		err := e.decode([]byte(`{"rawPath":"/","requestContext":{"http":{"method":"POST"}},"body":"` + raw + `"}`))
		if err != nil || string(e.request.Body) != want {
			t.Errorf("%.40s: %q, %v", raw, e.request.Body, err)
		}
	}
	for _, raw := range []string{`\x`, `\u12`, `\u12g4`, `\`} {
		var e httpEvent
		if e.decode([]byte(`{"rawPath":"/","requestContext":{"http":{"method":"POST"}},"body":"`+raw+`"}`)) == nil {
			t.Errorf("%s is accepted", raw)
		}
	}
}

// TestBase64InPlace holds decoding in place, which runs over vectors of bytes, to
// the standard library's: every length, and damage at any place.
func TestBase64InPlace(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for n := range 1200 {
		raw := make([]byte, n)
		for i := range raw {
			raw[i] = byte(random.Uint32())
		}
		encoded := []byte(base64.StdEncoding.EncodeToString(raw))
		if n%3 == 1 {
			encoded[random.IntN(len(encoded))] = "=-_ \x00\xff"[random.IntN(6)]
		}
		want, wantErr := base64.StdEncoding.DecodeString(string(encoded))
		var e httpEvent
		body, _ := json.Marshal(string(encoded))
		err := e.decode([]byte(`{"rawPath":"/","requestContext":{"http":{"method":"POST"}},"isBase64Encoded":true,"body":` + string(body) + `}`))
		if (err != nil) != (wantErr != nil) || err == nil && !bytes.Equal(e.request.Body, want) {
			t.Errorf("%d bytes: %v, the standard library %v", n, err, wantErr)
		}
	}
}

func FuzzDecode(f *testing.F) {
	samples, _ := filepath.Glob("../../events/predict/*.json")
	for _, name := range samples {
		if data, err := os.ReadFile(name); err == nil {
			f.Add(data)
		}
	}
	f.Add([]byte(`{"rawPath":"/a","rawPath":"\/b","headers":{"x":null,"y":"\u00e9"},"headers":null,"requestContext":{"http":{"method":"GET"},"stage":"a","timeEpoch":-5},"body":null,"isBase64Encoded":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if !utf8.Valid(data) || strings.ContainsFunc(string(data), func(r rune) bool { return r == 0x17f || r == 0x212a }) {
			return // the platform sends UTF-8; ſ and K fold to s and k in encoding/json's names
		}
		if foldsTwice(data) {
			return
		}
		compareWithEncodingJSON(t, data)
	})
}

// foldsTwice says whether data spells a name of the event in another case, or
// repeats an object: encoding/json takes both together, decode takes exact names
// and the last object.
func foldsTwice(data []byte) bool {
	lower := strings.ToLower(string(data))
	for _, name := range []string{"rawPath", "rawQueryString", "headers", "requestContext", "body", "isBase64Encoded", "http", "method", "stage", "timeEpoch"} {
		if strings.Count(lower, strings.ToLower(name)) != strings.Count(string(data), name) || strings.Count(string(data), name) > 1 {
			return true
		}
	}
	return strings.Contains(string(data), `\u`) && !json.Valid(data)
}

func TestResultIsWhatEncodingJSONReads(t *testing.T) {
	for _, body := range []string{"", "plain", `{"a":"b\\c"}`, "a\nb\tc\x00\x1f\x7f", "ü 😀", strings.Repeat(`"`, 100)} {
		r := &httpapi.Response{Status: 418, Header: httpapi.Header{"B": `x"y`, "A": "1"}, Body: []byte(body)}
		raw, _ := appendResult(nil, r, nil)
		var got events.APIGatewayV2HTTPResponse
		if err := json.Unmarshal(raw, &got); err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		want := events.APIGatewayV2HTTPResponse{StatusCode: 418, Headers: map[string]string{"A": "1", "B": `x"y`}, Body: body}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s:\n%s", raw, d)
		}
	}
}

func FuzzResult(f *testing.F) {
	f.Add("body", "value")
	f.Fuzz(func(t *testing.T, body, value string) {
		if !utf8.ValidString(body) || !utf8.ValidString(value) {
			return
		}
		raw, _ := appendResult(nil, &httpapi.Response{Status: 200, Header: httpapi.Header{"X": value}, Body: []byte(body)}, nil)
		var got events.APIGatewayV2HTTPResponse
		if err := json.Unmarshal(raw, &got); err != nil || got.Body != body || got.Headers["X"] != value {
			t.Errorf("%s: %+v, %v", raw, got, err)
		}
	})
}

func BenchmarkEvent(b *testing.B) {
	rows := strings.Repeat("0.123456,", 30_000)
	event, _ := json.Marshal(events.APIGatewayV2HTTPRequest{
		RawPath: "/v2/models/m/infer", Headers: map[string]string{"content-type": "application/json", "host": "example"},
		Body:           `{"inputs":[{"name":"x","datatype":"FP32","shape":[1000,30],"data":[` + rows[:len(rows)-1] + `]}]}`,
		RequestContext: events.APIGatewayV2HTTPRequestContext{HTTP: events.APIGatewayV2HTTPRequestContextHTTPDescription{Method: "POST"}},
	})
	b.Run("scanner", func(b *testing.B) {
		b.SetBytes(int64(len(event)))
		b.ReportAllocs()
		var e httpEvent
		payload := make([]byte, len(event))
		for b.Loop() {
			copy(payload, event)
			if err := e.decode(payload); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding-json", func(b *testing.B) {
		b.SetBytes(int64(len(event)))
		b.ReportAllocs()
		for b.Loop() {
			var e events.APIGatewayV2HTTPRequest
			if err := json.Unmarshal(event, &e); err != nil {
				b.Fatal(err)
			}
		}
	})
}

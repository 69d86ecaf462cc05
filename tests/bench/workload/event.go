// Package workload makes what the benchmark sends: API Gateway HTTP API events
// (payload format 2.0) around Open Inference Protocol requests, and a registry with
// the two models. It also reads answers back, so that no handler is timed on
// answers that are wrong.
package workload

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// Event is one Lambda event. Its requestContext.timeEpoch is written anew by At.
type Event struct {
	Name   string
	Rows   int
	Binary bool
	Model  string

	bytes []byte
	epoch int // offset of the 13 digits of timeEpoch
}

// epochPlaceholder has as many digits as a Unix time in milliseconds, until the year 2286.
const epochPlaceholder = "1000000000001"

// At returns the event's bytes with timeEpoch at now. They are valid until the next call.
func (e *Event) At(now time.Time) []byte {
	strconv.AppendInt(e.bytes[e.epoch:e.epoch], now.UnixMilli(), 10)
	return e.bytes
}

// Body is the request body of an Open Inference Protocol request and the headers it needs.
type Body struct {
	Bytes  []byte
	Header map[string]string
	Binary bool // carried as base64
}

// NewEvent wraps body as API Gateway does for POST path.
func NewEvent(name, model string, rows int, body Body) (*Event, error) {
	path := "/v2/models/" + model + "/infer"
	headers := map[string]string{
		"accept-encoding": "gzip", "content-length": strconv.Itoa(len(body.Bytes)),
		"host": "abcdefghij.execute-api.eu-central-1.amazonaws.com", "user-agent": "Go-http-client/2.0",
		"x-amzn-trace-id": "Root=1-67891233-abcdef012345678912345678", "x-forwarded-for": "203.0.113.7",
		"x-forwarded-port": "443", "x-forwarded-proto": "https",
	}
	for k, v := range body.Header {
		headers[k] = v
	}
	text := string(body.Bytes)
	if body.Binary {
		text = base64.StdEncoding.EncodeToString(body.Bytes)
	}
	epoch, err := strconv.ParseInt(epochPlaceholder, 10, 64)
	if err != nil {
		return nil, err
	}
	event := map[string]any{
		"version": "2.0", "routeKey": "POST /v2/{proxy+}", "rawPath": path, "rawQueryString": "",
		"headers": headers, "body": text, "isBase64Encoded": body.Binary,
		"pathParameters": map[string]string{"proxy": path[len("/v2/"):]},
		"requestContext": map[string]any{
			"accountId": "123456789012", "apiId": "abcdefghij", "stage": "$default",
			"domainName": "abcdefghij.execute-api.eu-central-1.amazonaws.com", "domainPrefix": "abcdefghij",
			"requestId": "JKJaXmPLvHcESHA=", "routeKey": "POST /v2/{proxy+}",
			"time": "10/Mar/2026:05:16:23 +0000", "timeEpoch": epoch,
			"http": map[string]string{
				"method": "POST", "path": path, "protocol": "HTTP/1.1",
				"sourceIp": "203.0.113.7", "userAgent": "Go-http-client/2.0",
			},
		},
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(event); err != nil {
		return nil, fmt.Errorf("bench event: %w", err)
	}
	e := &Event{Name: name, Rows: rows, Binary: body.Binary, Model: model, bytes: bytes.TrimSpace(out.Bytes())}
	e.epoch = bytes.LastIndex(e.bytes, []byte(epochPlaceholder))
	return e, nil
}

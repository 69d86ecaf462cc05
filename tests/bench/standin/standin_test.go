package standin

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestS3Conditions(t *testing.T) {
	c := open(t)
	url := "http://" + c.s3Addr + "/bucket/models/m/state.json"
	first := do(t, http.MethodPut, url, "one", "If-None-Match", "*")
	etag := first.Header.Get("ETag")
	tests := []struct {
		name, method, body, header, value string
		status                            int
		want                              string
	}{
		{"a second write-once", http.MethodPut, "two", "If-None-Match", "*", 412, ""},
		{"a swap against another tag", http.MethodPut, "two", "If-Match", `"other"`, 412, ""},
		{"get", http.MethodGet, "", "", "", 200, "one"},
		{"get if changed, unchanged", http.MethodGet, "", "If-None-Match", etag, 304, ""},
		{"head", http.MethodHead, "", "", "", 200, ""},
		{"a range", http.MethodGet, "", "Range", "bytes=1-", 206, "ne"},
		{"a swap", http.MethodPut, "two", "If-Match", etag, 200, ""},
		{"get if changed, changed", http.MethodGet, "", "If-None-Match", etag, 200, "two"},
		{"another method", http.MethodDelete, "", "", "", 501, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := do(t, tt.method, url, tt.body, tt.header, tt.value)
			body, _ := io.ReadAll(r.Body)
			if r.StatusCode != tt.status || tt.want != "" && string(body) != tt.want {
				t.Errorf("status %d, body %q; want %d, %q", r.StatusCode, body, tt.status, tt.want)
			}
		})
	}
	if r := do(t, http.MethodPut, url+"x", "two", "If-Match", etag); r.StatusCode != 404 {
		t.Errorf("If-Match on an absent key: status %d, want 404", r.StatusCode)
	}
	c.S3.SetDown(true)
	if r := do(t, http.MethodGet, url, "", "", ""); r.StatusCode != 503 {
		t.Errorf("down: status %d, want 503", r.StatusCode)
	}
}

func TestS3List(t *testing.T) {
	c := open(t)
	for _, k := range []string{"a/1", "a/2", "a/3", "b/1"} {
		c.S3.Put("bucket", k, []byte(k))
	}
	c.S3.Put("bucket2", "a/9", nil)
	tests := []struct{ query, want string }{
		{"?list-type=2&prefix=a/", "a/1 a/2 a/3"},
		{"?list-type=2&prefix=a/&start-after=a/1", "a/2 a/3"},
		{"?list-type=2&max-keys=2", "a/1 a/2"},
		{"?list-type=2&max-keys=2&continuation-token=a/2", "a/3 b/1"},
	}
	for _, tt := range tests {
		r := do(t, http.MethodGet, "http://"+c.s3Addr+"/bucket"+tt.query, "", "", "")
		body, _ := io.ReadAll(r.Body)
		var keys []string
		for part := range strings.SplitSeq(string(body), "<Key>") {
			if key, _, ok := strings.Cut(part, "</Key>"); ok {
				keys = append(keys, key)
			}
		}
		if got := strings.Join(keys, " "); got != tt.want {
			t.Errorf("list%s = %q, want %q", tt.query, got, tt.want)
		}
	}
}

func TestS3ReadsChunkedBodies(t *testing.T) {
	c := open(t)
	do(t, http.MethodPut, "http://"+c.s3Addr+"/bucket/k", "5\r\nhello\r\n6;chunk-signature=x\r\n world\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n", "Content-Encoding", "aws-chunked")
	if body, _ := c.S3.Get("bucket", "k"); string(body) != "hello world" {
		t.Errorf("stored %q", body)
	}
	r := do(t, http.MethodPut, "http://"+c.s3Addr+"/bucket/k", "zz\r\n", "Content-Encoding", "aws-chunked")
	if r.StatusCode != 400 {
		t.Errorf("a broken chunk: status %d, want 400", r.StatusCode)
	}
}

func TestFirehose(t *testing.T) {
	c := open(t)
	tests := []struct {
		name, target, body string
		status             int
	}{
		{"batch", "Firehose_20150804.PutRecordBatch", `{"DeliveryStreamName":"s","Records":[{"Data":"YQo="},{"Data":"Ygpi"}]}`, 200},
		{"single", "Firehose_20150804.PutRecord", `{"DeliveryStreamName":"s","Record":{"Data":"YQo="}}`, 200},
		{"no records", "Firehose_20150804.PutRecordBatch", `{"DeliveryStreamName":"s"}`, 400},
		{"no stream", "Firehose_20150804.PutRecordBatch", `{"Records":[{"Data":"YQo="}]}`, 400},
		{"not JSON", "Firehose_20150804.PutRecordBatch", `{`, 400},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if r := do(t, http.MethodPost, "http://"+c.firehoseAddr, tt.body, "X-Amz-Target", tt.target); r.StatusCode != tt.status {
				t.Errorf("status %d, want %d", r.StatusCode, tt.status)
			}
		})
	}
	if want := (Taken{Calls: 2, Records: 3, Lines: 3, Bytes: 7}); c.Firehose.Taken() != want {
		t.Errorf("taken %+v, want %+v", c.Firehose.Taken(), want)
	}
	if string(c.Firehose.Last()) != "a\n" {
		t.Errorf("last %q", c.Firehose.Last())
	}
}

func TestXRaySegmentsAreCounted(t *testing.T) {
	c := open(t)
	conn, err := net.Dial("udp", c.xray.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, `{"format":"json","version":1}`+"\n{}"); err != nil {
		t.Fatal(err)
	}
	for c.Segments() == 0 && t.Context().Err() == nil {
		time.Sleep(time.Millisecond)
	}
}

func open(t *testing.T) *Cloud {
	t.Helper()
	c, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if len(c.Env()) == 0 {
		t.Error("no environment")
	}
	return c
}

func do(t *testing.T, method, url, body, header, value string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if header != "" {
		r.Header.Set(header, value)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	return response
}

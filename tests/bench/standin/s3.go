// Package standin holds small stand-ins for the services that a function calls:
// S3 (get, head, put with conditions, list), Firehose (PutRecordBatch) and the
// X-Ray daemon. They answer real SDK clients on 127.0.0.1, at once and from
// memory, so that a benchmark of a function measures the function.
//
// They check no signature and no permission and know only the calls that the
// functions make; tests against AWS's behaviour use the local AWS instead. The
// conditional writes of S3 are atomic.
package standin

import (
	"bufio"
	"bytes"
	"crypto/md5" // #nosec G501 -- S3's ETag of a single put is the MD5 of its content
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// S3 keeps buckets in memory. Buckets exist as soon as they are named.
type S3 struct {
	mu      sync.RWMutex
	objects map[string]object // "<bucket>/<key>"
	down    atomic.Bool
	gets    atomic.Int64
}

type object struct {
	body     []byte
	etag     string
	modified time.Time
}

// NewS3 makes an empty store.
func NewS3() *S3 { return &S3{objects: map[string]object{}} }

// Put stores an object, as a client's PUT would.
func (s *S3) Put(bucket, key string, body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects[bucket+"/"+key] = newObject(body)
}

// Get returns a stored object's content.
func (s *S3) Get(bucket, key string) ([]byte, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	o, ok := s.objects[bucket+"/"+key]
	return o.body, ok
}

// SetDown makes every call fail with 503, or stop failing.
func (s *S3) SetDown(down bool) { s.down.Store(down) }

// Gets is the number of GET requests for objects so far.
func (s *S3) Gets() int64 { return s.gets.Load() }

func newObject(body []byte) object {
	sum := md5.Sum(body) // #nosec G401
	return object{body: body, etag: `"` + hex.EncodeToString(sum[:]) + `"`, modified: time.Now().UTC()}
}

// ServeHTTP answers path-style requests: /<bucket>/<key>.
func (s *S3) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.down.Load() {
		fail(w, http.StatusServiceUnavailable, "ServiceUnavailable")
		return
	}
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch {
	case r.Method == http.MethodGet && key == "":
		s.list(w, r, bucket)
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		s.get(w, r, bucket+"/"+key)
	case r.Method == http.MethodPut && key != "":
		s.put(w, r, bucket+"/"+key)
	default:
		fail(w, http.StatusNotImplemented, "NotImplemented")
	}
}

func (s *S3) get(w http.ResponseWriter, r *http.Request, name string) {
	s.gets.Add(1)
	s.mu.RLock()
	o, ok := s.objects[name]
	s.mu.RUnlock()
	if !ok {
		fail(w, http.StatusNotFound, "NoSuchKey")
		return
	}
	// http.ServeContent does the conditions (If-None-Match, If-Match) and ranges of RFC 9110 as S3 does.
	w.Header().Set("ETag", o.etag)
	w.Header().Set("Content-Type", "binary/octet-stream")
	http.ServeContent(w, r, "", o.modified, bytes.NewReader(o.body))
}

func (s *S3) put(w http.ResponseWriter, r *http.Request, name string) {
	body, err := readBody(r)
	if err != nil {
		fail(w, http.StatusBadRequest, "IncompleteBody")
		return
	}
	o := newObject(body)
	match, none := r.Header.Get("If-Match"), r.Header.Get("If-None-Match")
	s.mu.Lock()
	old, exists := s.objects[name]
	switch {
	case match != "" && !exists:
		s.mu.Unlock()
		fail(w, http.StatusNotFound, "NoSuchKey")
		return
	case match != "" && match != old.etag, none == "*" && exists:
		s.mu.Unlock()
		fail(w, http.StatusPreconditionFailed, "PreconditionFailed")
		return
	}
	s.objects[name] = o
	s.mu.Unlock()
	w.Header().Set("ETag", o.etag)
}

type listResult struct {
	XMLName     xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListBucketResult"`
	Name        string   `xml:"Name"`
	Prefix      string   `xml:"Prefix"`
	KeyCount    int      `xml:"KeyCount"`
	MaxKeys     int      `xml:"MaxKeys"`
	IsTruncated bool     `xml:"IsTruncated"`
	Next        string   `xml:"NextContinuationToken,omitempty"`
	Contents    []listed `xml:"Contents"`
}

type listed struct {
	Key          string `xml:"Key"`
	LastModified string `xml:"LastModified"`
	ETag         string `xml:"ETag"`
	Size         int    `xml:"Size"`
	StorageClass string `xml:"StorageClass"`
}

// list answers ListObjectsV2. The continuation token is the last key given.
func (s *S3) list(w http.ResponseWriter, r *http.Request, bucket string) {
	q := r.URL.Query()
	after := max(q.Get("start-after"), q.Get("continuation-token"))
	limit := 1000
	if n, err := strconv.Atoi(q.Get("max-keys")); err == nil && n < limit {
		limit = n
	}
	result := listResult{Name: bucket, Prefix: q.Get("prefix"), MaxKeys: limit}
	s.mu.RLock()
	for _, name := range slices.Sorted(maps.Keys(s.objects)) {
		key, ok := strings.CutPrefix(name, bucket+"/")
		if !ok || !strings.HasPrefix(key, result.Prefix) || key <= after {
			continue
		}
		if len(result.Contents) == limit {
			result.IsTruncated, result.Next = true, result.Contents[limit-1].Key
			break
		}
		o := s.objects[name]
		result.Contents = append(result.Contents, listed{key, o.modified.Format(time.RFC3339), o.etag, len(o.body), "STANDARD"})
	}
	s.mu.RUnlock()
	result.KeyCount = len(result.Contents)
	w.Header().Set("Content-Type", "application/xml")
	_, _ = io.WriteString(w, xml.Header)
	_ = xml.NewEncoder(w).Encode(result)
}

func fail(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "%s<Error><Code>%s</Code><Message>%s</Message></Error>", xml.Header, code, code)
}

// readBody reads a PUT's content, undoing aws-chunked, in which SDKs wrap streams whose checksum trails
// (Amazon S3 API reference, "Signature calculations: transferring payload in multiple chunks").
func readBody(r *http.Request) ([]byte, error) {
	if !strings.Contains(r.Header.Get("Content-Encoding"), "aws-chunked") {
		return io.ReadAll(r.Body)
	}
	in := bufio.NewReader(r.Body)
	var out []byte
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return nil, fmt.Errorf("chunk header: %w", err)
		}
		digits, _, _ := strings.Cut(strings.TrimSpace(line), ";")
		size, err := strconv.ParseUint(digits, 16, 31)
		if err != nil {
			return nil, fmt.Errorf("chunk size: %w", err)
		}
		if size == 0 {
			return out, nil // trailers follow
		}
		chunk := make([]byte, size)
		if _, err := io.ReadFull(in, chunk); err != nil {
			return nil, fmt.Errorf("chunk: %w", err)
		}
		out = append(out, chunk...)
		if _, err := in.Discard(len("\r\n")); err != nil {
			return nil, fmt.Errorf("chunk end: %w", err)
		}
	}
}

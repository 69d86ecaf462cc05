package s3

import (
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/fault"
)

// fakeS3 answers the six calls of the adapter from a bucket in memory, over HTTP,
// with S3's status codes, headers and XML. It keeps the requests it saw.
type fakeS3 struct {
	bucket string
	memory blob.Memory
	// answer, when set, may take a request over; it returns whether it did.
	answer func(w http.ResponseWriter, r *http.Request) bool

	mu       sync.Mutex
	requests []*http.Request
}

func (f *fakeS3) seen() []*http.Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.requests
}

func (f *fakeS3) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.requests = append(f.requests, r)
	f.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	if f.answer != nil && f.answer(w, r) {
		return
	}
	key, ok := strings.CutPrefix(r.URL.Path, "/"+f.bucket+"/")
	switch {
	case !ok && r.URL.Query().Get("list-type") == "2" && strings.Trim(r.URL.Path, "/") == f.bucket:
		f.list(w, r)
	case !ok:
		refuse(w, http.StatusNotFound, "NoSuchBucket")
	case r.Method == http.MethodDelete:
		_ = f.memory.DeleteVersion(r.Context(), key, r.URL.Query().Get("versionId"))
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodPut:
		f.put(w, r, key, body)
	default:
		f.get(w, r, key)
	}
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<Error><Code>%s</Code><Message>no</Message></Error>", code)
}

func (f *fakeS3) put(w http.ResponseWriter, r *http.Request, key string, body []byte) {
	cond := blob.Condition{IfAbsent: r.Header.Get("If-None-Match") == "*", IfMatch: r.Header.Get("If-Match")}
	info, err := f.memory.Put(r.Context(), key, body, cond)
	switch fault.KindOf(err) {
	case "":
		w.Header().Set("ETag", info.ETag)
		w.Header().Set("x-amz-version-id", info.VersionID)
	case fault.NotFound:
		refuse(w, http.StatusNotFound, "NoSuchKey")
	case fault.FailedPrecondition:
		refuse(w, http.StatusPreconditionFailed, "PreconditionFailed")
	default:
		refuse(w, http.StatusInternalServerError, "InternalError")
	}
}

func (f *fakeS3) get(w http.ResponseWriter, r *http.Request, key string) {
	obj, err := f.version(r, key)
	if err != nil {
		if r.Method == http.MethodHead { // which has no body to carry a code
			w.WriteHeader(http.StatusNotFound)
			return
		}
		refuse(w, http.StatusNotFound, "NoSuchKey")
		return
	}
	h := w.Header()
	h.Set("ETag", obj.ETag)
	h.Set("x-amz-version-id", obj.VersionID)
	h.Set("Last-Modified", obj.Modified.Format(http.TimeFormat))
	if r.Header.Get("If-None-Match") == obj.ETag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	status, body := http.StatusOK, obj.Body
	if spec, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes="); ok {
		from, to, _ := strings.Cut(spec, "-")
		first, _ := strconv.Atoi(from)
		last, err := strconv.Atoi(to)
		if err != nil || last >= len(body) {
			last = len(body) - 1
		}
		if first > last {
			refuse(w, http.StatusRequestedRangeNotSatisfiable, "InvalidRange")
			return
		}
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last, len(body)))
		status, body = http.StatusPartialContent, body[first:last+1]
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
}

// version is the object as it was, or the newest one where none is named.
func (f *fakeS3) version(r *http.Request, key string) (blob.Object, error) {
	id := r.URL.Query().Get("versionId")
	if id == "" {
		return f.memory.Get(r.Context(), key)
	}
	for _, obj := range f.memory.Versions(key) {
		if obj.VersionID == id {
			return obj, nil
		}
	}
	return blob.Object{}, fault.New(fault.NotFound, "no such version")
}

func (f *fakeS3) list(w http.ResponseWriter, r *http.Request) {
	type content struct {
		Key, ETag, LastModified string
		Size                    int64
	}
	answer := struct {
		XMLName               xml.Name `xml:"ListBucketResult"`
		IsTruncated           bool
		NextContinuationToken string `xml:",omitempty"`
		Contents              []content
	}{}
	q := r.URL.Query()
	after := q.Get("start-after")
	if token := q.Get("continuation-token"); token != "" {
		after = strings.TrimPrefix(token, "token-")
	}
	for info := range f.memory.List(r.Context(), q.Get("prefix"), after) {
		if len(answer.Contents) == 1000 {
			answer.IsTruncated = true
			answer.NextContinuationToken = "token-" + answer.Contents[999].Key
			break
		}
		answer.Contents = append(answer.Contents, content{info.Key, info.ETag, info.Modified.Format("2006-01-02T15:04:05.000Z"), info.Size})
	}
	w.Header().Set("Content-Type", "application/xml")
	_ = xml.NewEncoder(w).Encode(answer)
}

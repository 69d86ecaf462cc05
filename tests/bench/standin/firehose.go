package standin

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
)

// Firehose takes PutRecordBatch and PutRecord, counts, and keeps the last record.
type Firehose struct {
	mu    sync.Mutex
	count Taken
	last  []byte
}

// Taken is what a Firehose has accepted.
type Taken struct {
	Calls   int64 `json:"calls"`
	Records int64 `json:"records"`
	Lines   int64 `json:"lines"`
	Bytes   int64 `json:"bytes"`
}

type putBatch struct {
	DeliveryStreamName string
	Records            []record
	Record             *record
}

type record struct{ Data []byte }

// Taken returns the counts so far.
func (f *Firehose) Taken() Taken {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count
}

// Last is the last record taken.
func (f *Firehose) Last() []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last
}

// ServeHTTP answers Firehose's JSON 1.1 protocol; every record is accepted.
func (f *Firehose) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	var in putBatch
	if json.Unmarshal(body, &in) != nil || in.DeliveryStreamName == "" {
		firehoseError(w, "InvalidArgumentException")
		return
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	switch {
	case op == "PutRecord" && in.Record != nil:
		f.take([]record{*in.Record})
		_, _ = io.WriteString(w, `{"RecordId":"1","Encrypted":false}`)
	case op == "PutRecordBatch" && len(in.Records) > 0 && len(in.Records) <= 500:
		first := f.take(in.Records)
		_, _ = io.WriteString(w, `{"Encrypted":false,"FailedPutCount":0,"RequestResponses":[`)
		for i := range in.Records {
			if i > 0 {
				_, _ = io.WriteString(w, ",")
			}
			_, _ = fmt.Fprintf(w, `{"RecordId":"%d"}`, first+int64(i))
		}
		_, _ = io.WriteString(w, `]}`)
	default:
		firehoseError(w, "InvalidArgumentException")
	}
}

// take counts records and returns the number of the first.
func (f *Firehose) take(records []record) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	first := f.count.Records
	f.count.Calls++
	for _, r := range records {
		f.count.Records++
		f.count.Bytes += int64(len(r.Data))
		for _, b := range r.Data {
			if b == '\n' {
				f.count.Lines++
			}
		}
	}
	f.last = records[len(records)-1].Data
	return first
}

func firehoseError(w http.ResponseWriter, kind string) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.Header().Set("X-Amzn-ErrorType", kind)
	w.WriteHeader(http.StatusBadRequest)
	_, _ = fmt.Fprintf(w, `{"__type":%q}`, kind)
}

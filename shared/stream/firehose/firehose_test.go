package firehose

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/firehose"

	"github.com/tidegate/tidegate/shared/fault"
)

// fake takes PutRecordBatch over HTTP. answer decides on each call: the codes of
// its records ("" = taken), or a status for the whole call.
type fake struct {
	answer func(call int, records [][]byte) (codes []string, status int, kind string)

	mu    sync.Mutex
	calls []int // records of each call
	taken map[string]int
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if target := r.Header.Get("X-Amz-Target"); target != "Firehose_20150804.PutRecordBatch" {
		http.Error(w, target, http.StatusBadRequest)
		return
	}
	var in struct {
		DeliveryStreamName string
		Records            []struct{ Data []byte }
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.DeliveryStreamName != "captures" {
		http.Error(w, "bad request", http.StatusBadRequest)
		return
	}
	var records [][]byte
	for _, r := range in.Records {
		records = append(records, r.Data)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, len(records))
	codes, status, kind := make([]string, len(records)), 0, ""
	if f.answer != nil {
		codes, status, kind = f.answer(len(f.calls), records)
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	if status != 0 {
		w.Header().Set("X-Amzn-ErrorType", kind)
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"__type":%q}`, kind)
		return
	}
	type result struct {
		RecordId, ErrorCode string `json:",omitempty"` //nolint:revive // Firehose's names
	}
	out := struct {
		FailedPutCount   int
		RequestResponses []result
	}{}
	for i := range records {
		if codes[i] == "" {
			f.taken[string(records[i])]++
			out.RequestResponses = append(out.RequestResponses, result{RecordId: strconv.Itoa(i)})
			continue
		}
		out.FailedPutCount++
		out.RequestResponses = append(out.RequestResponses, result{ErrorCode: codes[i]})
	}
	_ = json.NewEncoder(w).Encode(out)
}

func start(t *testing.T, answer func(int, [][]byte) ([]string, int, string)) (*Stream, *fake) {
	f := &fake{answer: answer, taken: map[string]int{}}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	client := firehose.New(firehose.Options{
		BaseEndpoint: &server.URL, Region: "us-east-1", RetryMaxAttempts: 1,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "a", SecretAccessKey: "b"}, nil
		}),
	})
	s := New(client, "captures")
	s.sleep = func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
	return s, f
}

func numbered(n int) [][]byte {
	var records [][]byte
	for i := range n {
		records = append(records, []byte(fmt.Sprintf("{\"i\":%d}\n", i)))
	}
	return records
}

func TestQuotasOfACall(t *testing.T) {
	s, f := start(t, nil)
	if failed, err := s.Send(t.Context(), numbered(1203)); err != nil || failed != nil {
		t.Fatal(failed, err)
	}
	if !slices.Equal(f.calls, []int{500, 500, 203}) || len(f.taken) != 1203 {
		t.Errorf("calls of %v records, %d taken", f.calls, len(f.taken))
	}

	s, f = start(t, nil)
	large := bytes.Repeat([]byte("x"), 1000<<10)
	var records [][]byte
	for i := range 9 {
		records = append(records, append([]byte(strconv.Itoa(i)), large[1:]...))
	}
	if failed, err := s.Send(t.Context(), records); err != nil || failed != nil {
		t.Fatal(failed, err)
	}
	if !slices.Equal(f.calls, []int{4, 4, 1}) {
		t.Errorf("calls of %v records of 1,000 KiB", f.calls)
	}
}

func TestRefusedRecordsAreSentAgain(t *testing.T) {
	s, f := start(t, func(call int, records [][]byte) ([]string, int, string) {
		codes := make([]string, len(records))
		if call < 3 {
			for i := range records {
				if i%2 == 1 {
					codes[i] = "ServiceUnavailableException"
				}
			}
		}
		return codes, 0, ""
	})
	if failed, err := s.Send(t.Context(), numbered(10)); err != nil || failed != nil {
		t.Fatal(failed, err)
	}
	if !slices.Equal(f.calls, []int{10, 5, 2}) {
		t.Errorf("calls of %v records: only what was refused may be sent again", f.calls)
	}
	for record, times := range f.taken {
		if times != 1 {
			t.Errorf("%s taken %d times", record, times)
		}
	}
	if len(f.taken) != 10 {
		t.Errorf("%d taken", len(f.taken))
	}
}

func TestWhatIsNeverTakenIsNamed(t *testing.T) {
	s, f := start(t, func(_ int, records [][]byte) ([]string, int, string) {
		codes := make([]string, len(records))
		for i, r := range records {
			if bytes.Contains(r, []byte(`:7}`)) || bytes.Contains(r, []byte(`:501}`)) {
				codes[i] = "InternalFailure"
			}
		}
		return codes, 0, ""
	})
	failed, err := s.Send(t.Context(), numbered(600))
	if !fault.Is(err, fault.Unavailable) && err != nil || !slices.Equal(failed, []int{7, 501}) {
		t.Errorf("failed %v, error %v", failed, err)
	}
	if err == nil || len(f.taken) != 598 {
		t.Errorf("%d taken, error %v", len(f.taken), err)
	}
}

func TestKindsOfFailure(t *testing.T) {
	for _, test := range []struct {
		status int
		kind   string
		want   fault.Kind
	}{
		{400, "ResourceNotFoundException", fault.Internal},
		{400, "AccessDeniedException", fault.Internal},
		{400, "ThrottlingException", fault.Unavailable},
		{503, "ServiceUnavailableException", fault.Unavailable},
		{500, "InternalFailure", fault.Unavailable},
	} {
		s, f := start(t, func(int, [][]byte) ([]string, int, string) { return nil, test.status, test.kind })
		failed, err := s.Send(t.Context(), numbered(1001))
		if len(failed) != 1001 {
			t.Errorf("%s: %d of 1001 records failed", test.kind, len(failed))
		}
		if got := fault.KindOf(err); err == nil || test.want == fault.Internal && got != test.want {
			t.Errorf("%s: %v is %s, want %s", test.kind, err, got, test.want)
		}
		if calls := map[fault.Kind]int{fault.Internal: 1, fault.Unavailable: 3}[test.want]; len(f.calls) != calls {
			t.Errorf("%s: %d calls, want %d", test.kind, len(f.calls), calls)
		}
	}
}

func TestDeadlineEndsTheTries(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s, f := start(t, func(_ int, records [][]byte) ([]string, int, string) {
		cancel()
		return slices.Repeat([]string{"ServiceUnavailableException"}, len(records)), 0, ""
	})
	if failed, err := s.Send(ctx, numbered(3)); err == nil || len(failed) != 3 {
		t.Error(failed, err)
	}
	if len(f.calls) != 1 {
		t.Errorf("%d calls", len(f.calls))
	}
}

package exposition

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/batching"
	"github.com/tidegate/tidegate/shared/httpapi"
)

func text(m *Metrics) string { return string(m.Append(context.Background(), nil)) }

func filled() *Metrics {
	m := New(Options{Runtime: "onnxruntime 1.27.0", Provider: "cpu", Asked: "cuda", RSS: func() int64 { return 1 << 20 }, Started: time.UnixMilli(1500)})
	s := batching.Stats{Model: "flights", Version: 7, ServedBy: "endpoint", Queued: 3, Limit: 64, Rows: 70, Runs: 2, Requests: 9, Poisoned: 1, WaitSum: 1500 * time.Microsecond}
	s.BatchRows[0], s.BatchRows[7], s.Waits[0], s.Waits[13] = 1, 1, 2, 1
	ready := errors.New("no")
	m.Watch(func() []batching.Stats { return []batching.Stats{s} }, func(context.Context) error { return ready })
	for _, ms := range []int{1, 3, 60_000} {
		m.Observe(context.Background(), &httpapi.Observation{Route: "infer", Model: "flights", Version: 7, Slot: "champion", Status: 200, Rows: 2, BytesIn: 10, Duration: time.Duration(ms) * time.Millisecond,
			Stages: []httpapi.Stage{{Name: "run", Duration: time.Millisecond}, {Name: "encode", Duration: -1}}})
	}
	m.Observe(context.Background(), &httpapi.Observation{Route: "infer", Model: "what\"a\nclient\\asks", Status: 404, ErrorKind: "NotFound"})
	m.Counting(nil)("Loads", 2)
	return m
}

func TestThePageSaysWhatWasSeen(t *testing.T) {
	got := text(filled())
	for _, want := range []string{
		`tidegate_runtime_info{runtime="onnxruntime 1.27.0",provider="cpu",asked="cuda"} 1`,
		`tidegate_ready 0`,
		`process_start_time_seconds 1.5`,
		`tidegate_requests_total{route="infer",model="flights",version="7",slot="champion",status="200",kind=""} 3`,
		`tidegate_requests_total{route="infer",model="",version="",slot="",status="404",kind="NotFound"} 1`,
		`tidegate_request_rows_total{route="infer",model="flights",version="7",slot="champion",status="200",kind=""} 6`,
		`tidegate_request_seconds_bucket{route="infer",model="flights",version="7",slot="champion",status="200",kind="",le="0.001"} 1`,
		`tidegate_request_seconds_bucket{route="infer",model="flights",version="7",slot="champion",status="200",kind="",le="30"} 2`,
		`tidegate_request_seconds_bucket{route="infer",model="flights",version="7",slot="champion",status="200",kind="",le="+Inf"} 3`,
		`tidegate_stage_seconds_sum{stage="encode"} 0`,
		`tidegate_events_total{event="Loads"} 2`,
		`tidegate_batch_queue_requests{model="flights",version="7",served_by="endpoint"} 3`,
		`tidegate_run_rows_bucket{model="flights",version="7",served_by="endpoint",le="64"} 1`,
		`tidegate_run_rows_bucket{model="flights",version="7",served_by="endpoint",le="128"} 2`,
		`tidegate_run_rows_sum{model="flights",version="7",served_by="endpoint"} 70`,
		`tidegate_batch_wait_seconds_bucket{model="flights",version="7",served_by="endpoint",le="+Inf"} 3`,
		`tidegate_batch_lost_total{model="flights",version="7",served_by="endpoint",reason="poisoned"} 1`,
	} {
		if !strings.Contains(got, want+"\n") {
			t.Errorf("the page lacks %s", want)
		}
	}
	if strings.Contains(got, "client") {
		t.Error("what a client asked for is a label")
	}
}

// TestThePageIsWellFormed holds each line against the format: a sample belongs to
// the family announced before it, and no series is there twice.
func TestThePageIsWellFormed(t *testing.T) {
	sample := regexp.MustCompile(`^([a-z_]+)(\{([a-z_]+="([^"\\\n]|\\[\\n"])*",?)+\})? (\+Inf|-?[0-9.e+-]+)$`)
	family, seen := "", map[string]bool{}
	for line := range strings.SplitSeq(strings.TrimSuffix(text(filled()), "\n"), "\n") {
		if rest, ok := strings.CutPrefix(line, "# "); ok {
			family = strings.Fields(rest)[1]
			continue
		}
		m := sample.FindStringSubmatch(line)
		if m == nil {
			t.Errorf("not a sample: %q", line)
			continue
		}
		if base := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(m[1], "_bucket"), "_sum"), "_count"); m[1] != family && base != family {
			t.Errorf("%s stands under %s", m[1], family)
		}
		if series := m[1] + m[2]; seen[series] {
			t.Errorf("%s is there twice", series)
		} else {
			seen[series] = true
		}
	}
}

func TestServeHTTP(t *testing.T) {
	m := filled()
	for method, status := range map[string]int{"GET": 200, "HEAD": 200, "POST": 405} {
		w := httptest.NewRecorder()
		m.ServeHTTP(w, httptest.NewRequest(method, "/metrics", http.NoBody))
		if w.Code != status || (w.Body.Len() > 0) != (method == "GET") {
			t.Errorf("%s: %d, %d bytes", method, w.Code, w.Body.Len())
		}
	}
}

type counted int

func (c *counted) Observe(context.Context, *httpapi.Observation) { *c++ }

func TestObservingPassesOn(t *testing.T) {
	m, next := New(Options{}), counted(0)
	m.Observing(&next).Observe(t.Context(), &httpapi.Observation{Route: "infer", Status: 200})
	m.Observing(nil).Observe(t.Context(), &httpapi.Observation{Route: "infer", Status: 200})
	total := int64(0)
	m.Counting(func(_ string, n int64) { total += n })("Loads", 3)
	if next != 1 || total != 3 || !strings.Contains(text(m), `status="200",kind=""} 2`) {
		t.Errorf("%d passed on, %d counted, page %s", next, total, text(m))
	}
}

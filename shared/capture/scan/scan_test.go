package scan

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate/tidegate/shared/capture"
	"github.com/tidegate/tidegate/shared/oip/wire"
)

const full = `{"v":1,"id":"019d5f2c-7c5b-7d0a-8f0e-3b7a52d1c9e4","request_id":"batch-17","ts":"2026-04-06T14:31:16.123456Z","model":"flights","version":7,"digest":"sha256:bd",` +
	`"slot":"champion","role":"served","generation":12,"rollout_id":"r\u0031","key":"k","first_row":3,"rows":2,"total_rows":9,"inputs":{"dep_delay":[12,null]},` +
	`"outputs":{"label":[0,1]},"status":503,"error_kind":"Unavailable","latency_us":412,"served_by":"lambda","sampled":0.25}`

func TestRead(t *testing.T) {
	var at []string
	l := Line{}
	l.Columns = func(key string, i int) (int, wire.Code) {
		next, code := wire.Skip(l.B, i, 1)
		at = append(at, key+string(l.B[i:next]))
		return next, code
	}
	for range 2 { // the second time by the clock's memory
		if problem := l.Read([]byte(full)); problem != "" {
			t.Fatal(problem)
		}
	}
	want := Record{V: 1, ID: "019d5f2c-7c5b-7d0a-8f0e-3b7a52d1c9e4", RequestID: "batch-17", Model: "flights", Version: 7, Slot: "champion", Role: capture.Served, Generation: 12, Rollout: "r1", Key: "k",
		First: 3, Rows: 2, Total: 9, Status: 503, ErrorKind: "Unavailable", LatencyUS: 412, Sampled: 0.25, TS: Stamp{time.Date(2026, 4, 6, 14, 31, 16, 0, time.UTC).Unix(), true}}
	if diff := cmp.Diff(want, l.Record); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{`inputs{"dep_delay":[12,null]}`, `outputs{"label":[0,1]}`}, at[:2]); diff != "" {
		t.Error(diff)
	}
	if !l.Failed() {
		t.Error("a failed request")
	}
}

func TestProblems(t *testing.T) {
	l := Line{}
	for what, c := range map[string]struct{ old, new, says string }{
		"format":    {`"v":1`, `"v":2`, "format"},
		"id":        {`"id":"019d5f2c-7c5b-7d0a-8f0e-3b7a52d1c9e4"`, `"id":""`, "no id"},
		"id kind":   {`"id":"019d5f2c-7c5b-7d0a-8f0e-3b7a52d1c9e4"`, `"id":7`, "id is not a string"},
		"slot":      {`"champion"`, `"king"`, "slot is none"},
		"role":      {`"served"`, `"lost"`, "role is neither"},
		"no role":   {`"role":"served",`, ``, "missing"},
		"ts":        {`"2026-04-06T14:31:16.123456Z"`, `"2026-04-06"`, "RFC 3339"},
		"no ts":     {`"ts":"2026-04-06T14:31:16.123456Z",`, ``, "no ts"},
		"sampled":   {`"sampled":0.25`, `"sampled":0`, "sampled is not above 0"},
		"sampled -": {`"sampled":0.25`, `"sampled":"x"`, "sampled is not a number"},
		"rows":      {`"rows":2`, `"rows":-2`, "no count"},
		"first":     {`"first_row":3,`, ``, "no count"},
		"fraction":  {`"generation":12`, `"generation":1.5`, "generation is not written as an integer"},
		"cut":       {`"sampled":0.25}`, `"sampled":0.25`, "not valid JSON"},
		"behind":    {`"sampled":0.25}`, `"sampled":0.25}x`, "behind the object"},
		"list":      {full, `[1]`, "not a JSON object"},
	} {
		if problem := l.Read([]byte(strings.Replace(full, c.old, c.new, 1))); !strings.Contains(problem, c.says) {
			t.Errorf("%s: %q, want %q", what, problem, c.says)
		}
	}
}

func TestDoneEndsALineEarly(t *testing.T) {
	asked := 0
	l := Line{}
	l.Done = func() bool { asked++; return l.Model == "flights" }
	cut := full[:strings.Index(full, `"version"`)] + " and no JSON"
	if problem := l.Read([]byte(cut)); problem != "" || !l.Ended || asked != 1 {
		t.Errorf("%q, ended %v, asked %d times", problem, l.Ended, asked)
	}
	if problem := l.Read([]byte(strings.Replace(full, "flights", "other", 1))); problem != "" || l.Ended {
		t.Errorf("%q, ended %v", problem, l.Ended)
	}
}

func TestUUIDTime(t *testing.T) {
	var at Stamp
	if !UUIDTime("019d5f2c-7c5b-7d0a-8f0e-3b7a52d1c9e4", &at) || at.Seconds != 0x019d5f2c7c5b/1000 {
		t.Errorf("%+v", at)
	}
	for _, id := range []string{"", "order-17", "019d5f2c-7c5b-4d0a-8f0e-3b7a52d1c9e4", "xxxxxxxx-7c5b-7d0a-8f0e-3b7a52d1c9e4"} {
		if UUIDTime(id, &at) {
			t.Errorf("%q has a time", id)
		}
	}
}

// FuzzRead holds what is accepted to what encoding/json reads.
func FuzzRead(f *testing.F) {
	f.Add(full)
	f.Add(`{"v":1,"id":"a","ts":"2026-04-06T14:31:16+02:00","slot":"pinned","role":"paired","first_row":0,"rows":1,"sampled":1}`)
	f.Add(`{"v":1e0}`)
	f.Fuzz(func(t *testing.T, text string) {
		l := Line{}
		if l.Read([]byte(text)) != "" {
			return
		}
		var r capture.Record
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			t.Skip() // a member that we do not read has another type
		}
		lower := strings.ToLower(text) // encoding/json takes names of any case, and the last of several
		if strings.Count(lower, `"`) != strings.Count(text, `"`) || strings.Contains(text, `\`) || lower != text && strings.Count(text, ":") > 20 {
			return
		}
		if strings.Count(text, `"id"`) == 1 && strings.Count(lower, `"id"`) == 1 && r.ID != l.ID {
			t.Errorf("id %q, want %q", l.ID, r.ID)
		}
		if strings.Count(text, `"rows"`) == 1 && strings.Count(lower, `"rows"`) == 1 && int64(r.Rows) != l.Rows {
			t.Errorf("rows %d, want %d", l.Rows, r.Rows)
		}
		if strings.Count(text, `"ts"`) == 1 && strings.Count(lower, `"ts"`) == 1 && r.TS.Unix() != l.TS.Seconds {
			t.Errorf("ts %d, want %d", l.TS.Seconds, r.TS.Unix())
		}
		if strings.Count(text, `"sampled"`) == 1 && strings.Count(lower, `"sampled"`) == 1 && r.Sampled != l.Sampled {
			t.Errorf("sampled %g, want %g", l.Sampled, r.Sampled)
		}
	})
}

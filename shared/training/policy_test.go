package training

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate/tidegate/shared/dataset"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/lease"
)

func TestPolicies(t *testing.T) {
	for _, nothing := range []string{"", "null", " {} ", `{"debounce":null}`} {
		p, err := ParsePolicy([]byte(nothing))
		if err != nil || p.Set() || p.Then != ThenRollout || p.Trainer.Kind != Lambda || p.Debounce != lease.DefaultDebounce() {
			t.Errorf("%q: %+v, %v", nothing, p, err)
		}
	}
	p, err := ParsePolicy([]byte(`{"debounce":{"need":2,"within_seconds":60},"sources":[{"prefix":"a/","suffix":".csv"},{"bucket":"other-bucket","prefix":"b"}],
 "outcomes":{"hours":24},"hyperparameters":{"seed":"1","max_iter":50,"coerce_numbers":true,"rate":-0.5},"then":"register","approval":"rollout","approval_seconds":60,
 "recent_hours":5,"replay":{"metric":0.1}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := DefaultPolicy()
	want.Debounce = lease.Debounce{CoolDownSeconds: 86400, Need: 2, WithinSeconds: 60}
	want.Sources = []dataset.Prefix{{Prefix: "a/", Suffix: ".csv"}, {Bucket: "other-bucket", Prefix: "b"}}
	want.Outcomes.Hours, want.RecentHours, want.Replay.Metric = 24, 5, 0.1
	want.Hyperparameters = map[string]string{"seed": "1", "max_iter": "50", "coerce_numbers": "true", "rate": "-0.5"}
	want.Then, want.Approval, want.ApprovalSeconds = ThenRegister, ApproveRollout, 60
	if diff := cmp.Diff(want, p); diff != "" {
		t.Error(diff)
	}
	if got := p.Outcomes.until(time.Date(2026, 4, 6, 14, 59, 0, 0, time.UTC)); !got.Equal(time.Date(2026, 4, 5, 14, 0, 0, 0, time.UTC)) {
		t.Errorf("until %s", got)
	}
	if got := (Window{}).until(time.Date(2026, 4, 6, 14, 59, 0, 0, time.UTC)); got.Hour() != 13 {
		t.Errorf("captures of an hour arrive in the next one, and yet until is %s", got)
	}
}

func TestBadPolicies(t *testing.T) {
	digest := "@sha256:" + strings.Repeat("ab", 32)
	for doc, paths := range map[string]string{
		`[]`:             "retrain",
		`{"source":[]}`:  "source",
		`{"sources":{}}`: "sources",
		`{"sources":[{"prefix":""},{"prefix":"s3://b/x","bucket":"B"},{"prefix":"/x","region":"eu"}]}`: "sources[2].region sources[0].prefix sources[1].bucket sources[1].prefix sources[2].prefix",
		`{"debounce":{"need":2}}`:                                                                                        "debounce.within_seconds",
		`{"outcomes":{"hours":9000},"recent_hours":-1}`:                                                                  "outcomes.hours recent_hours",
		`{"then":"deploy","approval":"always","approval_seconds":0}`:                                                     "then approval approval_seconds",
		`{"hyperparameters":{"seed":[1],"model":"x","a b":"c","sagemaker_x":"y","n":null}}`:                              "hyperparameters.a b hyperparameters.model hyperparameters.n hyperparameters.sagemaker_x hyperparameters.seed",
		`{"schema":{"task":"regression","target":"y","columns":[]}}`:                                                     "schema.columns",
		`{"key":"c","schema":{"task":"regression","target":"y","columns":[{"name":"a","type":"number"}]}}`:               "key",
		`{"trainer":{"kind":"laptop"}}`:                                                                                  "trainer.kind",
		`{"trainer":{"kind":"sagemaker","image":"x/y:latest","role":"train","instance_type":"m5.xlarge"}}`:               "trainer.image trainer.role trainer.instance_type",
		`{"trainer":{"kind":"sagemaker","image":"x/y` + digest + `","role":"arn:aws:iam::111122223333:role/t","gpu":1}}`: "trainer.gpu",
		`{"replay":{"metric":-1}}`:                                                                                       "replay.metric",
	} {
		_, err := ParsePolicy([]byte(doc))
		if !fault.Is(err, fault.InvalidArgument) {
			t.Errorf("%s: %v", doc, err)
			continue
		}
		var got []string
		for _, v := range fault.Public(err).Violations {
			got = append(got, v.Path)
		}
		if strings.Join(got, " ") != paths {
			t.Errorf("%s: faults at %q, want %q", doc, strings.Join(got, " "), paths)
		}
	}
}

func FuzzPolicy(f *testing.F) {
	f.Add([]byte(`{"sources":[{"prefix":"a/"}],"hyperparameters":{"seed":"1"},"trainer":{"kind":"sagemaker"},"debounce":{"need":2}}`))
	f.Add([]byte(`{"schema":{"task":"regression","target":"y","columns":[{"name":"a","type":"number"}]},"key":"a"}`))
	f.Add([]byte(`{"hyperparameters":{"a":1,"b":null,"c":[]},"outcomes":null}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		p, err := ParsePolicy(doc)
		if err != nil {
			if !fault.Is(err, fault.InvalidArgument) {
				t.Fatalf("error %v", err)
			}
			return
		}
		if again := p.check(); len(again) > 0 {
			t.Fatalf("%s was accepted, with %v", doc, again)
		}
	})
}

func FuzzRecord(f *testing.F) {
	f.Add([]byte(`{"v":1,"key":"sha256:` + strings.Repeat("ab", 32) + `","dataset":{"digest":"` + strings.Repeat("ab", 32) + `"},"hyperparameters":{"a":"b"}}`))
	f.Add([]byte(`{"v":2}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, ok, err := ParseRecord(raw)
		if err == nil && ok && Key(r.Dataset.Digest, r.Terms) == "" {
			t.Fatal("no key")
		}
		if err != nil && !fault.Is(err, fault.Internal) {
			t.Fatal(err)
		}
	})
}

func TestKeys(t *testing.T) {
	terms := Terms{SchemaDigest: "s", Hyperparameters: map[string]string{"a": "1", "b": "2"}, Code: "c"}
	key := Key(strings.Repeat("ab", 32), terms)
	if Key("sha256:"+strings.Repeat("ab", 32), Terms{"s", map[string]string{"b": "2", "a": "1"}, "c"}) != key {
		t.Error("the order of hyperparameters, or the prefix of a digest, makes another key")
	}
	if Key("", Terms{}) != Key("", Terms{Hyperparameters: map[string]string{}}) {
		t.Error("no hyperparameters are two keys")
	}
	for name, other := range map[string]Terms{"schema": {"t", terms.Hyperparameters, "c"}, "code": {"s", terms.Hyperparameters, "d"}, "value": {"s", map[string]string{"a": "1", "b": "3"}, "c"}, "name": {"s", map[string]string{"a": "1", "c": "2"}, "c"}} {
		if Key(strings.Repeat("ab", 32), other) == key {
			t.Errorf("another %s has the same key", name)
		}
	}
}

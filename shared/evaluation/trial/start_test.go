package trial

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/evaluation/comparison"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/outcome"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/schema"
)

// scored is predictions as score writes them.
type scored struct {
	version int
	source  string
	rows    int
	auc     float64
	cut     bool // without the last line
}

const pinnedSource = `{"bucket":"data","key":"batches/flights/march.csv","version_id":"7"}`

// score writes the predictions of both versions for the same labels.
func (w *world) predict(key string, s scored, seed uint64) string {
	w.t.Helper()
	rng := newRand(seed)
	var b strings.Builder
	ref := w.refs[s.version]
	fmt.Fprintf(&b, `{"v":1,"kind":"head","model":"flights","version":%d,"version_digest":"%s","runtime":"test","run":"r","item":"i","source":%s,"etag":"e","keep":["late","at"]}`+"\n",
		ref.Version, ref.Digest, s.source)
	const batch = 500
	for first := 0; first < s.rows; first += batch {
		var labels, times, classes, scores []string
		for i := first; i < min(first+batch, s.rows); i++ {
			truth := 0
			if rng.Float64() < 0.3 {
				truth = 1
			}
			p := w.score(s.auc, truth, rng.NormFloat64())
			labels = append(labels, fmt.Sprintf("%q", fmt.Sprint(truth)))
			times = append(times, fmt.Sprintf("%q", noon.Add(time.Duration(i)*time.Minute).Format(time.DateTime)))
			classes = append(classes, fmt.Sprint(int(math.Round(p))))
			scores = append(scores, fmt.Sprintf("[%g,%g]", 1-p, p))
		}
		fmt.Fprintf(&b, `{"first_row":%d,"rows":%d,"kept":{"late":[%s],"at":[%s]},"outputs":{"label":[%s],"probabilities":[%s]}}`+"\n",
			first, len(labels), strings.Join(labels, ","), strings.Join(times, ","), strings.Join(classes, ","), strings.Join(scores, ","))
	}
	if !s.cut {
		fmt.Fprintf(&b, `{"kind":"end","rows":%d,"digest":"sha256:0"}`+"\n", s.rows)
	}
	w.put(key, []byte(b.String()))
	return key
}

func (w *world) startOf(champion, challenger string) (Out, error) {
	return w.judge.Run(w.t.Context(), In{Model: model, Start: &Start{Version: 2, Champion: []string{champion}, Challenger: []string{challenger}, Label: "late", Time: "at"}})
}

func TestStart(t *testing.T) {
	w := newWorld(t, "")
	champion := w.predict("predictions/flights/r/1.ndjson", scored{1, pinnedSource, 4000, 0.80, false}, 1)
	out, err := w.startOf(champion, w.predict("predictions/flights/r/2.ndjson", scored{2, pinnedSource, 4000, 0.86, false}, 1))
	w.must(err)
	w.says(out, comparison.Start)
	e, err := w.reg.Evidence(t.Context(), out.Evidence)
	w.must(err)
	if e.Decision != "start" || e.Champion != w.refs[1] || e.Challenger != w.refs[2] || !strings.HasPrefix(e.Dataset, "sha256:") || e.RolloutID != "" || out.Pairs != 4000 {
		t.Errorf("%+v with evidence %+v", out, e)
	}
	out, err = w.startOf(champion, w.predict("predictions/flights/r/3.ndjson", scored{2, pinnedSource, 4000, 0.70, false}, 1))
	w.must(err)
	w.says(out, comparison.NoStart)
	out, err = w.startOf(champion, w.predict("predictions/flights/r/4.ndjson", scored{2, pinnedSource, 4000, 0.80, false}, 1))
	w.must(err)
	if w.says(out, comparison.NoStart); !strings.Contains(out.Summary, "same answers") {
		t.Errorf("of the same answers it says %s", out.Summary)
	}
}

func TestStartRefuses(t *testing.T) {
	w := newWorld(t, "")
	good := w.predict("predictions/flights/r/1.ndjson", scored{1, pinnedSource, 900, 0.8, false}, 1)
	for name, c := range map[string]struct {
		s    scored
		kind fault.Kind
		want string
	}{
		"other rows":      {scored{2, strings.Replace(pinnedSource, "march", "april", 1), 900, 0.8, false}, fault.FailedPrecondition, "other rows"},
		"fewer rows":      {scored{2, pinnedSource, 800, 0.8, false}, fault.FailedPrecondition, "other rows"},
		"another version": {scored{1, pinnedSource, 900, 0.8, false}, fault.FailedPrecondition, "another version"},
		"not finished":    {scored{2, pinnedSource, 900, 0.8, true}, fault.FailedPrecondition, "has not ended"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.startOf(good, w.predict("predictions/flights/r/bad.ndjson", c.s, 1))
			if !fault.Is(err, c.kind) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %s with %q", err, c.kind, c.want)
			}
		})
	}
	for text, want := range map[string]string{
		"x\n":            "no JSON object",
		`{"kind":"end"}`: "no object of predictions",
		"":               "has not ended",
		headOf(w, 2) + "\n" + `{"rows":1,"kept":{"late":[1]},"outputs":{"label":[1],"probabilities":[[0,1]]}}` + "\n":                        `lacks the column "at"`,
		headOf(w, 2) + "\n" + `{"rows":2,"kept":{"late":[1],"at":[1]},"outputs":{"label":[1],"probabilities":[[0,1]]}}` + "\n":               `lacks the column "late"`,
		headOf(w, 2) + "\n" + `{"rows":1,"kept":{"late":[1],"at":["soon"]},"outputs":{"label":[1],"probabilities":[[0,1]]}}` + "\n":          "row 1 has no time",
		headOf(w, 2) + "\n" + `{"rows":1,"kept":{"late":[1],"at":[1775476800000]},"outputs":{"label":["x"],"probabilities":[[0,1]]}}` + "\n": "no usable prediction",
		headOf(w, 2) + "\n" + `{"rows":1,"kept":{"late":[1],"at":[1775476800000]},"outputs":{"label":[1],"probabilities":[null]}}` + "\n":    "no usable prediction",
		headOf(w, 2) + "\n" + `{"kind":"end","rows":7}` + "\n":                                                                               "damaged",
	} {
		w.put("predictions/flights/r/odd.ndjson", []byte(text))
		if _, err := w.startOf(good, "predictions/flights/r/odd.ndjson"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	if _, err := w.startOf(good, "predictions/flights/none.ndjson"); !fault.Is(err, fault.NotFound) {
		t.Errorf("of no object: %v", err)
	}
}

func headOf(w *world, version int) string {
	return fmt.Sprintf(`{"v":1,"kind":"head","model":"flights","version":%d,"version_digest":"%s","source":%s,"etag":"e"}`, version, w.refs[version].Digest, pinnedSource)
}

// FuzzPredictions: whatever an object holds, reading it is an answer or a fault that
// has a kind, and rows are only taken whole.
func FuzzPredictions(f *testing.F) {
	head := `{"v":1,"kind":"head","model":"flights","version":2,"version_digest":"sha256:aa","source":{},"etag":"e"}` + "\n"
	f.Add(head + `{"first_row":0,"rows":1,"kept":{"late":[0],"at":["2026-04-06T12:00:00Z"]},"outputs":{"label":[0],"probabilities":[[0.9,0.1]]}}` + "\n" + `{"kind":"end","rows":1}` + "\n")
	f.Add(head + `{"rows":2,"kept":{"late":["1",""],"at":[1,"2"]},"outputs":{"label":[1,true],"probabilities":[0.5,null]}}` + "\n")
	f.Add(head + `{"rows":-1}` + "\n" + `{"kind":"end","rows":-1}`)
	f.Add("")
	spec := outcome.Spec{Task: schema.Binary, Score: "probabilities", Prediction: "label"}
	f.Fuzz(func(t *testing.T, text string) {
		j := &Judge{Data: memory(t, "p", text)}
		p, err := j.readPredictions(t.Context(), model, "p", registry.Ref{Version: 2, Digest: "sha256:aa"}, &Start{Label: "late", Time: "at"}, &spec)
		if (p == nil) == (err == nil) {
			t.Fatalf("%v and %v", p, err)
		}
		if err != nil && fault.KindOf(err) == "" {
			t.Fatalf("%v has no kind", err)
		}
		if err == nil {
			for i := range p.rows {
				if a := p.rows[i].answer; a.Class < 0 || a.Class > 1 {
					t.Fatalf("row %d has the class %d", i, a.Class)
				}
			}
		}
	})
}

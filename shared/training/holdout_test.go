package training

import (
	"bytes"
	"strings"
	"testing"

	"github.com/tidegate/tidegate/shared/evaluation/trial"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
)

func (w *world) holdout(id string, version int) *Holdout {
	w.t.Helper()
	return w.run(In{Step: StepHoldout, Run: id, Version: version}).Holdout
}

func TestBothVersionsScoreTheSameRows(t *testing.T) {
	w := newWorld(t)
	w.configure(strings.Replace(tables, "{", `{"key":"carrier",`, 1))
	m := w.registered(2, w.snapshot("run-1"))
	h := w.holdout("run-1", 2)
	start, ok := h.Start.(trial.Start)
	if !h.Comparable || !ok || h.Champion != 1 || h.Rows != 40 || h.LeftOut != 0 || h.First != "2013-07-01T00:00:00Z" || h.Last != "2013-07-02T15:00:00Z" {
		t.Fatalf("%+v", h)
	}
	f, _ := m.File("holdout.csv")
	for i, s := range h.Scores {
		if s.Source.Bucket != "reg" || s.Source.Key != registry.BlobKey(f.SHA256) || s.Version != i+1 || strings.Join(s.Keep, ",") != "late,when,carrier" || s.Run != "run-1" {
			t.Errorf("payload of score: %+v", s)
		}
	}
	if len(h.Scores) != 2 || start.Version != 2 || start.Label != "late" || start.Time != "when" || start.Key != "carrier" ||
		start.Champion[0] != "predictions/flights/run-1/holdout-1.ndjson" || start.Challenger[0] != "predictions/flights/run-1/holdout-2.ndjson" {
		t.Errorf("start %+v", start)
	}
	if again := w.holdout("run-1", 2); !again.Repeated || len(again.Scores) != 2 {
		t.Errorf("again: %+v", again)
	}
}

func TestRowsThatTheChampionMayKnowAreLeftOut(t *testing.T) {
	w := newWorld(t)
	w.configure(tables)
	w.registered(2, w.snapshot("run-1"))
	v3 := w.version(3, "three", trained{until: "2013-07-01T12:00:00Z"}, nil)
	w.apply(registry.StartShadow(registry.Ref{Version: 3, Digest: v3.Digest})) // only to have a state that names it
	h := w.holdout("run-3", 3)
	if h.LeftOut != 12 || h.Rows != 28 || h.First != "2013-07-01T12:00:00Z" {
		t.Fatalf("%+v", h)
	}
	rows, err := w.reg.Get(t.Context(), h.Scores[0].Source.Key)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(rows.Body), "delay,carrier,when,late\n"+strings.SplitN(held(7, 40), "\n", 14)[13]; got != want {
		t.Errorf("rows:\n%s\nwant:\n%s", got, want)
	}
	w.version(4, "four", trained{until: "2013-08-01T00:00:00Z"}, nil)
	if h := w.holdout("run-4", 4); h.Comparable || !strings.Contains(h.Reason, "40 held-out rows are from before the end of the training of version 1 or 4 (2013-08-01T00:00:00Z)") || len(h.Scores) != 0 || h.Start != (none{}) {
		t.Errorf("%+v", h)
	}
}

func TestVersionsThatCannotBeCompared(t *testing.T) {
	w := newWorld(t)
	w.configure(tables)
	if h := w.holdout("run-1", 1); h.Comparable || h.Reason != "version 1 is the champion itself" {
		t.Errorf("%+v", h)
	}
	w.refused(In{Step: StepHoldout, Run: "run-9", Version: 9}, fault.NotFound, "has no version 9 that is ready")
	bare := func(n int, files map[string][]byte) {
		m := registry.Manifest{Model: "flights", Version: n, Runtime: "test"}
		for name, body := range files {
			f := fileOf(name, body)
			var err error
			if f.Blob {
				err = w.registry.PutBlob(t.Context(), f.SHA256, bytes.NewReader(body), f.Size)
			} else {
				_, err = w.registry.PutVersionFile(t.Context(), "flights", n, name, body)
			}
			if err != nil {
				t.Fatal(err)
			}
			m.Files = append(m.Files, f)
		}
		m.Digest = registry.ContentDigest(m.Files)
		if _, _, err := w.registry.PutManifest(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	bare(5, map[string][]byte{"model.onnx": []byte("5")})
	bare(6, map[string][]byte{"model.onnx": []byte("6"), "holdout.csv": []byte("a\n1\n")})
	bare(7, map[string][]byte{"model.onnx": []byte("7"), "holdout.csv": []byte("delay,late\n1,1\n"), "training_schema.json": []byte(`{"task":"binary_classification","target":"late","columns":[{"name":"delay","type":"number"}]}`)})
	bare(8, map[string][]byte{"model.onnx": []byte("8"), "holdout.csv": []byte("delay,late\n1,1\n"), "training_schema.json": []byte(trainingSchema)})
	for version, text := range map[int]string{5: "without holdout.csv", 6: "without training_schema.json", 7: "names no time"} {
		if h := w.holdout("run-bare", version); h.Comparable || !strings.Contains(h.Reason, text) {
			t.Errorf("version %d: %+v", version, h)
		}
		w.reg.Delete(registry.RunKey("flights", "run-bare", StepHoldout))
	}
	w.refused(In{Step: StepHoldout, Run: "run-bare", Version: 8}, fault.FailedPrecondition, `holdout.csv is no table whose column "when"`)
}

package main

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/parquet-go/parquet-go"

	"github.com/tidegate/tidegate/tests/bench/figures"
)

type prediction struct {
	ID         string  `parquet:"id"`
	Score      float64 `parquet:"score"`
	Prediction int64   `parquet:"prediction,dict"`
}

type truth struct {
	ID    string `parquet:"id"`
	Label int64  `parquet:"label"`
}

func write[T any](t *testing.T, name string, rows []T) string {
	t.Helper()
	var out bytes.Buffer
	w := parquet.NewGenericWriter[T](&out, parquet.MaxRowsPerRowGroup(700))
	if _, err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// files are some rows, and the metrics of them as their definitions say.
func files(t *testing.T) (paths []string, want answer) {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	var rows []prediction
	var labels []truth
	const n = 2000
	brier, loss, right := 0.0, 0.0, 0.0
	for i := range n {
		id := string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676))
		p := (float64(rng.IntN(900)) + 50) / 1000
		y, class := 0.0, 0.0
		if rng.Float64() < p {
			y = 1
		}
		if p >= 0.5 {
			class = 1
		}
		rows = append(rows, prediction{id, p, int64(class)})
		labels = append(labels, truth{id, int64(y)})
		brier += (p - y) * (p - y)
		loss -= y*math.Log(p) + (1-y)*math.Log(1-p)
		if class == y {
			right++
		}
	}
	above, pairs := 0.0, 0.0
	for i := range rows {
		for k := range rows {
			if labels[i].Label == 1 && labels[k].Label == 0 {
				pairs++
				if rows[i].Score > rows[k].Score {
					above++
				} else if rows[i].Score == rows[k].Score {
					above += 0.5
				}
			}
		}
	}
	rng.Shuffle(n, func(i, k int) { labels[i], labels[k] = labels[k], labels[i] })
	want = answer{Found: map[string]float64{"n": n, "roc_auc": above / pairs, "brier_score": brier / n, "log_loss": loss / n, "accuracy": right / n}}
	return []string{write(t, "predictions.parquet", rows), write(t, "labels.parquet", labels)}, want
}

func TestChildrenFindTheMetrics(t *testing.T) {
	paths, want := files(t)
	for _, load := range []string{"quality", "join", "bare"} {
		var out bytes.Buffer
		if err := runChild(t.Context(), load, paths, 2, &out); err != nil {
			t.Fatal(err)
		}
		var got answer
		if err := json.Unmarshal(out.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		switch load {
		case "quality":
			if err := compare(got, want); err != nil {
				t.Error(err)
			}
			want.Found["brier_score"] += 1e-6
			if compare(got, want) == nil {
				t.Error("another Brier score passes")
			}
		case "join":
			if got.Found["n"] != 2000 {
				t.Errorf("%+v", got)
			}
		default:
			if got.Found["sum"] < 2000*6 { // ids of three bytes, in both files
				t.Errorf("%+v", got)
			}
		}
	}
	if err := runChild(t.Context(), "none", paths, 1, io.Discard); err == nil {
		t.Error("a load that is none")
	}
}

func TestReport(t *testing.T) {
	r := Report{Rows: 10, Spreads: map[string]figures.Spread{}}
	for i, shape := range shapes {
		runs := map[string][]run{}
		for _, load := range loads {
			runs[load] = []run{{Peak: figures.Peak{Seconds: 2, RSSMB: float64(100 * (i + 1))}}}
		}
		runs["pandas"][0].Seconds = float64(20 - 4*i)
		r.add(shape, runs)
	}
	r.finish()
	for name, want := range map[string]float64{"join_10m_rss_mb": 200, "speedup_vs_pandas": 8, "speedup_vs_pandas_ids": 10, "speedup_vs_pandas_uuids": 8, "join_vs_bare_read_ids": 1} {
		if r.Ratios[name] != want {
			t.Errorf("%s is %g, want %g", name, r.Ratios[name], want)
		}
	}
	for _, b := range bars {
		if _, ok := r.Ratios[b.Name]; !ok {
			t.Errorf("a bar for %s, which is not computed", b.Name)
		}
	}
	if err := r.print(io.Discard); err != nil {
		t.Error(err)
	}
}

package ingestion

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/label"
)

// made is n labels of a few hours with repetitions, drawn from a seed.
func made(seed uint64, n int) []byte {
	rng := rand.New(rand.NewPCG(seed, 3))
	var out []byte
	for range n {
		k := rng.IntN(n)
		r := label.Record{ID: at(k%24, k), Label: label.NumberOf(float64(rng.IntN(2))), TS: landed.Add(-time.Duration(rng.IntN(50)) * time.Hour)}
		if k%9 == 0 {
			r.ID = fmt.Sprintf("%s#%d", r.ID, k%40)
		}
		out = append(out, label.AppendLanded(nil, &label.Landed{Model: []string{"flights", "price"}[k%2], Record: r, Received: landed})...)
	}
	return out
}

// TestRunsOnDisk: however little memory there is, and in whatever order the lines come, the same is filed.
func TestRunsOnDisk(t *testing.T) {
	const n = 6000
	text := made(1, n)
	var want map[string]string
	for name, c := range map[string]struct {
		arena, inline int
		shuffled      bool
	}{"in memory": {64 << 20, 4 << 20, false}, "in runs": {8 << 10, 4 << 20, false}, "in runs, spooled": {8 << 10, 512, true}, "spooled": {64 << 20, 512, true}} {
		w := newWorld(t)
		w.job.limits = defaults
		w.job.limits.arena, w.job.limits.inline = c.arena, c.inline
		body := text
		if c.shuffled {
			lines := slices.Collect(bytes.Lines(text))
			rand.New(rand.NewPCG(7, 7)).Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
			body = bytes.Join(lines, nil)
		}
		// The names of objects hold the version of the source, which is the same in each world.
		w.put("labels/landed/api/x", body)
		out, rep := w.run("labels/landed/api/x")
		files := objects(t, w.data, "labels/filed/")
		got := map[string]string{}
		for key, content := range files {
			got[strings.Replace(key, rep.ID, "source", 1)] = content
		}
		if want == nil {
			want = got
		}
		if !maps.Equal(got, want) || len(got) != 24 {
			t.Errorf("%s: files other labels than another way, in %d objects", name, len(got))
		}
		if k := scanned(t, files); k != int(out.Labels) || out.Labels+out.Duplicates+out.Conflicts != n || out.Duplicates == 0 || out.Conflicts == 0 {
			t.Errorf("%s: %d labels filed, %+v", name, k, out)
		}
		left, err := os.ReadDir(w.job.Dir)
		if err != nil || len(left) > 0 {
			t.Errorf("%s: files stay behind: %v, %v", name, left, err)
		}
	}
}

// TestMemoryDoesNotGrow: the heap that a source needs is that of the arena, not of the source.
func TestMemoryDoesNotGrow(t *testing.T) {
	s := newSorter(t.TempDir(), 256<<10)
	defer s.close()
	const n = 100_000
	for k := range n {
		if err := s.add(uint64(k%24), false, at(k%24, k), int64(k), []byte("1")); err != nil {
			t.Fatal(err)
		}
	}
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	if len(s.runs) < 15 || m.HeapAlloc > 16<<20 {
		t.Errorf("%d runs, %d MB of heap", len(s.runs), m.HeapAlloc>>20)
	}
	seen := 0
	var last []byte
	place := uint64(0)
	err := s.merge(func(it *item, repeated, _ bool) error {
		if it.head>>1 == place && seen > 0 && bytes.Compare(last, it.id) >= 0 || it.head>>1 < place || repeated {
			t.Fatalf("label %d is out of order", seen)
		}
		seen, place, last = seen+1, it.head>>1, append(last[:0], it.id...)
		return nil
	})
	if err != nil || seen != n {
		t.Errorf("%d of %d labels, %v", seen, n, err)
	}
}

func TestDiskThatIsNotThere(t *testing.T) {
	w := newWorld(t)
	w.job.Dir = t.TempDir() + "/none"
	w.job.limits = defaults
	w.job.limits.arena = 1 << 10
	w.put("labels/landed/api/x", made(2, 200))
	if _, err := w.job.Run(t.Context(), event("labels/landed/api/x", "")); err == nil || !strings.Contains(err.Error(), "sorted on disk") || len(objects(t, w.data, "labels/reports/")) > 0 {
		t.Error(err)
	}
}

func BenchmarkSort(b *testing.B) {
	ids := make([]string, 1<<20)
	for k := range ids {
		ids[k] = at(k%24, k*7919%len(ids))
	}
	for b.Loop() {
		s := newSorter(b.TempDir(), 16<<20)
		for k, id := range ids {
			if err := s.add(uint64(k%24), false, id, int64(k), []byte("1")); err != nil {
				b.Fatal(err)
			}
		}
		if err := s.merge(func(*item, bool, bool) error { return nil }); err != nil {
			b.Fatal(err)
		}
		s.close()
	}
	b.ReportMetric(float64(len(ids))*float64(b.N)/b.Elapsed().Seconds(), "labels/s")
}

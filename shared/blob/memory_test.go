package blob_test

import (
	"context"
	"io"
	"iter"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/blob/blobtest"
	"github.com/tidegate/tidegate/shared/fault"
)

func TestMemoryConforms(t *testing.T) {
	blobtest.Run(t, func(*testing.T) blob.Store { return new(blob.Memory) })
}

func TestMemoryRemovesVersions(t *testing.T) {
	blobtest.RunVersions(t, func(*testing.T) blobtest.Versioned { return new(blob.Memory) })
}

// TestFaultlessWrapperConforms keeps the wrapper honest: without faults it changes nothing.
func TestFaultlessWrapperConforms(t *testing.T) {
	blobtest.Run(t, func(*testing.T) blob.Store { return blobtest.Faulty(new(blob.Memory), 1, blobtest.Faults{}) })
}

func TestMemoryKeepsVersions(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	m := &blob.Memory{Now: func() time.Time { return at }}
	for _, body := range []string{"one", "two"} {
		info, err := m.Put(t.Context(), "k", []byte(body), blob.Always())
		if err != nil || !info.Modified.Equal(at) {
			t.Fatalf("%+v, %v", info, err)
		}
	}
	versions := m.Versions("k")
	if len(versions) != 2 || string(versions[0].Body) != "one" || versions[0].VersionID == versions[1].VersionID {
		t.Errorf("versions %+v", versions)
	}
	m.Delete("k")
	m.Delete("k")
	if _, err := m.Get(t.Context(), "k"); !fault.Is(err, fault.NotFound) {
		t.Errorf("deleted, but Get says %v", err)
	}
	for info := range m.List(t.Context(), "", "") {
		t.Errorf("deleted, but listed: %v", info)
	}
}

func TestFaultsHaveTheirEffects(t *testing.T) {
	const calls = 400
	tests := []struct {
		name    string
		faults  blobtest.Faults
		want    fault.Kind
		written bool // whether a failed write happened all the same
	}{
		{"DropAnswers", blobtest.Faults{DropAnswers: 0.5}, fault.Unavailable, true},
		{"Precondition412", blobtest.Faults{Precondition412: 0.5}, fault.FailedPrecondition, true},
		{"Conflict409", blobtest.Faults{Conflict409: 0.5}, fault.Aborted, false},
		{"Unavailable503", blobtest.Faults{Unavailable503: 0.5}, fault.Unavailable, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var m blob.Memory
			f := blobtest.Faulty(&m, 7, tt.faults)
			failed := 0
			for range calls {
				key := "k" + time.Duration(failed).String()
				m.Delete(key)
				_, err := f.Put(t.Context(), key, []byte("x"), blob.Once())
				_, absent := m.Get(t.Context(), key)
				if err == nil {
					if absent != nil {
						t.Fatal("a write that was acknowledged is not there")
					}
					continue
				}
				failed++
				if !fault.Is(err, tt.want) || (absent == nil) != tt.written {
					t.Fatalf("failed with %v, written: %v", err, absent == nil)
				}
			}
			if failed < calls/3 || failed > calls*2/3 || f.Injected()[tt.name] != failed {
				t.Errorf("%d of %d calls failed, %v counted; want about half", failed, calls, f.Injected())
			}
		})
	}
}

func TestFaultsReachEveryCall(t *testing.T) {
	var m blob.Memory
	ctx := t.Context()
	if _, err := m.Put(ctx, "k", []byte("x"), blob.Always()); err != nil {
		t.Fatal(err)
	}
	f := blobtest.Faulty(&m, 3, blobtest.Faults{DropAnswers: 1, Slow: 1, Delay: time.Microsecond})
	_, get := f.Get(ctx, "k")
	_, head := f.Head(ctx, "k")
	_, _, changed := f.GetIfChanged(ctx, "k", "")
	_, _, open := f.Open(ctx, "k", 0, -1)
	_, put := f.Put(ctx, "k", nil, blob.Always())
	_, stream := f.PutStream(ctx, "k", strings.NewReader("y"), 1, blob.Always())
	var list error
	for _, err := range f.List(ctx, "", "") {
		list = err
	}
	for name, err := range map[string]error{"Get": get, "Head": head, "GetIfChanged": changed, "Open": open, "Put": put, "PutStream": stream, "List": list} {
		if !fault.Is(err, fault.Unavailable) {
			t.Errorf("%s: %v, want Unavailable", name, err)
		}
	}
	if n := len(m.Versions("k")); n != 3 {
		t.Errorf("%d versions, want 3: lost answers still write", n)
	}
}

// checkThenAct is what some S3 look-alikes do: the condition and the write are two steps.
type checkThenAct struct {
	blob.Store
	mu sync.Mutex
}

func (s *checkThenAct) Put(ctx context.Context, key string, body []byte, cond blob.Condition) (blob.Info, error) {
	info, err := s.Head(ctx, key)
	if (cond.IfAbsent && err == nil) || (cond.IfMatch != "" && info.ETag != cond.IfMatch) {
		return blob.Info{}, fault.New(fault.FailedPrecondition, "no")
	}
	time.Sleep(time.Millisecond)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Store.Put(ctx, key, body, blob.Always())
}

func (s *checkThenAct) PutStream(context.Context, string, io.ReadSeeker, int64, blob.Condition) (blob.Info, error) {
	return blob.Info{}, fault.New(fault.Unimplemented, "not needed here")
}

func (s *checkThenAct) List(context.Context, string, string) iter.Seq2[blob.Info, error] { return nil }

func TestProbeFindsStoresThatCheckThenAct(t *testing.T) {
	if _, err := blob.Probe(t.Context(), &checkThenAct{Store: new(blob.Memory)}, "doctor/x", 8, 5); !fault.Is(err, fault.Internal) {
		t.Errorf("Probe said %v, want Internal: two writers won", err)
	}
}

func TestProbeOnAFaultyStore(t *testing.T) {
	f := blobtest.Faulty(new(blob.Memory), 5, blobtest.Faults{Conflict409: 0.3})
	report, err := blob.Probe(t.Context(), f, "doctor/x", 8, 30)
	if err != nil || report.Rounds != 30 || report.Conflicts == 0 || report.Won+report.Undecided != 30 {
		t.Errorf("%+v, %v", report, err)
	}
	all := blobtest.Faulty(new(blob.Memory), 5, blobtest.Faults{Conflict409: 1})
	if report, err := blob.Probe(t.Context(), all, "doctor/y", 4, 2); err != nil || report.Undecided != 2 {
		t.Errorf("%+v, %v; want two undecided rounds", report, err)
	}
}

func BenchmarkMemoryGet(b *testing.B) {
	var m blob.Memory
	if _, err := m.Put(b.Context(), "k", make([]byte, 1024), blob.Always()); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Get(b.Context(), "k"); err != nil {
			b.Fatal(err)
		}
	}
}

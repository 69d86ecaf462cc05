package inference

import (
	"bytes"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
)

// memory watches what the process holds.
type memory struct {
	mu     sync.Mutex       // held while room is made
	claims map[*model]int64 // by model that loads: the bytes of what it is loading

	watched   atomic.Int64 // last look, Unix nanoseconds
	above     atomic.Int64 // looks in a row that found it above the limit after all was given back
	exhausted atomic.Bool
}

const (
	watchEvery = 10 * time.Second
	// restingFor is how long a model must not have been used to be unloaded for its memory alone.
	restingFor = time.Minute
	// lastResort is how many looks in a row must fail to help before the process should end.
	lastResort = 3
)

// makeRoom unloads models that rest, the longest unused first, until need more
// bytes fit, and claims them. A version that replaces one of the same model may exceed
// the bound while both are loaded. A model that can never fit is refused.
func (f *Fleet) makeRoom(m *model, need int64) error {
	limit := f.opt.CacheBytes
	if limit <= 0 {
		return nil
	}
	if need > limit {
		return fault.New(fault.ResourceExhausted, "it needs about %d bytes and TIDEGATE_MODEL_CACHE_BYTES allows %d: give the function more memory", need, limit)
	}
	freed := false
	f.memory.mu.Lock()
	defer func() {
		f.memory.mu.Unlock()
		if freed {
			f.release()
		}
	}()
	resident := f.resident()
	total := need
	for _, r := range resident {
		if r.model != m { // its own versions are what is being replaced
			total += max(r.bytes, f.memory.claims[r.model])
		}
	}
	for _, r := range resident {
		if total <= limit {
			break
		}
		if r.model != m && r.bytes > 0 && f.evict(r.model) { // which leaves alone what loads: no claim is lost
			total -= r.bytes
			freed = true
		}
	}
	if total > limit {
		return unavailable(nil, 0, "every model in memory is in use, or being loaded; try again")
	}
	f.memory.claims[m] += need
	return nil
}

// unclaim is due when the loads of a model are done: its view tells what there is.
func (f *Fleet) unclaim(m *model) {
	f.memory.mu.Lock()
	defer f.memory.mu.Unlock()
	delete(f.memory.claims, m)
}

type resident struct {
	model *model
	bytes int64
	used  int64
}

// resident lists the models, the longest unused first, with what is in memory of them.
func (f *Fleet) resident() []resident {
	var all []resident
	for _, m := range f.list() {
		r := resident{model: m, used: m.used.Load()}
		if v := m.view.Load(); v != nil {
			for _, p := range v.versions {
				r.bytes += p.bytes
			}
		}
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b resident) int { return int(min(max(a.used-b.used, -1), 1)) })
	return all
}

// evict unloads a model whose versions nobody but its view holds, and that is
// not being refreshed.
func (f *Fleet) evict(m *model) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	v := m.view.Load()
	if v == nil || m.flight != nil {
		return false
	}
	var retired []*placed
	for _, p := range v.versions {
		if !p.retire() { // in use: give the others back
			for _, r := range retired {
				r.holders.Store(1)
			}
			return false
		}
		retired = append(retired, p)
	}
	m.view.Store(nil)
	for _, p := range retired {
		p.close()
	}
	f.opt.Count(Evictions, 1)
	return true
}

// release gives memory of destroyed sessions back to the system. The C heap keeps
// it in the arena of whichever thread loaded the session: without trimming, each
// thread that loads one adds its own to the process (a third more after 20 changes
// of a model, where it levels off). Above the limit Go's heap is given back too.
func (f *Fleet) release() {
	switch {
	case f.opt.RSS != nil && f.opt.RSSLimit > 0 && f.opt.RSS() > f.opt.RSSLimit:
		f.trim()
	case f.opt.Trim != nil:
		f.opt.Trim()
	}
}

func (f *Fleet) trim() {
	f.opt.Count(MemoryRelease, 1)
	debug.FreeOSMemory()
	if f.opt.Trim != nil {
		f.opt.Trim()
	}
}

// watchMemory looks at the process now and then: above its limit it unloads
// what rests, then trims. When that does not help several times in a row, the
// process is exhausted.
func (f *Fleet) watchMemory() {
	if f.opt.RSS == nil || f.opt.RSSLimit <= 0 {
		return
	}
	now := f.opt.Now()
	if last := f.memory.watched.Load(); now.UnixNano()-last < int64(watchEvery) || !f.memory.watched.CompareAndSwap(last, now.UnixNano()) {
		return
	}
	if f.opt.RSS() <= f.opt.RSSLimit {
		f.memory.above.Store(0)
		return
	}
	for _, r := range f.resident() {
		if r.bytes > 0 && now.UnixNano()-r.used > int64(restingFor) {
			f.evict(r.model)
		}
	}
	f.trim()
	if f.opt.RSS() <= f.opt.RSSLimit {
		f.memory.above.Store(0)
	} else if f.memory.above.Add(1) >= lastResort {
		f.memory.exhausted.Store(true)
	}
}

// RSS is the resident memory of this process in bytes, 0 where /proc does not tell.
func RSS() int64 {
	statm, err := os.ReadFile("/proc/self/statm")
	fields := bytes.Fields(statm)
	if err != nil || len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(string(fields[1]), 10, 64)
	return pages * int64(os.Getpagesize())
}

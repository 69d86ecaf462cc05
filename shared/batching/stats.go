package batching

import "time"

// Buckets of [Stats.BatchRows] end at these numbers of rows, those of
// [Stats.Waits] at these times; one more is above all of them.
var (
	RowBounds  = [...]int{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024}
	WaitBounds = [...]time.Duration{
		100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond, time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
		10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, time.Second,
	}
)

// Stats are the figures of one version's batcher since it was made.
type Stats struct {
	Model    string
	Version  int
	ServedBy string

	Queued  int  // requests that wait now
	Running int  // runs that go on now
	Limit   int  // rows of a batch: MaxBatch, or less after runs that failed for their size
	Apart   bool // requests run one by one, because rows do not stand for themselves

	Requests  int64 // admitted
	Rows      int64 // of those that have run
	Runs      int64 // of the session, also those of halves
	Inline    int64 // of them in the caller's goroutine, without a wait
	Full      int64 // requests refused because the queue was full
	Late      int64 // requests refused or dropped because they could not end by their deadline
	Abandoned int64 // requests whose caller left first
	Splits    int64 // batches that failed and were halved
	Poisoned  int64 // requests that failed alone after a batch with them had failed

	BatchRows [len(RowBounds) + 1]int64 // runs by rows
	Waits     [len(WaitBounds) + 1]int64
	WaitSum   time.Duration
	RunSum    time.Duration
}

func (s *Stats) ran(rows int, d time.Duration) {
	s.Runs++
	s.RunSum += d
	i := 0
	for i < len(RowBounds) && rows > RowBounds[i] {
		i++
	}
	s.BatchRows[i]++
}

func (s *Stats) waited(d time.Duration) {
	s.WaitSum += d
	i := 0
	for i < len(WaitBounds) && d > WaitBounds[i] {
		i++
	}
	s.Waits[i]++
}

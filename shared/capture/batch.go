package capture

// MaxRecord is the most bytes of a record that a stream takes, with its newline
// (Amazon Firehose quotas: 1,000 KiB before encoding).
const MaxRecord = 1000 << 10

// batch gathers lines into records of at most MaxRecord bytes. A record holds
// several lines: a stream counts, and bills, each as at least 5 KB.
type batch struct {
	data []byte
	ends []int // of records in data
	rows []int // captured rows in each record
}

// seal makes what was appended to data since mark a line of the batch.
func (b *batch) seal(mark, rows int) {
	if n := len(b.ends); n > 0 && b.ends[n-1] == mark && len(b.data)-b.start(n-1) <= MaxRecord {
		b.ends[n-1] = len(b.data)
		b.rows[n-1] += rows
		return
	}
	b.ends = append(b.ends, len(b.data))
	b.rows = append(b.rows, rows)
}

func (b *batch) start(i int) int {
	if i == 0 {
		return 0
	}
	return b.ends[i-1]
}

// records are the parts of data, valid until the batch is used again.
func (b *batch) records() [][]byte {
	parts := make([][]byte, len(b.ends))
	for i, end := range b.ends {
		parts[i] = b.data[b.start(i):end]
	}
	return parts
}

func (b *batch) totalRows() int64 {
	total := 0
	for _, n := range b.rows {
		total += n
	}
	return int64(total)
}

// kept bounds the memory that an idle batch holds on to, in bytes.
const kept = 4 << 20

func (b *batch) reset() {
	if cap(b.data) > kept {
		b.data = nil
	}
	b.data, b.ends, b.rows = b.data[:0], b.ends[:0], b.rows[:0]
}

// add appends the record of p, split by rows where it would be too large. A
// single row that is too large keeps its shapes and digests instead of values; it
// says whether that happened.
func (b *batch) add(p *Prediction, f form) (reduced bool) {
	rows := p.Rows
	if len(p.Inputs) == 0 && len(p.Outputs) == 0 {
		mark := len(b.data)
		b.data = appendRecord(b.data, p, f, 0, rows)
		b.seal(mark, rows)
		return false
	}
	for first, n := 0, rows; first < rows; {
		n = min(n, rows-first)
		mark := len(b.data)
		b.data = appendRecord(b.data, p, f, first, n)
		size := len(b.data) - mark
		switch {
		case size <= MaxRecord || f.digests && n == 1:
			b.seal(mark, n)
			first += n
			f.digests = false
		case n > 1: // a tenth is left for rows that are larger than the others
			b.data = b.data[:mark]
			n = max(1, min(n/2, int(float64(n)*0.9*MaxRecord/float64(size))))
		default:
			b.data = b.data[:mark]
			f.digests, reduced = true, true
		}
	}
	return reduced
}

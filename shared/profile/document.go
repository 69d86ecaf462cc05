package profile

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	"github.com/tidegate/tidegate/shared/capture"
	"github.com/tidegate/tidegate/shared/registry"
)

// DocumentVersion is the format of a stored profile that this package writes, and
// SplitDocumentVersion that of one with split rows. It reads both.
const (
	DocumentVersion      = 1
	SplitDocumentVersion = 2
)

// Interval is the length of the time slices that captured rows are counted in.
const Interval = 5 * time.Minute

// Document is a stored profile: what one source holds of one model
// (docs/formats/profile.md). It is written once per source and model, so that a
// second delivery of the source changes nothing.
type Document struct {
	V      int     `json:"v"`
	Model  string  `json:"model"`
	Source Source  `json:"source"`
	Groups []Group `json:"groups"` // sorted by all their keys
	// What was read and is in no group, by reason; and what was counted more than once.
	Report     Report `json:"report"`
	Duplicates uint64 `json:"duplicates,omitempty"` // records (captures) that were in the source before
	Skewed     uint64 `json:"skewed,omitempty"`     // records whose ts is more than an hour from the time in their id, which counts
}

// Source names what was counted, down to the bytes.
type Source struct {
	Bucket    string `json:"bucket,omitempty"`
	Key       string `json:"key"`
	VersionID string `json:"version_id,omitempty"`
	ETag      string `json:"etag,omitempty"`
	RowGroups []int  `json:"row_groups,omitempty"` // of a Parquet file; nil = all of the source
}

// Group holds the counts of the rows that agree in everything that a window or a
// comparison may select by. Fields that a source does not know (a dropped batch
// has no slot, role or interval) are zero.
type Group struct {
	Version  int           `json:"version"`
	Baseline string        `json:"baseline"` // sha256 of the baseline.json whose cells are counted on
	Slot     registry.Slot `json:"slot,omitempty"`
	Role     capture.Role  `json:"role,omitempty"`
	Sampled  float64       `json:"sampled"` // share of rows that were captured; 1 = all
	Interval time.Time     `json:"interval,omitzero"`
	Requests uint64        `json:"requests,omitempty"`
	Errors   uint64        `json:"errors,omitempty"` // requests that failed: they have no rows
	Rows     uint64        `json:"rows"`
	Columns  []State       `json:"columns"` // in the order of the baseline's columns
	Split    *Split        `json:"split,omitempty"`
	Sample   Sample        `json:"sample,omitempty"`
}

// Sample are the identities of the records whose identity begins with eight zero bits,
// one in 256, ascending: enough to see how many came in another source too.
type Sample []uint64

// MarshalJSON writes eight bytes each, big-endian, in base64.
func (s Sample) MarshalJSON() ([]byte, error) {
	raw := make([]byte, 0, 8*len(s))
	for _, id := range s {
		raw = binary.BigEndian.AppendUint64(raw, id)
	}
	return json.Marshal(raw)
}

// UnmarshalJSON refuses identities that do not ascend.
func (s *Sample) UnmarshalJSON(text []byte) error {
	var raw []byte
	if err := json.Unmarshal(text, &raw); err != nil {
		return err
	}
	if len(raw)%8 != 0 {
		return fmt.Errorf("profile: %d bytes of identities", len(raw))
	}
	*s = make(Sample, 0, len(raw)/8)
	for ; len(raw) > 0; raw = raw[8:] {
		id := binary.BigEndian.Uint64(raw)
		if n := len(*s); n > 0 && id <= (*s)[n-1] {
			return fmt.Errorf("profile: the identities do not ascend")
		}
		*s = append(*s, id)
	}
	return nil
}

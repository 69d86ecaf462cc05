package garbage

import (
	"bufio"
	"errors"
	"io"
)

// mentions are the names that documents give away: digests in hex, and folders
// of uploads.
type mentions struct {
	digests map[string]bool
	uploads map[string]bool
}

func newMentions() *mentions {
	return &mentions{digests: map[string]bool{}, uploads: map[string]bool{}}
}

func (m *mentions) add(more *mentions) {
	for d := range more.digests {
		m.digests[d] = true
	}
	for u := range more.uploads {
		m.uploads[u] = true
	}
}

const (
	digestLength = 64
	uploadsRoot  = "uploads/"
	maxUpload    = 200 // bytes of an id
)

// read searches a text of any length for both. A digest is 64 lower-case hex digits
// with none beside them; what follows "uploads/" up to a character that no id has is an id. JSON may put a
// backslash before a slash, so backslashes are passed over.
func (m *mentions) read(r io.Reader) error {
	in := bufio.NewReaderSize(r, 64<<10)
	var hex []byte
	var id []byte
	matched, inID := 0, false // how much of "uploads/" has just been read
	for {
		c, err := in.ReadByte()
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		end := err != nil
		if c == '\\' && !end {
			continue
		}
		if isHex(c) && !end {
			if len(hex) <= digestLength {
				hex = append(hex, c)
			}
		} else {
			if len(hex) == digestLength {
				m.digests[string(hex)] = true
			}
			hex = hex[:0]
		}
		switch {
		case inID && !end && isID(c) && len(id) < maxUpload:
			id = append(id, c)
		case inID:
			if len(id) > 0 {
				m.uploads[string(id)] = true
			}
			inID, id = false, id[:0]
		}
		if end {
			return nil
		}
		switch {
		case c == uploadsRoot[matched]:
			if matched++; matched == len(uploadsRoot) {
				matched, inID = 0, true
			}
		case c == uploadsRoot[0]:
			matched = 1
		default:
			matched = 0
		}
	}
}

func isHex(c byte) bool { return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' }

func isID(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '-' || c == '_' || c == '.'
}

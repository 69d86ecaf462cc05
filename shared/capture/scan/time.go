package scan

import (
	"strconv"
	"time"
)

// Stamp is a moment to the second.
type Stamp struct {
	Seconds int64 // since 1970
	OK      bool
}

// clock remembers the last minute it read: lines beside each other are of one time.
type clock struct {
	minute [16]byte
	start  int64
	known  bool
}

// parse reads a time of RFC 3339.
func (c *clock) parse(text string, into *Stamp) bool {
	if c.known && len(text) >= 20 && text[len(text)-1] == 'Z' && text[:16] == string(c.minute[:]) && plainSeconds(text[16:]) {
		into.Seconds, into.OK = c.start+int64(text[17]-'0')*10+int64(text[18]-'0'), true
		return true
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || t.Year() < 1971 || t.Year() > 9000 {
		return false
	}
	into.Seconds, into.OK = t.Unix(), true
	if len(text) >= 20 && text[len(text)-1] == 'Z' {
		copy(c.minute[:], text)
		c.start, c.known = t.Unix()-int64(t.Second()), true
	}
	return true
}

// plainSeconds says whether text is ":ss", or ":ss." and digits, and a Z.
func plainSeconds(text string) bool {
	if text[0] != ':' || text[1] > '5' || text[1] < '0' || text[2]-'0' > 9 {
		return false
	}
	if text[3] == 'Z' {
		return len(text) == 4
	}
	if text[3] != '.' || len(text) == 5 || len(text) > 14 {
		return false
	}
	for _, d := range []byte(text[4 : len(text)-1]) {
		if d-'0' > 9 {
			return false
		}
	}
	return true
}

// UUIDTime reads the time of a UUIDv7 to the second; false for every other id.
func UUIDTime(id string, into *Stamp) bool {
	if len(id) != 36 || id[8] != '-' || id[14] != '7' {
		return false
	}
	ms, err := strconv.ParseUint(id[:8], 16, 64)
	if err != nil {
		return false
	}
	low, err := strconv.ParseUint(id[9:13], 16, 64)
	into.Seconds, into.OK = int64((ms<<16|low)/1000), err == nil
	return err == nil
}

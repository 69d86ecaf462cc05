package profile

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestFreezeNamesTheFrequent(t *testing.T) {
	c := NewCounter()
	c.Add("often", 900)
	c.Add("rare", 49) // 4.9 % of the rows, but too few of them
	c.Add("one percent", 51)
	for i := range 40 {
		c.Add(fmt.Sprint("once", i), 1)
	}
	for i := range 5 {
		c.Add(fmt.Sprint("twice", i), 2)
	}
	cells, counts, distinct := c.Freeze()
	if got := strings.Join(cells.Named, ","); got != "often,one percent" {
		t.Errorf("named %q", got)
	}
	var rows uint64
	for _, n := range counts {
		rows += n
	}
	if rows != 1050 || counts[cells.Unseen()] != 0 {
		t.Errorf("%d rows in the cells, %d of them unseen; want 1050 and 0", rows, counts[cells.Unseen()])
	}
	var others int
	for _, d := range distinct {
		others += d
	}
	if others != 46 {
		t.Errorf("%d values in hash cells, want 46", others)
	}
	if n1, n2 := c.Singles(); n1 != 40 || n2 != 5 {
		t.Errorf("N1 = %d, N2 = %d; want 40 and 5", n1, n2)
	}
	if i := cells.Index("rare"); i < len(cells.Named) || i >= cells.Unseen() {
		t.Errorf("a seen value is in cell %d", i)
	}
	if cells.Index("new") != cells.Unseen() || cells.IndexBytes([]byte("often")) != 0 {
		t.Error("unseen or named values are in the wrong cell")
	}
}

func TestLongNamesStayApart(t *testing.T) {
	long := strings.Repeat("é", 1<<19)
	c := NewCounter()
	c.Add(long+"a", 100)
	c.Add(long+"b", 200)
	cells, _, _ := c.Freeze()
	if len(cells.Named) != 2 || cells.Index(long+"a") == cells.Index(long+"b") {
		t.Errorf("values that differ behind the cut are one: %d named", len(cells.Named))
	}
	for _, name := range cells.Named {
		if len(name) > MaxName || !utf8.ValidString(name) {
			t.Errorf("name of %d bytes, valid %v", len(name), utf8.ValidString(name))
		}
	}
	if invalid := Cut(strings.Repeat("\xbf", 300)); len(invalid) > MaxName {
		t.Errorf("invalid UTF-8 cut to %d bytes", len(invalid))
	}
}

func TestIdentifiersOverflow(t *testing.T) {
	c := NewCounter()
	for i := range MaxDistinct + 10 {
		c.Add(fmt.Sprint(i), 1)
	}
	if !c.Overflowed() || c.Distinct() != MaxDistinct {
		t.Errorf("overflowed %v with %d values", c.Overflowed(), c.Distinct())
	}
}

func TestCellsReadBack(t *testing.T) {
	c := NewCounter()
	for i := range 5000 {
		c.Add(fmt.Sprint("v", i%700), uint64(1+i%3*i%5))
	}
	c.Add("often", 4000)
	cells, _, _ := c.Freeze()
	raw, err := json.Marshal(cells.stored())
	if err != nil {
		t.Fatal(err)
	}
	var s storedCells
	if err := json.Unmarshal(raw, &s); err != nil {
		t.Fatal(err)
	}
	back, err := s.cells()
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		v := fmt.Sprint("v", i)
		if back.Index(v) != cells.Index(v) {
			t.Fatalf("%s moved from cell %d to %d", v, cells.Index(v), back.Index(v))
		}
	}
	for name, bad := range map[string]storedCells{
		"odd bytes":     {Seen: []byte{1, 2}},
		"no hash":       {Named: []string{"a"}},
		"the same hash": {Named: []string{"a", "b"}, Hashes: make([]byte, 12)},
	} {
		if _, err := bad.cells(); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func BenchmarkCellsIndex(b *testing.B) {
	c := NewCounter()
	for i := range 4000 {
		c.Add(fmt.Sprint("N", i, "AA"), uint64(1+i%100))
	}
	cells, _, _ := c.Freeze()
	for b.Loop() {
		sinkInt += cells.Index("N1234AA")
	}
}

package profile

import (
	"math/rand/v2"
	"testing"

	"github.com/tidegate/tidegate/shared/capture"
	"github.com/tidegate/tidegate/shared/registry"
)

// TestPairedRecordsAreCountedApart: a version that scored rows beside the answer is in a group of its own, and what is
// selected as served is the same with pairs and without.
func TestPairedRecordsAreCountedApart(t *testing.T) {
	b := capturedBaseline(t)
	served := records(rand.New(rand.NewPCG(57, 57)), 400)
	var all []capture.Record
	paired := uint64(0)
	for i := range served {
		served[i].Role, served[i].Slot, served[i].Version = capture.Served, registry.Champion, 1
		all = append(all, served[i])
		if served[i].ErrorKind == "" { // what failed is not paired
			other := served[i]
			other.Role, other.Slot, other.Version = capture.Paired, registry.Shadow, 2
			all = append(all, other)
			paired += uint64(other.Rows)
		}
	}
	alone, _ := countOne(t, lines(served), bothVersions(b))
	both, _ := countOne(t, lines(all), bothVersions(b))
	if both.Duplicates != 0 {
		t.Errorf("%d of a pair were taken for repeats", both.Duplicates)
	}
	var rows uint64
	kept := both
	kept.Groups = nil
	for _, g := range both.Groups {
		if g.Role == capture.Paired {
			rows += g.Rows
			continue
		}
		kept.Groups = append(kept.Groups, g)
	}
	if rows != paired {
		t.Errorf("%d rows in paired groups, want %d", rows, paired)
	}
	kept.Report = alone.Report
	if encode(t, &kept) != encode(t, &alone) {
		t.Error("the groups of served rows are others with pairs beside them")
	}
	sel := Selection{Roles: []capture.Role{capture.Served}}
	for i := range both.Groups {
		if g := &both.Groups[i]; sel.takes(g) != (g.Role == capture.Served) {
			t.Errorf("a group of role %s is selected wrongly", g.Role)
		}
	}
}

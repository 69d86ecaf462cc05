//go:build !race

package drift

import (
	"encoding/csv"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/tidegate/tidegate/shared/period"
	"github.com/tidegate/tidegate/shared/profile"
)

// flightColumns of the flights data, numbers and texts with few and with thousands of values.
var flightColumns = []profile.Spec{{Name: "month", Kind: profile.Numeric}, {Name: "day", Kind: profile.Numeric}, {Name: "dep_time", Kind: profile.Numeric},
	{Name: "sched_dep_time", Kind: profile.Numeric}, {Name: "dep_delay", Kind: profile.Numeric}, {Name: "arr_delay", Kind: profile.Numeric},
	{Name: "sched_arr_time", Kind: profile.Numeric}, {Name: "air_time", Kind: profile.Numeric}, {Name: "distance", Kind: profile.Numeric},
	{Name: "flight", Kind: profile.Numeric}, {Name: "carrier", Kind: profile.Categorical}, {Name: "tailnum", Kind: profile.Categorical},
	{Name: "origin", Kind: profile.Categorical}, {Name: "dest", Kind: profile.Categorical}}

// readFlights reads the columns of the file that the demo fetches, row by row.
func readFlights(t *testing.T) [][]string {
	t.Helper()
	f, err := os.Open("../../.local/data/flights.csv")
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("the flights data are not there: `make demo` fetches them")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	in := csv.NewReader(f)
	header, err := in.Read()
	if err != nil {
		t.Fatal(err)
	}
	all, err := in.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	at := make([]int, len(flightColumns))
	for i, c := range flightColumns {
		if at[i] = slices.Index(header, c.Name); at[i] < 0 {
			t.Fatalf("the file has no column %s", c.Name)
		}
	}
	for k, record := range all {
		row := make([]string, len(at))
		for i, a := range at {
			row[i] = record[a]
		}
		all[k] = row
	}
	return all
}

// TestRandomHalvesOfFlights: of 20 random halves every column that is no identifier
// is "no drift" at 10,000 rows a side, and every one "not enough data" at 200. The
// rules that others use by default call 1 to 13 of these columns drifted.
func TestRandomHalvesOfFlights(t *testing.T) {
	flights := readFlights(t)
	for rows, want := range map[int]Verdict{10000: NoDrift, 200: NotEnoughData} {
		for seed := range uint64(20) {
			rng := rand.New(rand.NewPCG(2013, seed))
			builder, err := profile.NewBuilder(flightColumns)
			if err != nil {
				t.Fatal(err)
			}
			order := rng.Perm(len(flights))
			fill := func(s profile.Sink, rows []int) {
				for _, r := range rows {
					for col, v := range flights[r] {
						profile.Parse(s, col, v)
					}
				}
			}
			fill(builder, order[:rows])
			b := builder.Freeze(uint64(rows))
			tally := profile.NewTally(b)
			fill(tally, order[rows:2*rows])
			strata := []profile.Stratum{{Sampled: 1, Rows: uint64(rows), Columns: tally.States}}
			r := mustJudge(t, Job{Model: "flights", Window: period.Window{ID: "half"}, Baseline: b, Policy: DefaultPolicy(), Strata: strata})
			for i := range r.Columns {
				c := &r.Columns[i]
				if !b.Columns[i].Identifier && c.Verdict != want {
					t.Errorf("%d rows, seed %d: %s is %s, want %s: %+v", rows, seed, c.Name, c.Verdict, want, c.Gates)
				}
			}
		}
	}
}

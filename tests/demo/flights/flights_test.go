package flights

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const sample = `year,month,day,dep_time,sched_dep_time,dep_delay,arr_time,sched_arr_time,arr_delay,carrier,flight,tailnum,origin,dest,air_time,distance,hour,minute,time_hour
2013,1,1,517,515,2,830,819,16,UA,1545,N14228,EWR,IAH,227,1400,5,15,2013-01-01T10:00:00Z
2013,1,1,NA,1630,NA,NA,1815,NA,EV,4308,NA,EWR,RDU,NA,416,16,30,2013-01-01T21:00:00Z
2013,4,7,2359,2359,0,NA,2400,NA,B6,1,N1,JFK,BQN,NA,1576,23,59,2013-04-08T03:00:00Z
2013,4,7,600,600,0,700,700,15,B6,1,,JFK,BOS,40,187,6,0,2013-04-07T10:00:00Z
`

func TestWhichFlightsCount(t *testing.T) {
	all, err := Read(strings.NewReader(sample))
	if err != nil {
		t.Fatal(err)
	}
	april := Of(all, 4)
	if len(all) != 4 || len(april) != 2 || len(Departed(all)) != 3 || len(Arrived(all)) != 2 {
		t.Errorf("%d flights, %d in April, %d departed, %d arrived", len(all), len(april), len(Departed(all)), len(Arrived(all)))
	}
	if !all[0].Late() || all[3].Late() {
		t.Error("16 minutes are late, 15 are not")
	}
	if !all[0].Landed(16) || all[0].Landed(15) || all[1].Landed(1e6) || all[2].Landed(1e6) {
		t.Error("a flight has landed once its delay has passed; a cancelled or diverted one never does")
	}
}

func TestTrainingSet(t *testing.T) {
	all, err := Read(strings.NewReader(sample))
	if err != nil {
		t.Fatal(err)
	}
	data, schema, err := TrainingSet(Arrived(all))
	if err != nil {
		t.Fatal(err)
	}
	want := `time_hour,dep_delay,sched_dep_minute,sched_arr_minute,day_of_week,distance,carrier,origin,dest,tailnum,late
2013-01-01T10:00:00Z,2,315,499,2,1400,UA,EWR,IAH,N14228,1
2013-04-07T10:00:00Z,0,360,420,7,187,B6,JFK,BOS,,0
`
	if diff := cmp.Diff(want, string(data)); diff != "" {
		t.Error(diff)
	}
	for _, part := range []string{`"target": "late"`, `"time": "time_hour"`, `"name": "tailnum"`} {
		if !strings.Contains(string(schema), part) {
			t.Errorf("the schema lacks %s:\n%s", part, schema)
		}
	}
	again, _, err := TrainingSet(Arrived(all))
	if err != nil || string(again) != string(data) {
		t.Errorf("the same flights gave other bytes, %v", err)
	}
}

func TestInvertedSetIsTheSameFlightsWithOtherLabels(t *testing.T) {
	all, err := Read(strings.NewReader(sample))
	if err != nil {
		t.Fatal(err)
	}
	right, _, err := TrainingSet(Arrived(all))
	if err != nil {
		t.Fatal(err)
	}
	wrong, _, err := InvertedSet(Arrived(all))
	if err != nil {
		t.Fatal(err)
	}
	a, b := strings.Split(string(right), "\n"), strings.Split(string(wrong), "\n")
	if len(a) != len(b) || a[0] != b[0] {
		t.Fatalf("%q and %q", right, wrong)
	}
	for i := 1; i < len(a)-1; i++ {
		flipped := map[string]string{"0": "1", "1": "0"}[a[i][len(a[i])-1:]]
		if b[i] != a[i][:len(a[i])-1]+flipped {
			t.Errorf("%q and %q", a[i], b[i])
		}
	}
}

func TestBatchWithScores(t *testing.T) {
	all, err := Read(strings.NewReader(sample))
	if err != nil {
		t.Fatal(err)
	}
	rows, err := Batch(Arrived(all), []float32{0.25, 1e-7})
	if err != nil {
		t.Fatal(err)
	}
	want := `dep_delay,sched_dep_minute,sched_arr_minute,day_of_week,distance,carrier,origin,dest,tailnum,probabilities_1
2,315,499,2,1400,UA,EWR,IAH,N14228,0.25
0,360,420,7,187,B6,JFK,BOS,,1e-07
`
	if diff := cmp.Diff(want, string(rows)); diff != "" {
		t.Error(diff)
	}
	if all[3].Date() != "2013-04-07" {
		t.Error(all[3].Date())
	}
}

func TestMidnight(t *testing.T) {
	if minutes(2400) != 0 || minutes(2359) != 1439 || minutes(5) != 5 {
		t.Error("HHMM is not minutes after midnight")
	}
}

func TestDamagedFiles(t *testing.T) {
	for name, text := range map[string]string{
		"empty":         "",
		"other columns": "a,b\n1,2\n",
		"not a number":  strings.Replace(sample, "1400", "far", 1),
		"not a time":    strings.Replace(sample, "2013-01-01T10:00:00Z", "ten", 1),
		"cut":           sample[:len(sample)-30],
	} {
		if _, err := Read(strings.NewReader(text)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(sample)
	f.Fuzz(func(t *testing.T, text string) {
		all, err := Read(strings.NewReader(text))
		if err == nil {
			if _, _, err := TrainingSet(Arrived(Departed(all))); err != nil {
				t.Error(err)
			}
		}
	})
}

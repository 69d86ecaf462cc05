// Package drift compares a window of rows with a baseline and says, column by
// column: drift, no drift, or not enough data, at a stated rate of false alarms.
//
// The rules are those of docs/statistics.md: a verdict of drift needs the measured
// distance to exceed its tolerance by more than chance explains, a verdict of no
// drift needs it to stay below by more than chance could hide. What lies between
// is "not enough data", with the number of rows that would decide.
//
// It counts nothing (see profile) and stores nothing.
package drift

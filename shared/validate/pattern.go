package validate

import (
	"regexp"
	"sync"
)

// Pattern is a regular expression that is compiled when it is first asked. Names of
// bounded length take a tenth of a millisecond and more, which every start of every
// program would pay for patterns that it never asks.
type Pattern struct{ compiled func() *regexp.Regexp }

// NewPattern returns the pattern of an expression; one that is none panics when it is
// first asked.
func NewPattern(expression string) Pattern {
	return Pattern{sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expression) })}
}

// MatchString says whether s matches.
func (p Pattern) MatchString(s string) bool { return p.compiled().MatchString(s) }

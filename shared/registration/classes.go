package registration

import (
	"cmp"
	"maps"
	"slices"
	"strconv"

	"github.com/tidegate/tidegate/shared/evaluation/quality"
	"github.com/tidegate/tidegate/shared/label"
	"github.com/tidegate/tidegate/shared/schema"
)

// classNames find out which class each column of scores belongs to. The trainer's
// run.json says it; else the answers do.
type classNames struct {
	names  []string
	number map[string]int // by name, as label.Value.Class writes it

	targets map[string]bool        // classes that the holdout has
	means   map[string]*mean       // binary: of the score, by predicted class
	votes   map[int]map[string]int // multiclass: predicted classes by the largest score
}

type mean struct{ sum, n float64 }

// see takes a row into account.
func (c *classNames) see(a *answers, target string, predictions []string) {
	if a.task == schema.Regression {
		return
	}
	if c.targets == nil {
		c.targets, c.means, c.votes = map[string]bool{}, map[string]*mean{}, map[int]map[string]int{}
	}
	if !missing(target) && len(c.targets) <= quality.MaxClasses {
		c.targets[className(target)] = true
	}
	if a.predicted < 0 {
		return
	}
	class := predictions[a.predicted]
	if !a.text {
		class = className(class)
	}
	if a.task == schema.Binary {
		m := c.means[class]
		if m == nil && len(c.means) <= quality.MaxClasses {
			m = &mean{}
			c.means[class] = m
		}
		if m != nil {
			m.n++
			for _, at := range a.columns {
				m.sum += number(predictions[at])
			}
		}
		return
	}
	best := 0
	for k := range a.columns {
		if number(predictions[a.columns[k]]) > number(predictions[a.columns[best]]) {
			best = k
		}
	}
	if c.votes[best] == nil {
		c.votes[best] = map[string]int{}
	}
	if _, known := c.votes[best][class]; known || len(c.votes[best]) <= quality.MaxClasses {
		c.votes[best][class]++
	}
}

// settle decides about the names; why says what is not known.
func (c *classNames) settle(a *answers, run []byte) (why string) {
	if a.task == schema.Regression {
		return ""
	}
	want := len(a.names)
	if a.task == schema.Binary {
		want = 2
	}
	c.names = recorded(run)
	if len(c.names) == 0 || want > 0 && len(c.names) != want {
		c.names = c.derived(a, want)
	}
	c.number = map[string]int{}
	for i, name := range c.names {
		c.number[className(name)] = i
	}
	if len(c.number) < 2 || len(c.number) != len(c.names) {
		return "it is not known which class each score is of; list the classes in " + runFile + ", in the order of the scores"
	}
	if slices.Equal(c.names, []string{"0", "1"}) {
		c.number["false"], c.number["true"] = 0, 1
	}
	return ""
}

// of is the number of a class, -1 of a text that is none.
func (c *classNames) of(text string) int {
	if k, ok := c.number[className(text)]; ok {
		return k
	}
	return quality.NoClass
}

// derived names the classes by the answers; nil where they leave it open.
func (c *classNames) derived(a *answers, want int) []string {
	counted := make([]string, want)
	for k := range counted {
		counted[k] = strconv.Itoa(k)
	}
	within := func(names []string) bool {
		for name := range c.targets {
			if !slices.Contains(names, name) {
				return false
			}
		}
		return len(names) > 0
	}
	var names []string
	switch {
	case a.predicted < 0: // scores alone
	case len(a.columns) == 0: // predicted classes alone: their order does not matter
		all := maps.Clone(c.targets)
		for name := range c.votes[0] {
			all[name] = true
		}
		for name := range c.means {
			all[name] = true
		}
		names = slices.Sorted(maps.Keys(all))
		if len(names) > quality.MaxClasses || want > 0 && len(names) != want {
			names = nil
		}
	case a.task == schema.Binary && len(c.means) == 2:
		names = slices.SortedFunc(maps.Keys(c.means), func(x, y string) int {
			return cmp.Compare(c.means[x].sum/c.means[x].n, c.means[y].sum/c.means[y].n)
		})
	case a.task == schema.Multiclass:
		names = c.voted(want)
	}
	if names != nil {
		return names
	}
	for name := range c.means {
		if !slices.Contains(counted, name) {
			return nil
		}
	}
	for _, try := range [][]string{counted, {"false", "true"}} {
		if len(try) == want && within(try) {
			return try
		}
	}
	return nil
}

// voted is by class what was predicted most where its score is the largest. A class
// that never won is its number, if the others are.
func (c *classNames) voted(want int) []string {
	names := make([]string, want)
	for k := range names {
		names[k] = strconv.Itoa(k)
	}
	numbered := true
	for k, votes := range c.votes {
		names[k] = slices.MaxFunc(slices.Sorted(maps.Keys(votes)), func(x, y string) int { return votes[x] - votes[y] })
		numbered = numbered && names[k] == strconv.Itoa(k)
	}
	if len(c.votes) < want && !numbered {
		return nil
	}
	return names
}

// className is the text under which classes are the same, whatever wrote them: 1.0 is 1.
func className(text string) string { return label.Cell(text).Class() }

package command

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
)

// moment is which versions served at a time, and by which moves.
type moment struct {
	Model    string         `json:"model"`
	At       time.Time      `json:"at"`
	State    registry.State `json:"state"`    // in force; its last is the newest move before
	Champion registry.State `json:"champion"` // the generation that made the champion one
}

// servedAt reads the log from its newest entry back. Times in it come from the clocks of
// those who wrote: the newest generation that is not after the time counts.
func servedAt(ctx context.Context, reg *registry.Registry, newest registry.State, at time.Time) (moment, error) {
	m := moment{Model: newest.Model, At: at}
	for g := newest.Generation; g > 0; g-- {
		s := newest
		if g < newest.Generation { // the newest may not be logged yet
			var err error
			if s, err = reg.LogEntry(ctx, newest.Model, g); err != nil {
				return m, err
			}
		}
		switch {
		case m.State.Generation == 0 && s.Last.At.After(at):
			continue
		case m.State.Generation == 0:
			m.State, m.Champion = s, s
		case *s.Slots.Champion != *m.State.Slots.Champion:
			return m, nil
		default:
			m.Champion = s
		}
	}
	if m.State.Generation == 0 {
		return m, fault.New(fault.NotFound, "nothing served at %s; model %q had its first generation later", when(at), newest.Model)
	}
	return m, nil
}

func momentLines(w io.Writer, m moment) {
	s := m.State
	fmt.Fprintf(w, "at          %s\n", when(m.At))
	for _, h := range holders(s) {
		if h.Ref == nil {
			continue
		}
		extra := ""
		if h.Slot == registry.Challenger {
			extra = ", " + percent(s.Weights.Challenger) + " of the keys"
		}
		fmt.Fprintf(w, "%-11s version %d (%s%s)\n", h.Slot, h.Ref.Version, h.Ref.Digest, extra)
	}
	moveLine(w, "champion by", m.Champion)
	if s.Generation != m.Champion.Generation {
		moveLine(w, "last move", s)
	}
}

func moveLine(w io.Writer, what string, s registry.State) {
	l := s.Last
	fmt.Fprintf(w, "%-11s %s, generation %d, by %s at %s\n", what, l.Kind, s.Generation, l.Actor, when(l.At))
	if l.Reason != "" {
		fmt.Fprintf(w, "  reason    %s\n", l.Reason)
	}
	if len(l.Waived) > 0 {
		fmt.Fprintf(w, "  waived    %s\n", strings.Join(l.Waived, ", "))
	}
	for _, e := range l.Evidence {
		fmt.Fprintf(w, "  evidence  %s\n", e)
	}
}

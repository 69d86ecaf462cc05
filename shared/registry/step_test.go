package registry_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
)

type answer struct {
	N     int  `json:"n"`
	Ready bool `json:"ready"`
}

func TestAStepIsDoneOnce(t *testing.T) {
	reg := registry.New(&blob.Memory{}, registry.Options{})
	name := registry.StepName{Model: "flights", Run: "01KJ", Step: "snapshot"}
	calls := 0
	do := func() (answer, error) { calls++; return answer{N: calls, Ready: true}, nil }
	first, repeated, err := registry.Step(t.Context(), reg, name, "asked", do, nil)
	if err != nil || repeated || first.N != 1 {
		t.Fatalf("first: %+v, %v, %v", first, repeated, err)
	}
	again, repeated, err := registry.Step(t.Context(), reg, name, "asked", do, nil)
	if err != nil || !repeated || again != first || calls != 1 {
		t.Errorf("again: %+v, %v, %v after %d calls", again, repeated, err, calls)
	}
	if _, _, err = registry.Step(t.Context(), reg, name, "something else", do, nil); !fault.Is(err, fault.AlreadyExists) {
		t.Errorf("another input: %v", err)
	}
	if read, err := registry.StepResult[answer](t.Context(), reg, name); err != nil || read != first {
		t.Errorf("StepResult: %+v, %v", read, err)
	}
	name.Run = "01KK"
	if _, err := registry.StepResult[answer](t.Context(), reg, name); !fault.Is(err, fault.NotFound) {
		t.Errorf("StepResult of a step that was not done: %v", err)
	}
	if other, _, err := registry.Step(t.Context(), reg, name, "asked", do, nil); err != nil || other.N != 2 {
		t.Errorf("another run: %+v, %v", other, err)
	}
}

func TestWhatAStepDoesNotKeep(t *testing.T) {
	reg := registry.New(&blob.Memory{}, registry.Options{})
	name := registry.StepName{Model: "flights", Run: "01KJ", Step: "adopt"}
	broken := errors.New("broken")
	if _, _, err := registry.Step(t.Context(), reg, name, 1, func() (answer, error) { return answer{}, broken }, nil); !errors.Is(err, broken) {
		t.Errorf("an error: %v", err)
	}
	keep := func(a answer) bool { return a.Ready }
	if _, _, err := registry.Step(t.Context(), reg, name, 1, func() (answer, error) { return answer{N: 1}, nil }, keep); err != nil {
		t.Error(err)
	}
	got, repeated, err := registry.Step(t.Context(), reg, name, 1, func() (answer, error) { return answer{N: 2, Ready: true}, nil }, keep)
	if err != nil || repeated || got.N != 2 {
		t.Errorf("neither an error nor an answer that is not kept may stay: %+v, %v, %v", got, repeated, err)
	}
}

func TestOfTwoCallersOneResultCounts(t *testing.T) {
	reg := registry.New(&blob.Memory{}, registry.Options{})
	name := registry.StepName{Model: "flights", Run: "01KJ", Step: "snapshot"}
	var callers sync.WaitGroup
	got := make([]answer, 8)
	for i := range got {
		callers.Add(1)
		go func() {
			defer callers.Done()
			var err error
			if got[i], _, err = registry.Step(t.Context(), reg, name, "asked", func() (answer, error) { return answer{N: i}, nil }, nil); err != nil {
				t.Error(err)
			}
		}()
	}
	callers.Wait()
	for _, a := range got {
		if a != got[0] {
			t.Fatalf("results %v; want one", got)
		}
	}
}

func TestStepsThatCannotBeNamed(t *testing.T) {
	reg := registry.New(&blob.Memory{}, registry.Options{})
	for _, name := range []registry.StepName{{"Flights", "r", "s"}, {"flights", "", "s"}, {"flights", "../r", "s"}, {"flights", "r", "a/b"}} {
		_, _, err := registry.Step(t.Context(), reg, name, nil, func() (answer, error) { return answer{}, nil }, nil)
		if !fault.Is(err, fault.InvalidArgument) {
			t.Errorf("%+v: %v", name, err)
		}
	}
}

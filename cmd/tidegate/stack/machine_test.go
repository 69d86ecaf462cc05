package stack

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"github.com/tidegate/tidegate/shared/fault"
)

// machine leaves a state at each look, until it has left all; some looks fail.
type machine struct {
	Machines
	states []string
	looks  int
	fails  func(look int) bool
}

func (m *machine) DescribeExecution(context.Context, *sfn.DescribeExecutionInput, ...func(*sfn.Options)) (*sfn.DescribeExecutionOutput, error) {
	m.looks++
	status := types.ExecutionStatusRunning
	if m.looks >= len(m.states) {
		status = types.ExecutionStatusSucceeded
	}
	return &sfn.DescribeExecutionOutput{Status: status, Output: aws.String(`{}`)}, nil
}

func (m *machine) GetExecutionHistory(context.Context, *sfn.GetExecutionHistoryInput, ...func(*sfn.Options)) (*sfn.GetExecutionHistoryOutput, error) {
	if m.fails(m.looks) {
		return nil, errors.New("read tcp: use of closed network connection")
	}
	out := &sfn.GetExecutionHistoryOutput{}
	for i := min(m.looks, len(m.states)); i > 0; i-- {
		out.Events = append(out.Events, types.HistoryEvent{Id: int64(i), StateExitedEventDetails: &types.StateExitedEventDetails{Name: &m.states[i-1], Output: aws.String(`{}`)}})
	}
	return out, nil
}

func TestFollowOutlivesALookThatFails(t *testing.T) {
	for name, c := range map[string]struct {
		fails func(int) bool
		kind  fault.Kind
	}{
		"never":           {func(int) bool { return false }, ""},
		"twice":           {func(look int) bool { return look == 1 || look == 2 }, ""},
		"as it ends":      {func(look int) bool { return look == 3 }, ""},
		"every other one": {func(look int) bool { return look%2 == 1 }, ""},
		"for good":        {func(look int) bool { return look > 1 }, fault.Unavailable},
	} {
		m := &machine{states: []string{"First", "Second", "Third"}, fails: c.fails}
		var left []string
		ending, err := (&Stack{States: m}).Follow(t.Context(), "execution", 0, func(s Step) error { left = append(left, s.State); return nil })
		if fault.KindOf(err) != c.kind {
			t.Errorf("%s: %v", name, err)
		}
		if c.kind == "" && (!ending.Succeeded || fmt.Sprint(left) != "[First Second Third]") {
			t.Errorf("%s: %+v after %v", name, ending, left)
		}
	}
	stop := errors.New("enough")
	m := &machine{states: []string{"First", "Second"}, fails: func(int) bool { return false }}
	if _, err := (&Stack{States: m}).Follow(t.Context(), "execution", 0, func(Step) error { return stop }); !errors.Is(err, stop) || m.looks != 1 {
		t.Errorf("%v after %d looks", err, m.looks)
	}
}

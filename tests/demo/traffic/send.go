package traffic

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/tidegate/tidegate/cmd/tidegate/endpoint"
	"github.com/tidegate/tidegate/shared/tensor"
	"github.com/tidegate/tidegate/tests/demo/flights"
)

// Answer is what was answered for one row.
type Answer struct {
	Label         int64     `json:"label"`
	Probabilities []float32 `json:"probabilities"` // by class
}

// Sent is one request that was sent and what came of it.
type Sent struct {
	Request
	ID       string // inference id
	Version  int
	ServedBy string
	Latency  time.Duration // from the first try to the last byte
	Tries    int
	Answers  []Answer // one per row
	Err      error
}

// Sender sends flights to one model.
type Sender struct {
	Client      *endpoint.Client
	Model       string
	Flights     []flights.Flight
	Concurrency int
}

// Send sends every request of plan, at most Concurrency at once, and returns them
// in the plan's order. done is called once per request, from one goroutine at a time.
func (s *Sender) Send(ctx context.Context, plan []Request, done func(Sent)) []Sent {
	sent := make([]Sent, len(plan))
	next := make(chan int)
	var wg sync.WaitGroup
	var mu sync.Mutex
	for range s.Concurrency {
		wg.Go(func() {
			for i := range next {
				sent[i] = s.one(ctx, plan[i])
				mu.Lock()
				done(sent[i])
				mu.Unlock()
			}
		})
	}
	for i := range plan {
		next <- i
	}
	close(next)
	wg.Wait()
	return sent
}

func (s *Sender) one(ctx context.Context, r Request) Sent {
	fs := s.Flights[r.First : r.First+r.Rows]
	var result endpoint.Result
	var answers []Answer
	var err error
	if r.Form == Rows {
		result, err = s.Client.PredictRows(ctx, endpoint.Rows{Model: s.Model, Instances: instances(fs)})
		if err == nil {
			answers, err = fromRows(result.Rows)
		}
	} else {
		result, err = s.Client.Infer(ctx, endpoint.Inference{Model: s.Model, Inputs: tensors(fs), Binary: r.Form == Binary})
		if err == nil {
			answers, err = fromTensors(result.Outputs, r.Rows)
		}
	}
	return Sent{Request: r, ID: result.ID, Version: result.Version, ServedBy: result.ServedBy, Latency: result.Latency, Tries: result.Tries, Answers: answers, Err: err}
}

// tensors has one tensor [N,1] per input column.
func tensors(fs []flights.Flight) []tensor.Tensor {
	inputs := flights.Inputs()
	out := make([]tensor.Tensor, len(inputs))
	for c, in := range inputs {
		out[c] = tensor.Tensor{Name: in.Name, Shape: []int64{int64(len(fs)), 1}, Datatype: tensor.FP32}
		if in.Text != nil {
			out[c].Datatype = tensor.Bytes
		}
		for i := range fs {
			if in.Number != nil {
				out[c].FP32s = append(out[c].FP32s, float32(in.Number(&fs[i])))
			} else {
				out[c].Strings = append(out[c].Strings, in.Text(&fs[i]))
			}
		}
	}
	return out
}

func instances(fs []flights.Flight) []map[string]any {
	out := make([]map[string]any, len(fs))
	for i := range fs {
		out[i] = map[string]any{}
		for _, in := range flights.Inputs() {
			if in.Number != nil {
				out[i][in.Name] = in.Number(&fs[i])
			} else {
				out[i][in.Name] = in.Text(&fs[i])
			}
		}
	}
	return out
}

func fromRows(rows []json.RawMessage) ([]Answer, error) {
	answers := make([]Answer, len(rows))
	for i, r := range rows {
		if err := json.Unmarshal(r, &answers[i]); err != nil {
			return nil, fmt.Errorf("prediction %d has no label and probabilities: %w", i, err)
		}
	}
	return answers, nil
}

func fromTensors(outputs []tensor.Tensor, n int) ([]Answer, error) {
	answers := make([]Answer, n)
	found := 0
	for _, o := range outputs {
		switch {
		case o.Name == "label" && len(o.I64s) == n:
			for i, v := range o.I64s {
				answers[i].Label = v
			}
			found++
		case o.Name == "probabilities" && n > 0 && len(o.FP32s)%n == 0:
			width := len(o.FP32s) / n
			for i := range answers {
				answers[i].Probabilities = o.FP32s[i*width : (i+1)*width]
			}
			found++
		}
	}
	if found != 2 {
		return nil, fmt.Errorf("the answer has not one label and probabilities for each of %d rows", n)
	}
	return answers, nil
}

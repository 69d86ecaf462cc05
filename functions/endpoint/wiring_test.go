package main

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidegate/tidegate/shared/capture"
	"github.com/tidegate/tidegate/shared/httpapi"
	"github.com/tidegate/tidegate/shared/inference"
	"github.com/tidegate/tidegate/shared/inference/inferencetest"
	"github.com/tidegate/tidegate/shared/pause"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/shared/serving"
	"github.com/tidegate/tidegate/shared/tensor"
)

// slow is a registry, or a stream, that takes its time and gives up when its context ends.
type slow struct {
	httpapi.Predictor
	takes time.Duration
}

func (s slow) Status(ctx context.Context, _ string) (inference.ModelStatus, error) {
	return inference.ModelStatus{}, pause.For(ctx, s.takes)
}

func (s slow) AfterRequest(context.Context) {}

func (s slow) Send(ctx context.Context, _ [][]byte) ([]int, error) {
	return nil, pause.For(ctx, s.takes)
}

// captured is a row as the recorder buffers it.
func captured(t *testing.T) *capture.Prediction {
	s := inferencetest.Schema()
	checker, err := schema.Compile(&s, nil)
	if err != nil {
		t.Fatal(err)
	}
	column := func(name string) []tensor.Tensor {
		return []tensor.Tensor{{Name: name, Datatype: tensor.FP32, Shape: []int64{1, 1}, FP32s: []float32{1}}}
	}
	return &capture.Prediction{ID: "0199a000-0000-7000-8000-000000000001", At: time.Now(), Role: capture.Served, Rows: 1, Status: 200, Inputs: column("x"), Outputs: column("y"),
		Version: inference.Version{Model: "m", Number: 1, Schema: &s, Columns: checker, Capture: registry.CaptureSettings{Mode: registry.CaptureBuffered}}}
}

// TestTheEndLosesNoCaptures is SIGTERM in the middle of a look at the states: what is
// buffered is left to the end of the server, what is on its way arrives unless the stream hangs.
func TestTheEndLosesNoCaptures(t *testing.T) {
	const grace = 10 * time.Second
	for name, tt := range map[string]struct {
		looks, sends time.Duration
		end          time.Duration // since the look began
		took         time.Duration // until it is over
		sent, lost   int64         // rows, before the server's end
	}{
		"nobody ends it":         {time.Second, time.Minute, time.Hour, 61 * time.Second, 1, 0},
		"while a state is read":  {2 * time.Second, time.Second, time.Second, time.Second, 0, 0},
		"while captures leave":   {time.Second, 3 * time.Second, 2 * time.Second, 4 * time.Second, 1, 0},
		"while the stream hangs": {time.Second, time.Hour, 2 * time.Second, 12 * time.Second, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				counts := new(inferencetest.Counts)
				recorder := capture.NewRecorder(capture.Options{Stream: slow{takes: tt.sends}, Count: counts.Add})
				if err := recorder.Record(t.Context(), captured(t)); err != nil {
					t.Fatal(err)
				}
				look := follow(serving.NewGate(slow{takes: tt.looks}), []string{"m"}, recorder.Flush, grace, slog.New(slog.DiscardHandler))
				ctx, end := context.WithTimeout(t.Context(), tt.end)
				defer end()
				started := time.Now()
				look(ctx)
				took := time.Since(started)
				sent, lost := counts.Of(capture.CaptureRows), counts.Of(capture.CaptureRowsLost)
				if took != tt.took || sent != tt.sent || lost != tt.lost {
					t.Errorf("over after %v with %d rows sent and %d lost, want %v, %d, %d", took, sent, lost, tt.took, tt.sent, tt.lost)
				}
				if err := recorder.Flush(t.Context()); err != nil { // as at the end of the server
					t.Error(err)
				}
				if n := counts.Of(capture.CaptureRows) + counts.Of(capture.CaptureRowsLost); n != 1 {
					t.Errorf("%d rows are accounted for, want 1", n)
				}
			})
		})
	}
}

package main

import (
	"fmt"
	"time"

	ort "github.com/yalue/onnxruntime_go"
)

// rawRate is what raw ONNX Runtime does with the heavy model: tensors made once,
// nothing but Run in the loop, as many threads as processors.
type rawRate struct {
	Batch int     `json:"batch"`
	Rows  float64 `json:"rows_per_s"`
}

// raw is a session of the yardstick.
type raw struct {
	session *ort.DynamicAdvancedSession
}

func openRaw(library string, model []byte, threads int) (*raw, error) {
	ort.SetSharedLibraryPath(library)
	if err := ort.InitializeEnvironment(ort.WithLogLevelFatal()); err != nil {
		return nil, fmt.Errorf("library: %w", err)
	}
	options, err := ort.NewSessionOptions()
	if err != nil {
		return nil, err
	}
	defer options.Destroy()
	if err := options.SetIntraOpNumThreads(threads); err != nil {
		return nil, err
	}
	session, err := ort.NewDynamicAdvancedSessionWithONNXData(model, []string{"x"}, []string{"y"}, options)
	if err != nil {
		return nil, fmt.Errorf("session: %w", err)
	}
	return &raw{session}, nil
}

// run runs rows once and returns y.
func (r *raw) run(rows []float32, n int) ([]float32, error) {
	in, err := ort.NewTensor(ort.NewShape(int64(n), heavyInput), rows)
	if err != nil {
		return nil, err
	}
	defer in.Destroy()
	out, err := ort.NewEmptyTensor[float32](ort.NewShape(int64(n), 1))
	if err != nil {
		return nil, err
	}
	defer out.Destroy()
	if err := r.session.Run([]ort.Value{in}, []ort.Value{out}); err != nil {
		return nil, err
	}
	return append([]float32(nil), out.GetData()...), nil
}

// rate measures a batch size for about as long as given.
func (r *raw) rate(batch int, during time.Duration) (rawRate, error) {
	rows := make([]float32, 0, batch*heavyInput)
	for i := range batch {
		rows = append(rows, heavyRow(i)...)
	}
	in, err := ort.NewTensor(ort.NewShape(int64(batch), heavyInput), rows)
	if err != nil {
		return rawRate{}, err
	}
	defer in.Destroy()
	out, err := ort.NewEmptyTensor[float32](ort.NewShape(int64(batch), 1))
	if err != nil {
		return rawRate{}, err
	}
	defer out.Destroy()
	inputs, outputs := []ort.Value{in}, []ort.Value{out}
	if err := r.session.Run(inputs, outputs); err != nil { // memory, caches
		return rawRate{}, err
	}
	runs, started := 0, time.Now()
	for time.Since(started) < during || runs < 3 {
		if err := r.session.Run(inputs, outputs); err != nil {
			return rawRate{}, err
		}
		runs++
	}
	return rawRate{batch, float64(runs*batch) / time.Since(started).Seconds()}, nil
}

// best is the fastest of the batch sizes.
func (r *raw) best(batches []int, during time.Duration) (best rawRate, err error) {
	for _, n := range batches {
		one, err := r.rate(n, during)
		if err != nil {
			return best, err
		}
		if one.Rows > best.Rows {
			best = one
		}
	}
	return best, nil
}

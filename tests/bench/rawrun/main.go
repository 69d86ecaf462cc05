// Command rawrun is the yardstick of raw ONNX Runtime: one session, tensors
// allocated once, nothing but Run in the timed loop.
//
//	rawrun LIBRARY MODEL.onnx ROWS.json THREADS
//
// It reads lines "<runs>" and answers each with one line: the durations of that
// many runs, in nanoseconds, as a JSON array. THREADS is the intra-op setting that
// predict uses, 0 for ONNX Runtime's default.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"strconv"
	"time"

	ort "github.com/yalue/onnxruntime_go"
)

func main() {
	if len(os.Args) != 5 {
		log.Fatal("usage: rawrun LIBRARY MODEL.onnx ROWS.json THREADS")
	}
	threads, err := strconv.Atoi(os.Args[4])
	if err != nil {
		log.Fatal(err)
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3], threads, os.Stdin, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(library, model, rows string, threads int, in io.Reader, out io.Writer) error {
	ort.SetSharedLibraryPath(library)
	if err := ort.InitializeEnvironment(); err != nil {
		return fmt.Errorf("library: %w", err)
	}
	session, err := open(model, rows, threads)
	if err != nil {
		return fmt.Errorf("session: %w", err)
	}
	lines, answers := bufio.NewScanner(in), json.NewEncoder(out)
	for lines.Scan() {
		n, err := strconv.Atoi(lines.Text())
		if err != nil {
			return err
		}
		taken := make([]int64, n)
		for i := range taken {
			start := time.Now()
			if err := session.Run(); err != nil {
				return fmt.Errorf("run: %w", err)
			}
			taken[i] = time.Since(start).Nanoseconds()
		}
		if err := answers.Encode(taken); err != nil {
			return err
		}
	}
	return errors.Join(lines.Err(), session.Destroy())
}

// open makes a session with all tensors in place.
func open(model, rows string, threads int) (*ort.AdvancedSession, error) {
	columns, err := readColumns(rows)
	if err != nil {
		return nil, err
	}
	ins, outs, err := ort.GetInputOutputInfo(model)
	if err != nil {
		return nil, err
	}
	var n int64
	var inNames, outNames []string
	var inputs, outputs []ort.Value
	for _, in := range ins {
		value, rows, err := input(in, columns[in.Name])
		if err != nil {
			return nil, fmt.Errorf("input %s: %w", in.Name, err)
		}
		n, inNames, inputs = rows, append(inNames, in.Name), append(inputs, value)
	}
	for _, out := range outs {
		value, err := output(out, n)
		if err != nil {
			return nil, fmt.Errorf("output %s: %w", out.Name, err)
		}
		outNames, outputs = append(outNames, out.Name), append(outputs, value)
	}
	options, err := ort.NewSessionOptions()
	if err != nil {
		return nil, err
	}
	if threads > 0 {
		if err := options.SetIntraOpNumThreads(threads); err != nil {
			return nil, err
		}
	}
	return ort.NewAdvancedSession(model, inNames, outNames, inputs, outputs, options)
}

func readColumns(path string) (map[string]json.RawMessage, error) {
	text, err := os.ReadFile(path) // #nosec G304 -- a path of the benchmark's own
	if err != nil {
		return nil, err
	}
	var columns map[string]json.RawMessage
	return columns, json.Unmarshal(text, &columns)
}

// input makes a filled [N, width] tensor and returns N.
func input(info ort.InputOutputInfo, column json.RawMessage) (ort.Value, int64, error) {
	width := info.Dimensions[1]
	if info.DataType == ort.TensorElementDataTypeString {
		var values []string
		if err := json.Unmarshal(column, &values); err != nil {
			return nil, 0, err
		}
		n := int64(len(values)) / width
		t, err := ort.NewStringTensor(ort.NewShape(n, width))
		if err != nil {
			return nil, 0, err
		}
		return t, n, t.SetContents(values)
	}
	var values []float32
	if err := json.Unmarshal(column, &values); err != nil {
		return nil, 0, err
	}
	n := int64(len(values)) / width
	t, err := ort.NewTensor(ort.NewShape(n, width), values)
	return t, n, err
}

// output makes an empty tensor: labels are INT64 [N], probabilities FP32 [N, classes].
func output(info ort.InputOutputInfo, n int64) (ort.Value, error) {
	shape := ort.Shape(append([]int64{n}, info.Dimensions[1:]...))
	if info.DataType == ort.TensorElementDataTypeInt64 {
		return ort.NewEmptyTensor[int64](shape)
	}
	return ort.NewEmptyTensor[float32](shape)
}

package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/tidegate/tidegate/shared/serving/rpc/inferencepb"
	"github.com/tidegate/tidegate/tests/bench/workload"
)

// The forms in which a request can travel.
var wires = []string{"json", "binary", "grpc"}

// rows are what a request holds.
type rows struct {
	model   string
	n       int
	columns []workload.Column
}

// repeat is n times the one row of m.
func repeat(m *workload.Model, n int) rows {
	r := rows{model: m.Name, n: n}
	for _, c := range m.Columns {
		c.Floats, c.Strings = slices.Repeat(c.Floats, n), slices.Repeat(c.Strings, n)
		r.columns = append(r.columns, c)
	}
	return r
}

func datatype(c *workload.Column) string {
	if len(c.Strings) > 0 {
		return "BYTES"
	}
	return "FP32"
}

// json is the request with data as flat arrays.
func (r rows) json() []byte {
	b := []byte(`{"inputs":[`)
	for i := range r.columns {
		c := &r.columns[i]
		b = append(b, fmt.Sprintf(`{"name":%q,"shape":[%d,%d],"datatype":%q,"data":[`, c.Name, r.n, c.Width, datatype(c))...)
		for _, v := range c.Floats {
			b = append(strconv.AppendFloat(b, float64(v), 'g', -1, 32), ',')
		}
		for _, v := range c.Strings {
			b = append(strconv.AppendQuote(b, v), ',')
		}
		b = append(b[:len(b)-1], "]},"...)
	}
	return append(b[:len(b)-1], "]}"...)
}

// raws is a column's elements as bytes.
func raws(c *workload.Column) (b []byte) {
	for _, v := range c.Floats {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	for _, v := range c.Strings {
		b = append(binary.LittleEndian.AppendUint32(b, uint32(len(v))), v...) // #nosec G115 -- short strings
	}
	return b
}

// binary is the request with binary tensors, both ways, and the length of its JSON part.
func (r rows) binary() (body []byte, length int) {
	head, data := []byte(`{"parameters":{"binary_data_output":true},"inputs":[`), []byte(nil)
	for i := range r.columns {
		c := &r.columns[i]
		b := raws(c)
		head = append(head, fmt.Sprintf(`{"name":%q,"shape":[%d,%d],"datatype":%q,"parameters":{"binary_data_size":%d}},`, c.Name, r.n, c.Width, datatype(c), len(b))...)
		data = append(data, b...)
	}
	head = append(head[:len(head)-1], "]}"...)
	return append(head, data...), len(head)
}

// message is the request of gRPC.
func (r rows) message() *inferencepb.ModelInferRequest {
	m := &inferencepb.ModelInferRequest{ModelName: r.model}
	for i := range r.columns {
		c := &r.columns[i]
		m.Inputs = append(m.Inputs, &inferencepb.ModelInferRequest_InferInputTensor{Name: c.Name, Datatype: datatype(c), Shape: []int64{int64(r.n), int64(c.Width)}})
		m.RawInputContents = append(m.RawInputContents, raws(c))
	}
	return m
}

// heavyCaller sends its own row to the heavy model and holds the answer to what raw
// ONNX Runtime gave for that row alone.
func heavyCaller(s *server, wire string, i int, want float32) (caller, error) {
	near := func(got float64) error {
		if math.Abs(got-float64(want)) > 1e-3*math.Max(1, math.Abs(float64(want))) {
			return fmt.Errorf("caller %d got %v, want %v: another's row?", i, got, want)
		}
		return nil
	}
	r := rows{model: "heavy", n: 1, columns: []workload.Column{{Name: "x", Width: heavyInput, Floats: heavyRow(i)}}}
	return newCaller(s, wire, r, func(body []byte) error {
		var answer struct {
			Outputs []struct {
				Data []float64 `json:"data"`
			} `json:"outputs"`
		}
		if err := json.Unmarshal(body, &answer); err != nil || len(answer.Outputs) != 1 || len(answer.Outputs[0].Data) != 1 {
			return fmt.Errorf("answer %.200s: %w", body, err)
		}
		return near(answer.Outputs[0].Data[0])
	}, func(raw []byte) error {
		if len(raw) < 4 {
			return fmt.Errorf("an answer of %d bytes", len(raw))
		}
		return near(float64(math.Float32frombits(binary.LittleEndian.Uint32(raw[len(raw)-4:]))))
	})
}

// flightsCaller wants the same answer each time: trees do not depend on the size of
// a batch.
func flightsCaller(s *server, wire string, r rows) (caller, error) {
	var first []byte
	same := func(body []byte) error {
		if first == nil {
			first = bytes.Clone(body)
		}
		if !bytes.Equal(first, body) {
			return fmt.Errorf("the answer changed: %.200q", body)
		}
		return nil
	}
	return newCaller(s, wire, r, same, same)
}

func newCaller(s *server, wire string, r rows, text, raw func([]byte) error) (caller, error) {
	path := "/v2/models/" + r.model + "/infer"
	switch wire {
	case "json":
		return newWebCaller(s.web, path, map[string]string{"Content-Type": "application/json"}, r.json(), text)
	case "binary":
		body, length := r.binary()
		return newWebCaller(s.web, path, map[string]string{"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": strconv.Itoa(length)}, body, raw)
	}
	return newRPCCaller(s.rpc, r.message(), func(out *inferencepb.ModelInferResponse) error {
		return raw(bytes.Join(out.RawOutputContents, nil))
	})
}

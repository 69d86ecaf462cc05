package workload

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// tolerance is the difference allowed between two builds of the same runtime on the same processor.
const tolerance = 1e-6

type response struct {
	StatusCode int               `json:"statusCode"`
	Headers    map[string]string `json:"headers"`
	Body       string            `json:"body"`
	Base64     bool              `json:"isBase64Encoded"`
}

type output struct {
	Name       string          `json:"name"`
	Shape      []int64         `json:"shape"`
	Datatype   string          `json:"datatype"`
	Data       json.RawMessage `json:"data"`
	Parameters struct {
		Size int `json:"binary_data_size"`
	} `json:"parameters"`
}

// Check reads a function's answer to a request for m's rows and compares it with what is expected.
func (m *Model) Check(payload []byte) error {
	var r response
	if err := json.Unmarshal(payload, &r); err != nil {
		return fmt.Errorf("bench answer: %w", err)
	}
	body := []byte(r.Body)
	if r.Base64 {
		var err error
		if body, err = base64.StdEncoding.DecodeString(r.Body); err != nil {
			return fmt.Errorf("bench answer: %w", err)
		}
	}
	if r.StatusCode != 200 {
		return fmt.Errorf("bench answer: status %d: %.300s", r.StatusCode, body)
	}
	label, probabilities, err := outputs(body, header(r.Headers, "Inference-Header-Content-Length"))
	if err != nil {
		return fmt.Errorf("bench answer: %w", err)
	}
	return m.Expected.compare(label, probabilities)
}

func (e *Expected) compare(label []int64, probabilities []float32) error {
	if len(label) != len(e.Label) || len(probabilities) != len(e.Probabilities) {
		return fmt.Errorf("bench answer: %d labels and %d probabilities, expected %d and %d",
			len(label), len(probabilities), len(e.Label), len(e.Probabilities))
	}
	for i, l := range label {
		if l != e.Label[i] {
			return fmt.Errorf("bench answer: label of row %d differs", i)
		}
	}
	for i, p := range probabilities {
		if d := math.Abs(float64(p) - float64(e.Probabilities[i])); !(d <= tolerance) {
			return fmt.Errorf("bench answer: probability %d is off by %g", i, d)
		}
	}
	return nil
}

// outputs decodes label and probabilities of a JSON or binary answer.
func outputs(body []byte, headerLength string) (label []int64, probabilities []float32, err error) {
	head, data := body, []byte(nil)
	if headerLength != "" {
		n, err := strconv.Atoi(headerLength)
		if err != nil || n < 0 || n > len(body) {
			return nil, nil, fmt.Errorf("header length %q for %d bytes", headerLength, len(body))
		}
		head, data = body[:n], body[n:]
	}
	var answer struct {
		Outputs []output `json:"outputs"`
	}
	if err := json.Unmarshal(head, &answer); err != nil {
		return nil, nil, err
	}
	for _, o := range answer.Outputs {
		size := o.Parameters.Size
		if size > len(data) {
			return nil, nil, fmt.Errorf("output %s: %d bytes said, %d there", o.Name, size, len(data))
		}
		var target any = &probabilities
		if o.Name == "label" {
			target = &label
		}
		if size > 0 {
			err = fill(target, data[:size])
			data = data[size:]
		} else {
			err = json.Unmarshal(o.Data, target)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("output %s: %w", o.Name, err)
		}
	}
	return label, probabilities, nil
}

// fill decodes little-endian INT64 or FP32 elements.
func fill(target any, data []byte) error {
	switch t := target.(type) {
	case *[]int64:
		for ; len(data) >= 8; data = data[8:] {
			*t = append(*t, int64(binary.LittleEndian.Uint64(data))) // #nosec G115 -- two's complement on the wire
		}
	case *[]float32:
		for ; len(data) >= 4; data = data[4:] {
			*t = append(*t, math.Float32frombits(binary.LittleEndian.Uint32(data)))
		}
	}
	if len(data) != 0 {
		return errors.New("bytes are left over")
	}
	return nil
}

func header(headers map[string]string, name string) string {
	for k, v := range headers {
		if strings.EqualFold(k, name) {
			return v
		}
	}
	return ""
}

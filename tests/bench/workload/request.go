package workload

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
)

// Model is one of the benchmark's models with the rows that are sent to it.
type Model struct {
	Name     string
	ONNX     []byte
	Columns  []Column
	Rows     int
	Expected Expected
}

// Column is one graph input with its rows, [rows, width] row-major.
type Column struct {
	Name    string
	Width   int
	Floats  []float32
	Strings []string
	text    []json.RawMessage // the floats as they were written
}

// Expected is what ONNX Runtime in Python answered for the rows.
type Expected struct {
	Label         []int64   `json:"label"`
	Probabilities []float32 `json:"probabilities"` // [rows, 2]
}

// columnOrder is the order of the graphs' inputs, as make_models.py writes them.
var columnOrder = map[string][]string{
	"flights": {"dep_delay", "month", "day", "weekday", "sched_dep_minute", "sched_arr_minute", "sched_air_minutes", "distance", "carrier", "origin", "dest"},
	"wide":    {"x"},
	"small":   {"x"},
}

// Load reads model name from the files of make_models.py in dir. All its inputs have the given width.
func Load(dir, name string, width int) (*Model, error) {
	m := &Model{Name: name}
	var err error
	if m.ONNX, err = os.ReadFile(filepath.Join(dir, name+".onnx")); err != nil {
		return nil, fmt.Errorf("bench model: %w", err)
	}
	var columns map[string][]json.RawMessage
	if err := readJSON(filepath.Join(dir, name+".rows.json"), &columns); err != nil {
		return nil, err
	}
	if err := readJSON(filepath.Join(dir, name+".expected.json"), &m.Expected); err != nil {
		return nil, err
	}
	for _, column := range columnOrder[name] {
		c, err := newColumn(column, width, columns[column])
		if err != nil {
			return nil, fmt.Errorf("bench model %s, column %s: %w", name, column, err)
		}
		m.Columns = append(m.Columns, c)
		m.Rows = len(c.text) / width
	}
	return m, nil
}

func newColumn(name string, width int, values []json.RawMessage) (Column, error) {
	c := Column{Name: name, Width: width, text: values}
	if len(values) == 0 {
		return c, fmt.Errorf("no rows")
	}
	for _, v := range values {
		if v[0] == '"' {
			var s string
			if err := json.Unmarshal(v, &s); err != nil {
				return c, err
			}
			c.Strings = append(c.Strings, s)
			continue
		}
		f, err := strconv.ParseFloat(string(v), 32)
		if err != nil {
			return c, err
		}
		c.Floats = append(c.Floats, float32(f))
	}
	return c, nil
}

// JSON is the request with data as flat JSON arrays.
func (m *Model) JSON() Body {
	var b bytes.Buffer
	b.WriteString(`{"inputs":[`)
	for i, c := range m.Columns {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"name":%q,"shape":[%d,%d],"datatype":%q,"data":[`, c.Name, m.Rows, c.Width, c.datatype())
		for j, v := range c.text {
			if j > 0 {
				b.WriteByte(',')
			}
			b.Write(v)
		}
		b.WriteString("]}")
	}
	b.WriteString("]}")
	return Body{Bytes: b.Bytes(), Header: map[string]string{"content-type": "application/json"}}
}

// BinaryBody is the request with binary tensors, asking for binary tensors back.
func (m *Model) BinaryBody() Body {
	var head, data bytes.Buffer
	head.WriteString(`{"inputs":[`)
	for i, c := range m.Columns {
		before := data.Len()
		for _, f := range c.Floats {
			data.Write(binary.LittleEndian.AppendUint32(nil, math.Float32bits(f)))
		}
		for _, s := range c.Strings {
			data.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(s)))) // #nosec G115 -- short strings
			data.WriteString(s)
		}
		if i > 0 {
			head.WriteByte(',')
		}
		fmt.Fprintf(&head, `{"name":%q,"shape":[%d,%d],"datatype":%q,"parameters":{"binary_data_size":%d}}`,
			c.Name, m.Rows, c.Width, c.datatype(), data.Len()-before)
	}
	head.WriteString(`],"parameters":{"binary_data_output":true}}`)
	n := head.Len()
	return Body{
		Bytes:  append(head.Bytes(), data.Bytes()...),
		Binary: true,
		Header: map[string]string{
			"content-type":                    "application/octet-stream",
			"inference-header-content-length": strconv.Itoa(n),
		},
	}
}

func (c *Column) datatype() string {
	if c.Strings != nil {
		return "BYTES"
	}
	return "FP32"
}

func readJSON(path string, into any) error {
	text, err := os.ReadFile(path) // #nosec G304 -- the benchmark's own files
	if err != nil {
		return fmt.Errorf("bench model: %w", err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("bench model: %s: %w", path, err)
	}
	return nil
}

package oip

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
)

func jsonBody() []byte {
	r := rand.New(rand.NewPCG(1, 2))
	text := []byte(`{"inputs":[{"name":"x","shape":[1000,30],"datatype":"FP32","data":[`)
	for i := range 30000 {
		if i > 0 {
			text = append(text, ',')
		}
		text = strconv.AppendFloat(text, float64(float32(r.NormFloat64())), 'f', -1, 32)
	}
	return append(text, `]}]}`...)
}

func benchmarkDecode(b *testing.B, body []byte, length int) {
	var d Decoder
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Decode(body, length); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode1x11(b *testing.B) {
	text := []byte(`{"inputs":[`)
	for i := range 11 {
		if i > 0 {
			text = append(text, ',')
		}
		text = append(text, `{"name":"column_`...)
		text = strconv.AppendInt(text, int64(i), 10)
		text = append(text, `","shape":[1,1],"datatype":"FP32","data":[12.5]}`...)
	}
	benchmarkDecode(b, append(text, `]}`...), AllJSON)
}

func BenchmarkDecode1000x30JSON(b *testing.B) { benchmarkDecode(b, jsonBody(), AllJSON) }

func BenchmarkDecode1000x30Binary(b *testing.B) {
	head := `{"inputs":[{"name":"x","shape":[1000,30],"datatype":"FP32","parameters":{"binary_data_size":120000}}]}`
	body := []byte(head)
	for i := range 30000 {
		body = binary.LittleEndian.AppendUint32(body, math.Float32bits(float32(i)))
	}
	benchmarkDecode(b, body, len(head))
}

// BenchmarkEncodingJSON1000x30 is the yardstick of the benchmarks above.
func BenchmarkEncodingJSON1000x30(b *testing.B) {
	body := jsonBody()
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		var req struct {
			Inputs []struct {
				Name     string    `json:"name"`
				Shape    []int64   `json:"shape"`
				Datatype string    `json:"datatype"`
				Data     []float32 `json:"data"`
			} `json:"inputs"`
		}
		if err := json.Unmarshal(body, &req); err != nil {
			b.Fatal(err)
		}
	}
}

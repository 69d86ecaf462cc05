package wire

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
)

// decimals yields n texts of JSON numbers that press on every path of the
// number reader: shortest forms, many digits, exponents, midpoints.
func decimals(n int, each func(text string)) {
	r := rand.New(rand.NewPCG(1, 2))
	for i := 0; i < n; i++ {
		f64 := math.Float64frombits(r.Uint64())
		f32 := math.Float32frombits(r.Uint32())
		mid := float64(math.Float32frombits(uint32(127-20+r.IntN(40))<<23 | r.Uint32()&0x7fffff)) // normal, moderate
		half := (mid + float64(math.Nextafter32(float32(mid), math.MaxFloat32))) / 2
		for _, s := range []string{
			strconv.FormatFloat(f64, 'e', -1, 64),
			strconv.FormatFloat(float64(f32), 'g', -1, 32),
			strconv.FormatFloat(r.NormFloat64(), 'f', -1, 64),
			strconv.FormatFloat(r.NormFloat64()*1e-5, 'f', -1, 64),
			strconv.FormatFloat(float64(float32(r.NormFloat64())), 'f', -1, 32),
			strconv.FormatFloat(r.Float64(), 'f', r.IntN(30)+1, 64),
			strconv.FormatFloat(half, 'f', -1, 64),
			strconv.FormatFloat(half, 'f', -1, 64) + "1",
			strconv.FormatFloat(math.Nextafter(half, 0), 'f', -1, 64),
			strconv.FormatUint(r.Uint64(), 10),
			strconv.FormatUint(r.Uint64(), 10) + "." + strconv.FormatUint(r.Uint64(), 10),
			strconv.FormatUint(r.Uint64(), 10) + "e" + strconv.Itoa(r.IntN(80)-60),
			strconv.FormatUint(r.Uint64()>>r.IntN(64), 10) + "E-" + strconv.Itoa(r.IntN(30)),
			"0." + "00000000000000000000"[:r.IntN(20)] + strconv.FormatUint(r.Uint64(), 10),
		} {
			if json.Valid([]byte(s)) {
				each(s)
				if s[0] != '-' {
					each("-" + s)
				}
			}
		}
	}
}

func TestFloatsEqualStrconv(t *testing.T) {
	n, draws := 0, 20_000
	if testing.Short() {
		draws = 2000
	}
	decimals(draws, func(text string) {
		n++
		for _, b := range []string{text, text + ",1", text + "   "} {
			want64, err := strconv.ParseFloat(text, 64)
			got64, end, code := Float64([]byte(b), 0)
			if (code == Range) != (err != nil) || end != len(text) || (err == nil && math.Float64bits(got64) != math.Float64bits(want64)) {
				t.Fatalf("Float64(%s) = %x, end %d, code %d; want %x, %v", b, got64, end, code, want64, err)
			}
			want32, err := strconv.ParseFloat(text, 32)
			got32, end, code := Float32([]byte(b), 0)
			if (code == Range) != (err != nil) || end != len(text) || (err == nil && math.Float32bits(got32) != math.Float32bits(float32(want32))) {
				t.Fatalf("Float32(%s) = %x, end %d, code %d; want %x, %v", b, got32, end, code, want32, err)
			}
		}
	})
	t.Logf("%d decimals", n)
}

func BenchmarkFloat32Array(b *testing.B) {
	benchmarkFloats(b, ",", 32, func(text []byte, dst []float32) Code {
		_, _, code := Array(text, 0, []int64{int64(len(dst))}, dst, Float32, nil)
		return code
	})
}

// BenchmarkFloat32ArraySpaced is what json.dumps writes.
func BenchmarkFloat32ArraySpaced(b *testing.B) {
	benchmarkFloats(b, ", ", 32, func(text []byte, dst []float32) Code {
		_, _, code := Array(text, 0, []int64{int64(len(dst))}, dst, Float32, nil)
		return code
	})
}

// BenchmarkFloat32ArrayIndented is what json.dumps(…, indent=2) writes.
func BenchmarkFloat32ArrayIndented(b *testing.B) {
	benchmarkFloats(b, ",\n        ", 32, func(text []byte, dst []float32) Code {
		_, _, code := Array(text, 0, []int64{int64(len(dst))}, dst, Float32, nil)
		return code
	})
}

func BenchmarkFloat64Array(b *testing.B) {
	benchmarkFloats(b, ",", 64, func(text []byte, dst []float64) Code {
		_, _, code := Array(text, 0, []int64{int64(len(dst))}, dst, Float64, nil)
		return code
	})
}

func BenchmarkFloat32ArrayOfFloat64Digits(b *testing.B) {
	benchmarkFloats(b, ",", 64, func(text []byte, dst []float32) Code {
		_, _, code := Array(text, 0, []int64{int64(len(dst))}, dst, Float32, nil)
		return code
	})
}

// BenchmarkEncodingJSON is the yardstick of the benchmarks above.
func BenchmarkEncodingJSON(b *testing.B) {
	benchmarkFloats(b, ",", 32, func(text []byte, dst []float32) Code {
		if err := json.Unmarshal(text, &dst); err != nil {
			return Syntax
		}
		return OK
	})
}

func benchmarkFloats[T any](b *testing.B, comma string, size int, read func([]byte, []T) Code) {
	r := rand.New(rand.NewPCG(3, 4))
	text := []byte{'['}
	const n = 30000
	for i := 0; i < n; i++ {
		if i > 0 {
			text = append(text, comma...)
		}
		v := r.NormFloat64()
		if size == 32 {
			v = float64(float32(v))
		}
		text = strconv.AppendFloat(text, v, 'f', -1, size)
	}
	text = append(text, ']')
	dst := make([]T, n)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if code := read(text, dst); code != OK {
			b.Fatal(code)
		}
	}
}

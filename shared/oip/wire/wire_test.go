package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestString(t *testing.T) {
	tests := []struct {
		name, text string
		want       string
		code       Code
	}{
		{"plain", `"UA"`, "UA", OK},
		{"empty", `""`, "", OK},
		{"long", `"` + strings.Repeat("abcdefg", 20) + `"`, strings.Repeat("abcdefg", 20), OK},
		{"utf-8", `"Zürich ✈ 🛫"`, "Zürich ✈ 🛫", OK},
		{"escapes", `"\"\\\/\b\f\n\r\t"`, "\"\\/\b\f\n\r\t", OK},
		{"escape behind text", `"01234567\u00e9x"`, "01234567éx", OK},
		{"surrogate pair", `"\ud83d\udeeb"`, "🛫", OK},
		{"nul", `"\u0000"`, "\x00", OK},
		{"high surrogate alone", `"\ud83d"`, "", Surrogate},
		{"low surrogate alone", `"\udeeb"`, "", Surrogate},
		{"two high surrogates", `"\ud83d\ud83d"`, "", Surrogate},
		{"high surrogate, then text", `"\ud83dx"`, "", Surrogate},
		{"not utf-8", "\"a\xff\"", "", UTF8},
		{"cut utf-8", "\"\xe2\x82\"", "", UTF8},
		{"not utf-8 with escape", "\"\\n\xc0\x80\"", "", UTF8},
		{"control character", "\"a\nb\"", "", Syntax},
		{"bad escape", `"\x"`, "", Syntax},
		{"bad hex", `"\u12g4"`, "", Syntax},
		{"cut hex", `"\u12`, "", Syntax},
		{"no end", `"abc`, "", Syntax},
		{"no end behind escape", `"abc\`, "", Syntax},
		{"number", `12`, "", WrongKind},
		{"null", `null`, "", Null},
		{"nothing", ``, "", Syntax},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, end, code := String([]byte(tt.text), 0)
			if got != tt.want || code != tt.code || (code == OK && end != len(tt.text)) {
				t.Errorf("String = %q, %d, code %d; want %q, code %d", got, end, code, tt.want, tt.code)
			}
		})
	}
}

func TestNumbersRefused(t *testing.T) {
	tests := []struct {
		text string
		code Code
	}{
		{"NaN", NotFinite}, {"Infinity", NotFinite}, {"-Infinity", NotFinite}, {"Inf", NotFinite}, {"-Inf", NotFinite},
		{"nan", Syntax}, {"+1", Syntax}, {"01", Syntax}, {"-01", Syntax}, {".5", Syntax}, {"1.", Syntax}, {"-", Syntax}, {"1e", Syntax}, {"1e+", Syntax},
		{"1.e5", Syntax}, {"0x10", OK}, // reads "0": what follows is the caller's to refuse
		{"1e400", Range}, {"-1e400", Range}, {`"1"`, WrongKind}, {"[1]", WrongKind}, {"{}", WrongKind}, {"true", WrongKind}, {"", Syntax}, {"1e99999999999999999999", Range},
	}
	for _, tt := range tests {
		if _, _, code := Float64([]byte(tt.text), 0); code != tt.code {
			t.Errorf("Float64(%s): code %d, want %d", tt.text, code, tt.code)
		}
		if _, _, code := Float32([]byte(tt.text), 0); code != tt.code {
			t.Errorf("Float32(%s): code %d, want %d", tt.text, code, tt.code)
		}
	}
	if _, _, code := Float32([]byte("3.5e38"), 0); code != Range {
		t.Errorf("3.5e38 as a float32: code %d, want Range", code)
	}
	if v, end, code := Float32([]byte("null"), 0); v == v || end != 4 || code != OK {
		t.Errorf("null as a float32 = %v, %d, %d; want NaN", v, end, code)
	}
}

func TestIntegers(t *testing.T) {
	check := func(text string, got, want any, code, wantCode Code) {
		t.Helper()
		if code != wantCode || (code == OK && got != want) {
			t.Errorf("%s as %T = %v, code %d; want %v, code %d", text, want, got, code, want, wantCode)
		}
	}
	i8 := func(s string, want int8, code Code) {
		t.Helper()
		got, _, c := Int[int8]([]byte(s), 0)
		check(s, got, want, c, code)
	}
	i64 := func(s string, want int64, code Code) {
		t.Helper()
		got, _, c := Int[int64]([]byte(s), 0)
		check(s, got, want, c, code)
	}
	u8 := func(s string, want uint8, code Code) {
		t.Helper()
		got, _, c := Uint[uint8]([]byte(s), 0)
		check(s, got, want, c, code)
	}
	u64 := func(s string, want uint64, code Code) {
		t.Helper()
		got, _, c := Uint[uint64]([]byte(s), 0)
		check(s, got, want, c, code)
	}
	i8("127", 127, OK)
	i8("-128", -128, OK)
	i8("128", 0, Range)
	i8("-129", 0, Range)
	i8("1.0", 0, Fraction)
	i8("1e2", 0, Fraction)
	i8("null", 0, Null)
	i8("true", 0, WrongKind)
	i64("9223372036854775807", math.MaxInt64, OK)
	i64("-9223372036854775808", math.MinInt64, OK)
	i64("9223372036854775808", 0, Range)
	i64("-9223372036854775809", 0, Range)
	i64("18446744073709551617", 0, Range)
	i64("99999999999999999999999", 0, Range)
	i64("-0", 0, OK)
	u8("255", 255, OK)
	u8("256", 0, Range)
	u8("-1", 0, Range)
	u8("-0", 0, OK)
	u64("18446744073709551615", math.MaxUint64, OK)
	u64("18446744073709551616", 0, Range)
	u64("99999999999999999999", 0, Range)
	u64("100000000000000000000000000000", 0, Range)
}

func TestArray(t *testing.T) {
	tests := []struct {
		name, text string
		shape      []int64
		code       Code
		bad        int
	}{
		{"flat", "[1,2,3,4,5,6]", []int64{2, 3}, OK, 6},
		{"flat with space", " [ 1 , 2,\n3,4,\t5,6 ] "[1:], []int64{2, 3}, OK, 6},
		{"nested", "[[1,2,3],[4,5,6]]", []int64{2, 3}, OK, 6},
		{"nested with space", "[ [1, 2, 3] , [ 4,5,6 ] ]", []int64{2, 3}, OK, 6},
		{"nested deeper", "[[[1],[2],[3]],[[4],[5],[6]]]", []int64{2, 3, 1}, OK, 6},
		{"column nested", "[[1],[2],[3],[4],[5],[6]]", []int64{6, 1}, OK, 6},
		{"empty", "[]", []int64{0, 3}, OK, 0},
		{"empty rows", "[[],[]]", []int64{2, 0}, OK, 0},
		{"too few", "[1,2,3]", []int64{2, 3}, TooFew, 3},
		{"none", "[]", []int64{2, 3}, TooFew, 0},
		{"too many", "[1,2,3,4,5,6,7]", []int64{2, 3}, TooMany, 6},
		{"too few in a row", "[[1,2],[3,4,5,6]]", []int64{2, 3}, TooFew, 2},
		{"too many in a row", "[[1,2,3,4],[5,6]]", []int64{2, 3}, TooMany, 3},
		{"too many rows", "[[1,2,3],[4,5,6],[7,8,9]]", []int64{2, 3}, TooMany, 6},
		{"too few rows", "[[1,2,3]]", []int64{2, 3}, TooFew, 3},
		{"nested too deep", "[[[1],2,3],[4,5,6]]", []int64{2, 3}, Nesting, 0},
		{"mixed", "[[1,2,3],4,5,6]", []int64{2, 3}, Nesting, 3},
		{"nested for a vector", "[[1],[2]]", []int64{2}, Nesting, 0},
		{"wrong kind", `[1,"2",3,4,5,6]`, []int64{2, 3}, WrongKind, 1},
		{"no comma", `[1 2]`, []int64{2}, Syntax, 1},
		{"trailing comma", `[1,2,]`, []int64{2}, TooMany, 2},
		{"cut", `[1,2`, []int64{2}, Syntax, 2},
		{"no array", `7`, []int64{1}, WrongKind, 0},
		{"NaN inside", `[1,NaN]`, []int64{2}, NotFinite, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := 1
			for _, d := range tt.shape {
				n *= int(d)
			}
			dst := make([]int32, n)
			floats := make([]float32, n)
			end, bad, code := Array([]byte(tt.text), 0, tt.shape, dst, Int[int32], nil)
			_, _, code32 := Array([]byte(tt.text), 0, tt.shape, floats, Float32, nil)
			if code != tt.code || code32 != tt.code || (code != WrongKind && bad != tt.bad && tt.name != "no array") {
				t.Fatalf("code %d and %d at %d, want %d at %d", code, code32, bad, tt.code, tt.bad)
			}
			if code != OK {
				return
			}
			if strings.TrimSpace(tt.text[end:]) != "" {
				t.Errorf("ends at %d", end)
			}
			for i, v := range dst {
				if int(v) != i+1 || floats[i] != float32(i+1) {
					t.Errorf("element %d is %d, %v", i, v, floats[i])
				}
			}
		})
	}
}

// TestArraySpace puts white space around every token: the values are those of encoding/json.
func TestArraySpace(t *testing.T) {
	floats := []string{"0.5", "0.25", "-0.75", "1", "2.5e-3", "-3.125", "9.5", "0.1", "0.2", "0.3"}
	integers := []string{"1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12"}
	for _, gap := range []string{"", " ", "  ", "\n", "\t", "\r\n", "\n    ", "\n\n", " \r\n\t "} {
		arraySpace(t, gap, floats, Float32)
		arraySpace(t, gap, floats, Float64)
		arraySpace(t, gap, integers, Int[int64])
		arraySpace(t, gap, integers, Int[int32])
		arraySpace(t, gap, integers, Int[int16])
		arraySpace(t, gap, integers, Int[int8])
		arraySpace(t, gap, integers, Uint[uint64])
		arraySpace(t, gap, integers, Uint[uint32])
		arraySpace(t, gap, integers, Uint[uint16])
		arraySpace(t, gap, integers, Uint[uint8])
		arraySpace(t, gap, []string{"true", "false", "false", "true"}, Bool)
		arraySpace(t, gap, []string{`"a"`, `""`, `" "`, `"\n"`}, String)
	}
}

func arraySpace[T comparable](t *testing.T, gap string, values []string, elem Elem[T]) {
	t.Helper()
	var want []T
	if err := json.Unmarshal([]byte("["+strings.Join(values, ",")+"]"), &want); err != nil {
		t.Fatal(err)
	}
	half := len(values) / 2
	for _, comma := range []string{"," + gap, gap + "," + gap} {
		row := func(values []string) string { return "[" + gap + strings.Join(values, comma) + gap + "]" }
		for _, text := range []string{row(values), row([]string{row(values[:half]), row(values[half:])})} {
			got := make([]T, len(want))
			next, bad, code := Array([]byte(text+" "), 0, []int64{2, int64(half)}, got, elem, nil)
			if code != OK || next != len(text) || !slices.Equal(got, want) {
				t.Errorf("%q as %T: %v, end %d, code %d at %d", text, got, got, next, code, bad)
			}
		}
	}
}

func TestArrayMarksMissing(t *testing.T) {
	dst := []string{"x", "x", "x"}
	var missing []int
	_, _, code := Array([]byte(`[null,"a",null]`), 0, []int64{3}, dst, String, &missing)
	if code != OK || !reflect.DeepEqual(dst, []string{"", "a", ""}) || !reflect.DeepEqual(missing, []int{0, 2}) {
		t.Errorf("%q missing %v, code %d", dst, missing, code)
	}
	if _, bad, code := Array([]byte(`[1,null]`), 0, []int64{2}, make([]int8, 2), Int[int8], nil); code != Null || bad != 1 {
		t.Errorf("null among integers: code %d at %d", code, bad)
	}
}

func TestSkipDepth(t *testing.T) {
	deep := func(n int) []byte { return []byte(strings.Repeat("[", n) + strings.Repeat("]", n)) }
	if _, code := Skip(deep(MaxDepth), 0, 0); code != OK {
		t.Errorf("depth %d: code %d", MaxDepth, code)
	}
	if _, code := Skip(deep(MaxDepth+1), 0, 0); code != Depth {
		t.Errorf("depth %d: code %d, want Depth", MaxDepth+1, code)
	}
	if _, code := Skip([]byte(strings.Repeat(`{"a":`, 1000000)), 0, 0); code != Depth {
		t.Errorf("a million objects: code %d, want Depth", code)
	}
}

func TestAppendRoundTrip(t *testing.T) {
	decimals(2000, func(text string) {
		if v, err := strconv.ParseFloat(text, 64); err == nil {
			b := AppendFloat64(nil, v)
			want, _ := json.Marshal(v)
			if got, _, _ := Float64(b, 0); math.Float64bits(got) != math.Float64bits(v) || string(b) != string(want) {
				t.Fatalf("%s written as %s, encoding/json %s", text, b, want)
			}
		}
		if v, err := strconv.ParseFloat(text, 32); err == nil {
			b := AppendFloat32(nil, float32(v))
			want, _ := json.Marshal(float32(v))
			if got, _, _ := Float32(b, 0); math.Float32bits(got) != math.Float32bits(float32(v)) || string(b) != string(want) {
				t.Fatalf("%s written as %s, encoding/json %s", text, b, want)
			}
		}
	})
	for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		if got := string(AppendFloat64(AppendFloat32(nil, float32(v)), v)); got != "nullnull" {
			t.Errorf("%v written as %s", v, got)
		}
	}
}

func TestAppendString(t *testing.T) {
	for _, s := range []string{"", "plain", `"\`, "a\nb\rc\td\x00\x1f\x7f", "Zürich 🛫", "\u2028", "<&>"} {
		b := AppendString(nil, s)
		var got string
		if err := json.Unmarshal(b, &got); err != nil || got != s {
			t.Errorf("%q written as %s: %q, %v", s, b, got, err)
		}
	}
	if got := string(AppendString(nil, "a\xffb\xc3")); got != "\"a\ufffdb\ufffd\"" {
		t.Errorf("invalid UTF-8 written as %s", got)
	}
}

func TestCodesHaveProblems(t *testing.T) {
	for c := OK + 1; c <= Stop; c++ {
		if p := c.Problem("a number"); p == "" || p == OK.Problem("") {
			t.Errorf("code %d has no text", c)
		}
	}
}

// FuzzValue holds every reader against encoding/json and strconv.
func FuzzValue(f *testing.F) {
	for _, s := range []string{"[0.5,\n 0.25,\n -0.75,\n 1.5]", `[[0.5,0.25],[0.125,0.1]]`, `{"a":[1,2.5e-3,"x\u00e9",null,true]}`, `"\ud83d\udeeb"`, `-0.000123`, `[[1,2],[3,4]]`, `1e400`, "\"\xff\"", `123456789012345678901234567890`,
		`0.30000000000000004`, `16777217`, `[1,NaN]`, `{"a":1,"a":2}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		i := Space(b, 0)
		end, code := Skip(b, i, 0)
		if whole := code == OK && Space(b, end) == len(b); whole != json.Valid(b) && code != Depth {
			t.Fatalf("Skip: end %d, code %d; json.Valid %v", end, code, json.Valid(b))
		}
		if s, next, code := String(b, i); code == OK {
			var want string
			if err := json.Unmarshal(b[i:next], &want); err != nil || s != want || !utf8.ValidString(s) {
				t.Fatalf("String = %q, encoding/json %q, %v", s, want, err)
			}
			if back, _, code := String(AppendString(nil, s), 0); code != OK || back != s {
				t.Fatalf("%q does not survive AppendString: %q", s, back)
			}
		}
		if v, next, code := Float64(b, i); code == OK && v == v {
			if want, err := strconv.ParseFloat(string(b[i:next]), 64); err != nil || math.Float64bits(v) != math.Float64bits(want) {
				t.Fatalf("Float64 = %v, strconv %v, %v", v, want, err)
			}
		}
		if v, next, code := Float32(b, i); code == OK && v == v {
			if want, err := strconv.ParseFloat(string(b[i:next]), 32); err != nil || math.Float32bits(v) != math.Float32bits(float32(want)) {
				t.Fatalf("Float32 = %v, strconv %v, %v", v, want, err)
			}
		}
		if v, next, code := Int[int64](b, i); code == OK {
			if want, err := strconv.ParseInt(string(b[i:next]), 10, 64); err != nil || v != want {
				t.Fatalf("Int = %v, strconv %v, %v", v, want, err)
			}
		}
		if v, next, code := Uint[uint64](b, i); code == OK && b[i] != '-' {
			if want, err := strconv.ParseUint(string(b[i:next]), 10, 64); err != nil || v != want {
				t.Fatalf("Uint = %v, strconv %v, %v", v, want, err)
			}
		}
		for _, shape := range [][]int64{{4}, {2, 2}, {0}, {2, 0}} {
			code := fuzzArray(t, b, i, shape)
			if json.Valid(b) {
				spaced := respaced(b)
				if got := fuzzArray(t, spaced, Space(spaced, 0), shape); got != code {
					t.Fatalf("Array of %v: code %d, with other white space code %d: %q", shape, code, got, spaced)
				}
			}
		}
	})
}

// respaced is the JSON text b with more white space between its tokens.
func respaced(b []byte) []byte {
	r := rand.New(rand.NewPCG(uint64(len(b)), uint64(b[len(b)/2])))
	var out []byte
	space := func() {
		for range r.IntN(4) {
			out = append(out, " \n\r\t"[r.IntN(4)])
		}
	}
	for i := 0; i < len(b); {
		if b[i] == '"' {
			next, _ := skipString(b, i)
			out, i = append(out, b[i:next]...), next
			continue
		}
		between := strings.IndexByte("[]{},:", b[i]) >= 0
		if between {
			space()
		}
		out = append(out, b[i])
		if i++; between {
			space()
		}
	}
	return out
}

// fuzzArray reads floats of both sizes and holds them against encoding/json and strconv.
func fuzzArray(t *testing.T, b []byte, i int, shape []int64) Code {
	n := int64(1)
	for _, d := range shape {
		n *= d
	}
	dst, narrow := make([]float64, n), make([]float32, n)
	next, _, code := Array(b, i, shape, dst, Float64, nil)
	if _, _, code32 := Array(b, i, shape, narrow, Float32, nil); code32 != code && code32 != Range {
		t.Fatalf("Array of %v: code %d for FP32, %d for FP64: %q", shape, code32, code, b)
	} else if code32 == Range {
		narrow = nil
	}
	if code != OK {
		return code
	}
	flat := numbers(t, b[i:next])
	if int64(len(flat)) != n {
		t.Fatalf("Array of %v holds %d values", shape, len(flat))
	}
	for k, v := range flat {
		want, _ := strconv.ParseFloat(v, 64) // null, which is no number, is 0 here
		if (v == "null") != (dst[k] != dst[k]) || (v != "null" && want != dst[k]) {
			t.Fatalf("element %d is %v, encoding/json %v", k, dst[k], v)
		}
		if narrow == nil {
			continue
		}
		want, _ = strconv.ParseFloat(v, 32)
		if (v == "null") != (narrow[k] != narrow[k]) || (v != "null" && float32(want) != narrow[k]) {
			t.Fatalf("element %d is %v as FP32, encoding/json %v", k, narrow[k], v)
		}
	}
	return code
}

// numbers lists the numbers and nulls of nested arrays, as encoding/json reads them.
func numbers(t *testing.T, text []byte) []string {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var flat []string
	for {
		switch v, err := d.Token(); {
		case errors.Is(err, io.EOF):
			return flat
		case err != nil:
			t.Fatalf("Array accepts what encoding/json does not: %v", err)
		case v == nil:
			flat = append(flat, "null")
		default:
			if number, ok := v.(json.Number); ok {
				flat = append(flat, number.String())
			}
		}
	}
}

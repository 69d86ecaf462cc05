package tensor

import (
	"math"
	"testing"
)

// TestHalfRoundTrip converts every binary16 to a float32 and back.
func TestHalfRoundTrip(t *testing.T) {
	for h := 0; h < 1<<16; h++ {
		f := HalfToFloat32(uint16(h))
		if f != f {
			if h&0x7c00 != 0x7c00 || h&0x3ff == 0 || HalfFromFloat64(float64(f))&0x7c00 != 0x7c00 {
				t.Fatalf("%#04x is NaN", h)
			}
			continue
		}
		if got := HalfFromFloat64(float64(f)); got != uint16(h) {
			t.Fatalf("%#04x is %v, which is %#04x", h, f, got)
		}
	}
}

// TestHalfRounding goes through the midpoints of neighbours, where ties go to the even one.
func TestHalfRounding(t *testing.T) {
	for h := uint16(0); h < 0x7bff; h++ {
		low, high := float64(HalfToFloat32(h)), float64(HalfToFloat32(h+1))
		mid := (low + high) / 2
		if got, want := HalfFromFloat64(mid), h+h&1; got != want {
			t.Fatalf("%v between %#04x and the next: %#04x, want %#04x", mid, h, got, want)
		}
		if below, above := HalfFromFloat64(math.Nextafter(mid, 0)), HalfFromFloat64(-math.Nextafter(mid, 1e9)); below != h || above != (h+1)|0x8000 {
			t.Fatalf("around %v: %#04x and %#04x", mid, below, above)
		}
	}
	for v, want := range map[float64]uint16{65519.999: 0x7bff, 65520: 0x7c00, -1e300: 0xfc00, 1e-300: 0, math.Copysign(0, -1): 0x8000} {
		if got := HalfFromFloat64(v); got != want {
			t.Errorf("%v is %#04x, want %#04x", v, got, want)
		}
	}
}

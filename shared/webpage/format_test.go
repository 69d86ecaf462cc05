package webpage

import "testing"

func TestNumbers(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{Measure(0), "0"}, {Measure(0.8), "0.8000"}, {Measure(-0.01234), "−0.0123"}, {Measure(0.000123), "0.00012"}, {Measure(-1.5e-7), "−1.5e−07"},
		{Measure(12.345), "12.35"}, {Measure(123.45), "123.5"}, {Measure(-12345.6), "−12\u202f346"}, {Measure(3e20), "3e+20"},
		{Signed(0.02), "+0.0200"}, {Signed(-0.02), "−0.0200"}, {Signed(0), "0"},
		{Number(1234567), "1\u202f234\u202f567"}, {Number(-3), "−3"}, {Number(0.12345), "0.1235"},
		{Short(0.00001), "0"}, {Short(-0.25), "−0.25"}, {Percent(0.12345), "12.3 %"}, {Percent(0.0001), "< 0.1 %"}, {Percent(0), "0 %"},
		{PValue(0.00001), "< 0.0001"}, {PValue(0.25), "0.25"}, {OfRows(1, 8), "1 (12.5 %)"}, {OfRows(0, 8), "0"}, {Coordinate(-0.01), "0"}, {Optional(nil), "–"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}

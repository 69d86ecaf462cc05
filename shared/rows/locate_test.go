package rows

import (
	"errors"
	"strings"
	"testing"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/tensor"
)

func TestLocate(t *testing.T) {
	specs := []Spec{{Name: "delay", Datatype: tensor.FP32, Shape: []int64{-1, 1}}, {Name: `a"b`, Datatype: tensor.FP32, Shape: []int64{-1, 4}}}
	for path, want := range map[string]string{
		"instances[3].delay":                    `row 1004, column "delay"`,
		"instances[].delay":                     `column "delay"`,
		`inputs["delay"].data[3]`:               `row 1004, column "delay"`,
		`inputs["a\"b"].data[9]`:                `row 1003, column "a\"b"`,
		`inputs["other"].data[3]`:               `inputs["other"].data[3]`,
		`inputs["delay"]`:                       `inputs["delay"]`,
		"inputs[0].data[3]":                     "inputs[0].data[3]",
		"instances[x].delay":                    "instances[x].delay",
		"instances[99999999999999999999].delay": "instances[99999999999999999999].delay",
		"body":                                  "body",
	} {
		err := Locate(fault.Invalid(fault.Violation{Path: path, Problem: "is odd"}), specs, 1001)
		if got := fault.Public(err).Violations[0].Path; got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	for _, err := range []error{errors.New("x"), fault.New(fault.InvalidArgument, "no places"), fault.New(fault.Internal, "x")} {
		if got := Locate(err, specs, 1); !errors.Is(got, err) {
			t.Errorf("%v became %v", err, got)
		}
	}
}

func FuzzLocate(f *testing.F) {
	for _, path := range []string{"instances[3].delay", `inputs["delay"].data[3]`, `inputs["`, "instances[", `inputs["delay"].data[-1]`, `inputs["a"]].data[`} {
		f.Add(path)
	}
	specs := []Spec{{Name: "delay", Datatype: tensor.FP32, Shape: []int64{-1, 2}}}
	f.Fuzz(func(t *testing.T, path string) {
		got := rowPath(path, specs, 10)
		if n, ok := strings.CutPrefix(got, "row "); ok && !strings.HasPrefix(path, "row ") && (n[0] < '1' || n[0] > '9') {
			t.Errorf("%q became %q", path, got)
		}
	})
}

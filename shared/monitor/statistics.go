package monitor

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/profile"
)

// Inferred types of a feature.
const (
	Integral   = "Integral"
	Fractional = "Fractional"
	String     = "String"
	Unknown    = "Unknown"
)

// Statistics is statistics.json. Fields that are not used here are left out.
type Statistics struct {
	Version float64 `json:"version"`
	Dataset struct {
		ItemCount float64 `json:"item_count"`
	} `json:"dataset"`
	Features []Feature `json:"features"`
}

// Feature is one column of statistics.json.
type Feature struct {
	Name         string           `json:"name"`
	InferredType string           `json:"inferred_type"`
	Numerical    *NumericalStats  `json:"numerical_statistics"`
	Strings      *StringStats     `json:"string_statistics"`
	Custom       *json.RawMessage `json:"custom_statistics"`
}

// Common counts the rows with and without a value.
type Common struct {
	Present float64 `json:"num_present"`
	Missing float64 `json:"num_missing"`
}

// NumericalStats describes a column of numbers.
type NumericalStats struct {
	Common       Common   `json:"common"`
	Min          *float64 `json:"min"`
	Max          *float64 `json:"max"`
	Distribution struct {
		KLL *KLL `json:"kll"`
	} `json:"distribution"`
}

// KLL is the quantile sketch and the ten buckets made of it.
type KLL struct {
	Buckets []Bucket `json:"buckets"`
	Sketch  *struct {
		Parameters struct {
			C float64 `json:"c"`
			K float64 `json:"k"`
		} `json:"parameters"`
		Data [][]float64 `json:"data"`
	} `json:"sketch"`
}

// Bucket counts the values between two bounds.
type Bucket struct {
	Lower float64 `json:"lower_bound"`
	Upper float64 `json:"upper_bound"`
	Count float64 `json:"count"`
}

// StringStats describes a column of text.
type StringStats struct {
	Common       Common  `json:"common"`
	Distinct     float64 `json:"distinct_count"` // an estimate, where there are many
	Distribution struct {
		Categorical *struct {
			Buckets []Category `json:"buckets"`
		} `json:"categorical"`
	} `json:"distribution"`
}

// Category counts one value.
type Category struct {
	Value string  `json:"value"`
	Count float64 `json:"count"`
}

// maxFeatures bounds what a file may hold, maxRows the counts: larger ones are not exact in a float64.
const (
	maxFeatures = 100_000
	maxRows     = 1 << 53
)

// ParseStatistics reads statistics.json and refuses counts that cannot be. Errors: InvalidArgument.
func ParseStatistics(raw []byte) (*Statistics, error) {
	var s Statistics
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, fault.Wrap(err, fault.InvalidArgument, "statistics.json of Model Monitor: not the JSON that is expected: %v", shape(err))
	}
	if len(s.Features) == 0 {
		return nil, fault.New(fault.InvalidArgument, "statistics.json of Model Monitor: no features; is it the statistics of a data-quality baseline?")
	}
	if len(s.Features) > maxFeatures {
		return nil, fault.New(fault.InvalidArgument, "statistics.json of Model Monitor: %d features, at most %d are read", len(s.Features), maxFeatures)
	}
	if !count(s.Dataset.ItemCount) {
		return nil, fault.New(fault.InvalidArgument, "statistics.json of Model Monitor: dataset.item_count must be a whole number from 0 up")
	}
	seen := map[string]bool{}
	described := 0
	for i := range s.Features {
		f := &s.Features[i]
		if f.Name == "" || seen[f.Name] {
			return nil, fault.New(fault.InvalidArgument, "statistics.json of Model Monitor: features[%d] has no name of its own", i)
		}
		seen[f.Name] = true
		if problem := f.check(); problem != "" {
			return nil, fault.New(fault.InvalidArgument, "statistics.json of Model Monitor: feature %q: %s", profile.Cut(f.Name), problem)
		}
		if f.Numerical != nil || f.Strings != nil {
			described++
		}
	}
	if described == 0 {
		return nil, fault.New(fault.InvalidArgument, "statistics.json of Model Monitor: no feature has statistics; constraints.json goes to --constraints")
	}
	return &s, nil
}

// shape says what is wrong with a JSON text without repeating any of it.
func shape(err error) string {
	switch e := err.(type) {
	case *json.UnmarshalTypeError:
		return fmt.Sprintf("%s is a %s", e.Field, e.Value)
	case *json.SyntaxError:
		return fmt.Sprintf("syntax error at byte %d; is it cut short?", e.Offset)
	}
	return "a number is out of range"
}

func (f *Feature) check() string {
	switch f.InferredType {
	case Integral, Fractional, String, Unknown, "":
	default:
		return "inferred_type is none of Integral, Fractional, String, Unknown"
	}
	for _, c := range f.commons() {
		if !count(c.Present) || !count(c.Missing) {
			return "num_present and num_missing must be whole numbers from 0 up"
		}
	}
	if n := f.Numerical; n != nil && n.Distribution.KLL != nil {
		for _, b := range n.Distribution.KLL.Buckets {
			if !count(b.Count) || !(b.Lower <= b.Upper) {
				return "a bucket's count must be a whole number from 0 up, its lower bound at most the upper one"
			}
		}
	}
	if s := f.Strings; s != nil && s.Distribution.Categorical != nil {
		for _, b := range s.Distribution.Categorical.Buckets {
			if !count(b.Count) {
				return "the count of a category must be a whole number from 0 up"
			}
		}
	}
	return ""
}

func (f *Feature) commons() []Common {
	var all []Common
	if f.Numerical != nil {
		all = append(all, f.Numerical.Common)
	}
	if f.Strings != nil {
		all = append(all, f.Strings.Common)
	}
	return all
}

func count(x float64) bool { return x >= 0 && x <= maxRows && x == math.Trunc(x) }

// weight is the number of rows that the sketch's items stand for: an item of
// level i stands for 2^i. ok is false when there are no levels, or too many.
func (k *KLL) weight() (total float64, ok bool) {
	if k.Sketch == nil || len(k.Sketch.Data) == 0 || len(k.Sketch.Data) > 52 {
		return 0, false
	}
	for i, level := range k.Sketch.Data {
		total += float64(len(level)) * math.Ldexp(1, i)
	}
	return total, total <= maxRows
}

// items are the sketch's values in ascending order with their weights.
func (k *KLL) items() (values []float64, weights []uint64) {
	type item struct {
		x float64
		w uint64
	}
	var all []item
	for i, level := range k.Sketch.Data {
		for _, x := range level {
			all = append(all, item{x, 1 << i})
		}
	}
	slices.SortFunc(all, func(a, b item) int {
		switch {
		case a.x < b.x:
			return -1
		case a.x > b.x:
			return 1
		}
		return 0
	})
	for _, it := range all {
		values, weights = append(values, it.x), append(weights, it.w)
	}
	return values, weights
}

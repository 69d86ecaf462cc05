package gate

import "testing"

func TestCombine(t *testing.T) {
	tests := []struct {
		in       []Answer
		any, all Answer
	}{
		{nil, Unknown, Unknown},
		{[]Answer{Yes}, Yes, Yes},
		{[]Answer{No}, No, No},
		{[]Answer{Unknown}, Unknown, Unknown},
		{[]Answer{No, Unknown, Yes}, Yes, No},
		{[]Answer{No, Unknown}, Unknown, No},
		{[]Answer{Yes, Unknown}, Yes, Unknown},
		{[]Answer{No, No}, No, No},
		{[]Answer{Yes, Yes}, Yes, Yes},
	}
	for _, tt := range tests {
		if got := Any(tt.in...); got != tt.any {
			t.Errorf("Any(%v) = %s, want %s", tt.in, got, tt.any)
		}
		if got := All(tt.in...); got != tt.all {
			t.Errorf("All(%v) = %s, want %s", tt.in, got, tt.all)
		}
	}
}

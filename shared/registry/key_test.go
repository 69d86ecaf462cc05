package registry

import (
	"regexp"
	"strings"
	"testing"
)

// forms are the rules of docs/formats/registry.md as patterns.
var forms = []struct {
	name    string
	is      func(string) bool
	pattern *regexp.Regexp
}{
	{"name", isName, regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)},
	{"path", isPath, regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}(/[A-Za-z0-9_][A-Za-z0-9._-]{0,99}){0,4}$`)},
	{"digest", isDigest, regexp.MustCompile(`^(sha256:)?[0-9a-f]{64}$`)},
}

func FuzzForms(f *testing.F) {
	long := strings.Repeat("a", 99)
	for _, s := range []string{
		"", "flights", "-flights", "_f", "f_-9", "Flights", long[:63], long[:64], "model.onnx", "a/b/c/d/e", "a/b/c/d/e/f", "a//b", "/a", "a/", ".a", "a/.b", "-a", "a/_b",
		long + "b", long + "bc", "x/" + long + "b", "a b", "a\nb", "a\n", "é", "@", "[", "`", "{", strings.Repeat("0f", 32), "sha256:" + strings.Repeat("0f", 32),
		"sha256:sha256:" + strings.Repeat("0f", 32), strings.Repeat("0F", 32), strings.Repeat("0g", 32), strings.Repeat("0", 63),
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, form := range forms {
			if got, want := form.is(s), form.pattern.MatchString(s); got != want {
				t.Errorf("%q is a %s: %t, the pattern says %t", s, form.name, got, want)
			}
		}
	})
}

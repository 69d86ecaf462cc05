package page

import (
	"bytes"
	"flag"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/tidegate/tidegate/shared/evaluation"
	"github.com/tidegate/tidegate/shared/webpage/webpagetest"
)

var update = flag.Bool("update", false, "write the golden files")

func render(t testing.TB, r *evaluation.Report) []byte {
	t.Helper()
	out, err := HTML(r)
	check(t, err)
	return out
}

// scenes are the reports that are looked at, by name.
var scenes = []struct {
	name   string
	report func(testing.TB) *evaluation.Report
	title  string
}{
	{"full", full, "Degraded: flights"},
	{"unlabelled", unlabelled, "Not enough data: flights"},
	{"regression", regression, "Degraded: flights"},
	{"multiclass", multiclass, "Fine: flights"},
	{"table", table, "Fine: today.csv"},
	{"empty", empty, "Not enough data: flights"},
}

func TestInABrowser(t *testing.T) {
	for _, s := range scenes {
		t.Run(s.name, func(t *testing.T) { webpagetest.Look(t, render(t, s.report(t)), s.title) })
	}
}

// TestGolden writes the page of a stored report, so that it is of the same numbers on every processor.
func TestGolden(t *testing.T) {
	const report, golden = "testdata/window.json", "testdata/window.golden"
	if *update {
		raw, err := stored(t).Encode()
		check(t, err)
		check(t, os.WriteFile(report, raw, 0o644))
	}
	raw, err := os.ReadFile(report)
	check(t, err)
	r, err := evaluation.ParseReport(raw)
	check(t, err)
	got := render(t, r)
	if *update {
		check(t, os.WriteFile(golden, got, 0o644))
	}
	want, err := os.ReadFile(golden)
	check(t, err)
	if !bytes.Equal(got, want) {
		_ = os.WriteFile("testdata/window.got", got, 0o644)
		t.Errorf("%s: the page is another one; look at the .got beside it, then run with -update", golden)
	}
}

func TestEqualReportsAreEqualBytes(t *testing.T) {
	for _, s := range scenes {
		r := s.report(t)
		raw, err := r.Encode()
		check(t, err)
		read, err := evaluation.ParseReport(raw)
		check(t, err)
		first := render(t, r)
		for _, again := range [][]byte{render(t, r), render(t, read)} {
			if !bytes.Equal(first, again) {
				t.Errorf("%s: the page of an equal report differs", s.name)
			}
		}
	}
}

// TestSelfContained: nothing of the page comes from elsewhere.
func TestSelfContained(t *testing.T) {
	for _, s := range scenes {
		html := string(render(t, s.report(t)))
		for _, bad := range []string{"http:", "https:", "<script", "@import", "url(", "<link rel=\"stylesheet", "<iframe", "<img", "<b>.csv", "NaN", "Inf", "ZgotmplZ", "%!", "<no value>"} {
			if strings.Contains(html, bad) {
				t.Errorf("%s: the page holds %q", s.name, bad)
			}
		}
		if table := strings.Index(html, "<table"); table >= 0 && strings.Index(html, `class="verdict `) > table {
			t.Errorf("%s: the verdict must come first", s.name)
		}
	}
}

// TestEveryTextIsEscaped puts markup into every text of a report.
func TestEveryTextIsEscaped(t *testing.T) {
	const hostile = `</style><script>alert(1)</script>" onload='x' {{.}}`
	raw, err := full(t).Encode()
	check(t, err)
	r, err := evaluation.ParseReport(raw) // one of its own
	check(t, err)
	r.Chunks = r.History
	n := 0
	var fill func(v reflect.Value)
	fill = func(v reflect.Value) {
		switch v.Kind() {
		case reflect.Pointer:
			if !v.IsNil() {
				fill(v.Elem())
			}
		case reflect.Struct:
			for i := range v.NumField() {
				if v.Type().Field(i).IsExported() {
					fill(v.Field(i))
				}
			}
		case reflect.Slice:
			for i := range v.Len() {
				fill(v.Index(i))
			}
		case reflect.String:
			if v.CanSet() {
				v.SetString(hostile)
				n++
			}
		}
	}
	fill(reflect.ValueOf(r))
	if n < 200 {
		t.Fatalf("only %d texts were filled", n)
	}
	html := string(render(t, r))
	for _, bad := range []string{"<script", "</style><", `onload='`} {
		if strings.Contains(html, bad) {
			t.Errorf("the page holds %q", bad)
		}
	}
	if !strings.Contains(html, "&lt;script&gt;alert(1)") {
		t.Error("the page does not show the text")
	}
	if strings.Count(html, "</style>") != 1 {
		t.Error("a text has ended the style sheet")
	}
}

// TestForEverybody: tables have captions and scopes, drawings names, links targets.
func TestForEverybody(t *testing.T) {
	var (
		tables  = regexp.MustCompile(`<table[^>]*>(.{0,9})`)
		heads   = regexp.MustCompile(`<th( [^>]*)?>`)
		svgs    = regexp.MustCompile(`<svg[^>]*>`)
		ids     = regexp.MustCompile(` id="([^"]*)"`)
		targets = regexp.MustCompile(` (?:href="#|aria-labelledby=")([^"]*)"`)
	)
	for _, s := range scenes {
		html := string(render(t, s.report(t)))
		for _, m := range tables.FindAllStringSubmatch(html, -1) {
			if !strings.HasPrefix(m[1], "<caption") {
				t.Errorf("%s: a table without a caption: %s", s.name, m[0])
			}
		}
		for _, m := range heads.FindAllString(html, -1) {
			if !strings.Contains(m, "scope=") {
				t.Errorf("%s: a heading without a scope: %s", s.name, m)
			}
		}
		for _, m := range svgs.FindAllString(html, -1) {
			if !strings.Contains(m, `role="img" aria-label="`) || strings.Contains(m, `aria-label=""`) {
				t.Errorf("%s: a drawing without a name: %s", s.name, m)
			}
		}
		known := map[string]bool{}
		for _, m := range ids.FindAllStringSubmatch(html, -1) {
			if known[m[1]] {
				t.Errorf("%s: two elements are called %q", s.name, m[1])
			}
			known[m[1]] = true
		}
		for _, m := range targets.FindAllStringSubmatch(html, -1) {
			if !known[m[1]] {
				t.Errorf("%s: nothing is called %q", s.name, m[1])
			}
		}
	}
}

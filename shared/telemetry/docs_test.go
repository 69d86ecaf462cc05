package telemetry

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// told are the names that the code gives to metrics, kinds of transition and types of events.
type told struct{ metrics, kinds, types map[string]bool }

var (
	metricName = regexp.MustCompile(`^[A-Z][a-z]+([A-Z][a-z]+)*$`)
	detailType = regexp.MustCompile(`^[A-Z][a-z]+( [A-Z][a-z]+)+$`)
)

// collect reads the names out of the sources: constants that are their own names, keys
// of what is measured, counts by name; constants Kind… of the registry; constants Event….
func collect(t *testing.T, root string) told {
	t.Helper()
	out := told{map[string]bool{}, map[string]bool{}, map[string]bool{}}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool { out.see(n, file.Name.Name); return true })
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (out told) see(n ast.Node, pkg string) {
	metric := func(e ast.Expr) {
		if name := literal(e); metricName.MatchString(name) {
			out.metrics[name] = true
		}
	}
	switch n := n.(type) {
	case *ast.ValueSpec:
		for i, v := range n.Values {
			switch name, value := n.Names[i].Name, literal(v); {
			case strings.EqualFold(name, value) && n.Type == nil && pkg != "monitor": // whose constants are types of columns
				metric(v)
			case pkg == "registry" && strings.HasPrefix(name, "Kind"):
				out.kinds[value] = true
			case strings.HasPrefix(name, "Event") && detailType.MatchString(value):
				out.types[value] = true
			}
		}
	case *ast.CompositeLit:
		if m, ok := n.Type.(*ast.MapType); ok && is(m.Key, "string") && is(m.Value, "float64") {
			for _, e := range n.Elts {
				metric(e.(*ast.KeyValueExpr).Key)
			}
		}
	case *ast.AssignStmt:
		for _, e := range n.Lhs {
			if x, ok := e.(*ast.IndexExpr); ok && is(x.X, "f") { // what "figures" returns
				metric(x.Index)
			}
		}
	case *ast.CallExpr:
		if f, ok := n.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "Count" && len(n.Args) == 2 {
			metric(n.Args[0])
		}
	}
}

func literal(e ast.Expr) string {
	if lit, ok := e.(*ast.BasicLit); ok && lit.Kind == token.STRING {
		if s, err := strconv.Unquote(lit.Value); err == nil {
			return s
		}
	}
	return ""
}

func is(e ast.Expr, name string) bool {
	id, ok := e.(*ast.Ident)
	return ok && id.Name == name
}

// TestThePageTellsAll holds docs/formats/telemetry.md to the code: no metric, kind of
// transition or type of event is missing there, and no metric is there that is not in the code.
func TestThePageTellsAll(t *testing.T) {
	raw, err := os.ReadFile("../../docs/formats/telemetry.md")
	if err != nil {
		t.Fatal(err)
	}
	page, code := string(raw), collect(t, "..")
	for _, m := range requestMetrics {
		code.metrics[m.name] = true
	}
	for _, m := range backendMetrics {
		code.metrics[m.name] = true
	}
	if len(code.metrics) < 40 || len(code.kinds) < 14 || len(code.types) < 5 {
		t.Fatalf("only %d metrics, %d kinds and %d types of events were found in the code", len(code.metrics), len(code.kinds), len(code.types))
	}
	for what, names := range map[string]map[string]bool{"metric": code.metrics, "kind of transition": code.kinds} {
		for name := range names {
			// A name that others begin with (BackendLost and a reason) may stand with what follows it.
			if !regexp.MustCompile("`" + regexp.QuoteMeta(name) + "[A-Za-z]*`").MatchString(page) {
				t.Errorf("the page does not tell of the %s %s", what, name)
			}
		}
	}
	for name := range code.types {
		if !strings.Contains(page, `"`+name+`"`) {
			t.Errorf("the page does not tell of the events %q", name)
		}
	}
	for _, row := range regexp.MustCompile("(?m)^\\| ((?:`[A-Za-z]+`(?:, )?)+) \\| (?:Count|Microseconds|Bytes) ").FindAllStringSubmatch(page, -1) {
		for _, m := range regexp.MustCompile("`([A-Za-z]+)`").FindAllStringSubmatch(row[1], -1) {
			if stage := strings.TrimSuffix(m[1], stageSuffix); !code.metrics[m[1]] && (stage == m[1] || !slices.Contains(stageNames(t), strings.ToLower(stage))) {
				t.Errorf("the page tells of the metric %s, which the code does not have", m[1])
			}
		}
	}
}

// stageNames are the texts that sources pass as stages.
func stageNames(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, folder := range []string{"../httpapi", "../httpapi/feedback"} {
		files, err := filepath.Glob(folder + "/*.go")
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			raw, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range regexp.MustCompile(`(?i)stage\w*\("([a-z]+)"`).FindAllStringSubmatch(string(raw), -1) {
				names = append(names, m[1])
			}
		}
	}
	return names
}

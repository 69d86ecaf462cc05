// Package arch holds the import rules of ARCHITECTURE.md, each with its reason,
// as a test over the import clauses of every Go file. It looks at direct imports
// only: rules on direct imports of every package add up to rules on all.
package arch

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/tidegate/tidegate"

// storeys lists the packages under shared/ from the ground up. A package imports
// packages of lower storeys only. A new package is given its place here.
var storeys = [][]string{
	{"fault", "tensor", "gate", "sketch", "stat", "pause"},
	{"blob"},
	{"schema", "oip", "routing", "modelfile", "validate", "rows", "period", "webpage", "standing"},
	{"report"},
	{"registry"},
	{"provenance"},
	{"inference", "approval", "lease", "garbage"},
	{"capture", "label", "batching"},
	{"profile"},
	{"outcome"},
	{"evaluation"},
	{"dataset"},
	{"drift", "ingestion", "scoring"},
	{"registration"},
	{"training"},
	{"rollout", "monitor"},
	{"httpapi"},
	{"telemetry", "lambdaapi", "serving"},
}

// adapters sit beside the port they serve and are wired in by programs alone.
var adapters = []string{"awsenv", "blob/s3", "inference/onnx", "inference/remote", "stream/firehose", "stream/eventbridge", "stream/sns"}

// leaves use nothing but the standard library.
var leaves = []string{"fault", "tensor", "gate", "sketch", "pause"}

// fenced external modules: who may import them, and why nobody else does.
var fenced = []struct {
	prefix string
	only   []string
	reason string
}{
	{"github.com/yalue/onnxruntime_go", []string{"shared/inference/onnx", "tests/bench"},
		"ONNX Runtime and cgo stay behind inference.Runtime, so that everything else builds without a C compiler"},
	{"github.com/aws/aws-xray-sdk-go", []string{"shared/telemetry"},
		"the X-Ray SDK is in maintenance: one package must be enough to replace it"},
	{"github.com/aws/aws-lambda-go", []string{"shared/lambdaapi", "functions/", "tests/"},
		"Lambda's events and errors are translated once, in lambdaapi"},
	{"github.com/aws/aws-sdk-go-v2", []string{"shared/awsenv", "shared/blob/s3", "shared/inference/remote", "shared/stream/", "functions/", "cmd/", "scripts/", "tests/"},
		"domain packages run without AWS: adapters and wiring are the only places that know it"},
	{"github.com/go-playground/validator", []string{"shared/validate"},
		"validation messages have one form, made in validate"},
}

type importing struct {
	file, dir string // relative to the repository root
	imports   []string
	test      bool
}

func TestImportsPointDownward(t *testing.T) {
	for _, f := range goFiles(t) {
		pkg, ok := strings.CutPrefix(f.dir, "shared/")
		if !ok || f.test {
			continue
		}
		for _, imp := range f.imports {
			dep, ok := strings.CutPrefix(imp, module+"/shared/")
			if !ok {
				if strings.HasPrefix(imp, module+"/") {
					t.Errorf("%s imports %s: shared packages never import programs", f.file, imp)
				}
				continue
			}
			if slices.Contains(adapters, dep) && !strings.HasPrefix(pkg, dep+"/") {
				t.Errorf("%s imports the adapter %s: only functions/, cmd/ and tests wire adapters, so that domain code runs on any of them", f.file, dep)
				continue
			}
			from, to := storey(t, f.file, pkg), storey(t, f.file, dep)
			if from <= to && family(pkg) != family(dep) {
				t.Errorf("%s: %s (storey %d) imports %s (storey %d): imports point downward only, or the packages become one", f.file, pkg, from, dep, to)
			}
		}
	}
}

func TestLeavesUseTheStandardLibraryOnly(t *testing.T) {
	for _, f := range goFiles(t) {
		pkg, ok := strings.CutPrefix(f.dir, "shared/")
		if !ok || f.test || !slices.Contains(leaves, pkg) {
			continue
		}
		for _, imp := range f.imports {
			if strings.Contains(strings.SplitN(imp, "/", 2)[0], ".") {
				t.Errorf("%s imports %s: %s is a leaf that everything may depend on", f.file, imp, pkg)
			}
		}
	}
}

func TestFencedModules(t *testing.T) {
	for _, f := range goFiles(t) {
		for _, imp := range f.imports {
			for _, rule := range fenced {
				if !strings.HasPrefix(imp, rule.prefix) {
					continue
				}
				if !slices.ContainsFunc(rule.only, func(p string) bool { return strings.HasPrefix(f.dir+"/", strings.TrimSuffix(p, "/")+"/") }) && !f.test {
					t.Errorf("%s imports %s, which only %s may: %s", f.file, imp, strings.Join(rule.only, ", "), rule.reason)
				}
			}
			if imp == "C" && f.dir != "shared/inference/onnx" {
				t.Errorf("%s uses cgo: only shared/inference/onnx does", f.file)
			}
		}
	}
}

// TestMainsAreWiring keeps logic out of the functions: a main.go that grows past
// its limit has logic in it.
func TestMainsAreWiring(t *testing.T) {
	const limit = 100 // lines; STYLE asks for about 80
	mains, err := filepath.Glob("../../functions/*/main.go")
	if err != nil || len(mains) == 0 {
		t.Fatalf("no functions found: %v", err)
	}
	for _, m := range mains {
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, m, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		lines := fset.Position(f.End()).Line - fset.Position(f.Package).Line + 1
		if lines > limit {
			t.Errorf("%s has %d lines after its package clause, limit %d: move logic into shared/", m, lines, limit)
		}
		for name := range f.Scope.Objects {
			if name == "init" {
				t.Errorf("%s has init(): build(ctx, getenv) does the set-up, where a test can call it", m)
			}
		}
		if f.Doc.Text() == "" {
			t.Errorf("%s has no package comment (trigger, input, output, environment, IAM)", m)
		}
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	documented := map[string]bool{}
	seen := map[string]string{}
	for _, f := range goFiles(t) {
		if f.test || !strings.HasPrefix(f.dir, "shared/") {
			continue
		}
		seen[f.dir] = f.file
		parsed, err := parser.ParseFile(token.NewFileSet(), "../../"+f.file, nil, parser.ParseComments|parser.PackageClauseOnly)
		if err != nil {
			t.Fatal(err)
		}
		if parsed.Doc.Text() != "" {
			documented[f.dir] = true
		}
	}
	for dir, file := range seen {
		if !documented[dir] {
			t.Errorf("%s: no file has a package comment that says what the package is and is not", path.Dir(file))
		}
	}
}

// family is the top folder of a package: registry and registry/registrytest are one family.
func family(pkg string) string { return strings.SplitN(pkg, "/", 2)[0] }

func storey(t *testing.T, file, pkg string) int {
	t.Helper()
	if slices.Contains(adapters, pkg) {
		return len(storeys)
	}
	for i, s := range storeys {
		if slices.Contains(s, family(pkg)) {
			return i
		}
	}
	t.Errorf("%s: package shared/%s has no place in the storeys of tests/arch; give it one", file, pkg)
	return len(storeys)
}

func goFiles(t *testing.T) []importing {
	t.Helper()
	var files []importing
	root := "../.."
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); name != ".." && (strings.HasPrefix(name, ".") || name == "testdata") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(p, ".go") {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		f := importing{file: filepath.ToSlash(rel), dir: filepath.ToSlash(filepath.Dir(rel)), test: strings.HasSuffix(p, "_test.go")}
		for _, imp := range parsed.Imports {
			ipath, err := strconv.Unquote(imp.Path.Value)
			if err != nil {
				return err
			}
			f.imports = append(f.imports, ipath)
		}
		files = append(files, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 10 {
		t.Fatalf("only %d Go files found from %s", len(files), root)
	}
	return files
}

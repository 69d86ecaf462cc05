package contract

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// What the functions take and answer, in Go. A function that is not here is not looked into.
var contracts = map[string]struct{ in, out string }{
	"PromoteFunction":  {"rollout.PromoteIn", "rollout.PromoteOut"},
	"ApproveFunction":  {"approval.In", "approval.Out"},
	"LeaseFunction":    {"lease.In", "lease.Out"},
	"ScoreFunction":    {"scoring.In", "scoring.Out"},
	"RegisterFunction": {"registration.In", "registration.Out"},
	"SnapshotFunction": {"training.In", "training.Out"},
	"EvaluateFunction": {"evaluation/watch.In", "evaluation/watch.Out"},
	"DriftFunction":    {"drift/watch.In", "drift/watch.Out"},
}

// steps are the answers of a function that does several steps, by the field step of its payload.
var steps = map[string]map[string]string{
	"SnapshotFunction": {"snapshot": "training.Snapshot", "adopt": "training.Adopted", "holdout": "training.Holdout"},
}

// beside are fields that a function takes, and answers, beside its type.
var beside = map[string]map[string]struct{ in, out string }{
	"EvaluateFunction": {"decide": {"evaluation/trial.In", "evaluation/trial.Out"}},
}

// field is one field of a struct as JSON has it.
type field struct {
	kind    ast.Expr
	folder  string // of the package that its type is read in
	file    *ast.File
	allowed []string // of oneof
}

// source reads structs from the Go source of shared/.
type source struct {
	t     *testing.T
	files map[string][]*ast.File
}

func (s *source) parsed(folder string) []*ast.File {
	if s.files[folder] == nil {
		names, err := filepath.Glob(filepath.Join(root, "shared", folder, "*.go"))
		if err != nil || len(names) == 0 {
			s.t.Fatalf("shared/%s has no source", folder)
		}
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
			if err != nil {
				s.t.Fatal(err)
			}
			s.files[folder] = append(s.files[folder], f)
		}
	}
	return s.files[folder]
}

// fields are those of a struct; nil of any other type.
func (s *source) fields(folder, name string) map[string]field {
	for _, file := range s.parsed(folder) {
		object := file.Scope.Lookup(name)
		if object == nil {
			continue
		}
		spec, ok := object.Decl.(*ast.TypeSpec)
		if !ok {
			return nil
		}
		st, ok := spec.Type.(*ast.StructType)
		if !ok {
			return nil
		}
		found := map[string]field{}
		for _, f := range st.Fields.List {
			if len(f.Names) == 0 {
				maps.Copy(found, s.of(field{kind: f.Type, folder: folder, file: file}))
				continue
			}
			if f.Tag == nil {
				continue
			}
			tag, err := strconv.Unquote(f.Tag.Value)
			if err != nil {
				s.t.Fatal(err)
			}
			json, _, _ := strings.Cut(reflect.StructTag(tag).Get("json"), ",")
			if json == "" || json == "-" {
				continue
			}
			one := field{kind: f.Type, folder: folder, file: file}
			for rule := range strings.SplitSeq(reflect.StructTag(tag).Get("validate"), ",") {
				if values, ok := strings.CutPrefix(rule, "oneof="); ok {
					one.allowed = strings.Fields(values)
				}
			}
			found[json] = one
		}
		return found
	}
	s.t.Fatalf("shared/%s has no type %s", folder, name)
	return nil
}

// of are the fields of the type of a field; nil where it is no struct of shared/.
func (s *source) of(f field) map[string]field {
	switch kind := f.kind.(type) {
	case *ast.StarExpr:
		f.kind = kind.X
		return s.of(f)
	case *ast.Ident:
		if kind.Obj == nil && !ast.IsExported(kind.Name) {
			return nil
		}
		return s.fields(f.folder, kind.Name)
	case *ast.SelectorExpr:
		for _, imp := range f.file.Imports {
			folder, ok := strings.CutPrefix(strings.Trim(imp.Path.Value, `"`), "github.com/tidegate/tidegate/shared/")
			if ok && filepath.Base(folder) == kind.X.(*ast.Ident).Name {
				return s.fields(folder, kind.Sel.Name)
			}
		}
	}
	return nil
}

func (s *source) named(name string) map[string]field {
	folder, kind, _ := strings.Cut(name, ".")
	return s.fields(folder, kind)
}

// given holds a payload to the fields of a type.
func (s *source) given(payload map[string]any, fields map[string]field, at string) (found []string) {
	for _, key := range slices.Sorted(maps.Keys(payload)) {
		name := strings.TrimSuffix(key, ".$")
		f, ok := fields[name]
		if !ok {
			found = append(found, fmt.Sprintf("%s gives %q, which the function refuses", at, name))
			continue
		}
		switch value := payload[key].(type) {
		case map[string]any:
			if inner := s.of(f); inner != nil {
				found = append(found, s.given(value, inner, at+"."+name)...)
			}
		case string:
			if name == key && f.allowed != nil && !slices.Contains(f.allowed, value) {
				found = append(found, fmt.Sprintf("%s gives %q for %s, which is one of %v", at, value, name, f.allowed))
			}
		}
	}
	return found
}

// taken holds a path into an answer to the fields of a type.
func (s *source) taken(path []string, fields map[string]field, at string) []string {
	for i, name := range path {
		f, ok := fields[name]
		if !ok {
			return []string{fmt.Sprintf("%s takes %s, which the function does not answer", at, strings.Join(path[:i+1], "."))}
		}
		if fields = s.of(f); fields == nil {
			return nil
		}
	}
	return nil
}

var inPayload = regexp.MustCompile(`\$\.Payload((?:\.[a-z_0-9]+)+)`)

// kept are the answers that a machine keeps whole: the Go type by the path that it keeps them under.
func kept(states map[string]any) map[string]string {
	found := map[string]string{}
	for _, value := range states {
		state, _ := value.(map[string]any)
		parameters, _ := state["Parameters"].(map[string]any)
		function := strings.Trim(fmt.Sprint(parameters["FunctionName"]), "${}")
		contract, ok := contracts[function]
		if payload, _ := parameters["Payload"].(map[string]any); steps[function] != nil {
			contract.out = steps[function][fmt.Sprint(payload["step"])]
		}
		selector, _ := state["ResultSelector"].(map[string]any)
		for name, path := range selector {
			if ok && contract.out != "" && path == "$.Payload" {
				found[fmt.Sprint(state["ResultPath"])+"."+strings.TrimSuffix(name, ".$")] = contract.out
			}
		}
	}
	return found
}

// mistaken says which paths into answers that are kept whole are not in the Go types.
func mistaken(t *testing.T, s *source, states map[string]any) (found []string) {
	text, err := json.Marshal(states)
	if err != nil {
		t.Fatal(err)
	}
	for path, out := range kept(states) {
		for _, m := range regexp.MustCompile(regexp.QuoteMeta(path)+`((?:\.[a-z_0-9]+)+)`).FindAllStringSubmatch(string(text), -1) {
			found = append(found, s.taken(strings.Split(strings.TrimPrefix(m[1], "."), "."), s.named(out), path)...)
		}
	}
	return found
}

// mismatches says where the Lambda tasks of a definition do not fit the Go types.
func mismatches(t *testing.T, s *source, states map[string]any) (found []string) {
	found = mistaken(t, s, states)
	for _, name := range slices.Sorted(maps.Keys(states)) {
		state, _ := states[name].(map[string]any)
		if inner, ok := state["ItemProcessor"].(map[string]any); ok {
			found = append(found, mismatches(t, s, inner["States"].(map[string]any))...)
		}
		parameters, _ := state["Parameters"].(map[string]any)
		function := strings.Trim(fmt.Sprint(parameters["FunctionName"]), "${}")
		contract, ok := contracts[function]
		if !ok {
			continue
		}
		in, out := s.named(contract.in), s.named(contract.out)
		for extra, types := range beside[function] {
			payload, _ := parameters["Payload"].(map[string]any)
			if inner, ok := payload[extra].(map[string]any); ok {
				found = append(found, s.given(inner, s.named(types.in), name+": "+extra)...)
				parameters = map[string]any{"Payload": map[string]any{}}
			}
			for key, f := range s.named(types.out) {
				out[extra+"."+key] = f
			}
		}
		if payload, ok := parameters["Payload"].(map[string]any); ok {
			found = append(found, s.given(payload, in, name)...)
		}
		selected, err := json.Marshal(state["ResultSelector"])
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range inPayload.FindAllStringSubmatch(string(selected), -1) {
			path := strings.Split(strings.TrimPrefix(m[1], "."), ".")
			if _, ok := beside[function][path[0]]; ok && len(path) > 1 {
				path = append([]string{path[0] + "." + path[1]}, path[2:]...)
			}
			found = append(found, s.taken(path, out, name)...)
		}
	}
	return found
}

func statesOf(t *testing.T, text []byte) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	return m["States"].(map[string]any)
}

// What a machine gives to a function, the function takes; what it takes from the answer, the function answers.
func TestPayloadsOfMachines(t *testing.T) {
	s := &source{t: t, files: map[string][]*ast.File{}}
	for file, text := range definitions(t) {
		for _, problem := range mismatches(t, s, statesOf(t, text)) {
			t.Errorf("%s: %s", file, problem)
		}
	}
}

func TestMistakesInPayloadsAreFound(t *testing.T) {
	s := &source{t: t, files: map[string][]*ast.File{}}
	all := definitions(t)
	rollout, retrain := all["statemachines/rollout.asl.json"], all["statemachines/retrain.asl.json"]
	for _, c := range []struct{ old, new, want string }{
		{`"$.claim.out.run"`, `"$.claim.out.running"`, "takes running, which"},
		{`$.holdout.out.reason`, `$.holdout.out.why`, "takes why, which"},
		{`"step": "adopt"`, `"step": "adapt"`, `gives "adapt" for step`},
		{`"kind": "look"`, `"kind": "glance"`, `gives "glance" for kind`},
		{`"transition_id.$"`, `"transition.$"`, `gives "transition", which`},
		{`"$.Payload.progress"`, `"$.Payload.stage"`, "takes stage, which"},
		{`"bake_s.$"`, `"bake.$"`, `decide.rollout gives "bake"`},
		{`"$.Payload.decide.left"`, `"$.Payload.decide.rest"`, "takes decide.rest, which"},
		{`"action": "status"`, `"action": "state"`, `gives "state" for action`},
		{`"$.Payload.request.evidence"`, `"$.Payload.request.proof"`, "takes request.proof, which"},
	} {
		text := string(rollout)
		if !strings.Contains(text, c.old) {
			text = string(retrain)
		}
		edited := strings.Replace(text, c.old, c.new, 1)
		if edited == text {
			t.Errorf("the definitions lack %s", c.old)
			continue
		}
		if found := strings.Join(mismatches(t, s, statesOf(t, []byte(edited))), "\n"); !strings.Contains(found, c.want) {
			t.Errorf("%s in place of %s: found %q, want %q", c.new, c.old, found, c.want)
		}
	}
}

// An execution has 25,000 events. Of every way round in a machine that waits, so many looks as end an execution fit
// in, with each task tried as often as it may be.
func TestWaitingFitsAnExecution(t *testing.T) {
	for machine, starts := range map[string][]string{"rollout": {"LookAtRollout", "LookAtShadow", "LookAtConsent"}, "retrain": {"LookAtHolder", "WaitForJob"}} {
		waitingFits(t, statesOf(t, definitions(t)["statemachines/"+machine+".asl.json"]), starts)
	}
}

func waitingFits(t *testing.T, states map[string]any, starts []string) {
	const most, task, try, other = 25_000, 5, 3, 2
	cost := func(name string) int {
		state := states[name].(map[string]any)
		if state["Type"] != "Task" {
			return other
		}
		n := task
		for _, r := range state["Retry"].([]any) {
			n += try * int(r.(map[string]any)["MaxAttempts"].(float64))
		}
		return n
	}
	for _, start := range starts {
		limit := 0
		longest := 0
		var walk func(name string, events int, seen map[string]bool)
		walk = func(name string, events int, seen map[string]bool) {
			for _, next := range following(states[name].(map[string]any)) {
				if next == start {
					longest = max(longest, events)
				} else if !seen[next] {
					seen[next] = true
					walk(next, events+cost(next), seen)
					delete(seen, next)
				}
			}
			state := states[name].(map[string]any)
			choices, _ := state["Choices"].([]any)
			for _, c := range choices {
				if bound, ok := c.(map[string]any)["NumericGreaterThanEquals"].(float64); ok && strings.HasSuffix(fmt.Sprint(c.(map[string]any)["Variable"]), ".looks") {
					limit = int(bound)
				}
			}
		}
		walk(start, cost(start), map[string]bool{start: true})
		if limit == 0 || longest == 0 || limit*longest > most {
			t.Errorf("%s: %d looks of up to %d events are more than %d", start, limit, longest, most)
		}
	}
}

// following are the states that a state may lead to.
func following(state map[string]any) (all []string) {
	for _, key := range []string{"Next", "Default"} {
		if next, ok := state[key].(string); ok {
			all = append(all, next)
		}
	}
	for _, key := range []string{"Choices", "Catch"} {
		list, _ := state[key].([]any)
		for _, c := range list {
			all = append(all, c.(map[string]any)["Next"].(string))
		}
	}
	return all
}

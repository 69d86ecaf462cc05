package contract

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// machine is a definition in the Amazon States Language, or a part of one that has states of its own.
type machine struct {
	Comment        string           `json:"Comment"`
	StartAt        string           `json:"StartAt"`
	TimeoutSeconds int              `json:"TimeoutSeconds"`
	States         map[string]state `json:"States"`
}

type state struct {
	Type           string    `json:"Type"`
	Next           string    `json:"Next"`
	End            bool      `json:"End"`
	Default        string    `json:"Default"`
	Error          string    `json:"Error"`
	Resource       string    `json:"Resource"`
	TimeoutSeconds int       `json:"TimeoutSeconds"`
	Choices        []branch  `json:"Choices"`
	Retry          []retrier `json:"Retry"`
	Catch          []branch  `json:"Catch"`
	ItemProcessor  *machine  `json:"ItemProcessor"`
	Branches       []machine `json:"Branches"`
}

type branch struct {
	ErrorEquals []string `json:"ErrorEquals"`
	Next        string   `json:"Next"`
}

type retrier struct {
	ErrorEquals     []string `json:"ErrorEquals"`
	IntervalSeconds int      `json:"IntervalSeconds"`
	MaxAttempts     *int     `json:"MaxAttempts"`
}

// awsErrors are what AWS itself calls errors that pass. States.ALL and States.TaskFailed are not among them: they repeat bugs.
var awsErrors = regexp.MustCompile(`^(Lambda\.[A-Za-z]+|Sandbox\.Timedout|S3\.[A-Za-z]+|StepFunctions\.[A-Za-z]+|Sfn\.[A-Za-z]+|SageMaker\.[A-Za-z]+|EventBridge\.[A-Za-z]+|States\.(Timeout|HeartbeatTimeout))$`)

var placeholder = regexp.MustCompile(`\$\{([A-Za-z0-9]*)\}`)

// kinds are the names of shared/fault, from its source.
func kinds(t *testing.T) map[string]bool {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, "shared", "fault", "fault.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if kind, ok := spec.Type.(*ast.Ident); ok && kind.Name == "Kind" {
			for _, value := range spec.Values {
				if name, err := strconv.Unquote(value.(*ast.BasicLit).Value); err == nil {
					found[name] = true
				}
			}
		}
		return true
	})
	if len(found) < 10 {
		t.Fatalf("shared/fault has the kinds %v", found)
	}
	return found
}

func definitions(t *testing.T) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "statemachines", "*.asl.json"))
	if err != nil || len(files) == 0 {
		t.Fatal("statemachines/ has no definitions", err)
	}
	all := map[string][]byte{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all["statemachines/"+filepath.Base(file)] = text
	}
	return all
}

// problems says what is wrong with a definition, by itself.
func problems(text []byte, kinds map[string]bool) []string {
	var m machine
	if err := json.Unmarshal(text, &m); err != nil {
		return []string{err.Error()}
	}
	var found []string
	if !strings.Contains(m.Comment, "Input: ") || !strings.Contains(m.Comment, "Output: ") {
		found = append(found, "Comment must say the input (Input: …) and the output (Output: …)")
	}
	if m.TimeoutSeconds == 0 {
		found = append(found, "TimeoutSeconds must be set: an execution would run for a year")
	}
	if strings.Contains(string(text), "arn:aws") {
		found = append(found, "an ARN must be made of placeholders")
	}
	return append(found, m.problems("", kinds, false)...)
}

// problems of the states; caught says that a failure of theirs is caught around them.
func (m *machine) problems(path string, kinds map[string]bool, caught bool) []string {
	var found []string
	if _, ok := m.States[m.StartAt]; !ok {
		found = append(found, fmt.Sprintf("%sStartAt names %q, which is no state", path, m.StartAt))
	}
	reached, next := map[string]bool{}, []string{m.StartAt}
	for len(next) > 0 {
		name := next[0]
		if next = next[1:]; !reached[name] {
			reached[name] = true
			s := m.States[name]
			next = append(next, s.targets()...)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.States)) {
		s, at := m.States[name], path+name
		bad := func(format string, args ...any) { found = append(found, at+": "+fmt.Sprintf(format, args...)) }
		if !reached[name] {
			bad("is never reached")
		}
		for _, target := range s.targets() {
			if _, ok := m.States[target]; !ok {
				bad("leads to %q, which is no state", target)
			}
		}
		switch s.Type {
		case "Choice", "Succeed", "Fail":
		default:
			if (s.Next != "") == s.End {
				bad("must have one of Next and End")
			}
		}
		if s.Type == "Fail" && s.Error != "" && !kinds[s.Error] {
			bad("%s is no kind of shared/fault", s.Error)
		}
		found = append(found, s.handling(at, kinds, caught)...)
		inner := s.Branches
		if s.ItemProcessor != nil {
			inner = append(inner, *s.ItemProcessor)
		}
		for i := range inner {
			found = append(found, inner[i].problems(at+"/", kinds, caught || len(s.Catch) > 0)...)
		}
	}
	return found
}

// handling says what is wrong with how a state handles errors and time.
func (s *state) handling(at string, kinds map[string]bool, caught bool) []string {
	var found []string
	bad := func(format string, args ...any) { found = append(found, at+": "+fmt.Sprintf(format, args...)) }
	if s.Type == "Task" && s.TimeoutSeconds == 0 {
		bad("a Task needs TimeoutSeconds")
	}
	if s.Type == "Task" && len(s.Retry) == 0 {
		bad("a Task needs Retry for what passes")
	}
	if (s.Type == "Task" || s.Type == "Map" || s.Type == "Parallel") && !caught &&
		!slices.ContainsFunc(s.Catch, func(c branch) bool { return slices.Contains(c.ErrorEquals, "States.ALL") }) {
		bad("needs a Catch of States.ALL")
	}
	for _, c := range s.Catch {
		for _, name := range c.ErrorEquals {
			if name != "States.ALL" && !kinds[name] && !awsErrors.MatchString(name) {
				bad("catches %s, which is no kind of shared/fault and no error of AWS", name)
			}
		}
	}
	for _, r := range s.Retry {
		if r.IntervalSeconds == 0 || r.MaxAttempts == nil {
			bad("a Retry needs IntervalSeconds and MaxAttempts")
		}
		for _, name := range r.ErrorEquals {
			if !kinds[name] && !awsErrors.MatchString(name) {
				bad("retries %s, which is no kind of shared/fault and no error of AWS that passes", name)
			}
		}
	}
	return found
}

func (s *state) targets() []string {
	all := []string{s.Next, s.Default}
	for _, c := range slices.Concat(s.Choices, s.Catch) {
		all = append(all, c.Next)
	}
	return slices.DeleteFunc(all, func(name string) bool { return name == "" })
}

func TestMachines(t *testing.T) {
	known := kinds(t)
	for file, text := range definitions(t) {
		for _, problem := range problems(text, known) {
			t.Errorf("%s: %s", file, problem)
		}
	}
}

// What the test above is for is found: each edit of a definition is one mistake.
func TestMistakesInMachinesAreFound(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "statemachines", "drift.asl.json"))
	if err != nil {
		t.Fatal(err)
	}
	known := kinds(t)
	for _, c := range []struct{ old, new, want string }{
		{`"StartAt": "ReadTrigger",`, `"StartAt": "ReadTrigger"`, "invalid character"},
		{`"StartAt": "ReadTrigger"`, `"StartAt": "Nowhere"`, `StartAt names "Nowhere"`},
		{`Output: `, `Result: `, "Comment must say"},
		{`"TimeoutSeconds": 14400,`, ``, "would run for a year"},
		{`arn:${Partition}:states:::lambda:invoke`, `arn:aws:states:::lambda:invoke`, "placeholders"},
		{`"Default": "NameObject"`, `"Default": "NoObject"`, `leads to "NoObject"`},
		{`"Next": "PassOver"`, `"Next": "NameObject"`, "PassOver: is never reached"},
		{`"Next": "ProfileItems"`, `"End": true`, "ProfileItems: is never reached"},
		{`"Next": "JudgeBatch"`, `"Comment": "no way on"`, "one of Next and End"},
		{`"Error": "InvalidArgument"`, `"Error": "BadInput"`, "BadInput is no kind"},
		{`"TimeoutSeconds": 900,`, ``, "PlanBatch: a Task needs TimeoutSeconds"},
		{`["Unavailable", "ResourceExhausted", "Aborted"]`, `["States.ALL"]`, "retries States.ALL"},
		{`["Unavailable", "ResourceExhausted", "Aborted"]`, `["Unavailible"]`, "retries Unavailible"},
		{`"Catch": [{"ErrorEquals": ["States.ALL"]`, `"Catch": [{"ErrorEquals": ["NotFound"]`, "needs a Catch"},
		{`"Catch": [{"ErrorEquals": ["States.ALL"]`, `"Catch": [{"ErrorEquals": ["NotThere"]`, "catches NotThere"},
	} {
		edited := strings.Replace(string(text), c.old, c.new, 1)
		if edited == string(text) {
			t.Errorf("the definition lacks %s", c.old)
			continue
		}
		if found := strings.Join(problems([]byte(edited), known), "\n"); !strings.Contains(found, c.want) {
			t.Errorf("%s in place of %s: found %q, want %q", c.new, c.old, found, c.want)
		}
	}
}

// limited says whether executions end after hours, and not after the year that AWS gives them anyway.
func limited(t *testing.T, definition []byte) bool {
	t.Helper()
	var machine struct{ TimeoutSeconds int }
	if err := json.Unmarshal(definition, &machine); err != nil {
		t.Fatal(err)
	}
	return machine.TimeoutSeconds < 7*24*3600
}

func TestMachinesOfTheTemplate(t *testing.T) {
	tpl, files := load(t), definitions(t)
	roles := map[string]string{}
	for _, fn := range tpl.functions() {
		roles[refers(fn.properties["Role"])] = fn.id
	}
	for _, id := range tpl.of("AWS::Serverless::StateMachine") {
		p := tpl.Resources[id].Properties
		file := text(p["DefinitionUri"])
		definition, ok := files[file]
		if !ok {
			t.Errorf("%s: DefinitionUri %q is none of statemachines/, or of two machines", id, file)
			continue
		}
		delete(files, file)
		var named []string
		for _, match := range placeholder.FindAllStringSubmatch(string(definition), -1) {
			named = append(named, match[1])
		}
		slices.Sort(named)
		substitutions, _ := p["DefinitionSubstitutions"].(map[string]node)
		if given := slices.Sorted(maps.Keys(substitutions)); !slices.Equal(slices.Compact(named), given) {
			t.Errorf("%s: %s has the placeholders %v, DefinitionSubstitutions gives %v", id, file, slices.Compact(named), given)
		}
		role := refers(p["Role"])
		if other := roles[role]; other != "" {
			t.Errorf("%s and %s share %s", other, id, role)
		}
		roles[role] = id
		if got := text(at(tpl.Resources[role].Properties, "AssumeRolePolicyDocument", "Statement", 0, "Principal", "Service")); got != "states.amazonaws.com" {
			t.Errorf("%s: its role is for %q", id, got)
		}
		tpl.checkRights(t, id, substitutions)
		tpl.checkStarts(t, id)
		if !tpl.alarmOn(id, "ExecutionsFailed") {
			t.Errorf("%s: there is no alarm on ExecutionsFailed", id)
		}
		if limited(t, definition) && !tpl.alarmOn(id, "ExecutionsTimedOut") { // which is no failure by that metric
			t.Errorf("%s: there is no alarm on ExecutionsTimedOut", id)
		}
	}
	for file := range files {
		t.Errorf("%s belongs to no machine of the template", file)
	}
}

// checkRights: a machine may invoke the functions that its definition names, and nothing on everything but traces.
func (tpl template) checkRights(t *testing.T, id string, substitutions map[string]node) {
	t.Helper()
	var uses, may []string
	for _, value := range substitutions {
		if fn := refers(value); tpl.Resources[fn].Type == "AWS::Serverless::Function" {
			uses = append(uses, "${"+fn+"}")
		}
	}
	for _, s := range tpl.statements(t, id) {
		for _, action := range s.actions {
			if strings.Contains(action, "*") || slices.Contains(s.resources, "*") && !strings.HasPrefix(action, "xray:") {
				t.Errorf("%s may %s on %v", id, action, s.resources)
			}
		}
		if slices.Contains(s.actions, "lambda:InvokeFunction") {
			may = append(may, s.resources...)
		}
	}
	slices.Sort(uses)
	slices.Sort(may)
	if !slices.Equal(uses, may) {
		t.Errorf("%s uses the functions %v and may invoke %v", id, uses, may)
	}
}

// checkStarts: a rule that starts a machine may do so, and keeps the event when it cannot.
func (tpl template) checkStarts(t *testing.T, id string) {
	t.Helper()
	for _, rule := range tpl.of("AWS::Events::Rule") {
		for _, target := range list(tpl.Resources[rule].Properties["Targets"]) {
			if refers(at(target, "Arn")) != id {
				continue
			}
			queue := refers(at(target, "DeadLetterConfig", "Arn"))
			if tpl.Resources[queue].Type != "AWS::SQS::Queue" {
				t.Errorf("%s starts %s without a dead-letter queue", rule, id)
			} else if !tpl.maySend(rule, queue) {
				t.Errorf("%s may not send to %s", rule, queue)
			}
			starter := tpl.Resources[refers(at(target, "RoleArn"))]
			statements := list(at(starter.Properties, "Policies", 0, "PolicyDocument", "Statement"))
			if len(statements) != 1 || text(at(statements[0], "Action")) != "states:StartExecution" || text(at(statements[0], "Resource")) != "${"+id+"}" {
				t.Errorf("%s: its role must allow states:StartExecution on %s, and nothing else", rule, id)
			}
		}
	}
}

// maySend says whether a policy of the queue lets the rule send to it.
func (tpl template) maySend(rule, queue string) bool {
	for _, id := range tpl.of("AWS::SQS::QueuePolicy") {
		p := tpl.Resources[id].Properties
		if !slices.Contains(texts(p["Queues"]), "${"+queue+"}") {
			continue
		}
		for _, s := range list(at(p, "PolicyDocument", "Statement")) {
			if at(s, "Effect") == "Allow" && slices.Contains(texts(at(s, "Condition", "ArnEquals", "aws:SourceArn")), "${"+rule+"}") {
				return true
			}
		}
	}
	return false
}

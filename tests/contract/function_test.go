package contract

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestFunctionsHaveTheirFolder(t *testing.T) {
	var declared []string
	for _, fn := range load(t).functions() {
		declared = append(declared, fn.verb)
	}
	var present []string
	entries, err := os.ReadDir(filepath.Join(root, "functions"))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		// endpoint is a container image, not a Lambda.
		if entry.IsDir() && entry.Name() != "endpoint" {
			present = append(present, entry.Name())
		}
	}
	slices.Sort(declared)
	slices.Sort(present)
	if !slices.Equal(declared, present) {
		t.Errorf("the template has functions %v, functions/ has %v", declared, present)
	}
}

func TestFunctionsAreWatched(t *testing.T) {
	tpl := load(t)
	if tpl.Globals["Function"]["Tracing"] != "Active" {
		t.Error("Globals.Function.Tracing must be Active")
	}
	for _, fn := range tpl.functions() {
		group := tpl.Resources[refers(at(fn.properties, "LoggingConfig", "LogGroup"))]
		if group.Type != "AWS::Logs::LogGroup" || group.Properties["RetentionInDays"] == nil {
			t.Errorf("%s: LoggingConfig must name a log group of this template with RetentionInDays; one that Lambda makes keeps its lines for ever", fn.id)
		}
		for _, metric := range []string{"Errors", "Throttles"} {
			if !tpl.alarmOn(fn.id, metric) {
				t.Errorf("%s: there is no alarm on %s", fn.id, metric)
			}
		}
		if at(tpl.Resources[fn.id].Metadata, "BuildMethod") != "makefile" {
			t.Errorf("%s: Metadata.BuildMethod must be makefile", fn.id)
		}
	}
}

func (tpl template) alarmOn(fn, metric string) bool {
	for _, id := range tpl.of("AWS::CloudWatch::Alarm") {
		p := tpl.Resources[id].Properties
		if text(p["MetricName"]) == metric && refers(at(p, "Dimensions", 0, "Value")) == fn {
			return true
		}
	}
	return false
}

// asynchronous returns the functions that nobody waits for: targets of rules, schedules and notifications.
func (tpl template) asynchronous() []string {
	var ids []string
	for _, rule := range tpl.of("AWS::Events::Rule") {
		for _, target := range list(tpl.Resources[rule].Properties["Targets"]) {
			ids = append(ids, refers(at(target, "Arn")))
		}
	}
	for _, schedule := range tpl.of("AWS::Scheduler::Schedule") {
		ids = append(ids, refers(at(tpl.Resources[schedule].Properties, "Target", "Arn")))
	}
	for _, fn := range tpl.functions() {
		if fn.properties["EventInvokeConfig"] != nil {
			ids = append(ids, fn.id)
		}
	}
	ids = slices.DeleteFunc(ids, func(id string) bool { return tpl.Resources[id].Type != "AWS::Serverless::Function" })
	slices.Sort(ids)
	return slices.Compact(ids)
}

// What nobody waits for fails unseen unless its event is kept somewhere.
func TestAsynchronousFunctionsKeepWhatFails(t *testing.T) {
	tpl := load(t)
	if len(tpl.asynchronous()) == 0 {
		t.Fatal("no asynchronous function was found; announce is one")
	}
	for _, id := range tpl.asynchronous() {
		fn := tpl.Resources[id]
		queue := refers(at(fn.Properties, "EventInvokeConfig", "DestinationConfig", "OnFailure", "Destination"))
		if tpl.Resources[queue].Type != "AWS::SQS::Queue" {
			t.Errorf("%s: EventInvokeConfig.DestinationConfig.OnFailure must name a queue of this template", id)
			continue
		}
		if tpl.Resources[queue].Properties["SqsManagedSseEnabled"] != true {
			t.Errorf("%s: the queue must be encrypted", queue)
		}
		for _, limit := range []string{"MaximumRetryAttempts", "MaximumEventAgeInSeconds"} {
			if at(fn.Properties, "EventInvokeConfig", limit) == nil {
				t.Errorf("%s: EventInvokeConfig must set %s", id, limit)
			}
		}
		allowed := false
		for _, s := range tpl.statements(t, id) {
			allowed = allowed || slices.Contains(s.actions, "sqs:SendMessage") && slices.Contains(s.resources, "${"+queue+"}")
		}
		if !allowed {
			t.Errorf("%s: its role may not send to %s, so failed events would be lost", id, queue)
		}
	}
	for _, rule := range tpl.of("AWS::Events::Rule") {
		for _, target := range list(tpl.Resources[rule].Properties["Targets"]) {
			fn := refers(at(target, "Arn"))
			if at(target, "DeadLetterConfig", "Arn") == nil {
				t.Errorf("%s: a target without DeadLetterConfig loses what cannot be delivered", rule)
			}
			if tpl.Resources[fn].Type == "AWS::Serverless::Function" && !tpl.permits(fn, "events.amazonaws.com", "${"+rule+"}") {
				t.Errorf("%s: %s has no AWS::Lambda::Permission for events.amazonaws.com with this rule as SourceArn", rule, fn)
			}
		}
	}
}

// A variable that the template forgets, or that nothing reads, shows up only in an account.
func TestEnvironmentEqualsConfiguration(t *testing.T) {
	tpl := load(t)
	for _, fn := range tpl.functions() {
		source := filepath.Join(root, "functions", fn.verb, "main.go")
		if _, err := os.Stat(source); err != nil {
			continue // a Python function, or TestFunctionsHaveTheirFolder says so
		}
		t.Run(fn.verb, func(t *testing.T) {
			variables, _ := at(fn.properties, "Environment", "Variables").(map[string]node)
			template := slices.Sorted(maps.Keys(variables))
			configuration := environmentOf(t, source)
			if !slices.Equal(template, configuration) {
				t.Errorf("the template sets %v\nthe configuration reads %v", template, configuration)
			}
		})
	}
}

// environmentOf collects the env tags of all structs in a Go file.
func environmentOf(t *testing.T, path string) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	ast.Inspect(file, func(n ast.Node) bool {
		field, ok := n.(*ast.Field)
		if !ok || field.Tag == nil {
			return true
		}
		tag, err := strconv.Unquote(field.Tag.Value)
		if err != nil {
			return true
		}
		// Variables that Lambda itself sets are not the template's business.
		if key := reflect.StructTag(tag).Get("env"); key != "" && !strings.HasPrefix(key, "AWS_") {
			keys = append(keys, key)
		}
		return true
	})
	slices.Sort(keys)
	return slices.Compact(keys)
}

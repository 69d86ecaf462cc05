// Package contract checks, offline and in a second, what template.yaml, the functions and the sample events promise each other, and what AWS would
// refuse or silently do wrong while the local AWS does not mind. It deploys nothing: tests/local does.
//
// Everything is read from the source: a new function or route is checked without a change here.
package contract

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const root = "../.."

// node is a value of the template. Short forms of intrinsic functions are in their long form: !Ref X is {"Ref": "X"}.
type node = any

type template struct {
	Parameters map[string]parameter       `yaml:"Parameters"`
	Globals    map[string]map[string]node `yaml:"Globals"`
	Resources  map[string]resource        `yaml:"Resources"`
	Outputs    map[string]node            `yaml:"Outputs"`
}

type parameter struct {
	Type           string   `yaml:"Type"`
	Description    string   `yaml:"Description"`
	AllowedPattern string   `yaml:"AllowedPattern"`
	Default        node     `yaml:"Default"`
	AllowedValues  []node   `yaml:"AllowedValues"`
	MinValue       *float64 `yaml:"MinValue"`
}

type resource struct {
	Type       string          `yaml:"Type"`
	Condition  string          `yaml:"Condition"`
	Metadata   map[string]node `yaml:"Metadata"`
	Properties map[string]node `yaml:"Properties"`
}

func load(t *testing.T) template {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "template.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	expand(&document)
	var tpl template
	if err := document.Decode(&tpl); err != nil {
		t.Fatal(err)
	}
	return tpl
}

// expand turns tags such as !GetAtt into the mapping they stand for, which the YAML library would drop.
func expand(n *yaml.Node) {
	for _, child := range n.Content {
		expand(child)
	}
	if !strings.HasPrefix(n.Tag, "!") || strings.HasPrefix(n.Tag, "!!") {
		return
	}
	name := n.Tag[1:]
	value := *n
	value.Tag = ""
	switch name {
	case "Ref", "Condition":
	case "GetAtt":
		name = "Fn::GetAtt"
		resource, attribute, _ := strings.Cut(n.Value, ".")
		value = yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{scalar(resource), scalar(attribute)}}
	default:
		name = "Fn::" + name
	}
	if value.Kind == yaml.ScalarNode {
		value.SetString(value.Value)
	}
	*n = yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Content: []*yaml.Node{scalar(name), &value}}
}

func scalar(text string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text}
}

// of returns the resources of a type, by logical id in order.
func (tpl template) of(kind string) []string {
	var ids []string
	for _, id := range slices.Sorted(maps.Keys(tpl.Resources)) {
		if tpl.Resources[id].Type == kind {
			ids = append(ids, id)
		}
	}
	return ids
}

// function is a Lambda of the template.
type function struct {
	id, verb   string
	properties map[string]node
}

func (tpl template) functions() []function {
	var all []function
	for _, id := range tpl.of("AWS::Serverless::Function") {
		verb, ok := strings.CutSuffix(id, "Function")
		if ok {
			all = append(all, function{id: id, verb: strings.ToLower(verb), properties: tpl.Resources[id].Properties})
		}
	}
	return all
}

// at walks into nested mappings and lists; nil when something on the way is absent.
func at(n node, path ...any) node {
	for _, step := range path {
		switch key := step.(type) {
		case string:
			m, _ := n.(map[string]node)
			n = m[key]
		case int:
			l, _ := n.([]node)
			if key >= len(l) {
				return nil
			}
			n = l[key]
		}
	}
	return n
}

// list returns n as a list; a single value is a list of one, nil is empty.
func list(n node) []node {
	switch v := n.(type) {
	case nil:
		return nil
	case []node:
		return v
	default:
		return []node{v}
	}
}

// refers says which resource n is a reference to: Ref, GetAtt, or a Sub that names it.
func refers(n node) string {
	if id, ok := at(n, "Ref").(string); ok {
		return id
	}
	if id, ok := at(n, "Fn::GetAtt", 0).(string); ok {
		return id
	}
	return ""
}

// text renders n as one string in which references are ${X}: enough to compare ARNs and to match them against patterns. What differs between a
// bucket of our own and an adopted one is rendered as the former.
func text(n node) string {
	switch v := n.(type) {
	case nil:
		return ""
	case map[string]node:
		if id := refers(v); id != "" {
			return "${" + id + "}"
		}
		if choice, ok := v["Fn::If"].([]node); ok {
			return text(choice[1])
		}
		switch sub := v["Fn::Sub"].(type) {
		case string:
			return sub
		case []node:
			out := text(sub[0])
			for name, value := range sub[1].(map[string]node) {
				out = strings.ReplaceAll(out, "${"+name+"}", text(value))
			}
			return out
		}
	}
	return fmt.Sprint(n)
}

func texts(n node) []string {
	var all []string
	for _, item := range list(n) {
		all = append(all, text(item))
	}
	return all
}

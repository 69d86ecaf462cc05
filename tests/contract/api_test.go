package contract

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What API Gateway takes in a route: literal segments, or a variable that fills a whole segment, greedy only at the end. The local AWS takes anything.
var (
	segment  = regexp.MustCompile(`^[A-Za-z0-9._~-]+$`)
	variable = regexp.MustCompile(`^\{[A-Za-z0-9._-]+\}$`)
	greedy   = regexp.MustCompile(`^\{[A-Za-z0-9._-]+\+\}$`)
	methods  = []string{"ANY", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
)

func routeFault(key string) string {
	method, path, ok := strings.Cut(key, " ")
	switch {
	case !ok || !slices.Contains(methods, method):
		return "must be a method and a path"
	case !strings.HasPrefix(path, "/"):
		return "the path must begin with a slash"
	case path != "/" && strings.HasSuffix(path, "/"):
		return "the path must not end with a slash"
	}
	parts := strings.Split(path[1:], "/")
	for i, part := range parts {
		last := i == len(parts)-1
		if !segment.MatchString(part) && !variable.MatchString(part) && !(last && greedy.MatchString(part)) {
			return "segment " + part + " is neither literal nor one whole variable"
		}
	}
	return ""
}

func TestRouteFault(t *testing.T) {
	for key, valid := range map[string]bool{
		"GET /v2":                         true,
		"ANY /v2/{proxy+}":                true,
		"POST /v1/feedback/{model}":       true,
		"POST /v1/models/{model}:predict": false,
		"GET /v2/":                        false,
		"ANY /{proxy+}/x":                 false,
		"FETCH /v2":                       false,
		"GET v2":                          false,
	} {
		if got := routeFault(key) == ""; got != valid {
			t.Errorf("%q valid = %v, want %v", key, got, valid)
		}
	}
}

func TestRoutes(t *testing.T) {
	tpl := load(t)
	var keys []string
	for _, id := range tpl.of("AWS::ApiGatewayV2::Route") {
		route := tpl.Resources[id].Properties
		key := text(route["RouteKey"])
		keys = append(keys, key)
		if problem := routeFault(key); problem != "" {
			t.Errorf("%s: API Gateway refuses %q: %s", id, key, problem)
		}
		target := strings.TrimSuffix(strings.TrimPrefix(text(route["Target"]), "integrations/${"), "}")
		if tpl.Resources[target].Type != "AWS::ApiGatewayV2::Integration" {
			t.Errorf("%s: target %q is no integration of this template", id, text(route["Target"]))
		}
		// A route without these two is open to everybody, whatever the parameter says.
		if refers(route["AuthorizationType"]) != "Authorization" {
			t.Errorf("%s: AuthorizationType must be !Ref Authorization", id)
		}
		if text(route["AuthorizerId"]) != "${ApiAuthorizer}" {
			t.Errorf("%s: AuthorizerId must be the JWT authorizer under its condition", id)
		}
	}
	for _, want := range []string{"GET /v2", "GET /v2/{proxy+}", "HEAD /v2/{proxy+}", "POST /v2/{proxy+}", "GET /v1/{proxy+}", "HEAD /v1/{proxy+}", "POST /v1/{proxy+}"} {
		if !slices.Contains(keys, want) {
			t.Errorf("there is no route %q", want)
		}
	}
	// A route that takes OPTIONS would be asked for a browser's preflight, which API Gateway answers by itself otherwise.
	for _, key := range keys {
		if method, _, _ := strings.Cut(key, " "); method == "ANY" || method == "OPTIONS" || method == "$default" {
			t.Errorf("the route %q stands in the way of CorsConfiguration", key)
		}
	}
}

// SAM adds no permission for integrations that are declared by themselves; without one API Gateway answers 500.
func TestIntegrationsMayInvoke(t *testing.T) {
	tpl := load(t)
	for _, id := range tpl.of("AWS::ApiGatewayV2::Integration") {
		integration := tpl.Resources[id].Properties
		fn := refers(integration["IntegrationUri"])
		if tpl.Resources[fn].Type != "AWS::Serverless::Function" {
			t.Errorf("%s: IntegrationUri names no function", id)
		}
		if text(integration["PayloadFormatVersion"]) != "2.0" {
			t.Errorf("%s: the functions read payload format 2.0", id)
		}
		if !tpl.permits(fn, "apigateway.amazonaws.com", "${"+refers(integration["ApiId"])+"}") {
			t.Errorf("%s: %s has no AWS::Lambda::Permission for apigateway.amazonaws.com with a SourceArn of that API", id, fn)
		}
	}
}

// permits says whether a permission lets the service invoke the function from a source that names what.
func (tpl template) permits(fn, service, what string) bool {
	for _, id := range tpl.of("AWS::Lambda::Permission") {
		p := tpl.Resources[id].Properties
		if refers(p["FunctionName"]) == fn && text(p["Principal"]) == service && text(p["Action"]) == "lambda:InvokeFunction" &&
			strings.Contains(text(p["SourceArn"]), what) {
			return true
		}
	}
	return false
}

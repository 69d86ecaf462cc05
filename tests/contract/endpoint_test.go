package contract

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// endpointParts are the resources that an image turns on.
var endpointParts = map[string]string{
	"EndpointLogs": "WithEndpoint", "EndpointRole": "WithEndpoint", "EndpointModel": "WithEndpoint", "Endpoint": "WithEndpoint",
	"EndpointConfig": "EndpointStaysUp", "EndpointZeroConfig": "EndpointScalesToZero", "EndpointComponent": "EndpointScalesToZero",
	"EndpointScaling": "WithEndpoint", "EndpointScalingByConcurrency": "WithEndpoint", "EndpointScalingFromZero": "EndpointScalesToZero", "EndpointWanted": "EndpointScalesToZero",
	"EndpointFailing": "WithEndpoint", "EndpointSlow": "WithEndpoint", "PredictEndpointPolicy": "WithEndpoint",
}

// TestTheEndpointIsOff unless there is an image: nothing of SageMaker is in a stack that did not ask for it.
func TestTheEndpointIsOff(t *testing.T) {
	tpl := load(t)
	if tpl.Parameters["EndpointImageUri"].Default != "" {
		t.Error("EndpointImageUri has a default")
	}
	for id, condition := range endpointParts {
		if got := tpl.Resources[id].Condition; got != condition {
			t.Errorf("%s has the condition %q, want %s", id, got, condition)
		}
	}
	for id, r := range tpl.Resources {
		sagemaker := strings.HasPrefix(r.Type, "AWS::SageMaker::") || strings.HasPrefix(r.Type, "AWS::ApplicationAutoScaling::")
		if sagemaker && endpointParts[id] == "" {
			t.Errorf("%s is a %s that endpointParts does not list", id, r.Type)
		}
	}
}

// TestTheEndpointIsAskedByPredictOnly, and reads the registry only.
func TestTheEndpointIsAskedByPredictOnly(t *testing.T) {
	tpl := load(t)
	policy := tpl.Resources["PredictEndpointPolicy"].Properties
	if roles := list(policy["Roles"]); len(roles) != 1 || refers(roles[0]) != "PredictRole" {
		t.Errorf("who may ask: %v", roles)
	}
	statements := list(at(policy, "PolicyDocument", "Statement"))
	if len(statements) != 1 || !slices.Equal(texts(at(statements[0], "Action")), []string{"sagemaker:InvokeEndpoint"}) {
		t.Fatalf("%v", statements)
	}
	resources := list(at(statements[0], "Resource"))
	if len(resources) != 2 || !strings.HasSuffix(text(resources[0]), ":endpoint/${Endpoint.EndpointName}") {
		t.Errorf("predict may ask %v", resources)
	}
	everything := map[string]bool{"ecr:GetAuthorizationToken": true, "cloudwatch:PutMetricData": true} // these have no resource to name
	role := tpl.Resources["EndpointRole"].Properties
	if role["ManagedPolicyArns"] != nil {
		t.Error("EndpointRole: managed policies allow more than the container needs")
	}
	for _, p := range list(role["Policies"]) {
		for _, s := range list(at(p, "PolicyDocument", "Statement")) {
			for _, action := range texts(at(s, "Action")) {
				service, _, _ := strings.Cut(action, ":")
				if !slices.Contains([]string{"logs", "s3", "ecr", "cloudwatch"}, service) || strings.Contains(action, "*") || strings.HasPrefix(action, "s3:Put") || strings.HasPrefix(action, "s3:Delete") {
					t.Errorf("the container may %s", action)
				}
				if slices.Contains(texts(at(s, "Resource")), "*") && !everything[action] {
					t.Errorf("the container may %s on everything", action)
				}
			}
		}
	}
}

// TestTheEndpointsEnvironment is known to functions/endpoint.
func TestTheEndpointsEnvironment(t *testing.T) {
	tpl := load(t)
	variables, _ := at(tpl.Resources["EndpointModel"].Properties, "PrimaryContainer", "Environment").(map[string]node)
	known := environmentOf(t, filepath.Join(root, "functions", "endpoint", "config.go"))
	for name := range maps.Keys(variables) {
		if !slices.Contains(known, name) {
			t.Errorf("nothing reads %s", name)
		}
	}
	if refers(variables["TIDEGATE_TRUSTED_KEYS"]) != "TrustedKeys" {
		t.Error("the container loads versions that nobody has signed, whatever TrustedKeys says")
	}
	if variables["TIDEGATE_REGISTRY_BUCKET"] == nil || variables["TIDEGATE_PRELOAD_MODELS"] == nil || variables["TIDEGATE_CAPTURE_STREAM"] != nil {
		t.Errorf("the container is given %v: it follows the registry, and captures nothing: predict does", slices.Sorted(maps.Keys(variables)))
	}
}

// TestTheEndpointIsDeployedWithCare: data capture is off, a change is rolled back by alarms of this template, and it follows its load.
func TestTheEndpointIsDeployedWithCare(t *testing.T) {
	tpl := load(t)
	for _, id := range []string{"EndpointConfig", "EndpointZeroConfig"} {
		if tpl.Resources[id].Properties["DataCaptureConfig"] != nil {
			t.Errorf("%s captures data, which predict does already", id)
		}
	}
	name := text(tpl.Resources["Endpoint"].Properties["EndpointName"])
	component := tpl.Resources["EndpointComponent"].Properties
	deployments := map[string]node{"Endpoint": at(tpl.Resources["Endpoint"].Properties, "DeploymentConfig", "Fn::If", 1), "EndpointComponent": component["DeploymentConfig"]}
	for id, deployment := range deployments {
		alarms := list(at(deployment, "AutoRollbackConfiguration", "Alarms"))
		if len(alarms) != 2 {
			t.Errorf("%s is rolled back by %v", id, alarms)
		}
		for _, a := range alarms {
			alarm := tpl.Resources[refers(at(a, "AlarmName"))]
			if alarm.Type != "AWS::CloudWatch::Alarm" || text(at(alarm.Properties, "Dimensions", 0, "Value")) != name {
				t.Errorf("%s: %v is no alarm on %s", id, a, name)
			}
		}
	}
	if at(deployments["Endpoint"], "BlueGreenUpdatePolicy") == nil || at(deployments["EndpointComponent"], "RollingUpdatePolicy") == nil {
		t.Error("a change of the endpoint is blue/green, one of the component rolls")
	}
	scaling := tpl.Resources["EndpointScaling"].Properties
	if refers(scaling["MinCapacity"]) != "EndpointMinInstances" || refers(scaling["MaxCapacity"]) != "EndpointMaxInstances" {
		t.Errorf("it scales between %v and %v", scaling["MinCapacity"], scaling["MaxCapacity"])
	}
	if at(tpl.Resources["EndpointZeroConfig"].Properties, "ProductionVariants", 0, "ManagedInstanceScaling", "MinInstanceCount") != 0 {
		t.Error("instances of an endpoint that scales to none never go")
	}
	if got := refers(at(tpl.Resources["EndpointWanted"].Properties, "AlarmActions", 0)); got != "EndpointScalingFromZero" {
		t.Errorf("from zero it is started by %q", got)
	}
}

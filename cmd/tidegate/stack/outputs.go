package stack

import (
	"context"
	"errors"
	"reflect"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/smithy-go"

	"github.com/tidegate/tidegate/shared/fault"
)

// Outputs are the CloudFormation outputs of template.yaml, by their names there.
// Those marked optional came later: an older stack lacks them, and works without.
type Outputs struct {
	ApiEndpoint          string // no trailing slash
	RegistryBucketName   string
	DataBucketName       string
	CaptureStreamName    string
	PredictFunctionName  string
	RegisterFunctionName string
	PromoteFunctionName  string
	TrainFunctionName    string
	LeaseFunctionName    string
	ApproveFunctionName  string
	AnnounceFunctionName string
	ProfileFunctionName  string
	DriftFunctionName    string
	DriftMachineArn      string
	RolloutMachineArn    string `output:"optional"`
	RetrainMachineArn    string `output:"optional"`
}

// Describer is the part of CloudFormation that discovery needs.
type Describer interface {
	DescribeStacks(context.Context, *cloudformation.DescribeStacksInput, ...func(*cloudformation.Options)) (*cloudformation.DescribeStacksOutput, error)
}

// Discover reads the outputs of the stack called name. Errors: NotFound (no such
// stack), FailedPrecondition (it is not deployed completely, or is not Tidegate's),
// PermissionDenied, Unavailable.
func Discover(ctx context.Context, api Describer, name string) (Outputs, error) {
	answer, err := api.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: &name})
	if err != nil {
		var refused smithy.APIError
		if errors.As(err, &refused) && refused.ErrorCode() == "ValidationError" { // CloudFormation's word for "does not exist"
			return Outputs{}, fault.Wrap(err, fault.NotFound, "there is no stack %q here; deploy it, or name it with --stack or TIDEGATE_STACK (and check the region)", name)
		}
		return Outputs{}, awsFault(err, "stack "+name+" cannot be described")
	}
	if len(answer.Stacks) != 1 {
		return Outputs{}, fault.New(fault.NotFound, "there is no stack %q here; deploy it, or name it with --stack or TIDEGATE_STACK (and check the region)", name)
	}
	return fill(name, answer)
}

func fill(name string, answer *cloudformation.DescribeStacksOutput) (Outputs, error) {
	values := map[string]string{}
	for _, o := range answer.Stacks[0].Outputs {
		values[aws.ToString(o.OutputKey)] = aws.ToString(o.OutputValue)
	}
	var out Outputs
	var missing []string
	v := reflect.ValueOf(&out).Elem()
	for i := range v.NumField() {
		key := v.Type().Field(i).Name
		if values[key] == "" && v.Type().Field(i).Tag.Get("output") != "optional" {
			missing = append(missing, key)
		}
		v.Field(i).SetString(values[key])
	}
	if len(missing) > 0 {
		return out, fault.New(fault.FailedPrecondition, "stack %q (%s) has no output %s; deploy it again with this version's template.yaml",
			name, answer.Stacks[0].StackStatus, strings.Join(missing, ", "))
	}
	out.ApiEndpoint = strings.TrimRight(out.ApiEndpoint, "/")
	return out, nil
}

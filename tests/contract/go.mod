module github.com/tidegate/tidegate/tests/contract

go 1.25.0

require go.yaml.in/yaml/v3 v3.0.6

require github.com/aws/aws-lambda-go v1.54.0

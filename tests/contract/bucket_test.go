package contract

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// request is an S3 call as a bucket policy sees it.
type request struct {
	action, key, principal string
	plain                  bool // over HTTP
	ifMatch, ifNoneMatch   bool
	part                   bool // UploadPart and CreateMultipartUpload: s3:PutObject that creates no object
}

// denied says whether a statement of the policy denies the request. It knows the operators and keys that the policies here use, and fails on others.
func denied(t *testing.T, statements []node, bucket string, r request) bool {
	t.Helper()
	for _, s := range statements {
		if at(s, "Effect") != "Deny" {
			continue
		}
		arn := bucket
		if r.key != "" {
			arn += "/" + r.key
		}
		matches := func(patterns node, value string) bool {
			return slices.ContainsFunc(texts(patterns), func(p string) bool { return like(p, value) })
		}
		if matches(at(s, "Action"), r.action) && matches(at(s, "Resource"), arn) && holds(t, at(s, "Condition"), r) {
			return true
		}
	}
	return false
}

func holds(t *testing.T, condition node, r request) bool {
	t.Helper()
	flag := map[bool]string{true: "true", false: "false"}
	keys, _ := condition.(map[string]node)
	for operator, body := range keys {
		for key, want := range body.(map[string]node) {
			met := false
			switch operator + " " + key {
			case "Bool aws:SecureTransport":
				met = text(want) == flag[!r.plain]
			case "Bool s3:ObjectCreationOperation":
				met = text(want) == flag[!r.part]
			case "Null s3:if-match":
				met = text(want) == flag[!r.ifMatch]
			case "Null s3:if-none-match":
				met = text(want) == flag[!r.ifNoneMatch]
			case "ArnNotEquals aws:PrincipalArn":
				met = !slices.Contains(texts(want), r.principal)
			default:
				t.Fatalf("this test does not know the condition %s on %s", operator, key)
			}
			if !met {
				return false
			}
		}
	}
	return true
}

// like matches an action or ARN against a pattern of a policy.
func like(pattern, value string) bool {
	expression := strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, `.*`)
	return regexp.MustCompile("^" + expression + "$").MatchString(value)
}

func TestBucketPolicies(t *testing.T) {
	const (
		promote, register = "${PromoteRole}", "${RegisterRole}"
		state             = "models/flights/state.json"
		entry             = "models/flights/log/000000000007.json"
		manifest          = "models/flights/versions/00000003/manifest.json"
		decision          = "models/flights/approvals/r1-start/decision.json"
		approve           = "${ApproveRole}"
	)
	put := func(key, principal string) request {
		return request{action: "s3:PutObject", key: key, principal: principal}
	}
	with := func(r request, change func(*request)) request { change(&r); return r }
	ifMatch := func(r *request) { r.ifMatch = true }
	ifNoneMatch := func(r *request) { r.ifNoneMatch = true }

	for _, test := range []struct {
		name    string
		request request
		denied  bool
	}{
		{"promote swaps the state", with(put(state, promote), ifMatch), false},
		{"promote writes the first state", with(put(state, promote), ifNoneMatch), false},
		{"promote writes the state without a condition", put(state, promote), true},
		{"register swaps the state", with(put(state, register), ifMatch), true},
		{"a person swaps the state", with(put(state, "arn:aws:iam::111122223333:user/admin"), ifMatch), true},
		{"promote writes a log entry", with(put(entry, promote), ifNoneMatch), false},
		{"promote overwrites a log entry", put(entry, promote), true},
		{"promote swaps a log entry", with(put(entry, promote), ifMatch), true},
		{"register writes a manifest", with(put(manifest, register), ifNoneMatch), false},
		{"register overwrites a manifest", put(manifest, register), true},
		{"approve writes a decision", with(put(decision, approve), ifNoneMatch), false},
		{"approve overwrites a decision", put(decision, approve), true},
		{"approve swaps a decision", with(put(decision, approve), ifMatch), true},
		{"a person overwrites a decision", put(decision, "arn:aws:iam::111122223333:user/admin"), true},
		{"deletes a decision", request{action: "s3:DeleteObject", key: decision, principal: approve}, true},
		{"deletes a decision's version", request{action: "s3:DeleteObjectVersion", key: decision, principal: approve}, true},
		{"a lease moves", with(put("models/flights/lease.json", "${LeaseRole}"), ifMatch), false},
		{"gc removes a blob's version", request{action: "s3:DeleteObjectVersion", key: "blobs/sha256/aa/aa00"}, false},
		{"a part of a multipart upload of a version's file", with(put("models/flights/versions/00000003/big", register), func(r *request) { r.part = true }), false},
		{"an upload", put("uploads/01ARZ3NDEKTSV4RRFFQ69G5FAV/model.onnx", "anyone"), false},
		{"a blob", put("blobs/sha256/aa/aa00", register), false},
		{"deletes the state", request{action: "s3:DeleteObject", key: state, principal: promote}, true},
		{"deletes a version of the state", request{action: "s3:DeleteObjectVersion", key: state, principal: promote}, true},
		{"deletes a log entry", request{action: "s3:DeleteObject", key: entry, principal: promote}, true},
		{"deletes a manifest's version", request{action: "s3:DeleteObjectVersion", key: manifest, principal: register}, true},
		{"deletes an upload", request{action: "s3:DeleteObject", key: "uploads/01ARZ3NDEKTSV4RRFFQ69G5FAV/model.onnx"}, false},
		{"reads", request{action: "s3:GetObject", key: state}, false},
		{"reads without TLS", request{action: "s3:GetObject", key: state, plain: true}, true},
		{"lists without TLS", request{action: "s3:ListBucket", plain: true}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			statements := list(at(load(t).Resources["RegistryPolicy"].Properties, "PolicyDocument", "Statement"))
			if got := denied(t, statements, "arn:${AWS::Partition}:s3:::${RegistryBucket}", test.request); got != test.denied {
				t.Errorf("denied = %v, want %v", got, test.denied)
			}
		})
	}

	t.Run("data without TLS", func(t *testing.T) {
		statements := list(at(load(t).Resources["DataPolicy"].Properties, "PolicyDocument", "Statement"))
		const bucket = "arn:${AWS::Partition}:s3:::${DataBucket}"
		if !denied(t, statements, bucket, request{action: "s3:PutObject", key: "captures/x", plain: true}) {
			t.Error("allowed")
		}
		if denied(t, statements, bucket, request{action: "s3:PutObject", key: "captures/x"}) {
			t.Error("denied with TLS")
		}
	})
}

// TestCollectPolicy: what a person may remove is what shared/garbage looks for.
func TestCollectPolicy(t *testing.T) {
	tpl := load(t)
	var removes []string
	for _, s := range list(at(tpl.Resources["CollectPolicy"].Properties, "PolicyDocument", "Statement")) {
		for _, action := range texts(at(s, "Action")) {
			switch action {
			case "s3:DeleteObjectVersion":
				removes = append(removes, texts(at(s, "Resource"))...)
			case "s3:ListBucket", "s3:GetObject":
			default:
				t.Errorf("it allows %s", action)
			}
		}
	}
	const bucket = "arn:${AWS::Partition}:s3:::${RegistryBucket}"
	if want := []string{bucket + "/blobs/*", bucket + "/uploads/*", bucket + "/runs/*"}; !slices.Equal(removes, want) {
		t.Errorf("it may remove versions of %v, want %v", removes, want)
	}
}

func TestBuckets(t *testing.T) {
	tpl := load(t)
	for _, id := range tpl.of("AWS::S3::Bucket") {
		p := tpl.Resources[id].Properties
		if at(p, "VersioningConfiguration", "Status") != "Enabled" {
			t.Errorf("%s must be versioned", id)
		}
		if at(p, "NotificationConfiguration", "EventBridgeConfiguration", "EventBridgeEnabled") != true {
			t.Errorf("%s must send its events to EventBridge", id)
		}
		for _, block := range []string{"BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"} {
			if at(p, "PublicAccessBlockConfiguration", block) != true {
				t.Errorf("%s: %s must be true", id, block)
			}
		}
		if at(p, "BucketEncryption") == nil || at(p, "LifecycleConfiguration") == nil {
			t.Errorf("%s needs BucketEncryption and LifecycleConfiguration", id)
		}
	}
}

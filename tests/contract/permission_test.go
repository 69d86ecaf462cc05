package contract

import (
	"slices"
	"strings"
	"testing"
)

// statement is one statement of a role's policy.
type statement struct {
	actions, resources []string
}

// statements returns what the role of a function allows. Each function has a role of its own.
func (tpl template) statements(t *testing.T, fn string) []statement {
	t.Helper()
	role := tpl.Resources[refers(tpl.Resources[fn].Properties["Role"])]
	if role.Type != "AWS::IAM::Role" {
		t.Fatalf("%s: Role must be a role of this template", fn)
	}
	if role.Properties["ManagedPolicyArns"] != nil {
		t.Errorf("%s: managed policies allow more than the function needs", fn)
	}
	var all []statement
	for _, policy := range list(role.Properties["Policies"]) {
		for _, s := range list(at(policy, "PolicyDocument", "Statement")) {
			if at(s, "Effect") == "Allow" {
				all = append(all, statement{texts(at(s, "Action")), texts(at(s, "Resource"))})
			}
		}
	}
	return all
}

func TestRolesAreNarrow(t *testing.T) {
	tpl := load(t)
	roles := map[string]string{}
	for _, fn := range tpl.functions() {
		role := refers(fn.properties["Role"])
		if other := roles[role]; other != "" {
			t.Errorf("%s and %s share %s", other, fn.id, role)
		}
		roles[role] = fn.id
		for _, s := range tpl.statements(t, fn.id) {
			for _, action := range s.actions {
				if strings.Contains(action, "*") {
					t.Errorf("%s may %s", fn.id, action)
				}
				// X-Ray has no resources to name.
				if slices.Contains(s.resources, "*") && !strings.HasPrefix(action, "xray:") {
					t.Errorf("%s may %s on everything", fn.id, action)
				}
				if strings.HasPrefix(action, "s3:Delete") {
					t.Errorf("%s may %s: nothing deletes", fn.id, action)
				}
			}
		}
	}
}

// Without ListBucket S3 answers 403 where it would answer 404, and "absent" can no longer be told from "forbidden".
func TestReadersMayList(t *testing.T) {
	tpl := load(t)
	for _, fn := range tpl.functions() {
		reads, lists := map[string]bool{}, map[string]bool{}
		for _, s := range tpl.statements(t, fn.id) {
			for _, resource := range s.resources {
				bucket, _, object := strings.Cut(resource, "/")
				if slices.Contains(s.actions, "s3:GetObject") && object {
					reads[bucket] = true
				}
				if slices.Contains(s.actions, "s3:ListBucket") && !object {
					lists[bucket] = true
				}
			}
		}
		for bucket := range reads {
			if !lists[bucket] {
				t.Errorf("%s reads %s without s3:ListBucket on it", fn.id, bucket)
			}
		}
	}
}

// Who writes what in the registry: one function, one part.
func TestWritersOfTheRegistry(t *testing.T) {
	tpl := load(t)
	const registry = "arn:${AWS::Partition}:s3:::${RegistryBucket}"
	want := map[string][]string{
		"models/m/state.json":                      {"promote"},
		"models/m/log/000000000001.json":           {"promote"},
		"models/m/settings/0.json":                 {"promote"},
		"models/m/model.json":                      {"register"},
		"models/m/versions/00000001/manifest.json": {"register"},
		"models/m/digests/0.json":                  {"register"},
		"blobs/sha256/00/0":                        {"evaluate", "register", "snapshot"}, // evidence; models; training rows
		"models/m/lease.json":                      {"lease"},
		"triggers/retrain/0.json":                  {"lease"},
		"models/m/approvals/x/decision.json":       {"approve"},
		"uploads/01ARZ3NDEKTSV4RRFFQ69G5FAV/x":     {"snapshot", "train"},
		"datasets/flights/00000001.json":           {"snapshot"},
		"runs/m/x/snapshot.json":                   {"snapshot"},
	}
	for key, writers := range want {
		var got []string
		for _, fn := range tpl.functions() {
			for _, s := range tpl.statements(t, fn.id) {
				if slices.Contains(s.actions, "s3:PutObject") && slices.ContainsFunc(s.resources, func(r string) bool { return like(r, registry+"/"+key) }) {
					got = append(got, fn.verb)
				}
			}
		}
		if !slices.Equal(got, writers) {
			t.Errorf("%s is written by %v, want %v", key, got, writers)
		}
	}
}

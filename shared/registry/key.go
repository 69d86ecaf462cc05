package registry

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/tidegate/tidegate/shared/fault"
)

// The forms of names are told by loops: every process looks at some of them before its first answer, and compiling
// patterns for them took longer than reading the state.

// isName says whether m is a model's name: it goes into keys, URLs, job names and metric dimensions.
func isName(m string) bool {
	if len(m) == 0 || len(m) > 63 || m[0] == '-' || m[0] == '_' {
		return false
	}
	for i := range len(m) {
		if c := m[i]; !lower(c) && !digit(c) && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// isPath says whether path names a version's file: relative, at most five parts of at most 100 bytes, none empty or
// beginning with a dot.
func isPath(path string) bool {
	parts := strings.Split(path, "/")
	if len(parts) > 5 {
		return false
	}
	for _, part := range parts {
		if len(part) == 0 || len(part) > 100 || part[0] == '.' || part[0] == '-' {
			return false
		}
		for i := range len(part) {
			if c := part[i]; !lower(c|0x20) && !digit(c) && c != '.' && c != '_' && c != '-' {
				return false
			}
		}
	}
	return true
}

// isDigest says whether d is sha256 in lower-case hex, with or without its prefix.
func isDigest(d string) bool {
	hex := strings.TrimPrefix(d, "sha256:")
	if len(hex) != 64 {
		return false
	}
	for i := range len(hex) {
		if c := hex[i]; !digit(c) && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func lower(c byte) bool { return c >= 'a' && c <= 'z' }
func digit(c byte) bool { return c >= '0' && c <= '9' }

// MaxVersion is the largest number that sorts right in a key.
const MaxVersion = 99_999_999

// CheckName says whether m can name a model: 1 to 63 of a-z, 0-9, "-" and "_",
// beginning with a letter or digit. The error is InvalidArgument.
func CheckName(m string) error {
	if !isName(m) {
		return fault.Invalid(fault.Violation{Path: "model", Problem: `must be 1 to 63 of a-z, 0-9, "-" and "_", beginning with a letter or digit`})
	}
	return nil
}

// CheckVersion says whether v can number a version. The error is InvalidArgument.
func CheckVersion(v int) error {
	if v < 1 || v > MaxVersion {
		return fault.Invalid(fault.Violation{Path: "version", Problem: fmt.Sprintf("must be a number from 1 to %d", MaxVersion)})
	}
	return nil
}

// CheckDigest says whether d is a sha256 digest: lower-case hex, with or without
// the prefix "sha256:". The error is InvalidArgument.
func CheckDigest(d string) error {
	if !isDigest(d) {
		return fault.Invalid(fault.Violation{Path: "digest", Problem: "must be a sha256 digest in lower-case hex"})
	}
	return nil
}

// Keys of the registry bucket (PROTOCOLS §1, docs/formats.md).

// ModelKey is the identity of model m.
func ModelKey(m string) string { return "models/" + m + "/model.json" }

// StateKey is the pointer of model m.
func StateKey(m string) string { return "models/" + m + "/state.json" }

// SettingsKey is the settings document with the given digest ("sha256:<hex>" or bare hex).
func SettingsKey(m, digest string) string {
	return "models/" + m + "/settings/" + Hex(digest) + ".json"
}

// VersionPrefix is the folder of version v, with the trailing slash.
func VersionPrefix(m string, v int) string { return fmt.Sprintf("models/%s/versions/%08d/", m, v) }

// ClaimKey allocates the number v.
func ClaimKey(m string, v int) string { return VersionPrefix(m, v) + "claim.json" }

// ManifestKey makes version v READY.
func ManifestKey(m string, v int) string { return VersionPrefix(m, v) + "manifest.json" }

// VersionFileKey is a small file of version v.
func VersionFileKey(m string, v int, path string) string { return VersionPrefix(m, v) + path }

// DigestKey maps a content digest to its version.
func DigestKey(m, digest string) string { return "models/" + m + "/digests/" + Hex(digest) + ".json" }

// LogKey is the log entry of a generation.
func LogKey(m string, generation int64) string {
	return fmt.Sprintf("models/%s/log/%012d.json", m, generation)
}

// BlobKey is the content-addressed object with the given digest.
func BlobKey(digest string) string {
	h := Hex(digest)
	return "blobs/sha256/" + h[:min(2, len(h))] + "/" + h
}

// ParseLogKey takes the key of a log entry apart; ok is false for every other key.
func ParseLogKey(key string) (model string, generation int64, ok bool) {
	parts := strings.Split(key, "/")
	if len(parts) != 4 || parts[0] != "models" || parts[2] != "log" || !isName(parts[1]) {
		return "", 0, false
	}
	generation, err := strconv.ParseInt(strings.TrimSuffix(parts[3], ".json"), 10, 64)
	if err != nil || generation < 1 || LogKey(parts[1], generation) != key {
		return "", 0, false
	}
	return parts[1], generation, true
}

// Hex strips the "sha256:" prefix of a digest.
func Hex(digest string) string {
	const prefix = "sha256:"
	if len(digest) > len(prefix) && digest[:len(prefix)] == prefix {
		return digest[len(prefix):]
	}
	return digest
}

// ApprovalKey is the request or decision ("request", "decision") of an approval of model m.
func ApprovalKey(m, id, part string) string {
	return "models/" + m + "/approvals/" + id + "/" + part + ".json"
}

// LeaseKey is the lease of model m, which one machine at a time holds.
func LeaseKey(m string) string { return "models/" + m + "/lease.json" }

// TriggerKey is the claim of what started a machine; digest is that of the trigger.
func TriggerKey(machine, digest string) string {
	return "triggers/" + machine + "/" + Hex(digest) + ".json"
}

// DatasetKey is the pinned training data number n of dataset d.
func DatasetKey(d string, n int) string { return fmt.Sprintf("datasets/%s/%08d.json", d, n) }

// DatasetPinKey says which number of dataset d was made of the pinned sources.
func DatasetPinKey(d, pin string) string { return "datasets/" + d + "/pins/" + Hex(pin) + ".json" }

// RunKey is the stored result of a step of a run on model m.
func RunKey(m, run, step string) string { return "runs/" + m + "/" + run + "/" + step + ".json" }

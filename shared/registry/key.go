package registry

import "fmt"

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
	return "blobs/sha256/" + h[:2] + "/" + h
}

// Hex strips the "sha256:" prefix of a digest.
func Hex(digest string) string {
	const prefix = "sha256:"
	if len(digest) > len(prefix) && digest[:len(prefix)] == prefix {
		return digest[len(prefix):]
	}
	return digest
}

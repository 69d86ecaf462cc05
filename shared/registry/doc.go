// Package registry keeps models, their immutable versions and the one pointer,
// state.json, that says which version serves.
//
// Everything but the pointer is written once. A version exists when its manifest
// does, which is written last. The pointer moves by the compare-and-swap protocol
// of docs/formats.md, which survives lost answers and retried callers; every
// generation has a log entry with the exact body of state.json, without gaps.
//
// The package is plain Go on a [blob.Store]: no AWS SDK, no Lambda events. It does
// not run models (see inference) and does not judge evidence (see evaluation).
package registry

package batching

import "unsafe"

// alias is a string over b's memory, as decoders make them.
func alias(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

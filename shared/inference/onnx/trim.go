package onnx

// #include <malloc.h>
import "C"

// limitArenas bounds the heaps that glibc makes for threads. Go runs cgo calls on
// many threads; each arena that loaded a session keeps what the session leaves, and
// it adds up over changes of a model.
func limitArenas(n int) { C.mallopt(C.M_ARENA_MAX, C.int(n)) }

// Trim gives free memory of the C heap back to the system (malloc_trim). glibc
// keeps what destroyed sessions leave; Go's own heap is debug.FreeOSMemory's.
func Trim() { C.malloc_trim(0) }

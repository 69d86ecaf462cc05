package onnx

// #include <malloc.h>
import "C"

// Trim gives free memory of the C heap back to the system (malloc_trim). glibc
// keeps what destroyed sessions leave; Go's own heap is debug.FreeOSMemory's.
func Trim() { C.malloc_trim(0) }

//go:build unix

package bulk

import (
	"os"
	"syscall"
)

// lock makes this process the only writer of f, until f is closed.
func lock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }

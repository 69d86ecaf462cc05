// Command peak runs a program and writes the seconds that it took and the most
// memory that it held, in MB of 10^6 bytes, to a file.
//
//	peak FIGURES.json PROGRAM [ARGUMENT]…
//
// It exists because the kernel starts the count of a new process at the memory of
// the one that it was forked from, so the parent has to be small. It ends with the
// exit code of the program.
package main

import (
	"encoding/json"
	"log"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/tidegate/tidegate/tests/bench/figures"
)

func main() {
	if len(os.Args) < 3 {
		log.Fatal("usage: peak FIGURES.json PROGRAM [ARGUMENT]…")
	}
	cmd := exec.Command(os.Args[2], os.Args[3:]...) // #nosec G204
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	start := time.Now()
	err := cmd.Run()
	took := time.Since(start)
	if cmd.ProcessState == nil {
		log.Fatal(err)
	}
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		log.Fatal("this system does not tell the memory of a process")
	}
	text, err := json.Marshal(figures.Peak{Seconds: took.Seconds(), RSSMB: float64(usage.Maxrss) * 1024 / 1e6})
	if err == nil {
		err = os.WriteFile(os.Args[1], text, 0o600)
	}
	if err != nil {
		log.Fatal(err)
	}
	os.Exit(cmd.ProcessState.ExitCode())
}

package main

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// Machine is what the figures were taken on.
type Machine struct {
	CPU     string `json:"cpu"`
	Cores   int    `json:"cores"`
	Kernel  string `json:"kernel"`
	LoadAvg string `json:"load_average"` // when the run began: other work on the machine shows here
}

func thisMachine() Machine {
	m := Machine{Cores: runtime.NumCPU(), Kernel: file("/proc/sys/kernel/osrelease"), LoadAvg: file("/proc/loadavg")}
	for line := range strings.Lines(file("/proc/cpuinfo")) {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			m.CPU = strings.TrimSpace(strings.TrimLeft(name, "\t :"))
			break
		}
	}
	return m
}

// versions of what takes part. packages are the Python packages to name.
func versions(python string) map[string]string {
	v := map[string]string{"go": runtime.Version(), "commit": command("git", "rev-parse", "--short", "HEAD")}
	script := `import sys, importlib.metadata as m
print("python", sys.version.split()[0])
for p in ("onnxruntime", "numpy", "awslambdaric"): print(p, m.version(p))`
	for line := range strings.Lines(command(python, "-c", script)) {
		if name, version, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			v[name] = version
		}
	}
	return v
}

func command(name string, args ...string) string {
	out, err := exec.Command(name, args...).Output() // #nosec G204
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

func file(path string) string {
	text, err := os.ReadFile(path) // #nosec G304 -- fixed paths below /proc
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

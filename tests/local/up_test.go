package local

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidegate/tidegate/tests/local/stack"
)

// What is up and current is left alone: up again is harmless.
func TestUpTwice(t *testing.T) {
	folder := filepath.Join(stack.Root(), ".local", local.Instance)
	before := string(read(t, filepath.Join(folder, "pid"))) + string(read(t, filepath.Join(folder, "endpoint.json")))
	out, err := exec.CommandContext(t.Context(), filepath.Join(stack.Root(), "scripts", "up"), "--instance", local.Instance).Output()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(string(out)); got != local.Endpoint {
		t.Errorf("up again prints %s, want %s", got, local.Endpoint)
	}
	if after := string(read(t, filepath.Join(folder, "pid"))) + string(read(t, filepath.Join(folder, "endpoint.json"))); after != before {
		t.Errorf("up again left\n%s\nwhere there was\n%s", after, before)
	}
	processes, err := local.Processes()
	if err != nil {
		t.Fatal(err)
	}
	emulators := 0
	for _, command := range processes {
		if strings.Contains(command, "ministack.app") {
			emulators++
		}
	}
	if emulators != 1 {
		t.Errorf("%d emulators are running: %s", emulators, strings.Join(processes, "; "))
	}
}

package local

import (
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/tidegate/tidegate/tests/local/stack"
)

// What Lambda takes: the function and its layers, unzipped.
const maxUnzipped = 250 << 20

// Functions with cgo run on provided.al2023, which has glibc 2.34.
const maxGLIBC = 34

var layersOf = map[string]string{"predict": "OnnxruntimeLayer", "register": "OnnxruntimeLayer", "score": "OnnxruntimeLayer", "train": "TrainingLayer"}

func built(name string) string {
	return filepath.Join(stack.Root(), ".local", "sam", "build", name)
}

func TestBundlesFitLambda(t *testing.T) {
	for _, verb := range verbs(t) {
		size := sizeOf(t, built(strings.ToUpper(verb[:1])+verb[1:]+"Function"))
		if layer := layersOf[verb]; layer != "" {
			size += sizeOf(t, built(layer))
		}
		t.Logf("%s: %.1f MB unzipped with its layer", verb, float64(size)/(1<<20))
		if size > maxUnzipped {
			t.Errorf("%s: %d bytes unzipped with its layer, Lambda takes %d", verb, size, maxUnzipped)
		}
	}
}

func TestBootstrapsRunOnTheRuntime(t *testing.T) {
	for _, verb := range verbs(t) {
		if verb == "train" {
			continue
		}
		t.Run(verb, func(t *testing.T) {
			file, err := elf.Open(filepath.Join(built(strings.ToUpper(verb[:1])+verb[1:]+"Function"), "bootstrap"))
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			libraries, err := file.ImportedLibraries()
			if err != nil {
				t.Fatal(err)
			}
			models := layersOf[verb] != ""
			if !models && len(libraries) > 0 {
				t.Errorf("needs %v; it runs no models and must be static", libraries)
			}
			// The C++ runtime comes with libonnxruntime's process only if the image has it; the function itself must not ask for it.
			for _, library := range libraries {
				if strings.HasPrefix(library, "libstdc++") || strings.HasPrefix(library, "libgcc_s") {
					t.Errorf("needs %s", library)
				}
			}
			if got := glibc(t, file); got > maxGLIBC {
				t.Errorf("asks for GLIBC_2.%d, provided.al2023 has 2.%d", got, maxGLIBC)
			} else {
				t.Logf("asks for GLIBC_2.%d and %v", got, libraries)
			}
		})
	}
}

func TestOnnxruntimeLayer(t *testing.T) {
	path := filepath.Join(built("OnnxruntimeLayer"), "lib", "libonnxruntime.so")
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	file, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	machine := map[elf.Machine]string{elf.EM_X86_64: "x86_64", elf.EM_AARCH64: "aarch64"}[file.Machine]
	pins := pins(t)
	sum := sha256.Sum256(content)
	if got, want := hex.EncodeToString(sum[:]), pins["library_"+machine]; got != want {
		t.Errorf("libonnxruntime.so for %s has sha256 %s, layers/onnxruntime/pins says %s", machine, got, want)
	}
	limit, err := strconv.Atoi(strings.TrimPrefix(pins["glibc_max"], "2."))
	if err != nil {
		t.Fatal(err)
	}
	if got := glibc(t, file); got > limit {
		t.Errorf("asks for GLIBC_2.%d, pinned is at most 2.%d", got, limit)
	}
}

var glibcVersion = regexp.MustCompile(`^GLIBC_2\.(\d+)`)

// glibc is the minor number of the newest glibc that a symbol of the file asks for; 0 for a static file.
func glibc(t *testing.T, file *elf.File) int {
	t.Helper()
	symbols, err := file.DynamicSymbols()
	if err != nil && err != elf.ErrNoSymbols {
		t.Fatal(err)
	}
	newest := 0
	for _, symbol := range symbols {
		if match := glibcVersion.FindStringSubmatch(symbol.Version); match != nil && symbol.Section == elf.SHN_UNDEF {
			minor, _ := strconv.Atoi(match[1])
			newest = max(newest, minor)
		}
	}
	return newest
}

// pins reads layers/onnxruntime/pins: lines of name=value.
func pins(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(stack.Root(), "layers", "onnxruntime", "pins"))
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(line, "#") {
			values[name] = value
		}
	}
	return values
}

func sizeOf(t *testing.T, folder string) int64 {
	t.Helper()
	var total int64
	err := filepath.WalkDir(folder, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			total += info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return total
}

// verbs lists the functions of the repository.
func verbs(t *testing.T) []string {
	t.Helper()
	folders, err := filepath.Glob(filepath.Join(stack.Root(), "events", "*"))
	if err != nil || len(folders) == 0 {
		t.Fatal("there is nothing below events/", err)
	}
	var names []string
	for _, folder := range folders {
		names = append(names, filepath.Base(folder))
	}
	return names
}

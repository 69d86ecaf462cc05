// Package blobtest holds every implementation of blob.Store to the same
// behaviour, and makes stores fail on purpose.
//
// It is imported by tests only. [Run] is the conformance suite; [Faulty] wraps a
// store so that a seeded share of its calls is lost, refused or slow, with the
// effects that such calls have on S3.
//
//	func TestMemory(t *testing.T) {
//		blobtest.Run(t, func(*testing.T) blob.Store { return new(blob.Memory) })
//	}
package blobtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/fault"
)

// Run checks that the stores which open returns behave as blob.Store promises.
// open is called once per subtest and may return the same store each time: all
// keys lie under a prefix of their own.
func Run(t *testing.T, open func(t *testing.T) blob.Store) {
	tests := []struct {
		name string
		run  func(t *testing.T, s *subject)
	}{
		{"absent key", testAbsent},
		{"put and read back", testPutGet},
		{"etag follows content", testETag},
		{"write once", testWriteOnce},
		{"compare and swap", testCompareAndSwap},
		{"a refused write changes nothing", testRefusedWrite},
		{"get if changed", testGetIfChanged},
		{"bodies are copies", testCopies},
		{"ranges", testRanges},
		{"versions", testVersions},
		{"stream in", testPutStream},
		{"big body", testBigBody},
		{"list order and start", testList},
		{"list pages", testListPages},
		{"list stops early", testListStops},
		{"odd keys", testOddKeys},
		{"one winner on an absent key", testRaceOnce},
		{"one winner per round", testRaceRounds},
		{"ended context", testContext},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.run(t, &subject{Store: open(t), prefix: "doctor/conformance-" + unique() + "/"})
		})
	}
}

// subject is the store under test with a key space of its own.
type subject struct {
	blob.Store
	prefix string
}

func (s *subject) key(name string) string { return s.prefix + name }

func (s *subject) put(t *testing.T, name, body string, cond blob.Condition) blob.Info {
	t.Helper()
	info, err := s.Put(t.Context(), s.key(name), []byte(body), cond)
	if err != nil {
		t.Fatalf("Put(%s): %v", name, err)
	}
	return info
}

func (s *subject) get(t *testing.T, name string) blob.Object {
	t.Helper()
	obj, err := s.Get(t.Context(), s.key(name))
	if err != nil {
		t.Fatalf("Get(%s): %v", name, err)
	}
	return obj
}

func wantKind(t *testing.T, what string, err error, want fault.Kind) {
	t.Helper()
	if got := fault.KindOf(err); got != want {
		t.Errorf("%s: kind %q (%v), want %q", what, got, err, want)
	}
}

func testAbsent(t *testing.T, s *subject) {
	ctx, key := t.Context(), s.key("nothing")
	_, err := s.Get(ctx, key)
	wantKind(t, "Get", err, fault.NotFound)
	_, err = s.Head(ctx, key)
	wantKind(t, "Head", err, fault.NotFound)
	_, _, err = s.GetIfChanged(ctx, key, `"0123456789abcdef0123456789abcdef"`)
	wantKind(t, "GetIfChanged", err, fault.NotFound)
	_, _, err = s.Open(ctx, key, 0, -1)
	wantKind(t, "Open", err, fault.NotFound)
	_, _, err = s.Open(ctx, key, 5, 0)
	wantKind(t, "Open of nothing", err, fault.NotFound)
	_, err = s.Put(ctx, key, []byte("x"), blob.Match(`"0123456789abcdef0123456789abcdef"`))
	wantKind(t, "Put with If-Match", err, fault.NotFound)
	for info, err := range s.List(ctx, s.prefix, "") {
		t.Errorf("List yields %v, %v; want nothing", info, err)
	}
}

func testPutGet(t *testing.T, s *subject) {
	for name, body := range map[string]string{"text": `{"a":1}`, "empty": "", "binary": "\x00\xff\r\n\x80"} {
		put := s.put(t, name, body, blob.Always())
		obj := s.get(t, name)
		if string(obj.Body) != body {
			t.Errorf("%s: read %q, want %q", name, obj.Body, body)
		}
		head, err := s.Head(t.Context(), s.key(name))
		if err != nil {
			t.Fatal(err)
		}
		if put.ETag == "" || put.ETag != obj.ETag || head.ETag != obj.ETag {
			t.Errorf("%s: ETags of put %q, get %q, head %q differ", name, put.ETag, obj.ETag, head.ETag)
		}
		if obj.Size != int64(len(body)) || head.Size != obj.Size || put.Size != obj.Size {
			t.Errorf("%s: sizes put %d, get %d, head %d, want %d", name, put.Size, obj.Size, head.Size, len(body))
		}
		if put.Key != s.key(name) || obj.Key != put.Key || head.Key != put.Key {
			t.Errorf("%s: keys put %q, get %q, head %q", name, put.Key, obj.Key, head.Key)
		}
		if obj.VersionID != put.VersionID || head.VersionID != put.VersionID {
			t.Errorf("%s: version ids put %q, get %q, head %q", name, put.VersionID, obj.VersionID, head.VersionID)
		}
		if age := time.Since(obj.Modified).Abs(); age > 24*time.Hour || head.Modified.Sub(obj.Modified).Abs() > time.Second {
			t.Errorf("%s: modified %v, head says %v", name, obj.Modified, head.Modified)
		}
	}
}

func testETag(t *testing.T, s *subject) {
	one := s.put(t, "k", "one", blob.Always())
	two := s.put(t, "k", "two", blob.Always())
	again := s.put(t, "k", "one", blob.Always())
	if one.ETag == two.ETag {
		t.Errorf("different content has one ETag %s", one.ETag)
	}
	// A checksum of content: this is why every body in the registry that is swapped carries a generation.
	if one.ETag != again.ETag {
		t.Errorf("equal content has the ETags %s and %s", one.ETag, again.ETag)
	}
}

func testWriteOnce(t *testing.T, s *subject) {
	s.put(t, "k", "first", blob.Once())
	for _, body := range []string{"second", "first"} { // also for equal content
		_, err := s.Put(t.Context(), s.key("k"), []byte(body), blob.Once())
		wantKind(t, "second write", err, fault.FailedPrecondition)
	}
	_, err := s.PutStream(t.Context(), s.key("k"), strings.NewReader("third"), 5, blob.Once())
	wantKind(t, "streamed write", err, fault.FailedPrecondition)
	if got := s.get(t, "k"); string(got.Body) != "first" {
		t.Errorf("content is %q, want the first write's", got.Body)
	}
}

func testCompareAndSwap(t *testing.T, s *subject) {
	etag := s.put(t, "k", "0", blob.Once()).ETag
	for i := 1; i <= 3; i++ {
		info := s.put(t, "k", fmt.Sprint(i), blob.Match(etag))
		_, err := s.Put(t.Context(), s.key("k"), []byte("stale"), blob.Match(etag))
		wantKind(t, "stale ETag", err, fault.FailedPrecondition)
		etag = info.ETag
	}
	obj := s.get(t, "k")
	if string(obj.Body) != "3" || obj.ETag != etag {
		t.Errorf("content %q, ETag %s; want 3, %s", obj.Body, obj.ETag, etag)
	}
	if _, err := s.Put(t.Context(), s.key("k"), []byte("4"), blob.Match(obj.ETag)); err != nil {
		t.Errorf("swap with the ETag that Get gave: %v", err)
	}
}

func testRefusedWrite(t *testing.T, s *subject) {
	before := s.put(t, "k", "kept", blob.Once())
	_, err := s.Put(t.Context(), s.key("k"), []byte("other"), blob.Once())
	wantKind(t, "write once", err, fault.FailedPrecondition)
	_, err = s.Put(t.Context(), s.key("k"), []byte("other"), blob.Match(`"0123456789abcdef0123456789abcdef"`))
	wantKind(t, "wrong ETag", err, fault.FailedPrecondition)
	after, err := s.Head(t.Context(), s.key("k"))
	if err != nil || after.ETag != before.ETag || after.VersionID != before.VersionID {
		t.Errorf("a refused write changed the object: %+v to %+v, %v", before, after, err)
	}
}

func testGetIfChanged(t *testing.T, s *subject) {
	ctx := t.Context()
	info := s.put(t, "k", "one", blob.Always())
	obj, changed, err := s.GetIfChanged(ctx, s.key("k"), info.ETag)
	if err != nil || changed || obj.ETag != info.ETag || obj.Body != nil {
		t.Errorf("unchanged: %+v, %v, %v", obj, changed, err)
	}
	s.put(t, "k", "two", blob.Match(info.ETag))
	obj, changed, err = s.GetIfChanged(ctx, s.key("k"), info.ETag)
	if err != nil || !changed || string(obj.Body) != "two" || obj.ETag == info.ETag {
		t.Errorf("changed: %+v, %v, %v", obj, changed, err)
	}
	obj, changed, err = s.GetIfChanged(ctx, s.key("k"), "")
	if err != nil || !changed || string(obj.Body) != "two" {
		t.Errorf("without an ETag: %+v, %v, %v", obj, changed, err)
	}
}

func testCopies(t *testing.T, s *subject) {
	body := []byte("body")
	if _, err := s.Put(t.Context(), s.key("k"), body, blob.Always()); err != nil {
		t.Fatal(err)
	}
	body[0] = 'X'
	first := s.get(t, "k")
	first.Body[1] = 'X'
	if got := s.get(t, "k"); string(got.Body) != "body" {
		t.Errorf("stored content follows the caller's buffer: %q", got.Body)
	}
}

func testRanges(t *testing.T, s *subject) {
	s.put(t, "k", "0123456789", blob.Always())
	s.put(t, "empty", "", blob.Always())
	tests := []struct {
		name           string
		offset, length int64
		want           string
		size           int64
	}{
		{"k", 0, -1, "0123456789", 10}, {"k", 3, -1, "3456789", 10}, {"k", 3, 4, "3456", 10}, {"k", 0, 1, "0", 10},
		{"k", 9, 1, "9", 10}, {"k", 8, 100, "89", 10}, {"k", 10, 5, "", 10}, {"k", 50, -1, "", 10}, {"k", 2, 0, "", 10},
		{"empty", 0, -1, "", 0}, {"empty", 0, 10, "", 0}, {"empty", 0, 0, "", 0},
	}
	for _, tt := range tests {
		r, info, err := s.Open(t.Context(), s.key(tt.name), tt.offset, tt.length)
		if err != nil {
			t.Errorf("Open(%s, %d, %d): %v", tt.name, tt.offset, tt.length, err)
			continue
		}
		got, err := io.ReadAll(r)
		if cerr := r.Close(); err != nil || cerr != nil {
			t.Errorf("reading %s from %d: %v, %v", tt.name, tt.offset, err, cerr)
		}
		if string(got) != tt.want || info.Size != tt.size || info.ETag == "" {
			t.Errorf("Open(%s, %d, %d) = %q of %+v, want %q of %d bytes", tt.name, tt.offset, tt.length, got, info, tt.want, tt.size)
		}
	}
	_, _, err := s.Open(t.Context(), s.key("k"), -1, 1)
	wantKind(t, "negative offset", err, fault.Internal)
}

func testPutStream(t *testing.T, s *subject) {
	r := strings.NewReader("skipped|streamed|rest")
	if _, err := r.Seek(8, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	info, err := s.PutStream(t.Context(), s.key("k"), r, 8, blob.Once())
	if err != nil || info.Size != 8 {
		t.Fatalf("PutStream: %+v, %v", info, err)
	}
	if got := s.get(t, "k"); string(got.Body) != "streamed" || got.ETag != info.ETag {
		t.Errorf("stored %q with ETag %s, want the 8 bytes from the position of the reader, %s", got.Body, got.ETag, info.ETag)
	}
	if _, err = s.PutStream(t.Context(), s.key("k"), strings.NewReader("swapped"), 7, blob.Match(info.ETag)); err != nil {
		t.Errorf("swap by stream: %v", err)
	}
	_, err = s.PutStream(t.Context(), s.key("short"), strings.NewReader("abc"), 5, blob.Always())
	wantKind(t, "a reader that ends too soon", err, fault.Internal)
	if _, err = s.Head(t.Context(), s.key("short")); !fault.Is(err, fault.NotFound) {
		t.Errorf("a short body was stored: %v", err)
	}
	if info, err = s.PutStream(t.Context(), s.key("none"), strings.NewReader(""), 0, blob.Once()); err != nil || info.Size != 0 {
		t.Errorf("an empty stream: %+v, %v", info, err)
	}
}

func testBigBody(t *testing.T, s *subject) {
	body := make([]byte, 9<<20+1) // more than one buffer, part or frame of any layer below
	for i := range body {
		body[i] = byte(i * 2654435761 >> 7)
	}
	info, err := s.PutStream(t.Context(), s.key("big"), bytes.NewReader(body), int64(len(body)), blob.Once())
	if err != nil || info.Size != int64(len(body)) {
		t.Fatalf("PutStream: %+v, %v", info, err)
	}
	got := s.get(t, "big")
	if sha256.Sum256(got.Body) != sha256.Sum256(body) {
		t.Errorf("%d bytes read, %d written, content differs", len(got.Body), len(body))
	}
}

func (s *subject) list(t *testing.T, prefix, after string) []string {
	t.Helper()
	var names []string
	for info, err := range s.List(t.Context(), s.key(prefix), after) {
		if err != nil {
			t.Fatalf("List(%s): %v", prefix, err)
		}
		names = append(names, strings.TrimPrefix(info.Key, s.prefix))
		if info.ETag == "" || info.Size != 1 || info.Modified.IsZero() {
			t.Errorf("listed entry lacks something: %+v", info)
		}
	}
	return names
}

func testList(t *testing.T, s *subject) {
	all := []string{"a/1", "a/2/x", "a/2/y", "a/3", "a0", "ab", "b/1"}
	for _, name := range slices.Backward(all) {
		s.put(t, name, "x", blob.Always())
	}
	tests := []struct {
		prefix, after string
		want          []string
	}{
		{"", "", all},
		{"a/", "", []string{"a/1", "a/2/x", "a/2/y", "a/3"}},
		{"a/", s.key("a/2/x"), []string{"a/2/y", "a/3"}},
		{"a/", s.key("a/2/"), []string{"a/2/x", "a/2/y", "a/3"}},
		{"a/", s.key("a0"), nil},
		{"a/", "0", []string{"a/1", "a/2/x", "a/2/y", "a/3"}},
		{"a", s.key("a/3"), []string{"a0", "ab"}},
		{"c", "", nil},
	}
	for _, tt := range tests {
		if got := s.list(t, tt.prefix, tt.after); !slices.Equal(got, tt.want) {
			t.Errorf("List(%q, %q) = %v, want %v", tt.prefix, tt.after, got, tt.want)
		}
	}
}

func testListPages(t *testing.T, s *subject) {
	const n = 1103 // S3 gives 1,000 keys a page
	keys := make(chan int)
	failed := make(chan error, 16)
	for range cap(failed) {
		go func() {
			var first error
			for i := range keys {
				if _, err := s.Put(t.Context(), s.key(fmt.Sprintf("p/%08d", i)), []byte("x"), blob.Always()); err != nil && first == nil {
					first = err
				}
			}
			failed <- first
		}()
	}
	want := make([]string, n)
	for i := range n {
		want[i] = fmt.Sprintf("p/%08d", i)
		keys <- i
	}
	close(keys)
	for range cap(failed) {
		if err := <-failed; err != nil {
			t.Fatal(err)
		}
	}
	if got := s.list(t, "p/", ""); !slices.Equal(got, want) {
		t.Errorf("listed %d keys, want %d in order", len(got), n)
	}
	if got := s.list(t, "p/", s.key(want[49])); !slices.Equal(got, want[50:]) {
		t.Errorf("listed %d keys from the 51st, want %d", len(got), n-50)
	}
}

func testListStops(t *testing.T, s *subject) {
	for i := range 5 {
		s.put(t, fmt.Sprint(i), "x", blob.Always())
	}
	n := 0
	for range s.List(t.Context(), s.prefix, "") {
		if n++; n == 2 {
			break
		}
	}
	if n != 2 {
		t.Errorf("the loop ran %d times, want 2", n)
	}
}

func testOddKeys(t *testing.T, s *subject) {
	for _, name := range []string{"space in key", "plus+sign", "percent%41", "a=b&c?d#e", "umlaut-ä", "dots..x/y", "col:on,comma;semi"} {
		s.put(t, name, "x", blob.Once())
		if got := s.get(t, name); string(got.Body) != "x" {
			t.Errorf("%q reads back %q", name, got.Body)
		}
		if got := s.list(t, name, ""); !slices.Equal(got, []string{name}) {
			t.Errorf("listing %q gives %q", name, got)
		}
	}
}

func testRaceOnce(t *testing.T, s *subject) {
	for range 5 {
		if report, err := blob.Probe(t.Context(), s.Store, s.key("once-"+unique()), 16, 1); err != nil || report.Won+report.Undecided != 1 {
			t.Errorf("%+v, %v", report, err)
		}
	}
}

func testRaceRounds(t *testing.T, s *subject) {
	report, err := blob.Probe(t.Context(), s.Store, s.key("rounds"), 12, 20)
	if err != nil || report.Won < 10 {
		t.Errorf("%+v, %v; want a winner in nearly every round", report, err)
	}
}

func testContext(t *testing.T, s *subject) {
	info := s.put(t, "k", "x", blob.Always())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	calls := map[string]func() error{
		"Get":          func() error { _, err := s.Get(ctx, s.key("k")); return err },
		"GetIfChanged": func() error { _, _, err := s.GetIfChanged(ctx, s.key("k"), info.ETag); return err },
		"Head":         func() error { _, err := s.Head(ctx, s.key("k")); return err },
		"Open":         func() error { _, _, err := s.Open(ctx, s.key("k"), 0, -1); return err },
		"Put":          func() error { _, err := s.Put(ctx, s.key("k"), nil, blob.Always()); return err },
		"PutStream": func() error {
			_, err := s.PutStream(ctx, s.key("k"), strings.NewReader(""), 0, blob.Always())
			return err
		},
		"List": func() error {
			for _, err := range s.List(ctx, s.prefix, "") {
				return err
			}
			return errors.New("the listing yields nothing, not even an error")
		},
	}
	for name, call := range calls {
		err := call()
		wantKind(t, name, err, fault.Unavailable)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v does not tell that the context was cancelled", name, err)
		}
	}
}

func unique() string {
	var b [8]byte
	rand.Read(b[:]) // never fails: crypto/rand
	return hex.EncodeToString(b[:])
}

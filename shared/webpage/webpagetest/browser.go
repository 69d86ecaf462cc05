// Package webpagetest looks at pages in a real browser.
package webpagetest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// chromium finds a browser: $CHROMIUM, or one by its usual names.
func chromium() string {
	for _, name := range []string{os.Getenv("CHROMIUM"), "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "headless_shell"} {
		if name == "" {
			continue
		}
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// message is one of the Chrome DevTools protocol, which passes over a pipe here.
type message struct {
	ID        int             `json:"id,omitempty"`
	SessionID string          `json:"sessionId,omitempty"`
	Method    string          `json:"method,omitempty"`
	Params    any             `json:"params,omitempty"`
	Result    json.RawMessage `json:"result,omitempty"`
	Error     json.RawMessage `json:"error,omitempty"`
}

// browser is one tab of a headless browser.
type browser struct {
	t       *testing.T
	out     *os.File
	in      *bufio.Scanner
	session string
	last    int
	events  []string // method and parameters
}

func start(t *testing.T, path string) *browser {
	t.Helper()
	theirIn, ourOut, err := os.Pipe()
	check(t, err)
	ourIn, theirOut, err := os.Pipe()
	check(t, err)
	data, err := os.MkdirTemp("", "chromium") // not t.TempDir: a helper process may outlive the browser for a moment
	check(t, err)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 2*time.Minute)
	cmd := exec.CommandContext(ctx, path, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars", "--user-data-dir="+data, "--remote-debugging-pipe", "about:blank")
	cmd.ExtraFiles = []*os.File{theirIn, theirOut} // descriptors 3 and 4
	cmd.WaitDelay = 10 * time.Second
	check(t, cmd.Start())
	check(t, theirIn.Close())
	check(t, theirOut.Close())
	b := &browser{t: t, out: ourOut, in: bufio.NewScanner(ourIn)}
	b.in.Buffer(nil, 64<<20)
	b.in.Split(func(data []byte, _ bool) (int, []byte, error) {
		if i := bytes.IndexByte(data, 0); i >= 0 {
			return i + 1, data[:i], nil
		}
		return 0, nil, nil
	})
	t.Cleanup(func() {
		_, _ = ourOut.Write([]byte("{\"id\":1000000,\"method\":\"Browser.close\"}\x00"))
		_ = cmd.Wait()
		cancel()
		_ = os.RemoveAll(data)
		_ = ourIn.Close()
		_ = ourOut.Close()
	})
	var target struct {
		TargetID  string `json:"targetId"`
		SessionID string `json:"sessionId"`
	}
	b.into(&target, "Target.createTarget", map[string]any{"url": "about:blank"})
	b.into(&target, "Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true})
	b.session = target.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log", "Network"} {
		b.call(domain+".enable", nil)
	}
	return b
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// call sends a command and reads until its answer; what comes between are events.
func (b *browser) call(method string, params any) json.RawMessage {
	b.t.Helper()
	b.last++
	m := message{ID: b.last, Method: method, Params: params}
	if !strings.HasPrefix(method, "Target.") && !strings.HasPrefix(method, "Browser.") {
		m.SessionID = b.session
	}
	raw, err := json.Marshal(m)
	check(b.t, err)
	if _, err := b.out.Write(append(raw, 0)); err != nil {
		b.t.Errorf("%s: the browser is gone: %v", method, err)
		return nil
	}
	return b.read(func(got *message) bool { return got.ID == m.ID })
}

func (b *browser) read(until func(*message) bool) json.RawMessage {
	b.t.Helper()
	for b.in.Scan() {
		var got message
		check(b.t, json.Unmarshal(b.in.Bytes(), &got))
		if got.Method != "" {
			params, _ := json.Marshal(got.Params)
			b.events = append(b.events, got.Method+" "+string(params))
		}
		if until(&got) {
			if len(got.Error) > 0 {
				b.t.Errorf("the browser answers %s", got.Error)
			}
			return got.Result
		}
	}
	b.t.Errorf("the browser has ended: %v", b.in.Err())
	return nil
}

func (b *browser) into(v any, method string, params any) {
	b.t.Helper()
	check(b.t, json.Unmarshal(b.call(method, params), v))
}

// open shows file in a window of the given size and scheme, and waits until it is loaded.
func (b *browser) open(file string, width, height int, dark bool) {
	b.t.Helper()
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	b.events = nil
	b.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600})
	b.call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}})
	b.call("Page.navigate", map[string]any{"url": "file://" + file})
	loaded := func(event string) bool { return strings.HasPrefix(event, "Page.loadEventFired") }
	for _, e := range b.events {
		if loaded(e) {
			return
		}
	}
	b.read(func(m *message) bool { return m.Method == "Page.loadEventFired" })
}

func (b *browser) eval(expression string, into any) {
	b.t.Helper()
	var out struct {
		Result struct {
			Value json.RawMessage `json:"value"`
		} `json:"result"`
		Exception json.RawMessage `json:"exceptionDetails"`
	}
	b.into(&out, "Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true})
	if len(out.Exception) > 0 {
		b.t.Fatalf("%s", out.Exception)
	}
	check(b.t, json.Unmarshal(out.Result.Value, into))
}

// What is asked of the page once it is shown. contrast is that of WCAG 2: between
// a text and the first background behind it.
const (
	tooWide = `[...document.querySelectorAll('body *')].filter(e => !e.closest('.hidden, thead') && !e.closest('svg') && e.getBoundingClientRect().right > innerWidth + 0.5)
		.map(e => e.tagName + '.' + e.className + ': ' + e.textContent.slice(0, 40))`
	tooSmall = `[...document.querySelectorAll('body *')].filter(e => e.childNodes.length && [...e.childNodes].some(n => n.nodeType == 3 && n.data.trim()) &&
		parseFloat(getComputedStyle(e).fontSize) < 12).map(e => e.tagName + ' ' + e.textContent.slice(0, 40))`
	tooFaint = `(() => { const rgb = s => s.match(/[\d.]+/g).map(Number);
		const light = c => { const [r, g, b] = c.map(v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b };
		const behind = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > 0) return c.slice(0, 3) } return [255, 255, 255] };
		return [...document.querySelectorAll('body *')].filter(e => !e.closest('svg, .hidden') && [...e.childNodes].some(n => n.nodeType == 3 && n.data.trim())).filter(e => {
			const a = light(rgb(getComputedStyle(e).color).slice(0, 3)), b = light(behind(e));
			return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) < 4.5 }).map(e => e.tagName + '.' + e.className + ': ' + e.textContent.slice(0, 40)) })()`
)

// Look shows html at a desk and on two phones, light and dark: it must load nothing,
// complain of nothing, fit the width, be readable, and have a title that begins with
// title. Without a browser the test is skipped; scripts/browser finds or fetches one.
func Look(t *testing.T, html []byte, title string) {
	t.Helper()
	path := chromium()
	if path == "" {
		t.Skip("no Chromium was found: set CHROMIUM to what scripts/browser prints, or install chromium")
	}
	file := filepath.Join(t.TempDir(), "page.html")
	check(t, os.WriteFile(file, html, 0o600))
	b := start(t, path)
	for _, size := range [][2]int{{1280, 900}, {390, 844}, {320, 640}} {
		for _, dark := range []bool{false, true} {
			b.open(file, size[0], size[1], dark)
			b.inspect(fmt.Sprintf("%d wide, dark %v", size[0], dark), file, title)
		}
	}
}

func (b *browser) inspect(name, file, title string) {
	b.t.Helper()
	for what, expression := range map[string]string{"reaches beyond the window": tooWide, "is too small": tooSmall, "has too little contrast": tooFaint} {
		var found []string
		b.eval(expression, &found)
		if len(found) > 0 {
			b.t.Errorf("%s: %d elements, the first %q: %s", name, len(found), found[0], what)
		}
	}
	var shown string
	b.eval("document.title", &shown)
	if !strings.HasPrefix(shown, title) {
		b.t.Fatalf("%s: the title is %q", name, shown)
	}
	var fits bool
	b.eval("document.documentElement.scrollWidth <= innerWidth", &fits)
	if !fits {
		b.t.Errorf("%s: the page scrolls sideways", name)
	}
	for _, e := range b.events {
		method, params, _ := strings.Cut(e, " ")
		switch {
		case method == "Runtime.exceptionThrown", method == "Runtime.consoleAPICalled", method == "Log.entryAdded":
			b.t.Errorf("%s: the console says %s", name, params)
		case method == "Network.requestWillBeSent" && !strings.Contains(params, `"url":"file://`+file) && !strings.Contains(params, `"url":"data:`):
			b.t.Errorf("%s: a request leaves the page: %s", name, params)
		}
	}
}

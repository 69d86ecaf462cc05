package command

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
)

// print writes doc as JSON, or calls human.
func (a *app) print(doc any, human func(w io.Writer)) error {
	if !a.json {
		human(a.Stdout)
		return nil
	}
	enc := json.NewEncoder(a.Stdout)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return fault.Wrap(enc.Encode(doc), fault.Internal, "the output cannot be written")
}

// table writes rows under a header, aligned; empty cells show as "-".
func table(w io.Writer, header []string, rows [][]string) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, strings.Join(header, "\t"))
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, c := range row {
			if cells[i] = c; c == "" {
				cells[i] = "-"
			}
		}
		fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	t.Flush()
}

// progress draws a bar of total units on standard error when that is a terminal.
// unit is "rows" or "bytes"; total 0 or less draws a spinner.
func (a *app) progress(total int64, what string, bytes bool) *progressbar.ProgressBar {
	if total <= 0 {
		total = -1
	}
	return progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(a.Stderr), progressbar.OptionSetVisibility(a.Interactive && !a.json),
		progressbar.OptionSetDescription(what), progressbar.OptionShowBytes(bytes), progressbar.OptionShowCount(),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
}

func when(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}

func ref(r *registry.Ref) string {
	if r == nil {
		return ""
	}
	return fmt.Sprint(r.Version)
}

// short is the start of a digest, enough to tell versions of one model apart.
func short(digest string) string {
	h := registry.Hex(digest)
	return h[:min(12, len(h))]
}

// parity says in a few words what the comparison with the trainer's answers found.
func parity(p *registry.Parity) string {
	if p == nil || !p.Checked {
		reason := ""
		if p != nil && p.Reason != "" {
			reason = ": " + p.Reason
		}
		return "not checked" + reason
	}
	return fmt.Sprintf("%d rows, max |diff| %.2g", p.Rows, p.MaxAbsDiff)
}

// Package page writes a drift report as one HTML file for people: verdict first,
// then what was left out, the history, and column by column the two distributions
// drawn over each other beside the measures.
//
// The file is self-contained: no script, no font, no image from elsewhere, no
// request. It judges nothing and adds nothing to the report; equal reports are
// equal bytes.
//
//	html, err := page.HTML(report)
package page

import (
	"bytes"
	_ "embed"
	"html/template"

	"github.com/tidegate/tidegate/shared/drift"
	"github.com/tidegate/tidegate/shared/fault"
)

//go:embed page.html
var source string

//go:embed page.css
var style string

// parse reads the embedded template; tests run it, so it cannot fail later.
func parse() (*template.Template, error) {
	return template.New("page").Funcs(template.FuncMap{
		"style": func() template.CSS { return template.CSS(style) },
	}).Parse(source)
}

// HTML is the page of r. The error is Internal.
func HTML(r *drift.Report) ([]byte, error) {
	t, err := parse()
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the template of the drift page is damaged")
	}
	var b bytes.Buffer
	if err := t.Execute(&b, viewOf(r)); err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the drift page cannot be written")
	}
	return b.Bytes(), nil
}

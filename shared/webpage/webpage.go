// Package webpage is what the pages of reports have in common: one style, one way
// to write numbers, and the rule that a page is one file. No script, no font, no
// image from elsewhere, no request; equal views are equal bytes.
//
//	html, err := webpage.HTML(source, view)
package webpage

import (
	"bytes"
	_ "embed"
	"html/template"

	"github.com/tidegate/tidegate/shared/fault"
)

//go:embed webpage.css
var style string

// HTML fills the template source with view. {{style}} in it is the style sheet. The
// error is Internal: sources are embedded, and their tests fill them.
func HTML(source string, view any) ([]byte, error) {
	t, err := template.New("page").Funcs(template.FuncMap{
		"style": func() template.CSS { return template.CSS(style) }, // #nosec G203 -- embedded
	}).Parse(source)
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the template of a page is damaged")
	}
	var b bytes.Buffer
	if err := t.Execute(&b, view); err != nil {
		return nil, fault.Wrap(err, fault.Internal, "a page cannot be written")
	}
	return bytes.TrimLeft(b.Bytes(), " \n"), nil // what definitions leave
}

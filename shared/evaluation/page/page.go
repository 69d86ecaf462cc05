// Package page writes the report of an evaluation as one HTML file for people: the
// verdict first, then what to know before relying on it, how good each version was
// beside its reference, the estimate without labels, the challenger against the
// champion, the last windows, and what was left out.
//
// It judges nothing and adds nothing to the report; equal reports are equal bytes.
//
//	html, err := page.HTML(report)
package page

import (
	_ "embed"
	"strings"

	"github.com/tidegate/tidegate/shared/evaluation"
	"github.com/tidegate/tidegate/shared/webpage"
)

var (
	//go:embed page.html
	whole string
	//go:embed version.html
	versions string
	//go:embed versus.html
	comparisons string
	//go:embed page.css
	style string
)

// source is the template of the page: the parts are templates that the whole uses.
var source = versions + comparisons + strings.Replace(whole, "/* page.css */", style, 1)

// HTML is the page of r. The error is Internal.
func HTML(r *evaluation.Report) ([]byte, error) { return webpage.HTML(source, viewOf(r)) }

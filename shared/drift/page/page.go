// Package page writes a drift report as one HTML file for people: verdict first,
// then what was left out, the history, and column by column the two distributions
// drawn over each other beside the measures.
//
// It judges nothing and adds nothing to the report; equal reports are equal bytes.
//
//	html, err := page.HTML(report)
package page

import (
	_ "embed"

	"github.com/tidegate/tidegate/shared/drift"
	"github.com/tidegate/tidegate/shared/webpage"
)

//go:embed page.html
var source string

// HTML is the page of r. The error is Internal.
func HTML(r *drift.Report) ([]byte, error) { return webpage.HTML(source, viewOf(r)) }

package stat

import (
	"math"

	"gonum.org/v1/gonum/mathext"
)

// McNemar is McNemar's test (1947) that two classifiers are right equally often on
// the same rows. Only the rows count on which one of them alone is right.
type McNemar struct {
	FirstOnly  uint64 `json:"first_only"`  // rows that the first alone has right
	SecondOnly uint64 `json:"second_only"` // rows that the second alone has right
	// Exact is the two-sided p-value of the binomial distribution.
	Exact float64 `json:"exact_p_value"`
	// ChiSquare and Corrected are the statistic with Edwards' continuity correction and its
	// p-value. Equal counts have the statistic 0, as in R (statsmodels corrects them to 1/n).
	ChiSquare float64 `json:"chi_square"`
	Corrected float64 `json:"corrected_p_value"`
}

// NewMcNemar tests the two discordant counts; none at all give p-values of 1.
func NewMcNemar(firstOnly, secondOnly uint64) McNemar {
	m := McNemar{FirstOnly: firstOnly, SecondOnly: secondOnly, Exact: 1, Corrected: 1}
	if firstOnly == secondOnly {
		return m
	}
	n := float64(firstOnly) + float64(secondOnly)
	least := math.Min(float64(firstOnly), float64(secondOnly))
	// P(X ≤ k) of a fair coin is the regularised incomplete beta function I_½(n−k, k+1).
	m.Exact = math.Min(1, 2*mathext.RegIncBeta(n-least, least+1, 0.5))
	m.ChiSquare = (n - 2*least - 1) * (n - 2*least - 1) / n
	m.Corrected = ChiSquareSurvival(m.ChiSquare, 1)
	return m
}

package schema

// Checker is a contract compiled for the hot path.
type Checker struct{ schema *Schema }

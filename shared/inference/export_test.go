package inference

import "context"

// Remembered is how many models f has an entry of, and how many names it knows to have none.
func (f *Fleet) Remembered() (entries, unknown int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.models), len(f.unknown)
}

// UnknownKept bounds the names without an entry.
const UnknownKept = unknownKept

// Found is what a request does that has found or made the entry of a model.
func (f *Fleet) Found(name string) (goOn func(context.Context) error, err error) {
	m, err := f.model(name)
	return func(ctx context.Context) error { _, err := m.current(ctx); return err }, err
}

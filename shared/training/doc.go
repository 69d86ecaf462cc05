// Package training is what happens around a training: which data is pinned for it,
// whether it needs to run at all and why, what the trainer is asked, what it left, on
// which rows the new version stands beside the champion, and whether an old training
// can be repeated. It is the body of the function snapshot, and of `replay`.
//
// It does not train (functions/train, or an image of the user's), register
// (shared/registration) or judge (shared/evaluation/trial).
//
// Invariants: a version that a retraining made names the dataset, schema,
// hyperparameters and code it was made of; equal ones have one key, and a key that a
// READY version has is not trained again unless somebody insists; a step of a run
// answers the same whoever asks again.
//
//	p := training.Planner{Registry: reg, Builder: builder, Uploads: store, Now: time.Now, …}
//	out, err := p.Run(ctx, training.In{Step: "snapshot", Model: "flights", Run: run, Code: code})
package training

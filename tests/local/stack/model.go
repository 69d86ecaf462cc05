package stack

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
)

// Name makes a model name of a test's own from its name and the time, so that tests and runs do not meet.
func Name(test string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		}
		return '-'
	}, strings.ToLower(test))
	return strings.Trim(name[:min(len(name), 40)], "-") + "-" + strings.ToLower(ulid.Make().String()[16:])
}

// Serve registers an ONNX file as a version of the model and makes it the champion of a model that has none.
func (s *Stack) Serve(ctx context.Context, model, task string, onnx []byte) (version int, err error) {
	uri, err := s.Upload(ctx, "uploads/"+ulid.Make().String()+"/model.onnx", onnx)
	if err != nil {
		return 0, err
	}
	return s.serve(ctx, model, task, uri)
}

// ServeFolder does the same with a trainer's files, by their names.
func (s *Stack) ServeFolder(ctx context.Context, model, task string, files map[string][]byte) (version int, err error) {
	folder := "uploads/" + ulid.Make().String() + "/"
	for name, content := range files {
		if _, err := s.Upload(ctx, folder+name, content); err != nil {
			return 0, err
		}
	}
	return s.serve(ctx, model, task, "s3://"+s.Outputs["RegistryBucketName"]+"/"+folder)
}

func (s *Stack) serve(ctx context.Context, model, task, source string) (version int, err error) {
	var registered struct {
		Version int `json:"version"`
	}
	if err := s.step(ctx, "register", map[string]any{"model": model, "task": task, "source": source, "actor": "test"}, &registered); err != nil {
		return 0, err
	}
	bootstrap := map[string]any{"model": model, "kind": "bootstrap", "version": registered.Version,
		"transition_id": ulid.Make().String(), "seen_generation": 0, "actor": "test", "reason": "a test serves it"}
	return registered.Version, s.step(ctx, "promote", bootstrap, new(map[string]any))
}

func (s *Stack) step(ctx context.Context, verb string, in, out any) error {
	event, err := json.Marshal(in)
	if err != nil {
		return err
	}
	answer, err := s.Invoke(ctx, verb, event)
	if err != nil {
		return fmt.Errorf("stack: %s: %w", verb, err)
	}
	return json.Unmarshal(answer, out)
}

// Eventually asks until the answer is yes, an error, or the context ends; what others do after an answer (captures, announcements) takes a moment.
func Eventually(ctx context.Context, ask func() (bool, error)) error {
	for {
		yes, err := ask()
		if yes || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("stack: still no: %w", ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

package dataset

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
)

// index is datasets/<name>/pins/<pin>.json: the number that the pinned sources have.
type index struct {
	V      int    `json:"v"`
	Number int    `json:"number"`
	Pin    string `json:"pin"`
}

// Read returns a stored dataset; NotFound when there is none of that number.
func Read(ctx context.Context, reg *registry.Registry, name string, number int) (Document, error) {
	if err := registry.CheckName(name); err != nil {
		return Document{}, err
	}
	key := registry.DatasetKey(name, number)
	body, err := reg.ReadRecord(ctx, key)
	if fault.Is(err, fault.NotFound) {
		return Document{}, fault.Wrap(err, fault.NotFound, "dataset %q has no number %d", name, number)
	}
	if err != nil {
		return Document{}, err
	}
	return parse(key, body)
}

// pinned finds the dataset of a pin. One whose channel is no longer there is not
// found: it is made again, from the same versions of the same objects.
func (b *Builder) pinned(ctx context.Context, name, pin string) (Document, bool, error) {
	number, err := b.numberOf(ctx, name, pin)
	if err != nil || number == 0 {
		return Document{}, false, err
	}
	d, err := Read(ctx, b.Registry, name, number)
	if err != nil {
		return Document{}, false, err
	}
	if d.Pin != pin {
		return Document{}, false, fault.New(fault.Internal, "%s is of other sources than its index says", registry.DatasetKey(name, number))
	}
	there, err := b.Registry.HasBlob(ctx, d.Digest)
	return d, there, err
}

// numberOf is the number that a pin has, 0 for none.
func (b *Builder) numberOf(ctx context.Context, name, pin string) (int, error) {
	key := registry.DatasetPinKey(name, pin)
	body, err := b.Registry.ReadRecord(ctx, key)
	if fault.Is(err, fault.NotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return parseIndex(key, pin, body)
}

func parseIndex(key, pin string, body []byte) (int, error) {
	var i index
	if err := json.Unmarshal(body, &i); err != nil || i.V != 1 || i.Number < 1 || i.Pin != pin {
		return 0, fault.Wrap(fmt.Errorf("not the index of its pin (%v)", err), fault.Internal, "%s is damaged; restore an older version of the object", key)
	}
	return i.Number, nil
}

// store gives d a number: the next one, or the one that its pin got from another
// caller meanwhile, or from one that ended before it wrote the index.
func (b *Builder) store(ctx context.Context, d Document) (Built, error) {
	if number, err := b.numberOf(ctx, d.Name, d.Pin); err != nil || number > 0 {
		return b.adopt(ctx, d, number, err)
	}
	numbers, err := numbersOf(ctx, b.Registry, d.Name)
	if err != nil {
		return Built{}, err
	}
	last := 0
	if len(numbers) > 0 {
		last = numbers[len(numbers)-1]
		newest, err := Read(ctx, b.Registry, d.Name, last)
		if err != nil {
			return Built{}, err
		}
		if newest.Pin == d.Pin {
			return b.claim(ctx, newest)
		}
	}
	d.CreatedAt = b.Now().UTC()
	for d.Number = last + 1; d.Number <= registry.MaxVersion; d.Number++ {
		_, created, err := b.Registry.PutRecord(ctx, registry.DatasetKey(d.Name, d.Number), d)
		if err != nil {
			return Built{}, err
		}
		if created {
			return b.claim(ctx, d)
		}
	}
	return Built{}, fault.New(fault.ResourceExhausted, "dataset %q has used up its numbers", d.Name)
}

// claim ties a number to its pin. The first one counts; a number that lost stays, and nobody names it.
func (b *Builder) claim(ctx context.Context, d Document) (Built, error) {
	key := registry.DatasetPinKey(d.Name, d.Pin)
	body, _, err := b.Registry.PutRecord(ctx, key, index{V: 1, Number: d.Number, Pin: d.Pin})
	if err != nil {
		return Built{}, err
	}
	number, err := parseIndex(key, d.Pin, body)
	if err != nil || number != d.Number {
		return b.adopt(ctx, d, number, err)
	}
	return Built{Document: d, Created: true}, nil
}

// adopt answers with the number that has the pin, whose channel must be the one just made.
func (b *Builder) adopt(ctx context.Context, d Document, number int, err error) (Built, error) {
	if err != nil {
		return Built{}, err
	}
	stored, err := Read(ctx, b.Registry, d.Name, number)
	if err != nil {
		return Built{}, err
	}
	if stored.Digest != d.Digest {
		return Built{}, fault.New(fault.Internal, "the sources of dataset %q number %d make other rows now than when they were pinned", d.Name, number)
	}
	return Built{Document: stored}, nil
}

// numbersOf are the numbers of a dataset, in order.
func numbersOf(ctx context.Context, reg *registry.Registry, name string) ([]int, error) {
	prefix := "datasets/" + name + "/"
	var numbers []int
	for key, err := range reg.Records(ctx, prefix) {
		if err != nil {
			return nil, err
		}
		text, ok := strings.CutSuffix(strings.TrimPrefix(key, prefix), ".json")
		if n, err := strconv.Atoi(text); ok && err == nil && registry.DatasetKey(name, n) == key {
			numbers = append(numbers, n)
		}
	}
	return numbers, nil
}

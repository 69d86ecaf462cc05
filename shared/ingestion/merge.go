package ingestion

import (
	"bufio"
	"bytes"
	"io"
)

// merge hands all labels to emit, in order. repeated says of a label that one of
// the same row came before it, and counts; equal, that the two have the same value.
func (s *sorter) merge(emit func(it *item, repeated, equal bool) error) error {
	s.sort()
	heap := make([]*run, 0, len(s.runs)+1)
	from := int64(0)
	for _, end := range s.runs {
		heap = append(heap, &run{r: bufio.NewReaderSize(io.NewSectionReader(s.file, from, end-from), 256<<10)})
		from = end
	}
	heap = append(heap, &run{memory: s, entries: s.entries})
	var err error
	if heap, err = fill(heap); err != nil {
		return err
	}
	var head uint64
	var id, value []byte // of the label that counts
	for first := true; len(heap) > 0; first = false {
		top := heap[0]
		repeated := !first && top.head == head && bytes.Equal(top.id, id)
		equal := repeated && bytes.Equal(top.value, value)
		if !repeated {
			head, id, value = top.head, append(id[:0], top.id...), append(value[:0], top.value...)
		}
		if err := emit(&top.item, repeated, equal); err != nil {
			return err
		}
		more, err := top.next()
		if err != nil {
			return err
		}
		if !more {
			heap[0] = heap[len(heap)-1]
			heap = heap[:len(heap)-1]
		}
		sink(heap, 0)
	}
	return nil
}

// fill reads the first label of each run and makes a heap of those that have one.
func fill(runs []*run) ([]*run, error) {
	heap := runs[:0]
	for _, r := range runs {
		more, err := r.next()
		if err != nil {
			return nil, err
		}
		if more {
			heap = append(heap, r)
		}
	}
	for i := len(heap)/2 - 1; i >= 0; i-- {
		sink(heap, i)
	}
	return heap, nil
}

// sink restores the order of the heap below i.
func sink(heap []*run, i int) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(heap); child++ {
			if compare(&heap[child].item, &heap[least].item) < 0 {
				least = child
			}
		}
		if least == i {
			return
		}
		heap[i], heap[least] = heap[least], heap[i]
		i = least
	}
}

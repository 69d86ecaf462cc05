// Package ingestion files labels that have landed under the hour of the prediction
// they belong to, so that evaluation finds the labels of an hour without reading
// all labels that ever came.
//
// A source is one object under labels/landed/: what Firehose wrote of feedback's
// requests, or a file that somebody dropped. It is read once as a stream, sorted on
// disk by model, hour and id, and filed as one object for each model and hour; a
// report says what became of every line (docs/formats/label.md).
//
// It does not look for the prediction: that may land later than its label. Labels
// of one row in several sources are settled when they are read (label.Newer).
//
// Invariant: filed objects and report are written once, under keys made of the
// source, and the report last. Whatever is delivered twice, or out of order, or cut
// off and repeated, ends in the same objects; a source with a report is not read again.
package ingestion

// Package testdata holds the vectors of the canonical form of audit entries, for whoever re-implements it. Start with
// [Vectors], or read the files beside this one. It is apart from package audit so that no program carries them.
//
// A vector is a file: header lines "name: value", an empty line, then the entry's bytes up to the end of the file.
// The header expect says what a verifier must answer: ok, form (the bytes are not in canonical form) or opening (they
// are, but the opening is not theirs). The header opening, where there is one, has the opening's bytes. Each file
// that must be refused has one fault, which the header about names.
package testdata

import "embed"

// Vectors has the files of the directory vectors.
//
//go:embed vectors
var Vectors embed.FS

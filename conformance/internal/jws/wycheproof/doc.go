// Package wycheproof has a test only: Wycheproof's vectors for JOSE, through the verifier of the suite. It is a module of its own so that the vectors never reach the
// product's graph; run it with go test ./... from this directory.
package wycheproof

// Package interop has tests only: clients that others wrote, against our server as a real process, and providers that others wrote, with
// us as a client of theirs. They are a module of their own so that none of them ever reaches the product's graph; run them with
// go test ./... from this directory.
package interop

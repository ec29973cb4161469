// Package toolhive has a test only: the suite against the authorization server within toolhive. It is a module of its own as its neighbours are; run it with
// go test -v . from this directory.
package toolhive

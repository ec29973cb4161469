// Package provider has a test only: the suite against npm's oidc-provider, with an exchange registered as its documentation shows. It is a module of its own as its
// neighbours are; run it with go test -v . from this directory, with Node 20 or newer.
package provider

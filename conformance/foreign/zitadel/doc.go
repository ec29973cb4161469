// Package zitadel has a test only: the suite against the example server of zitadel's library for OpenID Connect. It is a module of its own so that the library never
// reaches the product's graph; run it with go test -v . from this directory.
package zitadel

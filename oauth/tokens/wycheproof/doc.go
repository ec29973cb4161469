// Package wycheproof has tests only: the JOSE vectors of Project Wycheproof against the strict reader of JWTs that others made. They
// are a module of their own so that none of it ever reaches the product's graph; run them with go test -v ./... from this directory.
package wycheproof

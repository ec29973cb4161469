// Package peers has benchmarks and tests only: package rp in front of an API beside libraries that others wrote, over the same tokens in one run. They are a
// module of their own so that none of them ever reaches the product's graph; run them with go test -bench . from this directory.
package peers

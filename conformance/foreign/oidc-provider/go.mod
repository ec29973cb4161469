module github.com/understudy-id/understudy/conformance/foreign/oidc-provider

go 1.26.0

replace github.com/understudy-id/understudy => ../../..

require github.com/understudy-id/understudy v0.0.0-00010101000000-000000000000

require golang.org/x/net v0.62.0 // indirect

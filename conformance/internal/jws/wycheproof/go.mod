module github.com/understudy-id/understudy/conformance/internal/jws/wycheproof

go 1.26.4

replace github.com/understudy-id/understudy => ../../../..

require (
	github.com/c2sp/wycheproof v0.0.0-20260902155932-3fa63dd0344a
	github.com/understudy-id/understudy v0.0.0-00010101000000-000000000000
)

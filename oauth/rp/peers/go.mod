module github.com/understudy-id/understudy/oauth/rp/peers

go 1.26.4

replace github.com/understudy-id/understudy => ../../..

require (
	github.com/auth0/go-jwt-middleware/v2 v2.3.1
	github.com/coreos/go-oidc/v3 v3.21.0
	github.com/go-jose/go-jose/v4 v4.1.8
	github.com/golang-jwt/jwt/v5 v5.3.1
	github.com/understudy-id/understudy v0.0.0-00010101000000-000000000000
)

require (
	golang.org/x/crypto v0.58.0 // indirect
	golang.org/x/oauth2 v0.36.0 // indirect
	golang.org/x/sync v0.24.0 // indirect
	gopkg.in/go-jose/go-jose.v2 v2.6.3 // indirect
)

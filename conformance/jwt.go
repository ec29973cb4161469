package conformance

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/understudy-id/understudy/conformance/internal/jws"
)

// jwt is a token that was read, verified or not.
type jwt struct {
	header, claims map[string]any
	signed         string
	signature      []byte
}

// key is one of a JWKS (RFC 7517).
type key = jws.Key

var b64 = jws.B64

// parseJWT reads the compact form, strictly.
func parseJWT(token string) (*jwt, error) { return claimed(jws.Parse(token)) }

// verify checks a signature by the one key of its kid, and gives what the token says.
func verify(token string, keys []key) (*jwt, error) { return claimed(jws.Verify(token, keys)) }

// claimed is a token whose payload are claims.
func claimed(t *jws.Token, err error) (*jwt, error) {
	if err != nil {
		return nil, err
	}
	claims, err := jws.Object(t.Payload)
	if err != nil {
		return nil, err
	}
	return &jwt{t.Header, claims, t.Signed, t.Signature}, nil
}

// keys reads the server's keys.
func (p *probe) keys() []key {
	a := p.get(p.run.meta.JWKS)
	var set struct {
		Keys []key `json:"keys"`
	}
	if a.status != http.StatusOK || json.Unmarshal([]byte(a.body), &set) != nil {
		p.blocked("the keys cannot be read: %v", a)
	}
	return set.Keys
}

// says gives what a token of the server says, with its signature verified by a published key. Where it is no JWT it says nothing, and the case is skipped: an API then
// asks by introspection.
func (p *probe) says(token string) *jwt {
	if strings.Count(token, ".") != 2 {
		p.skip("access tokens of the target are no JWTs")
	}
	t, err := verify(token, p.keys())
	if err != nil {
		p.fail(Critical, "a token that verifies with a published key", "%v", err)
	}
	return t
}

// text gives a claim that is a string, "" for any other.
func (t *jwt) text(name string) string {
	s, _ := t.claims[name].(string)
	return s
}

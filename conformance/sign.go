package conformance

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"time"

	"github.com/understudy-id/understudy/conformance/internal/jws"
)

// assertionType is the one client_assertion_type for a JWT (RFC 7523 §2.2).
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// keyPair signs as a client does.
type keyPair struct {
	alg     string
	private crypto.Signer
	public  map[string]any // the public half as a JWK (RFC 7517)
}

// newKeyPair is one that nobody knows: P-256.
func newKeyPair() *keyPair {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err) // no entropy: nothing can go on
	}
	k, err := pairOf(private)
	if err != nil {
		panic(err)
	}
	return k
}

// key reads the client's private key.
func (c *Client) key() (*keyPair, error) {
	block, rest := pem.Decode([]byte(c.PrivateKey))
	if block == nil || block.Type != "PRIVATE KEY" || len(rest) > 0 {
		return nil, errors.New("must be one PKCS #8 key in PEM")
	}
	private, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("must be one PKCS #8 key in PEM")
	}
	signer, ok := private.(crypto.Signer)
	if !ok {
		return nil, errors.New("must be a key that signs")
	}
	return pairOf(signer)
}

func pairOf(private crypto.Signer) (*keyPair, error) {
	switch public := private.Public().(type) {
	case *ecdsa.PublicKey:
		point, err := public.Bytes()
		if err != nil {
			return nil, err
		}
		for alg, a := range jws.Curves {
			if a.Of == public.Curve {
				half := (len(point) - 1) / 2
				return &keyPair{alg, private, map[string]any{"kty": "EC", "crv": a.Name, "x": b64.EncodeToString(point[1 : 1+half]), "y": b64.EncodeToString(point[1+half:])}}, nil
			}
		}
	case ed25519.PublicKey:
		return &keyPair{"EdDSA", private, map[string]any{"kty": "OKP", "crv": "Ed25519", "x": b64.EncodeToString(public)}}, nil
	case *rsa.PublicKey:
		e := big.NewInt(int64(public.E)).Bytes()
		return &keyPair{"RS256", private, map[string]any{"kty": "RSA", "n": b64.EncodeToString(public.N.Bytes()), "e": b64.EncodeToString(e)}}, nil
	}
	return nil, errors.New("must be of P-256, P-384, P-521, RSA or Ed25519")
}

// thumbprint is RFC 7638 §3, of an EC key: the members that are required, in their order.
func (k *keyPair) thumbprint() string {
	sum := sha256.Sum256(fmt.Appendf(nil, `{"crv":%q,"kty":%q,"x":%q,"y":%q}`, k.public["crv"], k.public["kty"], k.public["x"], k.public["y"]))
	return b64.EncodeToString(sum[:])
}

// signature is over what is signed, in the form of JWS (RFC 7518 §3).
func (k *keyPair) signature(signed string) []byte {
	var (
		sig []byte
		err error
	)
	switch private := k.private.(type) {
	case *ecdsa.PrivateKey:
		a := jws.Curves[k.alg]
		size := (a.Of.Params().BitSize + 7) / 8
		r, s, e := ecdsa.Sign(rand.Reader, private, jws.Digest(a.Hash, signed))
		if err = e; err == nil {
			sig = append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
		}
	case ed25519.PrivateKey:
		sig = ed25519.Sign(private, []byte(signed))
	default:
		sig, err = k.private.Sign(rand.Reader, jws.Digest(crypto.SHA256, signed), crypto.SHA256)
	}
	if err != nil {
		panic(err) // a key that was read signs
	}
	return sig
}

// made is a JWT in the making.
type made struct {
	header, claims map[string]any
	key            *keyPair
}

// twist spoils it before it is signed.
type twist func(*made)

func claim(name string, v any) twist { return func(m *made) { m.claims[name] = v } }

func headed(name string, v any) twist { return func(m *made) { m.header[name] = v } }

func unclaimed(name string) twist { return func(m *made) { delete(m.claims, name) } }

func signedBy(k *keyPair) twist { return func(m *made) { m.key = k } }

// sign makes the compact form (RFC 7515 §3.1).
func (m *made) sign() string {
	header, err := json.Marshal(m.header)
	if err != nil {
		panic(err)
	}
	claims, err := json.Marshal(m.claims)
	if err != nil {
		panic(err)
	}
	return m.key.compact(string(header), string(claims))
}

// compact signs two parts as they are.
func (k *keyPair) compact(header, claims string) string {
	signed := b64.EncodeToString([]byte(header)) + "." + b64.EncodeToString([]byte(claims))
	return signed + "." + b64.EncodeToString(k.signature(signed))
}

// now is the server's time, as far as Target.Elapse has moved it.
func (p *probe) now() time.Time { return time.Now().Add(p.run.elapsed) }

// assertion is one that authenticates c (RFC 7523 §3), but for the twists.
func (p *probe) assertion(c *Client, twists ...twist) string {
	k, err := c.key()
	if err != nil {
		p.blocked("the key of %s: %v", c.ID, err)
	}
	now := p.now().Unix()
	m := &made{
		header: map[string]any{"alg": k.alg, "typ": "client-authentication+jwt"}, key: k,
		claims: map[string]any{"iss": c.ID, "sub": c.ID, "aud": p.run.target.Issuer, "jti": random(), "iat": now, "exp": now + 60},
	}
	if c.KeyID != "" {
		m.header["kid"] = c.KeyID
	}
	for _, t := range twists {
		t(m)
	}
	return m.sign()
}

// asserting are the parameters that carry an assertion.
func asserting(assertion string) url.Values {
	return url.Values{"client_assertion_type": {assertionType}, "client_assertion": {assertion}}
}

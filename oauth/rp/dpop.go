package rp

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/understudy-id/understudy/oauth/internal/seal"
	"github.com/understudy-id/understudy/oauth/tokens"
)

const (
	codeProof = "invalid_dpop_proof"
	codeNonce = "use_dpop_nonce"
)

func badProof(rule string) *BearerError {
	return &BearerError{Status: http.StatusUnauthorized, Code: codeProof, Description: "The DPoP proof was refused: " + rule + "."}
}

var (
	errProofOnce  = badProof("one must be given, and no more")
	errProofOther = badProof("it must be of the key that the token is bound to")
	errProofSpent = badProof("it was used before")
	errNonce      = &BearerError{Status: http.StatusUnauthorized, Code: codeNonce, Description: "The DPoP proof must have the nonce that DPoP-Nonce gives."}
)

// proofs tells which DPoP proofs are good here (RFC 9449 §4.3).
type proofs struct {
	now    func() time.Time
	nonces *seal.Box
	once   func(ctx context.Context, key string, until time.Time) (bool, error)
}

func newProofs(c *BearerConfig, now func() time.Time) (*proofs, error) {
	// Of the secret, so that replicas and restarts agree, and of the client and issuer, so that no other API's will do.
	key, err := hkdf.Key(sha256.New, []byte(c.ClientSecret), []byte(c.Issuer), "understudy rp dpop nonces "+c.ClientID, seal.KeySize)
	if err != nil {
		return nil, fmt.Errorf("rp: deriving the key of nonces: %w", err)
	}
	p := &proofs{now: now, once: c.Once}
	if p.nonces, err = seal.New(key); err != nil {
		return nil, err
	}
	if p.once == nil {
		p.once = (&spent{now: now}).first
	}
	return p, nil
}

// prove holds who sends a token that is bound to a key to that key, and any other to the scheme Bearer (RFC 9449 §7.1, §7.2): a bound token as
// a bearer token would be worth as much to who stole it. A proof is spent last.
func (b *Bearer) prove(c *call, r *http.Request, token string, headers []string) *BearerError {
	switch {
	case c.key == "" && c.scheme == schemeBearer:
		return nil
	case c.key == "" || c.scheme == schemeBearer || b.proofs == nil:
		return errToken
	case len(headers) != 1:
		return errProofOnce
	}
	proof, err := tokens.VerifyProof(headers[0], tokens.ExpectProof{Method: r.Method, URL: b.cfg.URL + r.URL.EscapedPath(), Now: b.now(), AccessToken: token})
	switch {
	case err != nil:
		return badProof(strings.TrimPrefix(err.Error(), "tokens: "))
	case proof.Thumbprint != c.key:
		return errProofOther
	case b.cfg.DPoPNonce && !b.proofs.gave(proof.Nonce):
		return errNonce
	}
	return b.spend(c, r, proof)
}

// spend lets the first of all pass who come with a proof. All spellings of one path are one here, and some of two: that
// refuses more, of who gives two proofs one jti.
func (b *Bearer) spend(c *call, r *http.Request, proof tokens.Proof) *BearerError {
	sum := sha256.Sum256([]byte(proof.Thumbprint + path.Clean("/"+r.URL.Path) + " " + proof.ID))
	first, err := b.proofs.once(c, base64.RawURLEncoding.EncodeToString(sum[:]), proof.IssuedAt.Add(tokens.MaxProofAge))
	switch {
	case err != nil:
		return b.unavailable(c, "whether a proof was used before cannot be told", err)
	case !first:
		return errProofSpent
	}
	return nil
}

// nonceTurn is how long one nonce is given out. It is taken for one turn more: longer than a proof counts, and too short to make proofs in
// stock (RFC 9449 §11.2).
const nonceTurn = 2 * time.Minute

// nonce is that of the current turn, or of one that is away from it. Nothing is kept.
func (p *proofs) nonce(away int64) string {
	turn := p.now().UnixMilli()/nonceTurn.Milliseconds() + away
	sum := p.nonces.Tag(binary.BigEndian.AppendUint64(nil, uint64(turn)))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// gave reports whether nonce is one that was given out lately. The turn ahead is that of a replica whose clock is.
func (p *proofs) gave(nonce string) bool {
	for _, away := range []int64{0, -1, 1} {
		if subtle.ConstantTimeCompare([]byte(nonce), []byte(p.nonce(away))) == 1 {
			return true
		}
	}
	return false
}

const (
	// spentTurn is how long a half of a spent is filled: longer than a proof counts, whose iat may lie some seconds ahead.
	spentTurn = tokens.MaxProofAge + 30*time.Second
	// spentMost is the most proofs of one turn: 2,900 a second, 36 MB in both halves. Beyond it nobody knows, and nobody is served: only who
	// holds a bound token and its key gets anything in.
	spentMost = 1 << 18
)

// spent remembers the proofs of the last turns. Safe for concurrent use.
type spent struct {
	now func() time.Time

	mu         sync.Mutex
	since      time.Time // when young was begun
	young, old map[string]struct{}
}

func (s *spent) first(_ context.Context, key string, _ time.Time) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.now(); s.young == nil || now.Sub(s.since) >= spentTurn {
		s.old, s.young, s.since = s.young, make(map[string]struct{}), now
	}
	_, young := s.young[key]
	_, old := s.old[key]
	switch {
	case young || old:
		return false, nil
	case len(s.young) >= spentMost:
		return false, fmt.Errorf("%d proofs within %v are remembered, and no more", spentMost, spentTurn)
	}
	s.young[key] = struct{}{}
	return true, nil
}

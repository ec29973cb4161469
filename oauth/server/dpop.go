package server

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/tokens"
)

var (
	errProofMissing = invalidProof("is required: this client's tokens are bound to a key (RFC 9449 section 5.2)")
	errProofOnce    = invalidProof("one proof must be given, and no more (RFC 9449 section 4.3)")
	errProofSpent   = invalidProof("the proof was used before (RFC 9449 section 11.1)")
	errProofOther   = invalidProof("dpop_jkt must be the thumbprint of its key (RFC 9449 section 10.1)")
	errProofNonce   = &wireError{Status: http.StatusBadRequest, Code: "use_dpop_nonce", Description: "DPoP: the proof must have the nonce that DPoP-Nonce gives (RFC 9449 section 8)."}
)

func invalidProof(rule string) *wireError {
	return &wireError{Status: http.StatusBadRequest, Code: "invalid_dpop_proof", Description: "DPoP: " + rule + "."}
}

// givingNonce answers whoever sends a proof with the nonce for the next one, whatever else the answer is (RFC 9449 §8.2): a client that
// goes on never sees its nonce run out.
func (s *Server) givingNonce(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if len(r.Header.Values("DPoP")) > 0 {
			w.Header().Set("DPoP-Nonce", s.nonce(0))
		}
		h(w, r)
	}
}

// nonceTurn is how long one nonce is given out. It is taken for one turn more, so it is good for two to four minutes: longer than a
// proof, and too short to make proofs in stock (RFC 9449 §11.2).
const nonceTurn = 2 * time.Minute

// nonce is that of the current turn, or of one that is away from it. Nothing is kept: every process with the same sealing key gives the
// same, and nobody else knows it beforehand.
func (s *Server) nonce(away int64) string {
	turn := s.clock().UnixMilli()/nonceTurn.Milliseconds() + away
	sum := s.box.Tag(binary.BigEndian.AppendUint64([]byte("dpop nonce "), uint64(turn)))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// givenNonce reports whether nonce is one that was given out lately. The turn ahead is that of a replica whose clock is.
func (s *Server) givenNonce(nonce string) bool {
	for _, away := range []int64{0, -1, 1} {
		if subtle.ConstantTimeCompare([]byte(nonce), []byte(s.nonce(away))) == 1 {
			return true
		}
	}
	return false
}

// possession is the proof beside a request that its sender holds a key.
type possession struct {
	tokens.Proof
	path string
}

// readProof reads the one DPoP proof beside r, and beside token where it is sent with one, and checks all of it but that it was not used
// before (RFC 9449 §4.3). Its nonce comes last: who is told to come again would have had a proof that will do.
func (s *Server) readProof(r *http.Request, token string) (possession, error) {
	headers := r.Header.Values("DPoP")
	if len(headers) != 1 {
		return possession{}, errProofOnce
	}
	p, err := tokens.VerifyProof(headers[0], tokens.ExpectProof{Method: r.Method, URL: s.issuer + r.URL.Path, Now: s.clock(), AccessToken: token})
	if err != nil {
		e := invalidProof(strings.TrimPrefix(err.Error(), "tokens: "))
		e.cause = err
		return possession{}, e
	}
	if !s.givenNonce(p.Nonce) {
		return possession{}, errProofNonce
	}
	return possession{p, r.URL.Path}, nil
}

// spendProof is the last check of a proof: of all who come with it the first passes.
func (s *Server) spendProof(ctx context.Context, p possession) error {
	sum := oauth.Secret(p.Thumbprint + p.path + " " + p.ID).Hash()
	err := s.store.UseOnce(ctx, "dpop", base64.RawURLEncoding.EncodeToString(sum[:]), s.clock(), p.IssuedAt.Add(tokens.MaxProofAge))
	if errors.Is(err, store.ErrSpent) {
		return errProofSpent
	}
	return err
}

// provenKey gives the thumbprint of the key that the client c proves to hold, its proof being spent; "" where it sent none, and may.
func (s *Server) provenKey(r *http.Request, c *client) (string, error) {
	if len(r.Header.Values("DPoP")) == 0 {
		if c.Settings.DPoP {
			return "", errProofMissing
		}
		return "", nil
	}
	p, err := s.readProof(r, "")
	if err != nil {
		return "", err
	}
	return p.Thumbprint, s.spendProof(r.Context(), p)
}

// bindPushed binds an authorization request to the key whose proof is pushed with it (RFC 9449 §10.1), as its dpop_jkt does.
func (s *Server) bindPushed(r *http.Request, f url.Values) error {
	if len(r.Header.Values("DPoP")) == 0 {
		return nil
	}
	p, err := s.readProof(r, "")
	switch {
	case err != nil:
		return err
	case f.Has("dpop_jkt") && f.Get("dpop_jkt") != p.Thumbprint:
		return errProofOther
	}
	f.Set("dpop_jkt", p.Thumbprint)
	return s.spendProof(r.Context(), p)
}

// tokenType is the token_type of a token that is bound to key, or to none (RFC 9449 §5).
func tokenType(key string) string {
	if key == "" {
		return "Bearer"
	}
	return "DPoP"
}

// checkKey holds a code that is bound to a key to who has that key.
func checkKey(bound, proven string) error {
	switch {
	case bound == "" || bound == proven:
		return nil
	case proven == "":
		return errProofOnce
	}
	return errGrant
}

// isThumbprint reports whether text is a SHA-256 in base64url (RFC 7638 §3.1).
func isThumbprint(text string) bool {
	sum, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return err == nil && len(sum) == sha256.Size
}

package scim

import (
	"errors"
	"math"
	"net/http"
	"strings"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/store"
)

const challenge = `Bearer realm="understudy"`

// authenticate finds the source whose token r carries, in the Authorization header and nowhere else (RFC 6750 §2.1). One that is
// unknown, over or revoked looks like any other that does not count.
func (h *Handler) authenticate(r *http.Request) (store.Source, store.SourceToken, error) {
	if r.URL.Query().Has("access_token") {
		return store.Source{}, store.SourceToken{}, &fault{Status: http.StatusBadRequest, Detail: "access_token: goes into the Authorization header only.", Challenge: challenge + `, error="invalid_request"`}
	}
	headers := r.Header.Values("Authorization")
	if len(headers) == 0 {
		return store.Source{}, store.SourceToken{}, &fault{Status: http.StatusUnauthorized, Detail: "A bearer token is required.", Challenge: challenge}
	}
	scheme, token, _ := strings.Cut(headers[0], " ")
	if len(headers) > 1 || !strings.EqualFold(scheme, "Bearer") || len(token) != oauth.SecretLength {
		return store.Source{}, store.SourceToken{}, h.badToken(r)
	}
	now, hash := h.clock(), oauth.Secret(token).Hash()
	if _, once := h.counted.Load(hash); !once { // who floods us costs no read, and holds up no token that has been here
		if wait := h.wait(r); wait > 0 {
			return store.Source{}, store.SourceToken{}, tooMany(wait)
		}
	}
	source, found, err := h.store.SourceByToken(r.Context(), hash, now)
	if errors.Is(err, store.ErrNotFound) {
		return store.Source{}, store.SourceToken{}, h.badToken(r)
	}
	if err == nil {
		h.counted.Store(hash, struct{}{})
	}
	if err == nil && now.Sub(found.LastUsed) >= store.TouchEvery {
		err = h.store.TouchSourceToken(r.Context(), found.ID, now)
	}
	return source, found, err
}

// badToken counts a failure, and makes whoever has too many wait.
func (h *Handler) badToken(r *http.Request) error {
	if wait := h.failed(r); wait > 0 {
		return tooMany(wait)
	}
	return &fault{Status: http.StatusUnauthorized, Detail: "The bearer token is not valid.", Challenge: challenge + `, error="invalid_token"`}
}

func tooMany(wait time.Duration) *fault {
	return &fault{Status: http.StatusTooManyRequests, Detail: "Too many requests; try again later.", RetryAfter: time.Duration(math.Ceil(wait.Seconds())) * time.Second}
}

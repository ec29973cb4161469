package server

import (
	"bytes"
	"compress/flate"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/page"
	"github.com/understudy-id/understudy/oauth/upstream"
)

// crossingPrefix begins the names of the cookies of sign-ins that are under way at an upstream. What follows is the beginning of the state,
// so that tabs which a browser opens all at once do not take each other's.
const (
	crossingPrefix  = "__Host-op-up-"
	purposeCrossing = "cookie:upstream"
)

const (
	// crossingLifetime is how long somebody may take at the upstream.
	crossingLifetime = 10 * time.Minute
	// maxCrossings is how many may be under way in a browser: more than a person has tabs for, few enough for the header.
	maxCrossings = 4
	// maxCrossingCookie leaves room for name and attributes in the 4,096 bytes that browsers keep (RFC 6265 §6.1).
	maxCrossingCookie = 3800
)

// crossing is a sign-in that is under way at an upstream. The browser holds it, sealed: an answer counts only in the browser that asked.
type crossing struct {
	Upstream string        `json:"upstream"`
	State    string        `json:"state"`
	Nonce    string        `json:"nonce"`
	Verifier string        `json:"verifier"`
	Began    time.Time     `json:"began"`
	MaxAge   time.Duration `json:"max_age"` // negative: none asked for
	MFA      bool          `json:"mfa,omitempty"`
	Return   []byte        `json:"return"` // deflated: a reason in the query has %-escapes
}

func newCrossing(g *gate, d demand, returnTo string, now time.Time) crossing {
	return crossing{
		Upstream: g.name(), State: string(oauth.NewSecret()), Nonce: string(oauth.NewSecret()), Verifier: string(oauth.NewSecret()),
		Began: now, MaxAge: d.maxAge, MFA: d.mfa, Return: deflated(returnTo),
	}
}

// request is what the upstream is asked, and what its answer is held to.
func (c crossing) request(g *gate) upstream.AuthRequest {
	r := upstream.AuthRequest{State: c.State, Nonce: c.Nonce, Verifier: c.Verifier, MaxAge: c.MaxAge, Asked: c.Began}
	if c.MFA {
		r.ACRValues = g.ACRValues
	}
	if c.MaxAge == 0 {
		r.Prompt = "login" // some know only the one, some only the other
	}
	return r
}

// reused reports whether fault comes of a sign-in, at said, that the upstream had from before: many give that, whatever acr_values ask for,
// and some look at prompt and not at max_age. They may be asked for a fresh one, once.
func (c crossing) reused(fault page.UpstreamFault, said time.Time) bool {
	before := said.Before(c.Began.Truncate(time.Second)) // auth_time has whole seconds
	return c.MaxAge != 0 && before && (fault == page.UpstreamWeak || fault == page.UpstreamStale && !said.IsZero())
}

func (c crossing) returnTo() string { return safeReturn(inflated(c.Return)) }

func crossingCookie(state string) string { return crossingPrefix + state[:8] }

// setCrossing gives the browser its half, and takes older ones away where there would be too many.
func (s *Server) setCrossing(w http.ResponseWriter, r *http.Request, c crossing) error {
	value, err := s.sealCrossing(c)
	if err == nil && len(value) > maxCrossingCookie { // what was typed is lost, the sign-in is not
		c.Return = deflated("/")
		value, err = s.sealCrossing(c)
	}
	if err != nil {
		return err
	}
	left := maxCrossings - 1
	for _, old := range r.Cookies() {
		if !strings.HasPrefix(old.Name, crossingPrefix) {
			continue
		}
		if left--; left < 0 {
			s.setCookie(w, old.Name, "", -1)
		}
	}
	s.setCookie(w, crossingCookie(c.State), value, int(crossingLifetime.Seconds()))
	return nil
}

func (s *Server) sealCrossing(c crossing) (string, error) {
	plain, err := json.Marshal(c)
	return encodeCookie(s.box.Seal(purposeCrossing, plain)), err
}

// crossingOf is that of state in this browser, for the upstream with this name; nil if there is none that counts.
func (s *Server) crossingOf(r *http.Request, name, state string) *crossing {
	if len(state) != oauth.SecretLength {
		return nil
	}
	cookies := r.CookiesNamed(crossingCookie(state))
	if len(cookies) != 1 {
		return nil
	}
	sealed, err := decodeCookie(cookies[0].Value)
	if err != nil {
		return nil
	}
	plain, err := s.box.Open(purposeCrossing, sealed)
	if err != nil {
		return nil
	}
	var c crossing
	if err := json.Unmarshal(plain, &c); err != nil || c.State != state || c.Upstream != name || !s.clock().Before(c.Began.Add(crossingLifetime)) {
		return nil
	}
	return &c
}

func deflated(text string) []byte {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestCompression)
	if err == nil {
		io.WriteString(w, text) // a buffer takes everything
		w.Close()
	}
	return b.Bytes()
}

// inflated reads what deflated gave, as it came out of a sealed cookie.
func inflated(b []byte) string {
	text, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(b)), 16<<10))
	if err != nil {
		return ""
	}
	return string(text)
}

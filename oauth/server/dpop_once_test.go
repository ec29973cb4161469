package server_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// TestProofOnceUnderRace: of 32 uses of one proof at once, one passes.
func TestProofOnceUnderRace(t *testing.T) {
	onBoth(t, func(t *testing.T, o options) { proofOnce(t, setup(t, o)) })
}

// TestProofOnceAcrossReplicas is the same where the uses are spread over two servers on one database.
func TestProofOnceAcrossReplicas(t *testing.T) {
	t.Parallel()
	h := setup(t, options{on: onPostgres})
	proofOnce(t, h, h.replica(options{}))
}

func proofOnce(t *testing.T, servers ...*house) {
	h, n := servers[0], rounds
	if testing.Short() {
		n /= 10
	}
	p := newProver(h).learns()
	cookie, _ := h.login("ann")
	token := p.actor(cookie, "app", "openid")
	for range n {
		proof := p.proof("GET", "/userinfo", token)
		replies := race(servers, func(h *house) reply {
			at := prover{h: h}
			return at.userinfo("DPoP", token, proof)
		})
		wins := 0
		for _, r := range replies {
			switch {
			case r.status == http.StatusOK:
				wins++
			case r.status != http.StatusUnauthorized || r.str("error") != "invalid_dpop_proof":
				t.Fatalf("a loser got %d %s; want 401 invalid_dpop_proof", r.status, r.body)
			}
		}
		if wins != 1 {
			t.Fatalf("%d of %d uses of one proof passed; want 1", wins, racers)
		}
		p.heard(replies[0])
	}
	h.addClientAs("bot", service)
	for range n {
		proof := p.proof("POST", "/oauth2/token", "")
		p.heard(one(t, "proof", "invalid_dpop_proof", race(servers, func(h *house) reply {
			return h.sent("/oauth2/token", "bot", url.Values{"grant_type": {"client_credentials"}}, proof)
		})))
	}
}

// BenchmarkProof is BenchmarkStart with a DPoP proof beside each start: what signing it costs the client is in it.
func BenchmarkProof(b *testing.B) {
	onEach(b, func(b *testing.B, h *house) {
		p := newProver(h).learns()
		forms := h.forms(b.N)
		timed(b, "starts/s", func(n int) *httptest.ResponseRecorder {
			return h.proven("/oauth2/token", "app", forms[n], p.proof("POST", "/oauth2/token", ""))
		})
	})
}

// proven is direct with a proof.
func (h *house) proven(path, client string, f url.Values, proof string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(f.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("DPoP", proof)
	r.SetBasicAuth(client, h.secrets[client])
	w := httptest.NewRecorder()
	h.handler.ServeHTTP(w, r)
	return w
}

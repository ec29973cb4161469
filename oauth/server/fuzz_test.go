package server_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/understudy-id/understudy/oauth"
)

// ownWords are the long names of the wire that an error may say, as what a parameter must be. A body may well hold one of them, or a part.
const ownWords = string(oauth.TokenTypeAccessToken) + " " + string(oauth.TokenTypeRefreshToken) + " " + string(oauth.TokenTypeIDToken) + " " +
	string(oauth.TokenTypeJWT) + " " + string(oauth.TokenTypeTicket) + " " + string(oauth.TokenTypeReturnToken) + " " +
	string(oauth.TokenTypeUserID) + " " + oauth.GrantTypeTokenExchange + " urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// FuzzForm sends bodies to the token endpoint, from the form through client authentication to the rules. What nobody was given a
// ticket for never yields a token; an answer is always the error of RFC 6749 §5.2; and what two readers could read differently, a
// parameter that comes twice, is refused.
func FuzzForm(f *testing.F) {
	h := setup(f, options{})
	h.addClientAs("tool", tool)
	cookie, _ := h.login("john") // who has no role
	own := h.token(cookie, "tool", "openid app:read")
	start := startForm(string(oauth.NewSecret()), own)
	for _, seed := range []url.Values{
		start, stopForm(string(oauth.NewSecret())), userIDForm("eve", own), ownForm(own, own), ownForm(own, ""), redeem("x"), refreshForm("x"),
		{"grant_type": {"client_credentials"}, "scope": {"app:read"}},
	} {
		f.Add(seed.Encode())
		f.Add(seed.Encode() + "&scope=a&scope=b")
		f.Add(strings.ReplaceAll(seed.Encode(), "&", ";"))
		f.Add(seed.Encode() + "&x=" + url.QueryEscape(string(oauth.TokenTypeAccessToken)))
		f.Add(seed.Encode() + "&subject_token%5B%5D=x&resource=urn:a&audience=%00&may_act=%7B%7D&act=ann")
	}
	f.Add("scope=\n&scope")
	f.Fuzz(func(t *testing.T, body string) {
		r := httptest.NewRequest(http.MethodPost, "/oauth2/token", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth("tool", h.secrets["tool"])
		w := httptest.NewRecorder()
		h.handler.ServeHTTP(w, r)
		var answer map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || answer["error"] == nil || answer["access_token"] != nil || w.Code < 400 || w.Code >= 500 {
			t.Fatalf("got %d %s", w.Code, w.Body)
		}
		sent, err := url.ParseQuery(body)
		if err != nil {
			return
		}
		for name, values := range sent {
			refused := answer["error"] == "invalid_request" || sent.Has("scope") && answer["error"] == "invalid_scope" // which may come first
			if len(values) > 1 && !slices.Contains([]string{"resource", "audience"}, name) && !refused && w.Code != http.StatusTooManyRequests {
				t.Errorf("%s comes %d times: got %d %s", name, len(values), w.Code, w.Body)
			}
			for _, v := range values {
				if len(v) > 24 && !strings.Contains(ownWords, v) && strings.Contains(w.Body.String(), v) {
					t.Errorf("the answer quotes what was sent: %s", w.Body)
				}
			}
		}
	})
}

package tokens_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/tokens"
)

// FuzzAct signs any act and may_act with our own key. What is read as an actor is an object of two names that encoding/json reads alike,
// and nothing beside them: no list, no chain, no time; what is not is refused and never taken for a token in which nobody acts.
//
// Covers RFC8693-4.1-11, RFC8693-4.4-05.
func FuzzAct(f *testing.F) {
	key := newKey(f)
	set := newKeySet(f, key)
	header, _, _ := strings.Cut(mustSign(f, set, impersonating()), ".")
	for _, seed := range []string{
		`{"iss":"https://id.acme.test","sub":"admin-17"}`, `{"iss":"https://id.acme.test","sub":"client:agent","sub_profile":"ai_agent"}`,
		`{"iss":"https://id.acme.test","sub":"client:agent","client_id":"agent"}`, `"admin"`, `["admin"]`, `null`, `7`, `{}`, `{"sub":"admin"}`, `{"iss":"x","sub":["admin"]}`,
		`{"iss":"x","sub":null}`, `{"iss":"x","sub":"y","act":{"iss":"x","sub":"z"}}`, `{"iss":"x","sub":"y","exp":1}`, `{"iss":"x","SUB":"y"}`, `{"iss":"x","sub":"y","sub":"z"}`,
		`{"iss":"x","sub":"y","sub_profile":"root"}`, `{"iss":"x","sub":"` + strings.Repeat("y", 3000) + `"}`, `true`, `{"iss":"x","sub":"\ud800"}`,
	} {
		f.Add("act", seed)
		f.Add("may_act", seed)
	}
	f.Fuzz(func(t *testing.T, claim, value string) {
		if claim != "act" && claim != "may_act" || !json.Valid([]byte(value)) {
			return
		}
		payload := fmt.Sprintf(`{"iss":%q,"sub":"user-42","aud":"https://api.acme.test","client_id":"rp1","scope":"orders","iat":%d,"exp":%d,"jti":"jti_2","sid":"ims_1","txn":"aud_1",%q:%s}`,
			issuer, now.Unix()-60, now.Unix()+600, claim, value)
		input := header + "." + base64.RawURLEncoding.EncodeToString([]byte(payload))
		sig, err := key.SignRaw(input)
		if err != nil {
			t.Fatal(err)
		}
		c, err := set.Verify(input+"."+base64.RawURLEncoding.EncodeToString(sig), expect)
		if err != nil {
			if !errors.Is(err, tokens.ErrClaims) && !errors.Is(err, tokens.ErrMalformed) {
				t.Errorf("got %v", err)
			}
			return
		}
		got := map[string]any{}
		switch {
		case claim == "act" && c.Act != nil:
			got["iss"], got["sub"] = c.Act.Issuer, c.Act.Subject
			if c.ActKind != "" {
				got["sub_profile"] = string(c.ActKind)
			}
			if c.ActKind != "" && !c.ActKind.Machine() || c.ActKind == oauth.ActorUser {
				t.Errorf("read sub_profile %q", c.ActKind)
			}
		case claim == "may_act" && c.MayAct != nil:
			got["iss"], got["sub"] = c.MayAct.Issuer, c.MayAct.Subject
			if c.MayAct.ClientID != "" {
				got["client_id"] = c.MayAct.ClientID
			}
		}
		var want map[string]any
		if err := json.Unmarshal([]byte(value), &want); err != nil || !maps.Equal(got, want) || got["iss"] == "" || got["sub"] == "" {
			t.Errorf("%s %s: read as %v", claim, value, got)
		}
	})
}

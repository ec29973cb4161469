package tokens_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/tokens"
)

func TestSignVerify(t *testing.T) {
	t.Parallel()
	set := newKeySet(t, newKey(t))
	for name, want := range map[string]tokens.Claims{"ordinary": ordinary(), "impersonating": impersonating(), "delegable": delegable(), "served": served(), "trusted": trusted()} {
		got, err := set.Verify(mustSign(t, set, want), expect)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// The exact bytes: other people's resource servers read them.
func TestSignSpelling(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	set := newKeySet(t, key)
	tests := []struct {
		name   string
		claims tokens.Claims
		want   string
	}{
		{"ordinary", ordinary(), `{"iss":"https://id.acme.test","sub":"admin-17","aud":"https://api.acme.test","client_id":"rp1",` +
			`"scope":"impersonate openid","iat":1800000000,"exp":1800000600,"jti":"jti_1","sid":"log_1",` +
			`"auth_time":1799996460,"acr":"2","amr":["pwd","otp"]}`},
		{"impersonating", impersonating(), `{"iss":"https://id.acme.test","sub":"user-42","aud":"https://api.acme.test",` +
			`"client_id":"rp1","scope":"impersonation:write orders","iat":1800000000,"exp":1800001800,"jti":"jti_2",` +
			`"sid":"ims_1","txn":"aud_1","act":{"iss":"https://id.acme.test","sub":"admin-17"}}`},
		{"delegable", delegable(), `{"iss":"https://id.acme.test","sub":"admin-17","aud":"https://api.acme.test","client_id":"rp1",` +
			`"scope":"orders","iat":1800000000,"exp":1800000600,"jti":"jti_1","sid":"log_1",` +
			`"may_act":{"iss":"https://id.acme.test","sub":"client:agent","client_id":"agent"},` +
			`"cnf":{"jkt":"NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"},"auth_time":1799996460,"acr":"2","amr":["pwd","otp"]}`},
		{"served", served(), `{"iss":"https://id.acme.test","sub":"user-42","aud":"https://api.acme.test",` +
			`"client_id":"rp1","scope":"impersonation:write orders","iat":1800000000,"exp":1800001800,"jti":"jti_2",` +
			`"sid":"ims_1","txn":"aud_1","act":{"iss":"https://id.acme.test","sub":"client:agent","sub_profile":"ai_agent"},` +
			`"cnf":{"jkt":"NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"}}`},
		{"trusted", trusted(), `{"iss":"https://id.acme.test","sub":"user-42","aud":"https://api.acme.test",` +
			`"client_id":"rp1","scope":"impersonation:write orders","iat":1800000000,"exp":1800001800,"jti":"jti_2",` +
			`"sid":"ims_1","txn":"aud_1","act":{"iss":"https://corp.test","sub":"f-17"},` +
			`"sub_id":{"format":"iss_sub","iss":"https://corp.test","sub":"f-42"}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := mustSign(t, set, tt.claims)
			want := b64([]byte(header(key))) + "." + b64([]byte(tt.want)) + "."
			if !strings.HasPrefix(got, want) {
				t.Errorf("got %s, want prefix %s", got, want)
			}
		})
	}
}

func TestRoundTripAnyText(t *testing.T) {
	t.Parallel()
	set := newKeySet(t, newKey(t))
	text := rapid.StringN(1, 60, -1).Filter(func(s string) bool { return !strings.ContainsRune(s, '\uFFFD') })
	rapid.Check(t, func(t *rapid.T) {
		want := impersonating()
		want.Subject, want.Audit = text.Draw(t, "sub"), text.Draw(t, "txn")
		want.Act.Subject = text.Draw(t, "act.sub")
		token, err := set.Sign(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := set.Verify(token, expect)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Fatalf("%v (-want +got):\n%s", err, diff)
		}
	})
}

func TestSignRefuses(t *testing.T) {
	t.Parallel()
	set := newKeySet(t, newKey(t))
	tests := []struct {
		name   string
		from   tokens.Claims
		change func(*tokens.Claims)
	}{
		{"no issuer", ordinary(), func(c *tokens.Claims) { c.Issuer = "" }},
		{"no subject", ordinary(), func(c *tokens.Claims) { c.Subject = "" }},
		{"no audience", ordinary(), func(c *tokens.Claims) { c.Audience = "" }},
		{"no client", ordinary(), func(c *tokens.Claims) { c.ClientID = "" }},
		{"no jti", ordinary(), func(c *tokens.Claims) { c.ID = "" }},
		{"no iat", ordinary(), func(c *tokens.Claims) { c.IssuedAt = time.Time{} }},
		{"no exp", ordinary(), func(c *tokens.Claims) { c.Expires = time.Time{} }},
		{"exp at iat", ordinary(), func(c *tokens.Claims) { c.Expires = c.IssuedAt }},
		{"exp beyond all readers", ordinary(), func(c *tokens.Claims) { c.Expires = time.Unix(1<<40, 0) }},
		{"auth_time before 1970", ordinary(), func(c *tokens.Claims) { c.AuthTime = time.Unix(-1, 0) }},
		{"auth_time beyond all readers", ordinary(), func(c *tokens.Claims) { c.AuthTime = time.Unix(1<<40, 0) }},
		{"scope with a space", ordinary(), func(c *tokens.Claims) { c.Scope = []string{"a b"} }},
		{"empty scope token", ordinary(), func(c *tokens.Claims) { c.Scope = []string{""} }},
		{"empty amr", ordinary(), func(c *tokens.Claims) { c.AMR = []string{""} }},
		{"amr not UTF-8", ordinary(), func(c *tokens.Claims) { c.AMR = []string{"\xff"} }},
		{"subject not UTF-8", ordinary(), func(c *tokens.Claims) { c.Subject = "a\xff" }},
		{"subject with U+FFFD", ordinary(), func(c *tokens.Claims) { c.Subject = "a\uFFFD" }},
		{"impersonation:write without act", ordinary(), func(c *tokens.Claims) { c.Scope = []string{"impersonation:write"} }},
		{"act without iss", impersonating(), func(c *tokens.Claims) { c.Act.Issuer = "" }},
		{"act without sub", impersonating(), func(c *tokens.Claims) { c.Act.Subject = "" }},
		{"act not UTF-8", impersonating(), func(c *tokens.Claims) { c.Act.Subject = "\xff" }},
		{"act without sid", impersonating(), func(c *tokens.Claims) { c.Session = "" }},
		{"act without txn", impersonating(), func(c *tokens.Claims) { c.Audit = "" }},
		{"act with auth_time", impersonating(), func(c *tokens.Claims) { c.AuthTime = now }},
		{"act with acr", impersonating(), func(c *tokens.Claims) { c.ACR = "2" }},
		{"act with amr", impersonating(), func(c *tokens.Claims) { c.AMR = []string{"otp"} }},
		{"act with impersonate", impersonating(), func(c *tokens.Claims) { c.Scope = []string{"impersonate"} }},
		{"act with offline_access", impersonating(), func(c *tokens.Claims) { c.Scope = []string{"offline_access"} }},
		{"may_act beside act", impersonating(), func(c *tokens.Claims) { c.MayAct = delegable().MayAct }},
		{"may_act without iss", delegable(), func(c *tokens.Claims) { c.MayAct.Issuer = "" }},
		{"may_act without sub", delegable(), func(c *tokens.Claims) { c.MayAct.Subject = "" }},
		{"may_act not UTF-8", delegable(), func(c *tokens.Claims) { c.MayAct.ClientID = "\xff" }},
		{"sub_id without act", ordinary(), func(c *tokens.Claims) { c.SubjectID = trusted().SubjectID }},
		{"sub_id without iss", trusted(), func(c *tokens.Claims) { c.SubjectID.Issuer = "" }},
		{"sub_id without sub", trusted(), func(c *tokens.Claims) { c.SubjectID.Subject = "" }},
		{"sub_id with an iss not UTF-8", trusted(), func(c *tokens.Claims) { c.SubjectID.Issuer = "\xff" }},
		{"sub_id with a sub not UTF-8", trusted(), func(c *tokens.Claims) { c.SubjectID.Subject = "\xff" }},
		{"kind without act", ordinary(), func(c *tokens.Claims) { c.ActKind = oauth.ActorService }},
		{"kind of a person", impersonating(), func(c *tokens.Claims) { c.ActKind = oauth.ActorUser }},
		{"kind that is unknown", impersonating(), func(c *tokens.Claims) { c.ActKind = "robot" }},
		{"key that is no hash", ordinary(), func(c *tokens.Claims) { c.Key = "abc" }},
		{"key with loose bits", ordinary(), func(c *tokens.Claims) { c.Key = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xt" }},
		{"longer than is read", ordinary(), func(c *tokens.Claims) { c.Subject = strings.Repeat("a", tokens.MaxLength) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := tt.from
			tt.change(&c)
			if token, err := set.Sign(c); !errors.Is(err, tokens.ErrClaims) || token != "" {
				t.Errorf("got %q, %v, want ErrClaims", token, err)
			}
		})
	}
}

func TestVerifyExpect(t *testing.T) {
	t.Parallel()
	set := newKeySet(t, newKey(t))
	iat, exp := ordinary().IssuedAt, ordinary().Expires
	tests := []struct {
		name   string
		change func(*tokens.Expect)
		want   error
	}{
		{"as it is", func(*tokens.Expect) {}, nil},
		{"any audience", func(e *tokens.Expect) { e.Audience = "" }, nil},
		{"other audience", func(e *tokens.Expect) { e.Audience = "https://api.acme.tes" }, tokens.ErrClaims},
		{"other issuer", func(e *tokens.Expect) { e.Issuer = issuer + "/" }, tokens.ErrClaims},
		{"issuer in capitals", func(e *tokens.Expect) { e.Issuer = strings.ToUpper(issuer) }, tokens.ErrClaims},
		{"no issuer", func(e *tokens.Expect) { e.Issuer = "" }, tokens.ErrClaims},
		{"no time", func(e *tokens.Expect) { e.Now = time.Time{} }, tokens.ErrClaims},
		{"at iat", func(e *tokens.Expect) { e.Now = iat }, nil},
		{"before iat", func(e *tokens.Expect) { e.Now = iat.Add(-time.Second) }, tokens.ErrClaims},
		{"before iat, within leeway", func(e *tokens.Expect) { e.Now, e.Leeway = iat.Add(-time.Second), time.Second }, nil},
		{"before exp", func(e *tokens.Expect) { e.Now = exp.Add(-time.Nanosecond) }, nil},
		{"at exp", func(e *tokens.Expect) { e.Now = exp }, tokens.ErrExpired},
		{"at exp, within leeway", func(e *tokens.Expect) { e.Now, e.Leeway = exp, time.Second }, nil},
		{"after leeway", func(e *tokens.Expect) { e.Now, e.Leeway = exp.Add(time.Second), time.Second }, tokens.ErrExpired},
		{"expired, allowed", func(e *tokens.Expect) { e.Now, e.AllowExpired = exp.AddDate(9, 0, 0), true }, nil},
		{"expired and of another issuer", func(e *tokens.Expect) { e.Now, e.Issuer = exp, "x" }, tokens.ErrClaims},
		{"expired and for another audience", func(e *tokens.Expect) { e.Now, e.Audience = exp, "x" }, tokens.ErrClaims},
	}
	token := mustSign(t, set, ordinary())
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := expect
			tt.change(&e)
			got, err := set.Verify(token, e)
			if !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if zero := cmp.Equal(got, tokens.Claims{}); zero != (tt.want != nil) {
				t.Errorf("claims zero: %v, with error %v", zero, err)
			}
		})
	}
}

// An expired token with a signature that is not ours must never read as merely expired.
func TestExpiredAndForged(t *testing.T) {
	t.Parallel()
	set, other := newKeySet(t, newKey(t)), newKeySet(t, newKey(t))
	e := expect
	e.Now = now.AddDate(1, 0, 0)
	_, err := set.Verify(mustSign(t, other, ordinary()), e)
	if !errors.Is(err, tokens.ErrSignature) || errors.Is(err, tokens.ErrExpired) {
		t.Errorf("got %v, want ErrSignature alone", err)
	}
}

func TestErrorsQuoteNothing(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	set := newKeySet(t, key)
	for _, token := range []string{
		"SECRET", "SECRET.SECRET.SECRET", forge(t, key, header(key), `{"SECRET":`), forge(t, key, header(key), `{"SECRET":"SECRET"}`),
		forge(t, key, header(key), swap(t, `"sub":"user-42"`, `"sub":{"SECRET":1}`)), forge(t, key, `{"SECRET":1}`, payload),
	} {
		_, err := set.Verify(token, expect)
		if err == nil || strings.Contains(err.Error(), "SECRET") || strings.Contains(err.Error(), token) {
			t.Errorf("got %v, want an error that quotes nothing", err)
		}
	}
}

// Unknown claims are for a server's next version; see Verify.
func TestVerifyIgnoresOtherClaims(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	set := newKeySet(t, key)
	token := forge(t, key, header(key), swap(t, `"sid":"ims_1"`, `"sid":"ims_1", "x":{"y":[1,null,{"z":"é\u00e9"}],"w":-1.5e3}`))
	got, err := set.Verify(token, expect)
	if err != nil || got.Act == nil || *got.Act != (oauth.Party{Issuer: issuer, Subject: "admin-17"}) {
		t.Errorf("got %+v, %v", got, err)
	}
}

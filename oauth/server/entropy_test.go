package server_test

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestAltered: an access token that differs by one character from one of ours is none, at introspection, at userinfo and as an actor token.
//
// Covers RFC6749-10.3-01.
func TestAltered(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	s := h.start("ann", "app", "john", "read")
	ticket := h.ticket(s.cookie, "app", "eve", "read")
	bearer := func(token string) reply {
		return h.send(call{method: http.MethodGet, path: "/userinfo"}.with("Authorization", "Bearer "+token))
	}
	for what, token := range map[string]string{"the admin's": s.actor, "impersonation": s.token} {
		for name, bad := range altered(token) {
			if h.active("app", bad) {
				t.Errorf("%s, %s: active", what, name)
			}
			if r := bearer(bad); r.status != http.StatusUnauthorized || r.str("sub") != "" {
				t.Errorf("%s, %s: userinfo got %d %s; want 401", what, name, r.status, r.body)
			}
			refused(t, h.post("/oauth2/token", "app", startForm(ticket, bad)), http.StatusBadRequest, "invalid_request")
		}
		if !h.active("app", token) || bearer(token).status != http.StatusOK {
			t.Errorf("%s: the token itself is not good", what)
		}
	}
}

// altered gives token with one thing changed, in each of its parts.
func altered(token string) map[string]string {
	parts := strings.Split(token, ".")
	out := map[string]string{
		"cut": token[:len(token)-1], "longer": token + "A", "padded": token + "=", "twice padded": token + "==", "upper case": strings.ToUpper(token), "lower case": strings.ToLower(token),
		"a dot more": token + ".", "a part less": parts[0] + "." + parts[1], "a space": token + " x", "half": token[:len(token)/2],
	}
	for i, part := range parts {
		for where, at := range map[string]int{"first": 0, "middle": len(part) / 2, "last": len(part) - 1} {
			changed := slices.Clone(parts)
			c := byte('A')
			if part[at] == c {
				c = 'B'
			}
			changed[i] = part[:at] + string(c) + part[at+1:]
			out[where+" of part "+string(rune('1'+i))] = strings.Join(changed, ".")
		}
	}
	return out
}

// TestNobodyGuesses collects 200 of each value that whoever holds it is believed. Each has at least 128 bits: its alphabet at every place,
// no two alike anywhere near, and nothing that counts or tells the time.
//
// Covers RFC6749-10.10-01.
func TestNobodyGuesses(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	h.addClientAs("web", refreshing)
	h.http.Transport = inProcess{h.handler}
	found := map[string][]string{}
	cookie, _ := h.login("ann")
	for range 200 {
		h.clock.advance(time.Second) // who pushes too often is told to wait
		code := h.code(cookie, "web", actorScope)
		g := h.granted(h.post("/oauth2/token", "web", redeem(code)))
		ticket := h.ticket(cookie, "web", "john", "read")
		start := h.post("/oauth2/token", "web", startForm(ticket, g.access))
		_, c := claims(t, start.str("access_token"))
		for what, value := range map[string]string{
			"code": code, "refresh token": g.refresh, "ticket": ticket, "return token": start.str("understudy_return_token"),
			"jti": strings.TrimPrefix(c["jti"].(string), "tok_"), "sid": strings.TrimPrefix(c["sid"].(string), "imp_"),
			"pushed request": strings.TrimPrefix(h.post("/oauth2/par", "web", authForm("web")).str("request_uri"), requestURI),
		} {
			found[what] = append(found[what], value)
		}
	}
	for what, values := range found {
		random(t, what, values)
	}
}

// random demands 200 values of one length of which no place is fixed and no two begin alike. Of 200 random values of an alphabet of 32 or
// 64, two share 8 characters by chance once in 10^7 runs.
func random(t *testing.T, what string, values []string) {
	t.Helper()
	length, bits := len(values[0]), 6
	if strings.ToLower(values[0]) == values[0] && !strings.ContainsAny(values[0], "0189-_") {
		bits = 5 // base32
	} else if _, err := base64.RawURLEncoding.DecodeString(values[0]); err != nil {
		t.Errorf("%s: %v", what, err)
	}
	if length*bits < 128 {
		t.Errorf("%s: %d characters of %d bits; want 128", what, length, bits)
	}
	heads, tails := map[string]bool{}, map[string]bool{}
	places := make([]map[byte]bool, length)
	for _, v := range values {
		if len(v) != length {
			t.Fatalf("%s: %d and %d characters", what, length, len(v))
		}
		heads[v[:8]], tails[v[length-8:]] = true, true
		for i := range length {
			if places[i] == nil {
				places[i] = map[byte]bool{}
			}
			places[i][v[i]] = true
		}
	}
	if len(heads) != 200 || len(tails) != 200 {
		t.Errorf("%s: of 200, %d begin and %d end in their own way", what, len(heads), len(tails))
	}
	for i, seen := range places[:length-1] { // the last may have few bits left
		if len(seen) < 16 {
			t.Errorf("%s: place %d has only %d characters", what, i, len(seen))
		}
	}
	if slices.IsSorted(values) {
		t.Errorf("%s: they come in order", what)
	}
}

package tokens_test

import (
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/oauth/tokens"
)

// A token that comes again is held to what is expected now, and not to what was when it came first.
func TestVerifyAgain(t *testing.T) {
	t.Parallel()
	set, other := newKeySet(t, newKey(t)), newKeySet(t, newKey(t))
	token := mustSign(t, set, impersonating())
	first, err := set.Verify(token, expect)
	if err != nil {
		t.Fatal(err)
	}
	late, elsewhere, audience := expect, expect, expect
	late.Now = first.Expires
	elsewhere.Issuer += "/other"
	audience.Audience = "urn:other"
	for name, tc := range map[string]struct {
		set    *tokens.KeySet
		token  string
		expect tokens.Expect
		want   error
	}{
		"its time is over":        {set, token, late, tokens.ErrExpired},
		"another issuer":          {set, token, elsewhere, tokens.ErrClaims},
		"another audience":        {set, token, audience, tokens.ErrClaims},
		"before it was issued":    {set, token, tokens.Expect{Issuer: expect.Issuer, Now: first.IssuedAt.Add(-time.Hour)}, tokens.ErrClaims},
		"another set of keys":     {other, token, expect, tokens.ErrSignature},
		"one bit is another":      {set, flip(token), expect, tokens.ErrSignature},
		"something more":          {set, token + "A", expect, tokens.ErrSignature},
		"a part of its signature": {set, token[:len(token)-5], expect, tokens.ErrMalformed},
	} {
		for range 2 {
			if c, err := tc.set.Verify(tc.token, tc.expect); !errors.Is(err, tc.want) || !cmp.Equal(c, tokens.Claims{}) {
				t.Errorf("%s: got %v, %v; want %v", name, c, err, tc.want)
			}
		}
	}
	if again, err := set.Verify(token, expect); err != nil || !cmp.Equal(again, first) {
		t.Errorf("again: %v\n%s", err, cmp.Diff(first, again))
	}
}

// flip changes a bit in the middle of the payload.
func flip(token string) string {
	b := []byte(token)
	i := strings.IndexByte(token, '.') + 20
	b[i] = map[bool]byte{true: 'B', false: 'A'}[b[i] == 'A']
	return string(b)
}

// What one caller does with the claims is not what the next one gets.
func TestVerifyGivesItsOwn(t *testing.T) {
	t.Parallel()
	set := newKeySet(t, newKey(t))
	token := mustSign(t, set, impersonating())
	want, err := set.Verify(token, expect)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		c, err := set.Verify(token, expect)
		if err != nil || !cmp.Equal(c, want) {
			t.Fatalf("%v\n%s", err, cmp.Diff(want, c))
		}
		c.Scope[0], c.Act.Subject = "admin", "somebody else"
	}
}

// However many tokens come, few are remembered.
func TestSeenIsBounded(t *testing.T) {
	t.Parallel()
	set := newKeySet(t, newKey(t))
	claims := impersonating()
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			c := claims
			for j := range 4200 {
				c.ID = strings.Repeat("x", i+1) + strings.Repeat("y", j%7)
				token, err := set.Sign(c)
				if err == nil {
					_, err = set.Verify(token, expect)
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	if n := set.Remembered(); n == 0 || n > 4096 {
		t.Errorf("%d tokens are remembered; want at most 4096", n)
	}
}

// A token that is longer than any should be is read each time, and takes no memory.
func TestSeenForgetsLongTokens(t *testing.T) {
	t.Parallel()
	set := newKeySet(t, newKey(t))
	usual, long := impersonating(), impersonating()
	long.Scope = []string{strings.Repeat("x", 2<<10)}
	for i, c := range []tokens.Claims{usual, long} {
		token := mustSign(t, set, c)
		for range 2 {
			if got, err := set.Verify(token, expect); err != nil || got.ID != c.ID || len(got.Scope) != len(c.Scope) {
				t.Errorf("claims %d: got %v, %v", i, got, err)
			}
		}
	}
	if n := set.Remembered(); n != 1 {
		t.Errorf("%d tokens are remembered; want the usual one alone", n)
	}
}

// A string that shares its hash with a token that verified is not that token.
func TestSeenComparesTheWhole(t *testing.T) {
	t.Parallel()
	set := newKeySet(t, newKey(t))
	token := mustSign(t, set, impersonating())
	if _, err := set.Verify(token, expect); err != nil {
		t.Fatal(err)
	}
	forged := flip(token)
	set.Collide(token, forged)
	if _, err := set.Verify(forged, expect); !errors.Is(err, tokens.ErrSignature) {
		t.Errorf("got %v; want %v", err, tokens.ErrSignature)
	}
}

// A token that this set signed needs no curve the first time, however many there were, and no other string gains by it.
func TestSigned(t *testing.T) {
	t.Parallel()
	set := newKeySet(t, newKey(t))
	token := mustSign(t, set, impersonating())
	if n := set.Signed(); n != 1 {
		t.Fatalf("%d signed tokens are known; want 1", n)
	}
	for _, other := range []string{flip(token), token + "A", strings.TrimSuffix(token, token[len(token)-4:])} {
		if _, err := set.Verify(other, expect); err == nil {
			t.Errorf("it takes %q, which it did not sign", other)
		}
	}
	if _, err := set.VerifyIDToken(token, expect.Issuer); !errors.Is(err, tokens.ErrSignature) {
		t.Errorf("an access token as an ID token: got %v; want %v", err, tokens.ErrSignature)
	}
	for i := range 1 << 17 {
		set.Sent(strconv.Itoa(i))
	}
	if n := set.Signed(); n == 0 || n > 1<<15 {
		t.Errorf("%d signed tokens are known; want at most 32768", n)
	}
	if c, err := set.Verify(token, expect); err != nil || c.ID != impersonating().ID {
		t.Errorf("once forgotten it is verified: got %v, %v", c, err)
	}
}

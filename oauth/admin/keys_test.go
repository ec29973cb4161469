package admin_test

import (
	"bytes"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/oauth/admin"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/tokens"
)

// rotate makes a key.
func (b *bundle) rotate(algorithm string, haste bool) admin.Rotation {
	b.t.Helper()
	r, err := b.RotateKey(b.t.Context(), algorithm, haste)
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

// states are those of all keys, by kid.
func (b *bundle) states() map[string]admin.KeyState {
	b.t.Helper()
	keys, err := b.Keys(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	out := make(map[string]admin.KeyState)
	for _, k := range keys {
		out[k.ID] = k.State
	}
	return out
}

func TestRotateKey(t *testing.T) {
	t.Parallel()
	b := setup(t)
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	b.Now, b.LongestToken = func() time.Time { return now }, time.Hour
	one := b.rotate("", false)
	if one.Key.Algorithm != tokens.ES256 || !one.Key.Activates.Equal(now) || one.Was != "" {
		t.Errorf("the first: got %+v; want one for ES256 that signs at once", one)
	}
	two := b.rotate(tokens.ES256, false)
	signs := now.Add(10 * time.Minute)
	if !two.Key.Activates.Equal(signs) || two.Was != one.Key.ID || !two.WasRetires.Equal(signs.Add(65*time.Minute)) {
		t.Errorf("the second: got %+v; want it to sign from %v, and the first to verify for 65 minutes more", two, signs)
	}
	if e := b.last(audit.KindKey); e.Fields["kid"] != two.Key.ID || e.Fields["alg"] != tokens.ES256 || e.Fields["was"] != one.Key.ID {
		t.Errorf("got the entry %v", e.Fields)
	}
	other := b.rotate(tokens.EdDSA, true)
	if !other.Key.Activates.Equal(now.Add(tokens.KeyHaste)) || other.Was != "" {
		t.Errorf("another algorithm, with haste: got %+v", other)
	}
	for _, c := range []struct {
		after     time.Duration
		one, next admin.KeyState
	}{
		{0, admin.KeySigns, admin.KeyWaits},
		{10*time.Minute - time.Second, admin.KeySigns, admin.KeyWaits},
		{10 * time.Minute, admin.KeyRetires, admin.KeySigns},
		{75*time.Minute - time.Second, admin.KeyRetires, admin.KeySigns},
		{75 * time.Minute, admin.KeyRetired, admin.KeySigns},
	} {
		b.Now = func() time.Time { return now.Add(c.after) }
		if got := b.states(); got[one.Key.ID] != c.one || got[two.Key.ID] != c.next {
			t.Errorf("after %v: got %v; want %s, then %s", c.after, got, c.one, c.next)
		}
	}
	for name, bend := range map[string]func(){
		"SealingKey": func() { b.SealingKey, b.SigningAlgorithm = nil, tokens.ES256 },
		"alg":        func() { b.SigningAlgorithm = "HS256" },
	} {
		before := len(b.entries())
		bend()
		_, err := b.RotateKey(t.Context(), "", false)
		b.wantInvalid(err, name, before)
	}
	b.SealingKey, b.SigningAlgorithm = sealing(bytes.Repeat([]byte{1}, 32)), tokens.ES256
	if _, err := b.RotateKey(t.Context(), "", false); !errors.Is(err, tokens.ErrKey) {
		t.Errorf("another sealing key: got %v, want %v", err, tokens.ErrKey)
	}
}

// TestRotateAtOnce: of those who rotate at once, each puts its key in the place of another: no key is lost, and none is replaced twice.
func TestRotateAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first := b.rotate("", false).Key.ID
	var mu sync.Mutex
	var all sync.WaitGroup
	was := make(map[string]int)
	for range 16 {
		all.Go(func() {
			r, err := b.RotateKey(t.Context(), "", false)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				was[r.Was]++
			} else if !errors.Is(err, impersonation.ErrChanged) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	keys, err := b.Store.SigningKeys(t.Context())
	if err != nil || len(keys) != len(was)+1 || was[first] != 1 {
		t.Errorf("got %d keys, %v, in the places %v; want one for each place", len(keys), err, was)
	}
	current := 0
	for _, k := range keys {
		if was[k.ID] > 1 {
			t.Errorf("%s was replaced %d times", k.ID, was[k.ID])
		}
		if k.Current() {
			current++
		}
	}
	if current != 1 {
		t.Errorf("%d keys are current; want one", current)
	}
}

func TestRevokeKey(t *testing.T) {
	t.Parallel()
	b := setup(t)
	one := b.rotate("", false).Key.ID
	other := b.rotate(tokens.EdDSA, true).Key.ID
	replacement, err := b.RevokeKey(t.Context(), one, "stolen")
	if err != nil || replacement == "" {
		t.Fatalf("got %q, %v; want another in its place", replacement, err)
	}
	want := map[string]admin.KeyState{one: admin.KeyRevoked, other: admin.KeyWaits, replacement: admin.KeySigns}
	if diff := cmp.Diff(want, b.states()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	entries := b.entries()
	if e := entries[1]; e.Kind != audit.KindKeyRevoke || e.Fields["kid"] != one || e.Fields["note"] != "stolen" || e.Actor != operator {
		t.Errorf("got %+v; want the entry of the revocation", e)
	}
	if e := b.last(audit.KindKey); e.Fields["kid"] != replacement {
		t.Errorf("got %+v; want the entry of %s", e, replacement)
	}
	if unneeded, err := b.RevokeKey(t.Context(), other, "not needed"); err != nil || unneeded != "" {
		t.Errorf("an algorithm that nothing needs: got %q, %v; want none in its place", unneeded, err)
	}
	before := len(b.entries())
	_, err = b.RevokeKey(t.Context(), replacement, "")
	b.wantInvalid(err, "reason", before)
	if _, err := b.RevokeKey(t.Context(), one, "again"); !errors.Is(err, impersonation.ErrChanged) || len(b.entries()) != before {
		t.Errorf("again: got %v and %d entries; want ErrChanged and %d", err, len(b.entries()), before)
	}
	_, err = b.RevokeKey(t.Context(), "nobody", "x")
	b.wantInvalid(err, "kid", before)
}

// TestRevokeKeyWithoutSealingKey: what stops something asks for nothing that may be lost, and a key that does not open can be revoked,
// after which others can be made.
func TestRevokeKeyWithoutSealingKey(t *testing.T) {
	t.Parallel()
	b := setup(t)
	now := time.Now()
	broken := store.SigningKey{ID: "broken", Algorithm: tokens.ES256, Sealed: []byte{1}, Created: now, Activates: now}
	if err := b.Store.RotateSigningKey(t.Context(), store.KeyRotation{Write: impersonation.Write{Now: now}, Key: broken}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.RotateKey(t.Context(), "", false); !errors.Is(err, tokens.ErrKey) || !strings.Contains(err.Error(), "broken") {
		t.Errorf("got %v; want tokens.ErrKey that names the key", err)
	}
	if replacement, err := b.RevokeKey(t.Context(), "broken", "swapped"); err != nil || replacement != "" {
		t.Errorf("got %q, %v; want it revoked, and none in its place", replacement, err)
	}
	if r := b.rotate("", false); r.Was != "" {
		t.Errorf("got %+v; want a first one", r)
	}
}

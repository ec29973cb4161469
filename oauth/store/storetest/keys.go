package storetest

import (
	"time"

	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

// signingKey is one that signs from activates on.
func (k *kit) signingKey(id, algorithm string, activates time.Time) store.SigningKey {
	return store.SigningKey{ID: id, Algorithm: algorithm, Sealed: []byte{0, 1, 2}, Created: k.now, Activates: activates}
}

// rotate puts a key in the place of was, which retires an hour after that.
func (k *kit) rotate(key store.SigningKey, was string) error {
	return k.store.RotateSigningKey(k.Context(), store.KeyRotation{Write: k.recorded(audit.KindKey), Key: key, Was: was, WasRetires: key.Activates.Add(time.Hour)})
}

// revokeKey revokes id, with another of the same algorithm at hand.
func (k *kit) revokeKey(id string, with store.SigningKey) (replaced bool, err error) {
	return k.store.RevokeSigningKey(k.Context(), store.KeyRevocation{
		Write: k.recorded(audit.KindKeyRevoke), ID: id, Outlives: k.now.Add(time.Hour), Replacement: with, Replaced: k.recorded(audit.KindKey).Entries[0],
	})
}

// keys gives the keys by id.
func (k *kit) keys() map[string]store.SigningKey {
	k.Helper()
	all, err := k.store.SigningKeys(k.Context())
	k.ok(err)
	byID := make(map[string]store.SigningKey)
	for _, key := range all {
		byID[key.ID] = key
	}
	return byID
}

var keyCases = []testCase{
	{"key/rotate", "a key takes the place of the current one of its algorithm; the newest comes first", func(k *kit) {
		one, two, other := k.signingKey("k1", "ES256", k.now), k.signingKey("k2", "ES256", k.now.Add(time.Minute)), k.signingKey("k3", "EdDSA", k.now)
		two.Created, other.Sealed = k.now.Add(time.Hour), []byte{3}
		k.ok(k.rotate(one, ""))
		k.wantErr("a second first key", k.rotate(two, ""), impersonation.ErrChanged)
		k.wantErr("in the place of none", k.rotate(two, "k0"), impersonation.ErrChanged)
		k.wantErr("the same id", k.rotate(one, "k1"), store.ErrExists)
		k.ok(k.rotate(other, ""))
		k.ok(k.rotate(two, "k1"))
		k.wantErr("in the place of one that retires", k.rotate(k.signingKey("k4", "ES256", k.now), "k1"), impersonation.ErrChanged)
		one.Retires = two.Activates.Add(time.Hour)
		got, err := k.store.SigningKeys(k.Context())
		k.ok(err)
		k.same("SigningKeys", got, []store.SigningKey{two, other, one})
		if n := len(k.entries(store.EntryQuery{Kind: audit.KindKey})); n != 3 {
			k.Errorf("got %d entries, want one for each key that was added", n)
		}
	}},
	{"key/revoke", "a key is revoked once, and replaced where it was the current one of its algorithm", func(k *kit) {
		k.ok(k.rotate(k.signingKey("k1", "ES256", k.now), ""))
		k.ok(k.rotate(k.signingKey("k2", "EdDSA", k.now), ""))
		_, err := k.revokeKey("none", store.SigningKey{})
		k.wantErr("a key that there is not", err, store.ErrNotFound)
		replaced, err := k.revokeKey("k1", k.signingKey("k3", "ES256", k.now))
		k.ok(err)
		_, again := k.revokeKey("k1", k.signingKey("k4", "ES256", k.now))
		k.wantErr("a second time", again, impersonation.ErrChanged)
		one := k.signingKey("k1", "ES256", k.now)
		one.Revoked = k.now
		k.same("the keys", k.keys(), map[string]store.SigningKey{"k1": one, "k2": k.signingKey("k2", "EdDSA", k.now), "k3": k.signingKey("k3", "ES256", k.now)})
		made, revoked := len(k.entries(store.EntryQuery{Kind: audit.KindKey})), len(k.entries(store.EntryQuery{Kind: audit.KindKeyRevoke}))
		if !replaced || made != 3 || revoked != 1 {
			k.Errorf("got replaced %v, %d entries of keys made and %d of revoked ones; want true, 3, 1", replaced, made, revoked)
		}
		replaced, err = k.revokeKey("k2", store.SigningKey{})
		k.ok(err)
		if left := k.keys(); replaced || len(left) != 3 {
			k.Errorf("without another at hand: got %v, replaced %v", left, replaced)
		}
	}},
	{"key/revoke-signing", "when the key that signs is revoked, one that waits takes its place at once; when another is, it goes on waiting", func(k *kit) {
		later := k.now.Add(10 * time.Minute)
		k.ok(k.rotate(k.signingKey("old", "ES256", k.now.Add(-time.Hour)), ""))
		k.ok(k.rotate(k.signingKey("signs", "ES256", k.now), "old"))
		k.ok(k.rotate(k.signingKey("waits", "ES256", later), "signs"))
		revoke := func(id string, want time.Time) {
			replaced, err := k.revokeKey(id, k.signingKey("spare", "ES256", k.now))
			k.ok(err)
			if got := k.keys()["waits"].Activates; replaced || got != want {
				k.Errorf("after %q: got one that signs from %v, replaced %v; want %v", id, got, replaced, want)
			}
		}
		revoke("old", later)
		revoke("signs", k.now)
	}},
	{"key/revoke-next", "when the key that waits is revoked, another takes its place: the one that signs is to retire", func(k *kit) {
		k.ok(k.rotate(k.signingKey("signs", "ES256", k.now), ""))
		k.ok(k.rotate(k.signingKey("waits", "ES256", k.now.Add(10*time.Minute)), "signs"))
		if replaced, err := k.revokeKey("waits", k.signingKey("spare", "ES256", k.now)); err != nil || !replaced {
			k.Errorf("got replaced %v, %v; want true", replaced, err)
		}
	}},
	{"key/retired", "a key signs no more that would not outlive its tokens, and so one that waits is due", func(k *kit) {
		k.ok(k.rotate(k.signingKey("retires", "ES256", k.now.Add(-2*time.Hour)), ""))
		k.ok(k.rotate(k.signingKey("signed", "ES256", k.now.Add(-time.Minute)), "retires"))
		k.ok(k.rotate(k.signingKey("waits", "ES256", k.now.Add(10*time.Minute)), "signed"))
		if replaced, err := k.revokeKey("signed", k.signingKey("spare", "ES256", k.now)); err != nil || replaced || k.keys()["waits"].Activates != k.now {
			k.Errorf("got %v, replaced %v, %v; want the one that waited to sign now", k.keys()["waits"], replaced, err)
		}
	}},
	{"policy/newest", "a policy is written when it differs from the newest, also when it is an old one again", func(k *kit) {
		for _, c := range []struct {
			version string
			want    bool
		}{{"a", true}, {"a", false}, {"b", true}, {"a", true}} {
			before := k.authz()
			wrote, err := k.store.PutPolicy(k.Context(), c.version, []byte("{}"), k.recorded(audit.KindPolicy))
			k.ok(err)
			if moved := k.authz()["globex"] != before["globex"]; wrote != c.want || moved != c.want {
				k.Errorf("%s: got wrote %v, versions moved %v; want %v", c.version, wrote, moved, c.want)
			}
		}
		if n := len(k.entries(store.EntryQuery{Kind: audit.KindPolicy})); n != 3 {
			k.Errorf("got %d entries, want 3", n)
		}
	}},
}

package chaos

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"strings"

	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/store"
)

// Seen is the trail as a Check saw it. The next Check with the same Seen holds the trail to it and notes what is new. The zero
// value has seen nothing. Not safe for concurrent use.
type Seen struct {
	entries map[int64]seenEntry
	last    int64
}

type seenEntry struct {
	id  string
	sum [sha256.Size]byte
}

// trail is I7.
func (w *world) trail() {
	ids := map[string]bool{}
	for i, e := range w.entries {
		if ids[e.Entry.ID] {
			w.report("I7", e.Entry.ID, "stands in the trail twice")
		}
		ids[e.Entry.ID] = true
		if i > 0 && e.Seq >= w.entries[i-1].Seq { // newest first
			w.report("I7", e.Entry.ID, "has sequence %d below the newer entry's %d", e.Seq, w.entries[i-1].Seq)
		}
		w.opens(e)
	}
	if w.options.Seen != nil {
		w.grown(w.options.Seen)
	}
}

// opens checks that the bytes and the opening belong together and say what the entry says.
func (w *world) opens(e store.StoredEntry) {
	opened, err := audit.Open(e.Canonical, e.Opening)
	if err != nil {
		w.report("I7", e.Entry.ID, "%v", err)
		return
	}
	again, err := audit.Canonical(e.Entry)
	switch {
	case opened.ID != e.Entry.ID:
		w.report("I7", e.Entry.ID, "its bytes are those of entry %s", opened.ID)
	case e.Opening == nil: // erased: the entry has lost what its bytes still commit to
	case err != nil:
		w.report("I7", e.Entry.ID, "%v", err)
	case !bytes.Equal(again, e.Canonical):
		w.report("I7", e.Entry.ID, "its bytes do not say what the entry says")
	}
}

// grown checks that nothing that was seen is gone or other, and that what is new came after it.
func (w *world) grown(seen *Seen) {
	now := make(map[int64]seenEntry, len(w.entries))
	last := seen.last
	for _, e := range w.entries {
		now[e.Seq] = seenEntry{e.Entry.ID, sha256.Sum256(e.Canonical)}
		last = max(last, e.Seq)
		if _, old := seen.entries[e.Seq]; !old && e.Seq <= seen.last {
			w.report("I7", e.Entry.ID, "came into the trail at %d, before its end at %d", e.Seq, seen.last)
		}
	}
	for seq, was := range seen.entries {
		if is, ok := now[seq]; !ok {
			w.report("I7", was.id, "is missing: it was at %d", seq)
		} else if is != was {
			w.report("I7", was.id, "was changed: at %d there is %s now", seq, is.id)
		}
	}
	seen.entries, seen.last = now, last
}

// canaries is I9.
func (w *world) canaries() {
	var all strings.Builder // of the trail: searched whole first, since there are many secrets and many entries
	for _, e := range w.entries {
		all.Write(e.Canonical)
		all.Write(e.Opening)
	}
	for _, secret := range w.options.Canaries {
		if secret == "" {
			w.report("I9", "Canaries", "has an empty one, which stands everywhere: the test did not get what it wanted")
			continue
		}
		for name, text := range w.options.Public {
			if stands(text, secret) {
				w.report("I9", name, "has secret %s in clear", fingerprint(secret))
			}
		}
		if stands(all.String(), secret) {
			w.whichEntry(secret)
		}
	}
}

func (w *world) whichEntry(secret string) {
	for _, e := range w.entries {
		if stands(string(e.Canonical), secret) || stands(string(e.Opening), secret) {
			w.report("I9", e.Entry.ID, "has secret %s in clear", fingerprint(secret))
		}
	}
}

// stands finds a secret as it is and as a URL spells it.
func stands(text, secret string) bool {
	escaped := url.QueryEscape(secret)
	return strings.Contains(text, secret) || escaped != secret && strings.Contains(text, escaped)
}

// fingerprint names a secret without showing it.
func fingerprint(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return "sha256:" + hex.EncodeToString(sum[:6])
}

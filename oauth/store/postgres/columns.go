package postgres

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/store"
)

// These turn values into columns and back. An empty value and a missing one are the same: NULL reads as zero, also where a
// whole row is missing from a join.

// ms is the column of a time; nil, so NULL, for the zero time. The zone is dropped and parts of a millisecond are cut off.
func ms(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMilli()
}

// at scans a time column.
type at struct{ t *time.Time }

// ScanInt64 implements pgtype.Int64Scanner.
func (a at) ScanInt64(v pgtype.Int8) error {
	*a.t = time.Time{}
	if v.Valid {
		*a.t = time.UnixMilli(v.Int64).UTC()
	}
	return nil
}

// span scans a duration column, in milliseconds.
type span struct{ d *time.Duration }

// ScanInt64 implements pgtype.Int64Scanner.
func (s span) ScanInt64(v pgtype.Int8) error {
	*s.d = time.Duration(v.Int64) * time.Millisecond
	return nil
}

// number scans a column that may be NULL.
type number struct{ n *int64 }

// ScanInt64 implements pgtype.Int64Scanner.
func (x number) ScanInt64(v pgtype.Int8) error {
	*x.n = v.Int64
	return nil
}

// flag scans a column that may be NULL.
type flag struct{ b *bool }

// ScanBool implements pgtype.BoolScanner.
func (x flag) ScanBool(v pgtype.Bool) error {
	*x.b = v.Bool
	return nil
}

// text scans a column that may be NULL into any kind of string.
func text[T ~string](s *T) texts[T] { return texts[T]{s} }

type texts[T ~string] struct{ s *T }

// ScanText implements pgtype.TextScanner.
func (x texts[T]) ScanText(v pgtype.Text) error {
	*x.s = T(v.String)
	return nil
}

// hashed is the column of a hash; NULL for the zero hash, which matches nothing.
func hashed(h oauth.Hash) any {
	if h.IsZero() {
		return nil
	}
	return h[:]
}

// hash scans a hash column.
type hash struct{ h *oauth.Hash }

// ScanBytes implements pgtype.BytesScanner.
func (x hash) ScanBytes(v []byte) error {
	*x.h = oauth.Hash{}
	if v != nil && len(v) != len(x.h) {
		return errors.New("a hash is stored with the wrong length")
	}
	copy(x.h[:], v)
	return nil
}

// list is the column of a list.
func list(l []string) string {
	if len(l) == 0 {
		return "[]"
	}
	b, _ := json.Marshal(l) // strings always marshal
	return string(b)
}

// mapping is the column of a map.
func mapping(m map[string]string) string {
	if len(m) == 0 {
		return "{}"
	}
	b, _ := json.Marshal(m) // strings always marshal
	return string(b)
}

// items scans a list column.
type items struct{ l *[]string }

// ScanBytes implements pgtype.BytesScanner.
func (x items) ScanBytes(v []byte) error {
	*x.l = nil
	if v == nil || string(v) == "[]" {
		return nil
	}
	return json.Unmarshal(v, x.l)
}

// identities scans a list column of identities, each as issuer, space, subject: an issuer has no space.
type identities struct{ l *[]oauth.Party }

// ScanBytes implements pgtype.BytesScanner.
func (x identities) ScanBytes(v []byte) error {
	var list []string
	if err := (items{&list}).ScanBytes(v); err != nil {
		return err
	}
	*x.l = nil
	for _, s := range list {
		issuer, subject, _ := strings.Cut(s, " ")
		*x.l = append(*x.l, oauth.Party{Issuer: issuer, Subject: subject})
	}
	return nil
}

// pairs scans a map column.
type pairs struct{ m *map[string]string }

// ScanBytes implements pgtype.BytesScanner.
func (x pairs) ScanBytes(v []byte) error {
	*x.m = nil
	if v == nil || string(v) == "{}" {
		return nil
	}
	return json.Unmarshal(v, x.m)
}

// clientSettings scans the settings of a client.
type clientSettings struct{ s *store.Settings }

// ScanText implements pgtype.TextScanner.
func (x clientSettings) ScanText(v pgtype.Text) (err error) {
	*x.s, err = store.DecodeSettings([]byte(v.String))
	return err
}

// orNull is the column of a text that is unique where there is one.
func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// blobOrNull keeps an empty blob and NULL from being two things.
func blobOrNull(b []byte) any {
	if len(b) == 0 {
		return nil
	}
	return b
}

package sqlite

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/store"
)

// These turn values into columns and back. An empty value and a missing one are the same: both read as zero.

// ms is the column of a time; nil, so NULL, for the zero time. The zone is dropped and parts of a millisecond are cut off.
func ms(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMilli()
}

// at scans a time column.
type at struct{ t *time.Time }

func (a at) Scan(v any) error {
	*a.t = time.Time{}
	switch v := v.(type) {
	case nil:
	case int64:
		*a.t = time.UnixMilli(v).UTC()
	default:
		return fmt.Errorf("a time is stored as %T", v)
	}
	return nil
}

// span scans a duration column, in milliseconds.
type span struct{ d *time.Duration }

func (s span) Scan(v any) error {
	n, ok := v.(int64)
	if !ok {
		return fmt.Errorf("a duration is stored as %T", v)
	}
	*s.d = time.Duration(n) * time.Millisecond
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

func (x hash) Scan(v any) error {
	*x.h = oauth.Hash{}
	switch v := v.(type) {
	case nil:
		return nil
	case []byte:
		if copy(x.h[:], v) == len(x.h) && len(v) == len(x.h) {
			return nil
		}
	}
	return fmt.Errorf("a hash is stored as %T of the wrong length", v)
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

func (x items) Scan(v any) error {
	*x.l = nil
	s, ok := v.(string)
	if !ok {
		return fmt.Errorf("a list is stored as %T", v)
	}
	if s == "[]" {
		return nil
	}
	return json.Unmarshal([]byte(s), x.l)
}

// identities scans a list column of identities, each as issuer, space, subject: an issuer has no space.
type identities struct{ l *[]oauth.Party }

func (x identities) Scan(v any) error {
	var list []string
	if err := (items{&list}).Scan(v); err != nil {
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

func (x pairs) Scan(v any) error {
	*x.m = nil
	s, ok := v.(string)
	if !ok {
		return fmt.Errorf("a map is stored as %T", v)
	}
	if s == "{}" {
		return nil
	}
	return json.Unmarshal([]byte(s), x.m)
}

// clientSettings scans the settings of a client.
type clientSettings struct{ s *store.Settings }

func (x clientSettings) Scan(v any) (err error) {
	s, ok := v.(string)
	if !ok {
		return fmt.Errorf("settings are stored as %T", v)
	}
	*x.s, err = store.DecodeSettings([]byte(s))
	return err
}

// orNull is the column of a text that is unique where there is one.
func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// text scans a column that may be NULL.
type text struct{ s *string }

func (x text) Scan(v any) error {
	switch v := v.(type) {
	case nil:
		*x.s = ""
	case string:
		*x.s = v
	default:
		return fmt.Errorf("text is stored as %T", v)
	}
	return nil
}

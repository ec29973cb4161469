package conformance

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Exchange is one request and its answer, as evidence: secrets are replaced by their length and the beginning of their SHA-256, so that two that are alike can
// be told from two that are not.
type Exchange struct {
	Method string `json:"method"`
	URL    string `json:"url"`
	// Header and Body are what was sent.
	Header []string `json:"header,omitempty"`
	Body   string   `json:"body,omitempty"`
	// Status is 0 where no answer came; then Error says why.
	Status       int      `json:"status,omitempty"`
	AnswerHeader []string `json:"answer_header,omitempty"`
	Answer       string   `json:"answer,omitempty"`
	Error        string   `json:"error,omitempty"`
	Duration     Duration `json:"duration"`
}

// shown is how much of a body is kept.
const shown = 4 << 10

// mask stands for a secret.
func mask(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return fmt.Sprintf("[%d characters, %s]", len(secret), hex.EncodeToString(sum[:4]))
}

// secretParams are the names of parameters and members whose values are secrets.
var secretParams = map[string]bool{
	"client_secret": true, "client_assertion": true, "code": true, "code_verifier": true, "refresh_token": true, "access_token": true, "id_token": true,
	"subject_token": true, "actor_token": true, "token": true, "password": true, "ticket": true, "request_uri": true, "id_token_hint": true, "otp": true,
}

// keeper replaces what it knows to be secret.
type keeper struct {
	secrets []secret // longest first
}

// secret is one as it is, and as a form or a URL spells it: "" where that is the same. A run has hundreds, and looks for each in every text.
type secret struct{ plain, escaped string }

// add makes a secret of s. What is short could stand anywhere by chance, and would make evidence unreadable.
func (k *keeper) add(s string) {
	if len(s) < 6 || slices.ContainsFunc(k.secrets, func(x secret) bool { return x.plain == s }) {
		return
	}
	x := secret{plain: s}
	if escaped := url.QueryEscape(s); escaped != s {
		x.escaped = escaped
	}
	i := slices.IndexFunc(k.secrets, func(other secret) bool { return len(other.plain) < len(s) })
	if i < 0 {
		i = len(k.secrets)
	}
	k.secrets = slices.Insert(k.secrets, i, x)
}

// aJWT is a token that says what it says in the clear; only its signature is secret.
var aJWT = regexp.MustCompile(`\b(eyJ[A-Za-z0-9_-]+\.eyJ[A-Za-z0-9_-]+\.)([A-Za-z0-9_-]{16,})`)

// text is s without secrets, cut to what is shown.
func (k *keeper) text(s string) string {
	if strings.Contains(s, "eyJ") { // the expression is slow, and most texts have none
		s = aJWT.ReplaceAllStringFunc(s, func(token string) string {
			i := strings.LastIndexByte(token, '.')
			return token[:i+1] + mask(token[i+1:])
		})
	}
	for _, x := range k.secrets {
		if strings.Contains(s, x.plain) { // a mask costs a hash, and most texts hold none
			s = strings.ReplaceAll(s, x.plain, mask(x.plain))
		}
		if x.escaped != "" && strings.Contains(s, x.escaped) {
			s = strings.ReplaceAll(s, x.escaped, mask(x.plain))
		}
	}
	if len(s) > shown {
		s = s[:shown] + fmt.Sprintf("... (%d bytes)", len(s))
	}
	return strings.ToValidUTF8(s, "\ufffd")
}

// form is a form or a query without secrets: by the names of its members, and what else is known.
func (k *keeper) form(s string) string {
	var out []string
	for pair := range strings.SplitSeq(s, "&") {
		name, value, has := strings.Cut(pair, "=")
		if plain, err := url.QueryUnescape(value); err == nil && has && value != "" && (secretParams[name] || strings.HasSuffix(name, "_token")) && !strings.HasPrefix(plain, "urn:") {
			if aJWT.MatchString(plain) {
				value = k.text(plain)
			} else {
				value = mask(plain)
			}
		}
		if has {
			name += "="
		}
		out = append(out, name+value)
	}
	return k.text(strings.Join(out, "&"))
}

// url is u without secrets.
func (k *keeper) url(u *url.URL) string {
	if u == nil {
		return ""
	}
	v := *u
	v.RawQuery, v.Fragment, v.RawFragment = "", "", ""
	s := v.String()
	if u.RawQuery != "" {
		s += "?" + k.form(u.RawQuery)
	}
	if u.Fragment != "" {
		s += "#" + k.form(u.EscapedFragment())
	}
	return k.text(s)
}

// header is h without secrets, sorted.
func (k *keeper) header(h http.Header) (lines []string) {
	for name, values := range h {
		for _, v := range values {
			switch name {
			case "Authorization":
				scheme, secret, _ := strings.Cut(v, " ")
				v = scheme + " " + mask(secret)
			case "Cookie":
				var pairs []string
				for pair := range strings.SplitSeq(v, "; ") {
					name, value, _ := strings.Cut(pair, "=")
					pairs = append(pairs, name+"="+mask(value))
				}
				v = strings.Join(pairs, "; ")
			case "Set-Cookie":
				pair, rest, more := strings.Cut(v, ";")
				name, value, _ := strings.Cut(pair, "=")
				v = name + "=" + mask(value)
				if more {
					v += ";" + rest
				}
			case "Location":
				if u, err := url.Parse(v); err == nil {
					v = k.url(u)
				}
			}
			lines = append(lines, name+": "+k.text(v))
		}
	}
	slices.Sort(lines)
	return lines
}

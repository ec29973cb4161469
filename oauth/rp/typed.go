package rp

import (
	"bytes"
	"net/http"
	"regexp"
	"strings"
	"unicode"
)

const (
	maxTyped     = 40        // fields that are shown
	maxTypedForm = 256 << 10 // how much of a form is read for that
)

// typedField is what stood in one field of a form.
type typedField struct {
	Name, Value string
	Rows        int // of the box it is shown in
}

// typed is what r's form brought that n does not let be sent, so that whoever typed it can copy it: the way back leads to a page
// that is asked for anew. It is only for a form of this very site, or any other could put its words on our page. What may be a secret is left
// out, and neither logged nor kept is any of it.
func (n notice) typed(r *http.Request, st *site) (fields []typedField) {
	switch n.reason {
	case "ended", "not_impersonating", "unavailable":
	default:
		return nil
	}
	if strings.HasPrefix(r.URL.Path, root) || r.Header.Get("Sec-Fetch-Site") != "same-origin" && r.Header.Get("Origin") != st.origin {
		return nil
	}
	form := readForm(r, maxTypedForm)
	if n := len(form.head); n == maxTypedForm && !form.multipart { // no half of an escape
		if i := bytes.LastIndexByte(form.head[n-2:], '%'); i >= 0 {
			form.head = form.head[:n-2+i]
		}
	}
	for name, value := range form.fields() {
		v := strings.TrimSpace(strings.ToValidUTF8(strings.NewReplacer("\r\n", "\n", "\x00", "").Replace(value(maxTypedForm)), "\ufffd"))
		if v == "" || name == sessionField || secretName(name) || secretValue.MatchString(v) {
			continue
		}
		if fields = append(fields, typedField{clean(name), v, min(12, 1+strings.Count(v, "\n")+len(v)/80)}); len(fields) == maxTyped {
			break
		}
	}
	return fields
}

// secretValue is made by a machine, or the number of a card. People who type put blanks between words.
var secretValue = regexp.MustCompile(`^[A-Za-z0-9+/=_.~-]{24,}$|^[0-9](?:[ -]?[0-9]){12,18}$`)

// Parts of names, and whole words of names, under which forms ask for secrets. Rather one too many: what is left out can be typed again.
var (
	secretParts = regexp.MustCompile(`(?i)pass|pwd|secret|token|csrf|xsrf|credential|signature|security|nonce|session|cvv|cvc|iban|card|` +
		`kennwort|contrase|senha|parola|wachtwoord|парол|密码`)
	secretWords = map[string]bool{"pin": true, "key": true, "code": true, "auth": true, "otp": true, "totp": true, "mfa": true, "ssn": true, "csc": true, "tan": true, "private": true, "apikey": true, "clave": true, "answer": true}
)

// secretName tells by the name of a field that a secret may stand in it: apiKey, api_key and api[key] alike.
func secretName(name string) bool {
	if secretParts.MatchString(name) {
		return true
	}
	var spaced strings.Builder
	lower := false
	for _, c := range name {
		if lower && unicode.IsUpper(c) {
			spaced.WriteByte(' ')
		}
		lower = unicode.IsLower(c)
		spaced.WriteRune(unicode.ToLower(c))
	}
	for word := range strings.FieldsFuncSeq(spaced.String(), func(c rune) bool { return !unicode.IsLetter(c) }) {
		if secretWords[word] {
			return true
		}
	}
	return false
}

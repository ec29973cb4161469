package meddler

import (
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Operation is one change to each answer of a kind. Part is "member access_token", where a dot leads into an object, "parameter state" of a redirect, "header Location",
// "attribute HttpOnly" of a cookie, or "status". Do is "drop", "type", "value" or "repeat", or the status that is sent instead.
type Operation struct {
	Kind, Part, Do string
}

// String is the operation in words, such as "POST /token 200: member expires_in: drop".
func (o Operation) String() string { return o.Kind + ": " + o.Part + ": " + o.Do }

// Meddle is what a proxy does by it.
func (o Operation) Meddle(kind string, a *Answer) {
	if kind != o.Kind {
		return
	}
	part, name, _ := strings.Cut(o.Part, " ")
	switch part {
	case "member":
		a.Body = edit(a.Body, name, func(m member) []member {
			other := member{m.name, otherValue(m.value)}
			switch o.Do {
			case "drop":
				return nil
			case "type":
				return []member{{m.name, otherType(m.value)}}
			case "repeat":
				return []member{other, m}
			}
			return []member{other}
		})
	case "parameter":
		o.meddleWithLocation(name, a)
	case "header":
		o.meddleWithHeader(name, a)
	case "attribute":
		o.meddleWithCookies(name, a)
	case "status":
		a.Status, _ = strconv.Atoi(o.Do)
	}
}

func (o Operation) meddleWithLocation(name string, a *Answer) {
	u := led(a)
	q := u.Query()
	switch other := otherText(q.Get(name)); o.Do {
	case "drop":
		q.Del(name)
	case "value":
		q.Set(name, other)
	case "repeat":
		q.Add(name, other)
	}
	u.RawQuery = q.Encode()
	a.Header.Set("Location", u.String())
}

// others are headers that say something else than they must.
var others = map[string]string{
	"Content-Type": "text/html", "Cache-Control": "public, max-age=3600", "Www-Authenticate": "Meddled",
}

func (o Operation) meddleWithHeader(name string, a *Answer) {
	switch {
	case o.Do == "drop":
		a.Header[name] = nil // and none that is guessed in its place
	case name == "Location":
		u, err := url.Parse(a.Header.Get(name))
		if err == nil {
			u.Scheme, u.Host = "https", "meddler.example"
			a.Header.Set(name, u.String())
		}
	case name == "Set-Cookie":
		for i, line := range a.Header[name] {
			if c, err := http.ParseSetCookie(line); err == nil {
				c.Value = otherText(c.Value)
				a.Header[name][i] = c.String()
			}
		}
	default:
		a.Header.Set(name, others[name])
	}
}

func (o Operation) meddleWithCookies(name string, a *Answer) {
	for i, line := range a.Header["Set-Cookie"] {
		c, err := http.ParseSetCookie(line)
		if err != nil {
			continue
		}
		switch {
		case name == "HttpOnly":
			c.HttpOnly = false
		case name == "SameSite" && o.Do == "drop":
			c.SameSite = http.SameSiteDefaultMode
		case name == "SameSite":
			c.SameSite = http.SameSiteNoneMode
		}
		a.Header["Set-Cookie"][i] = c.String()
	}
}

// Seen is what went over the wire. The zero value has seen nothing; it is safe for concurrent use.
type Seen struct {
	mu   sync.Mutex
	what map[Operation]bool
}

// Meddle changes nothing, and keeps what could be changed.
func (s *Seen) Meddle(kind string, a *Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.what == nil {
		s.what = make(map[Operation]bool)
	}
	add := func(part string, do ...string) {
		for _, do := range do {
			if o := (Operation{kind, part, do}); o.wrong(a) {
				s.what[o] = true
			}
		}
	}
	paths(a.Body, "", func(path string, _ json.RawMessage) { add("member "+path, "drop", "type", "value", "repeat") })
	if u := led(a); u != nil {
		for name := range u.Query() {
			add("parameter "+name, "drop", "value", "repeat")
		}
	}
	for _, name := range []string{"Content-Type", "Cache-Control", "Location", "Set-Cookie", "Www-Authenticate"} {
		if a.Header.Get(name) != "" {
			add("header "+name, "drop", "value")
		}
	}
	if line := a.Header.Get("Set-Cookie"); line != "" {
		add("attribute HttpOnly", "drop")
		add("attribute SameSite", "drop", "value")
	}
	add("status", "200", "201", "302", "307", "400", "500")
}

// Draw gives n of the operations, the same ones whenever the same were seen, and almost the same where a few more were.
func (s *Seen) Draw(seed string, n int) []Operation {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Operation
	for o := range s.what {
		all = append(all, o)
	}
	at := func(o Operation) string {
		sum := sha256.Sum256([]byte(seed + o.String()))
		return string(sum[:])
	}
	slices.SortFunc(all, func(a, b Operation) int { return strings.Compare(at(a), at(b)) })
	return all[:min(n, len(all))]
}

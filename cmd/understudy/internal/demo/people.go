package demo

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base32"
	"strings"
	"sync"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/understudy-id/understudy/oauth/rp"
)

const (
	roleViewer  = "viewer"
	roleAnalyst = "analyst"
	roleSupport = "support"
	roleAdmin   = "admin"
)

// Password is that of everybody who can sign in.
const Password = "understudy-demo"

// Person is somebody who can sign in.
type Person struct {
	Name, Email, Password string
	// May says in words what they are there for.
	May string
	// TOTPSecret is that of the second factor (RFC 6238), in base32; "" for who has none.
	TOTPSecret string
}

// Code gives the code of the second factor at a moment: six digits, "" for who has none.
func (p Person) Code(at time.Time) string {
	if p.TOTPSecret == "" {
		return ""
	}
	code, err := totp.GenerateCode(p.TOTPSecret, at)
	if err != nil {
		panic(err) // the secret is made here, as base32
	}
	return code
}

// CodePeriod is how long a code is the current one (RFC 6238 §5.2).
const CodePeriod = 30 * time.Second

// SignIns gives those who can sign in, the administrator first. Each call gives a fresh value.
func SignIns() []Person {
	var out []Person
	for _, s := range seeds {
		if s.may == "" {
			continue
		}
		p := Person{Name: s.name, Email: s.email, Password: Password, May: s.may}
		if s.staff() {
			p.TOTPSecret = secretOf(s.email)
		}
		out = append(out, p)
	}
	return out
}

// secretOf gives somebody's second factor, the same in every run: 160 bits (RFC 4226 §4).
func secretOf(email string) string {
	sum := sha1.Sum([]byte("understudy demo: second factor of " + email))
	return base32.StdEncoding.EncodeToString(sum[:])
}

// id gives somebody's ID, the same in every run, so that the databases of issuer and app agree if one of them is new.
func (s seedling) id() string {
	sum := sha256.Sum256([]byte("understudy demo: id of " + s.email))
	return "usr_" + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:26]
}

// customers is everybody as the app may know them.
func customers() []rp.Person {
	var out []rp.Person
	for _, s := range seeds {
		out = append(out, rp.Person{Subject: s.id(), Name: s.name, Email: s.email, Organisation: s.organisation, Roles: []string{s.role}})
	}
	return out
}

// codes remembers which codes were given, since the issuer takes each only once.
type codes struct {
	mu   sync.Mutex
	used map[string]bool
}

// Code gives a code with which the person of that address can sign in now: the current one, or where that was given before
// the next or the last, which the issuer takes too (RFC 6238 §5.2). Of the fourth call within 90 seconds, and for who has
// no second factor, it gives "".
func (d *Demo) Code(email string) string {
	d.codes.mu.Lock()
	defer d.codes.mu.Unlock()
	if d.codes.used == nil {
		d.codes.used = map[string]bool{}
	}
	for _, p := range d.People {
		for _, off := range []time.Duration{0, CodePeriod, -CodePeriod} {
			code := p.Code(d.now().Add(off))
			if p.Email == email && !d.codes.used[email+code] {
				d.codes.used[email+code] = true
				return code
			}
		}
	}
	return ""
}

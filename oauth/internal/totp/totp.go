// Package totp is the second factor: one-time codes by time (RFC 6238) from an authenticator app. Start with [New] to
// enrol, [PNG] to show it, and [Verify] to check a code. The package keeps nothing: the caller seals the secret, counts
// failures and remembers the last step, without which a code could be used twice (RFC 6238 §5.2).
package totp

import (
	"bytes"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base32"
	"errors"
	"fmt"
	"image/png"
	"net/url"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
)

// Period is how long a step lasts: the default of RFC 6238 §5.2.
const Period = 30 * time.Second

// skew is how many steps a phone's clock may be off, either way: the most that RFC 6238 §5.2 recommends.
const skew = 1

// Issuer is the name that authenticator apps show for our own users.
const Issuer = "understudy"

// Purpose binds the sealed secret of one of our own users to them: package seal opens it for nobody else.
func Purpose(userID string) string { return "totp:" + userID }

// ErrName means that a name is empty or has a colon, which the otpauth URL gives a meaning of its own.
var ErrName = errors.New("totp: issuer and account must be neither empty nor contain a colon")

// New makes a secret: 160 random bits (RFC 4226 §4) as 32 characters of base32, for people who type. link is the
// otpauth URL that holds it, with issuer and account as the names that the app shows. Both are to be kept secret.
// Six digits, 30 s and SHA-1, since the common apps ignore whatever else the URL says; SHA-1 is sound inside HMAC.
// The only error is ErrName.
func New(issuer, account string) (secret, link string, err error) {
	for _, name := range []string{issuer, account} {
		if name == "" || strings.Contains(name, ":") {
			return "", "", ErrName
		}
	}
	var key [20]byte
	rand.Read(key[:]) // never fails (crypto/rand)
	secret = base32.StdEncoding.EncodeToString(key[:])
	return secret, otpauth(issuer, account, secret), nil
}

// otpauth writes the URL itself, since the library leaves "&" in an issuer as it is and so cuts the name in two.
func otpauth(issuer, account, secret string) string {
	q := url.Values{"secret": {secret}, "issuer": {issuer}, "algorithm": {"SHA1"}, "digits": {"6"}, "period": {"30"}}
	u := url.URL{
		Scheme:   "otpauth",
		Host:     "totp",
		Path:     "/" + issuer + ":" + account,
		RawQuery: strings.ReplaceAll(q.Encode(), "+", "%20"), // apps show a plus as a plus
	}
	return u.String()
}

// Verify reports whether code is the secret's at now, or one step before or after. Spaces in code are left out, since
// apps show them. step is the number of the matching step since 1970, for the caller to refuse it and any before it from
// then on. A secret that is no base32 matches nothing.
func Verify(secret, code string, now time.Time) (step int64, ok bool) {
	code = strings.ReplaceAll(code, " ", "")
	current := now.Unix() / int64(Period/time.Second)
	for s := current - skew; s <= current+skew; s++ {
		want, err := hotp.GenerateCode(secret, uint64(s))
		if err == nil && subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 {
			step, ok = s, true // the newest that matches, so that what is refused from then on includes all
		}
	}
	return step, ok
}

// PNG draws link, as New gave it, as a QR code of size by size pixels; 256 suits a page. It fails where link is not a URL
// or size is too small for it.
func PNG(link string, size int) ([]byte, error) {
	key, err := otp.NewKeyFromURL(link)
	if err != nil {
		return nil, errors.New("drawing a QR code: not a URL") // the cause would quote the secret
	}
	img, err := key.Image(size, size)
	if err != nil {
		return nil, fmt.Errorf("drawing a QR code: %w", err)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		return nil, fmt.Errorf("drawing a QR code: %w", err)
	}
	return b.Bytes(), nil
}

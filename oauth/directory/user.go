package directory

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/understudy-id/understudy/oauth"
)

// Limits of what is kept of a user.
const (
	MaxID    = 255 // bytes: the sub of OpenID Connect Core §2
	MaxEmail = 254 // bytes: what fits between the brackets of SMTP (RFC 5321 §4.5.3.1.3)
	MaxName  = 200 // characters
	maxLabel = 255 // bytes of an organisation, a group, a role, an attribute's name
	maxValue = 1024
)

// NewID returns a fresh ID for a user of ours: "usr_" and 26 characters of lower-case base32.
func NewID() string { return oauth.NewID("usr") }

// NormalEmail gives the one spelling under which an address is kept and compared: without space around it, in lower case.
// It returns an error that says the rule for what is no address at all; whether mail arrives there it does not ask.
func NormalEmail(email string) (string, error) {
	s := strings.TrimSpace(email)
	if !clean(s) { // before ToLower, which would turn bytes that are no UTF-8 into a character
		return "", errors.New("an e-mail address has no control character")
	}
	s = strings.ToLower(s)
	at := strings.IndexByte(s, '@')
	switch {
	case len(s) > MaxEmail:
		return "", fmt.Errorf("an e-mail address has at most %d bytes", MaxEmail)
	case at < 1 || at == len(s)-1 || strings.Count(s, "@") != 1:
		return "", errors.New("an e-mail address has one @, with something on both sides")
	case strings.ContainsFunc(s, unicode.IsSpace):
		return "", errors.New("an e-mail address has no space")
	}
	return s, nil
}

// Validate reports the first field of u that breaks a rule, and the rule. An e-mail address must be in the form that
// NormalEmail gives. Times are not looked at.
func (u User) Validate() error {
	if !validID(u.ID) || u.ID == "cli" || strings.HasPrefix(u.ID, "scim:") { // who else ends sessions: impersonation.EndWrite.EndedBy
		return fmt.Errorf("id: must be 1 to %d printable ASCII characters without space, not cli, and begin with neither scim: nor %s", MaxID, oauth.ClientPrefix)
	}
	if normal, err := NormalEmail(u.Email); err != nil {
		return fmt.Errorf("email: %w", err)
	} else if normal != u.Email {
		return errors.New("email: must be in lower case, without space around it")
	}
	if !clean(u.Name) || utf8.RuneCountInString(u.Name) > MaxName {
		return fmt.Errorf("name: must be at most %d characters, none of control", MaxName)
	}
	if u.Organisation != "" && !ValidLabel(u.Organisation) {
		return errors.New("organisation: " + RuleLabel)
	}
	for _, l := range []struct{ name, is string }{{"source", u.Source}, {"user_name", u.UserName}, {"external_id", u.ExternalID}, {"disabled_by", u.DisabledBy}} {
		if l.is != "" && !ValidLabel(l.is) {
			return errors.New(l.name + ": " + RuleLabel)
		}
	}
	if u.Enabled && u.DisabledBy != "" {
		return errors.New("disabled_by: must be empty for who is enabled")
	}
	if err := u.validateIdentities(); err != nil {
		return err
	}
	return u.validateLists()
}

// validateIdentities keeps an issuer to what its iss can be (RFC 3986), so that a space after it can begin the subject, and a subject
// to what a sub of ours could be: a client may be shown it in place of the ID.
func (u User) validateIdentities() error {
	seen := map[string]bool{}
	for _, p := range u.Identities {
		switch {
		case !printable(p.Issuer):
			return fmt.Errorf("identities: an issuer must be 1 to %d printable ASCII characters without space", MaxID)
		case !validID(p.Subject):
			return fmt.Errorf("identities: a subject must be 1 to %d printable ASCII characters without space, and not begin with %s", MaxID, oauth.ClientPrefix)
		case seen[p.Issuer]:
			return errors.New("identities: at most one at each issuer")
		}
		seen[p.Issuer] = true
	}
	return nil
}

func (u User) validateLists() error {
	for _, g := range u.Groups {
		if !ValidLabel(g) {
			return errors.New("groups: each " + RuleLabel)
		}
	}
	for _, r := range u.Roles {
		if !ValidLabel(r) {
			return errors.New("roles: each " + RuleLabel)
		}
	}
	for name, value := range u.Attributes {
		if !ValidLabel(name) || !clean(value) || len(value) > maxValue {
			return fmt.Errorf("attributes: a name %s, a value must be at most %d bytes, without control characters", RuleLabel, maxValue)
		}
	}
	return nil
}

func validID(id string) bool {
	return printable(id) && !strings.HasPrefix(id, oauth.ClientPrefix) // which a client's own sub has
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] < 0x21 || s[i] > 0x7e {
			return false
		}
	}
	return s != "" && len(s) <= MaxID
}

// RuleLabel is the rule of ValidLabel.
const RuleLabel = "must be 1 to 255 bytes, without control characters, and without space around it"

// ValidLabel reports whether s can be the name of a group, a role or an organisation, or what a source calls somebody. Two that
// differ by space around them would look like one, and be two organisations.
func ValidLabel(s string) bool {
	return s != "" && len(s) <= maxLabel && clean(s) && strings.TrimSpace(s) == s
}

// clean reports whether s is UTF-8 that looks like what it is. Beside control characters it refuses line separators and
// those that turn the direction of writing: with them a name could read as another one on the banner and in a report.
func clean(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp, unicode.Bidi_Control)
	})
}

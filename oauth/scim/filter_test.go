package scim_test

import (
	"strings"
	"testing"

	"github.com/understudy-id/understudy/oauth/scim"
)

const barbara = `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"BJensen@acme.test","externalId":"A7","active":true,
	"name":{"familyName":"Jensen","givenName":"Barbara"},"title":"Tour Guide",
	"emails":[{"value":"bjensen@acme.test","type":"work","primary":true},{"value":"babs@home.test","type":"home"}],
	"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"department":"Tours","manager":{"value":"usr_1"}}}`

func TestFilterMatches(t *testing.T) {
	t.Parallel()
	for filter, want := range map[string]bool{
		`userName eq "bjensen@ACME.test"`:                             true,
		`USERNAME EQ "bjensen@acme.test"`:                             true,
		`userName eq "other"`:                                         false,
		`urn:ietf:params:scim:schemas:core:2.0:User:userName sw "BJ"`: true,
		`externalId eq "A7"`:                                          true,
		`externalId eq "a7"`:                                          false, // its case counts (RFC 7643 §3.1)
		`active eq true`:                                              true,
		`active eq "True"`:                                            true, // how Entra writes it
		`active eq false`:                                             false,
		`active ne false`:                                             true,
		`name.familyName co "ENSE"`:                                   true,
		`title ew "guide"`:                                            true,
		`title gt "Tour"`:                                             true,
		`title lt "Tour"`:                                             false,
		`title ge "tour guide" and title le "tour guide"`:             true,
		`nickName pr`:                                                 false,
		`title pr and not (nickName pr)`:                              true,
		`nickName eq null`:                                            true,
		`title ne null`:                                               true,
		`nickName ne "x"`:                                             true,
		`emails eq "babs@home.test"`:                                  true,
		`emails.value eq "babs@home.test"`:                            true,
		`emails[type eq "work"].value eq "bjensen@acme.test"`:         true,
		`emails[type eq "work"].value eq "babs@home.test"`:            false,
		`emails[type eq "work" and value co "@acme.test"]`:            true,
		`emails[type eq "home" and primary eq true]`:                  false,
		`title eq "x" or userName sw "bj" and active eq true`:         true, // and binds closer
		`(title eq "x" or userName sw "bj") and active eq false`:      false,
		`urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department pr`:      true,
		`urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager eq "usr_1"`: true,
		`title eq "Tour \u0047uide"`: true,
	} {
		if got, err := scim.Matches(filter, barbara); err != nil || got != want {
			t.Errorf("%s: got %v, %v, want %v", filter, got, err, want)
		}
	}
}

func TestFilterRefuses(t *testing.T) {
	t.Parallel()
	for _, filter := range []string{
		`userName`, `userName eq`, `userName eq bjensen`, `userName is "x"`, `eq "x"`, `userName eq "x`, `userName eq "x" and`, `userName eq "x" title pr`,
		`(userName eq "x"`, `userName eq "x")`, `not userName pr`, `emails[type eq "work"`, `emails[]`, `emails[type eq "work"]value`, `title[type eq "x"] pr`,
		`shoeSize eq 7`, `name.shoeSize pr`, `urn:acme:User:title pr`, `userName eq {"a":1}`, `userName eq ["a"]`, `active gt true`, `active eq "maybe"`,
		`meta.lastModified gt "yesterday"`, `userName eq "\ud800"`, `usérName pr`, `[`, `"userName" pr`, "userName eq \"\xff\"",
		strings.Repeat("(", 2000), strings.Repeat("title pr or ", 40) + "title pr", `title eq "` + strings.Repeat("x", 3000) + `"`,
	} {
		_, err := scim.Matches(filter, barbara)
		if status, kind := scim.Fault(err); err == nil || status != 400 || kind != "invalidFilter" && kind != "invalidSyntax" {
			t.Errorf("%.60s: got %v, want invalidFilter", filter, err)
		}
	}
}

// FuzzFilter: a filter never panics, and one that is parsed is as true in other case, in parentheses and under two nots.
func FuzzFilter(f *testing.F) {
	for _, seed := range []string{`userName eq "bjensen"`, `emails[type eq "work" and value co "@x"].value eq "a"`, `not (title pr or active eq true)`,
		`meta.lastModified gt "2011-05-13T04:42:34Z"`, `urn:ietf:params:scim:schemas:core:2.0:User:userName sw "J"`, `a[b[c pr]]`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, filter string) {
		got, err := scim.Matches(filter, barbara)
		if err != nil {
			return
		}
		for _, same := range []string{"(" + filter + ")", "not (not (" + filter + "))", "title pr and (" + filter + ")"} {
			again, err := scim.Matches(same, barbara)
			if _, kind := scim.Fault(err); err != nil && kind == "invalidFilter" && (len(same) > 2048 || strings.Count(filter, " ") > 30) {
				continue // over a bound that the plain one was within
			}
			if err != nil || again != got {
				t.Errorf("%s: got %v, %v, want %v as for %s", same, again, err, got, filter)
			}
		}
	})
}

package demo

import (
	"context"
	"errors"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/admin"
	"github.com/understudy-id/understudy/oauth/directory"
)

// seed sees to it that everybody is there. What is there is left as it is, so that a run that was interrupted goes on where it
// ended, and what was changed since stays changed. All at once, since writes that wait together share a commit.
func seed(ctx context.Context, ad *admin.Admin) error {
	errs := make(chan error, len(seeds))
	for _, s := range seeds {
		go func() { errs <- s.add(ctx, ad) }()
	}
	var first error
	for range seeds {
		if err := <-errs; first == nil {
			first = err
		}
	}
	return first
}

func (s seedling) add(ctx context.Context, ad *admin.Admin) error {
	_, err := ad.User(ctx, s.id())
	if errors.Is(err, directory.ErrNotFound) {
		_, err = ad.AddUser(ctx, admin.NewUser{ID: s.id(), Email: s.email, Name: s.name, Organisation: s.organisation, Roles: []string{s.role}})
	}
	if err != nil || s.may == "" {
		return err
	}
	return s.credentials(ctx, ad)
}

// credentials lets s sign in. Only those who are printed can: a hash costs tens of milliseconds, and nobody needs forty.
func (s seedling) credentials(ctx context.Context, ad *admin.Admin) error {
	has, err := ad.Store.Credentials(ctx, s.id())
	if err == nil && has.Password == "" {
		err = ad.SetPassword(ctx, s.id(), Password)
	}
	if err != nil || has.TOTP != nil || !s.staff() {
		return err
	}
	return ad.ImportTOTP(ctx, s.id(), oauth.Secret(secretOf(s.email)))
}

// seedling is one user of the demo.
type seedling struct {
	name, email, organisation, role string
	may                             string // for who can sign in
}

// staff may impersonate, for which the issuer wants a second factor.
func (s seedling) staff() bool { return s.role == roleAdmin || s.role == roleSupport }

// The organisations. Staff who look after all of them are in none.
const (
	acmeOrg  = "Acme"
	birchOrg = "Birch"
	cedarOrg = "Cedar"
)

// seeds is everybody, those who can sign in first.
var seeds = []seedling{
	{"Ann Bell", "ann@acme.test", "", roleAdmin, "admin: may impersonate every customer"},
	{"Sue Park", "sue@acme.test", acmeOrg, roleSupport, "support agent: may look as customers of Acme"},
	{"John Doe", "john@acme.test", acmeOrg, roleViewer, "viewer: cannot find the report tab"},
	{"Mei Tanaka", "mei@acme.test", acmeOrg, roleAnalyst, "analyst: has it"},
	{"Lena Okafor", "lena@birch.test", birchOrg, roleAnalyst, "analyst of another organisation"},

	{"Omar Haddad", "omar@acme.test", "", roleAdmin, ""},
	{"Amara Nwosu", "amara@acme.test", acmeOrg, roleAnalyst, ""},
	{"Björn Lindqvist", "bjorn@acme.test", acmeOrg, roleViewer, ""},
	{"Carlos Mendes", "carlos@acme.test", acmeOrg, roleViewer, ""},
	{"Divya Raman", "divya@acme.test", acmeOrg, roleAnalyst, ""},
	{"Eilidh Fraser", "eilidh@acme.test", acmeOrg, roleViewer, ""},
	{"Farid Karimi", "farid@acme.test", acmeOrg, roleViewer, ""},
	{"Grace Achieng", "grace@acme.test", acmeOrg, roleAnalyst, ""},
	{"Hugo Lefèvre", "hugo@acme.test", acmeOrg, roleViewer, ""},
	{"Ioana Popescu", "ioana@acme.test", acmeOrg, roleViewer, ""},
	{"Jiho Kim", "jiho@acme.test", acmeOrg, roleAnalyst, ""},
	{"王芳", "wang.fang@acme.test", acmeOrg, roleViewer, ""},

	{"Noor Rahman", "noor@birch.test", birchOrg, roleSupport, ""},
	{"Agnieszka Wójcik", "agnieszka@birch.test", birchOrg, roleViewer, ""},
	{"Benedikt Sigurðsson", "benedikt@birch.test", birchOrg, roleViewer, ""},
	{"Chiamaka Eze", "chiamaka@birch.test", birchOrg, roleAnalyst, ""},
	{"Daniel Cohen", "daniel@birch.test", birchOrg, roleViewer, ""},
	{"Esi Mensah", "esi@birch.test", birchOrg, roleViewer, ""},
	{"Fatima Zahra Alaoui", "fatima@birch.test", birchOrg, roleAnalyst, ""},
	{"Giulia Ferrari", "giulia@birch.test", birchOrg, roleViewer, ""},
	{"Haruto Sato", "haruto@birch.test", birchOrg, roleViewer, ""},
	{"Isabel Quispe", "isabel@birch.test", birchOrg, roleViewer, ""},
	{"Jelena Petrović", "jelena@birch.test", birchOrg, roleAnalyst, ""},
	{"Kai Nakamura", "kai@birch.test", birchOrg, roleViewer, ""},
	{"ليلى حداد", "layla@birch.test", birchOrg, roleViewer, ""},

	{"Pavel Novák", "pavel@cedar.test", cedarOrg, roleSupport, ""},
	{"Aroha Ngata", "aroha@cedar.test", cedarOrg, roleViewer, ""},
	{"Baraka Mwangi", "baraka@cedar.test", cedarOrg, roleViewer, ""},
	{"Camille Dubois", "camille@cedar.test", cedarOrg, roleAnalyst, ""},
	{"Duc Tran", "duc@cedar.test", cedarOrg, roleViewer, ""},
	{"Elif Yılmaz", "elif@cedar.test", cedarOrg, roleViewer, ""},
	{"Finn O'Connor", "finn@cedar.test", cedarOrg, roleViewer, ""},
	{"Gabriela Ramírez", "gabriela@cedar.test", cedarOrg, roleAnalyst, ""},
	{"Hanna Virtanen", "hanna@cedar.test", cedarOrg, roleViewer, ""},
	{"Ivan Horvat", "ivan@cedar.test", cedarOrg, roleViewer, ""},
	{"Jasmine Wright", "jasmine@cedar.test", cedarOrg, roleViewer, ""},
	{"Kwame Boateng", "kwame@cedar.test", cedarOrg, roleAnalyst, ""},
	{"Олена Шевченко", "olena@cedar.test", cedarOrg, roleViewer, ""},
}

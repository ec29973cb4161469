package page_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/understudy-id/understudy/oauth"
)

// TestNamesOfTheClient: a link names the user as its client does, and the form their ID: whom it showed is whom it is about, whatever the name
// has come to mean since. Both ways lead through the sign-in and back.
func TestNamesOfTheClient(t *testing.T) {
	t.Parallel()
	const idp = "https://idp.example"
	b := setup(t)
	b.client.Policy.SubjectIssuer = idp
	b.users.all[1].Identities = []oauth.Party{{Issuer: idp, Subject: "usr_marta"}} // Bob has Marta's ID there
	b.who.User.Identities = []oauth.Party{{Issuer: idp, Subject: "A-1"}}
	r := b.serve(t, get("subject", "usr_marta"))
	if page := body(t, r); r.StatusCode != http.StatusOK || !strings.Contains(page, "Bob Marsh") || !strings.Contains(page, `name="subject" value="usr_bob"`) ||
		!strings.Contains(page, `state=s%261&amp;subject=usr_marta"`) {
		t.Errorf("the link: got %s; want Bob, with his ID in the form", r.Status)
	}
	for _, subject := range []string{"usr_bob", "usr_omar", "nobody"} {
		if r := b.serve(t, get("subject", subject)); r.StatusCode != http.StatusForbidden {
			t.Errorf("the link to %s: got %s", subject, r.Status)
		}
	}
	if page := body(t, b.serve(t, get("q", "acme"))); !strings.Contains(page, "subject=usr_marta") || strings.Contains(page, "Marta Ruiz") || strings.Contains(page, "subject=usr_bob") {
		t.Error("the search offers somebody without a name, or Bob by his ID")
	}
	b.users.all[1].Identities[0].Subject = "B-2"
	if r := b.serve(t, post()); r.StatusCode != http.StatusSeeOther || len(b.issued) != 1 || b.issued[0].Subject != "usr_bob" {
		t.Errorf("the form: got %s and tickets %+v; want one about Bob", r.Status, b.issued)
	}
	if r := b.serve(t, post("reason", "short")); r.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(body(t, r), "Bob Marsh") {
		t.Errorf("the form with a fault: got %s; want it again, about Bob", r.Status)
	}
	b.signed = false
	for what, r := range map[string]*http.Request{"link": get("subject", "B-2"), "form": post()} {
		q := r.URL.Query()
		q.Set("subject", "B-2") // of the form: where it was sent from
		r.URL.RawQuery = q.Encode()
		if _, q := location(t, b.serve(t, r)); !strings.Contains(q.Get("return_to"), "subject=B-2") || strings.Contains(q.Get("return_to"), "usr_bob") {
			t.Errorf("the %s comes back from the sign-in to %s", what, q.Get("return_to"))
		}
	}
}

package server_test

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"testing"

	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/store"
)

// These are flaws that others had with exchange and impersonation, by their public numbers.

// doorHouse has the client web, at which ann may act for john by consent and by a bare user id, and the agent bot, which may too.
type doorHouse struct {
	*house
	cookies []string
}

func newDoorHouse(t *testing.T, o options) *doorHouse {
	t.Helper()
	h := setup(t, o)
	h.t = t
	h.setPassword()
	h.addClientAs("web", func(c *store.Client) { refreshing(c); tool(c) })
	h.addClientAs("bot", agent)
	h.consent("ann", "web", nil)
	h.consent("client:bot", "bot", nil)
	return &doorHouse{house: h}
}

// signsIn is a new login of user.
func (h *doorHouse) signsIn(user string) string {
	h.t.Helper()
	cookie, _ := h.login(user)
	h.cookies = append(h.cookies, cookie)
	return cookie
}

// impersonates is ann in a login of her own, as john.
func (h *doorHouse) impersonates() reply {
	h.t.Helper()
	cookie := h.signsIn("ann")
	r := h.post("/oauth2/token", "web", startForm(h.ticket(cookie, "web", "john", "read"), h.token(cookie, "web", actorScope)))
	if r.status != http.StatusOK {
		h.t.Fatalf("start: got %d %s", r.status, r.body)
	}
	return r
}

func (h *doorHouse) granting(client string, f url.Values) func() bool {
	return func() bool {
		r := h.post("/oauth2/token", client, f)
		if r.status != http.StatusOK {
			gaveNothing(h.t, f.Get("grant_type"), r, "")
		}
		return r.status == http.StatusOK
	}
}

// everyDoor is each way to be somebody here: all that can be prepared is, and what comes back is the last step. on is what it stands on.
var everyDoor = map[string]struct {
	on      []string
	prepare func(h *doorHouse) (enter func() bool)
}{
	"code": {[]string{"actor", "login", "client"}, func(h *doorHouse) func() bool {
		return h.granting("web", redeem(h.code(h.signsIn("ann"), "web", "openid")))
	}},
	"refresh": {[]string{"actor", "login", "client"}, func(h *doorHouse) func() bool {
		g := h.granted(h.post("/oauth2/token", "web", redeem(h.code(h.signsIn("ann"), "web", "openid"))))
		return h.granting("web", refreshForm(g.refresh))
	}},
	"start by ticket": {[]string{"actor", "subject", "role", "protected", "login", "client", "kill"}, func(h *doorHouse) func() bool {
		cookie := h.signsIn("ann")
		return h.granting("web", startForm(h.ticket(cookie, "web", "john", "read"), h.token(cookie, "web", actorScope)))
	}},
	"start by user id": {[]string{"actor", "subject", "role", "protected", "login", "client", "kill"}, func(h *doorHouse) func() bool {
		return h.granting("web", userIDForm("john", h.token(h.signsIn("ann"), "web", actorScope)))
	}},
	"start by consent": {[]string{"actor", "subject", "role", "protected", "login", "client", "kill", "consent"}, func(h *doorHouse) func() bool {
		return h.granting("web", ownForm(h.token(h.signsIn("john"), "web", "openid app:read"), h.token(h.signsIn("ann"), "web", actorScope)))
	}},
	"start by an agent": {[]string{"subject", "protected", "login", "client", "kill", "consent"}, func(h *doorHouse) func() bool {
		return h.granting("bot", ownForm(h.token(h.signsIn("john"), "bot", "openid app:read"), ""))
	}},
	"stop": {[]string{"actor", "login", "client", "kill"}, func(h *doorHouse) func() bool {
		return h.granting("web", stopForm(h.impersonates().str("understudy_return_token")))
	}},
	"client credentials": {[]string{"client"}, func(h *doorHouse) func() bool {
		return h.granting("bot", url.Values{"grant_type": {"client_credentials"}})
	}},
	"own token": {[]string{"actor", "login", "client"}, func(h *doorHouse) func() bool {
		token := h.token(h.signsIn("ann"), "web", "openid")
		return func() bool { return h.userinfo(token).status == http.StatusOK }
	}},
	"impersonation token": {[]string{"actor", "subject", "role", "protected", "login", "client", "kill"}, func(h *doorHouse) func() bool {
		token := h.impersonates().str("access_token")
		return func() bool { return h.userinfo(token).status == http.StatusOK }
	}},
	"authorization": {[]string{"actor", "login", "client"}, func(h *doorHouse) func() bool {
		cookie := h.signsIn("ann")
		return func() bool {
			r := h.get("/oauth2/auth?"+authForm("web").Encode(), cookie)
			return r.location != nil && r.location.Query().Get("code") != ""
		}
	}},
	"impersonate page": {[]string{"actor", "subject", "role", "protected", "login", "client", "kill"}, func(h *doorHouse) func() bool {
		cookie := h.signsIn("ann")
		return func() bool {
			r := h.form("/impersonate?"+ask("web"), cookie, why("john", "read"))
			return r.location != nil && r.location.Query().Get("ticket") != ""
		}
	}},
	"trail": {[]string{"actor", "role", "login"}, func(h *doorHouse) func() bool {
		cookie := h.signsIn("ann")
		return func() bool { return h.get("/audit", cookie).status == http.StatusOK }
	}},
	"home": {[]string{"actor", "login"}, func(h *doorHouse) func() bool {
		cookie := h.signsIn("ann")
		return func() bool { return h.get("/", cookie).status == http.StatusOK }
	}},
	"password": {[]string{"actor"}, func(h *doorHouse) func() bool {
		return func() bool { return h.typed("ann@acme.test", annsPassword).cookie("__Host-op") != "" }
	}},
}

// changes are what may happen between the first step and the last. Of people only the row changes: what else an operator's act ends must
// not be all that stands in the way.
var changes = map[string]func(h *doorHouse){
	"nothing":   func(*doorHouse) {},
	"actor":     func(h *doorHouse) { h.disable("ann") },
	"subject":   func(h *doorHouse) { h.disable("john") },
	"role":      func(h *doorHouse) { h.demoted("ann") },
	"protected": func(h *doorHouse) { h.change("john", func(u *directory.User) { u.Protected = true }) },
	"kill":      func(h *doorHouse) { h.killed(impersonation.ScopeInstance, "") },
	"login": func(h *doorHouse) {
		for _, cookie := range h.cookies {
			h.form("/sign-out", cookie, nil)
		}
	},
	"client": func(h *doorHouse) {
		for _, id := range []string{"web", "bot"} {
			h.must(h.store.DeleteClient(context.Background(), id, impersonation.EndWrite{Write: h.write(), Reason: impersonation.EndClient}))
		}
	},
	"consent": func(h *doorHouse) {
		all, err := h.store.Consents(context.Background(), store.ConsentQuery{})
		h.must(err)
		for _, c := range all {
			h.withdraw(c.ID)
		}
	},
}

// TestChangesAtEveryDoor is CVE-2026-1609, CVE-2025-14559, CVE-2026-16103, CVE-2026-17526, CVE-2025-53942 and CVE-2026-9097: a way in
// that came later did not ask what the others asked, or asked before the last step and not at it. Here each way is begun, then something
// changes, and the last step is refused by all that stand on it, and by no other.
func TestChangesAtEveryDoor(t *testing.T) { onBoth(t, testChangesAtEveryDoor) }

func testChangesAtEveryDoor(t *testing.T, o options) {
	for what, change := range changes {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			h := newDoorHouse(t, o)
			enter := make(map[string]func() bool)
			for name, door := range everyDoor {
				enter[name] = door.prepare(h)
			}
			change(h)
			for name, door := range everyDoor {
				if got, want := enter[name](), !slices.Contains(door.on, what); got != want {
					t.Errorf("%s: got in %v, want %v", name, got, want)
				}
			}
		})
	}
}

// TestEveryGrantAsks is keycloak#48104: a second handler had left the permission out that the first one asked. At a server whose
// policy denies every start no grant gives a token with act, and all else works. TestGrantHandlers has the list of the handlers: who adds
// one adds its door here.
func TestEveryGrantAsks(t *testing.T) { onBoth(t, testEveryGrantAsks) }

func testEveryGrantAsks(t *testing.T, o options) {
	h := newDoorHouse(t, o)
	deny := policy.Default()
	deny.Resources[0].AcceptsAct = false
	starts := []string{"start by ticket", "start by user id", "start by consent", "start by an agent"}
	for _, denied := range []bool{false, true} {
		for _, name := range append([]string{"code", "refresh", "stop", "client credentials"}, starts...) {
			enter := everyDoor[name].prepare(h)
			there := h.url
			if denied {
				o := o
				o.registry = &deny
				h.url = h.replica(o).url
			}
			if got, want := enter(), !denied || !slices.Contains(starts, name); got != want {
				t.Errorf("%s, denied %v: got in %v, want %v", name, denied, got, want)
			}
			h.url = there
		}
	}
}

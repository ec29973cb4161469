package plugin_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ory/fosite"

	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/plugin"
)

func action(sid string) string {
	return fmt.Sprintf(`{"actions":[{"id":"act-1","sid":%q,"time":%q,"phase":"before","route":"/orders/7","method":"POST"}]}`, sid, time.Now().UTC().Format(time.RFC3339Nano))
}

// tell posts a body as a client; "" is nobody.
func (b *browser) tell(client, password, body string) reply {
	req, err := http.NewRequest(http.MethodPost, b.url+"/impersonation/actions", strings.NewReader(body))
	if err == nil {
		req.Header.Set("Content-Type", "application/json")
		if client != "" {
			req.SetBasicAuth(client, password)
		}
	}
	return b.send(req, err)
}

// TestActions: what an actor does at a relying app goes into the trail by the app's own word, and the answer tells whether it may go on.
func TestActions(t *testing.T) {
	onEach(t, func(t *testing.T, o options) {
		h := setup(t, o)
		as := h.start()
		if r := h.tell("shop", secret, action(as.sid())); r.status != http.StatusOK || r.body != fmt.Sprintf("{\"sessions\":{%q:{\"active\":true}}}\n", as.sid()) || r.header.Get("Cache-Control") != "no-store" {
			t.Errorf("telling: %d %s", r.status, r.body)
		}
		if e := h.entries(audit.KindAction); len(e) != 1 || e[0].Session != as.sid() || e[0].Fields["route"] != "/orders/7" || e[0].Fields["subject_name"] != "John Doe" {
			t.Errorf("actions on record: %v", e)
		}
		h.user("u-2", func(u *directory.User) { u.Enabled = false })
		if r := h.tell("shop", secret, action(as.sid())); r.status != http.StatusOK || !strings.Contains(r.body, `"active":false`) {
			t.Errorf("telling of a session that is over: %d %s", r.status, r.body)
		}
	})
}

// TestActionsRefused: another client, nobody, who cannot prove to be the client, and what is no action. Nothing goes on record.
func TestActionsRefused(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	h.Clients["public"] = &fosite.DefaultClient{ID: "public", Public: true}
	as := h.start()
	for _, c := range []struct {
		client, password, body string
		status                 int
		code                   string
	}{
		{"other", secret, action(as.sid()), 400, "invalid_request"},
		{"shop", secret, action("imp_unknown"), 400, "invalid_request"},
		{"shop", secret, `{"actions":[]}`, 400, "invalid_request"},
		{"shop", secret, "nonsense", 400, "invalid_request"},
		{"shop", "wrong", action(as.sid()), 401, "invalid_client"},
		{"", "", action(as.sid()), 401, "invalid_client"},
		{"unknown", secret, action(as.sid()), 401, "invalid_client"},
		{"public", "", action(as.sid()), 401, "invalid_client"},
	} {
		r := h.tell(c.client, c.password, c.body)
		var answer map[string]string
		if err := json.Unmarshal([]byte(r.body), &answer); err != nil || r.status != c.status || answer["error"] != c.code || (r.status == 401) != (r.header.Get("WWW-Authenticate") != "") {
			t.Errorf("%+v: got %d %s", c, r.status, r.body)
		}
	}
	if r := h.get("/impersonation/actions"); r.status != http.StatusMethodNotAllowed || r.header.Get("Allow") != http.MethodPost {
		t.Errorf("GET: %d", r.status)
	}
	if e := h.entries(audit.KindAction); len(e) != 0 {
		t.Errorf("on record: %v", e)
	}
	h.goDown(true)
	if r := h.tell("shop", secret, action(as.sid())); r.status != http.StatusServiceUnavailable || r.header.Get("Retry-After") == "" {
		t.Errorf("without the provider's people: %d %s", r.status, r.body)
	}
}

// A process that could not end a session lets no app go on.
func TestActionsNeedAStoreThatWrites(t *testing.T) {
	t.Parallel()
	is := new(atomic.Bool)
	is.Store(true)
	h := setup(t, options{change: func(c *plugin.Config) { c.Store = stuck{c.Store, is} }})
	if r := h.tell("shop", secret, action(h.start().sid())); r.status != http.StatusServiceUnavailable {
		t.Errorf("got %d %s", r.status, r.body)
	}
}

// TestActionsArePaced: script in one session's pages does not fill the trail.
func TestActionsArePaced(t *testing.T) {
	t.Parallel()
	stands := time.Now()
	h := setup(t, options{change: func(c *plugin.Config) { c.Now = func() time.Time { return stands } }})
	as := h.start()
	var batch []string
	for i := range 100 {
		batch = append(batch, fmt.Sprintf(`{"id":"act-%d","sid":%q,"time":%q,"phase":"before","route":"/","method":"GET"}`, i, as.sid(), stands.UTC().Format(time.RFC3339Nano)))
	}
	body := `{"actions":[` + strings.Join(batch, ",") + `]}`
	for i := range 30 {
		if r := h.tell("shop", secret, body); r.status != http.StatusOK {
			t.Fatalf("batch %d: %d %s", i, r.status, r.body)
		}
	}
	if r := h.tell("shop", secret, body); r.status != http.StatusTooManyRequests || r.header.Get("Retry-After") == "" {
		t.Errorf("beyond 3,000 in a minute: %d %s", r.status, r.body)
	}
}

// TestMetadata: a relying app finds by it what is mounted.
func TestMetadata(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	m := h.plugin.Metadata()
	for name, status := range map[string]int{"understudy_impersonation_endpoint": http.StatusBadRequest, "understudy_actions_endpoint": http.StatusMethodNotAllowed} {
		u, err := url.Parse(m[name].(string))
		h.ok(err)
		if r := h.get(u.Path); u.Scheme+"://"+u.Host != h.srv.URL || r.status != status {
			t.Errorf("%s %s: %d", name, u, r.status)
		}
	}
}

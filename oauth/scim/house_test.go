package scim_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/scim"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/store/postgres"
	"github.com/understudy-id/understudy/oauth/store/postgrestest"
	"github.com/understudy-id/understudy/oauth/store/sqlite"
)

const issuer = "https://id.acme.test"

// house is a handler on a fresh store, with the sources okta, whose users are of acme, and entra, whose users are of globex.
type house struct {
	testing.TB
	store   store.Store
	handler http.Handler
	tokens  map[string]string
	waits   time.Duration // what Failed and Wait answer
	failed  int
	logs    *lockedBuffer
	mu      sync.Mutex
	refused []impersonation.SourceRefusal
}

// stores are the kinds of store, by name.
var stores = map[string]func(testing.TB) store.Store{
	"SQLite": func(t testing.TB) store.Store {
		s, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "test.db"), Migrate: true})
		return opened(t, s, err)
	},
	"Postgres": func(t testing.TB) store.Store {
		s, err := postgres.Open(t.Context(), postgres.Config{URL: postgrestest.Fresh(t).Application})
		return opened(t, s, err)
	},
}

func opened(t testing.TB, s store.Store, err error) store.Store {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// onBoth runs a test once on each kind of store.
func onBoth(t *testing.T, test func(*testing.T, *house)) {
	t.Parallel()
	for _, name := range slices.Sorted(maps.Keys(stores)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newHouse(t, stores[name](t)))
		})
	}
}

// setup is a house on SQLite, for what asks nothing of the store.
func setup(t testing.TB) *house { return newHouse(t, stores["SQLite"](t)) }

// registry has groups that confer roles: "Admins" one that is privileged, "Helpers" one that impersonates.
func registry() policy.Registry {
	r := policy.Default()
	r.Roles = append(r.Roles, policy.Role{Name: "root", Privileged: true, Groups: []string{"Admins"}},
		policy.Role{Name: "helper", Groups: []string{"Helpers"}, Impersonate: &policy.Impersonate{Scopes: []string{"app:read"}}})
	return r
}

func newHouse(t testing.TB, s store.Store) *house {
	t.Helper()
	h := &house{TB: t, store: s, tokens: map[string]string{}, logs: new(lockedBuffer)}
	h.open(func(*scim.Config) {})
	h.addSource(store.Source{Name: "okta", Organisation: "acme", Issuer: "https://acme.okta.test"})
	h.addSource(store.Source{Name: "entra", Organisation: "globex"})
	return h
}

// open makes the handler, anew if there was one.
func (h *house) open(change func(*scim.Config)) {
	h.Helper()
	c := scim.Config{Issuer: issuer, Store: h.store, Registry: registry(), RequestID: func(context.Context) string { return "req_1" }, Refused: h.refuse,
		Failed: func(*http.Request) time.Duration { h.failed++; return h.waits }, Wait: func(*http.Request) time.Duration { return h.waits }, Logger: slog.New(slog.NewTextHandler(h.logs, nil))}
	change(&c)
	var err error
	h.handler, err = scim.New(c)
	h.ok(err)
}

func (h *house) refuse(_ context.Context, r impersonation.SourceRefusal) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.refused = append(h.refused, r)
}

// refusals are those since it was last asked.
func (h *house) refusals() []impersonation.SourceRefusal {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := h.refused
	h.refused = nil
	return out
}

// lockedBuffer is what was logged.
type lockedBuffer struct {
	mu sync.Mutex
	strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Builder.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Builder.String()
}

func (h *house) ok(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

func (h *house) write() impersonation.Write {
	return impersonation.Write{Now: time.Now().UTC(), RequestID: oauth.NewID("req")}
}

func (h *house) addSource(s store.Source) {
	h.Helper()
	s.Created, s.Updated = time.Now(), time.Now()
	h.ok(h.store.CreateSource(h.Context(), store.SourceWrite{Write: h.write(), Source: s}))
	h.tokens[s.Name] = h.addToken(store.SourceToken{Source: s.Name})
}

func (h *house) addToken(k store.SourceToken) string {
	h.Helper()
	secret := oauth.NewSecret()
	k.ID, k.Hash, k.Created = oauth.NewID("sct"), secret.Hash(), time.Now()
	h.ok(h.store.AddSourceToken(h.Context(), store.SourceTokenWrite{Write: h.write(), Token: k}))
	return string(secret)
}

// changeSource changes one as the operator would.
func (h *house) changeSource(name string, change func(*store.Source)) {
	h.Helper()
	s, err := h.store.Source(h.Context(), name)
	h.ok(err)
	change(&s)
	h.ok(h.store.ChangeSource(h.Context(), store.SourceWrite{Write: h.write(), Source: s}))
}

// reply is an answer, read.
type reply struct {
	status int
	header http.Header
	body   string
	json   map[string]any
}

func (r reply) str(name string) string { s, _ := r.json[name].(string); return s }

// total is totalResults; -1 for none.
func (r reply) total() int {
	n, ok := r.json["totalResults"].(float64)
	if !ok {
		return -1
	}
	return int(n)
}

// do sends a request of a source; headers are "Name: value".
func (h *house) do(source, method, path, body string, headers ...string) reply {
	h.Helper()
	req := httptest.NewRequest(method, issuer+scim.Path+strings.TrimPrefix(path, "/"), strings.NewReader(body))
	req.Header.Set("Authorization", "Bearer "+h.tokens[source])
	if body != "" {
		req.Header.Set("Content-Type", "application/scim+json")
	}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		req.Header.Set(name, value)
	}
	return h.serve(req)
}

func (h *house) serve(req *http.Request) reply {
	h.Helper()
	w := httptest.NewRecorder()
	h.handler.ServeHTTP(w, req)
	r := reply{status: w.Code, header: w.Header(), body: w.Body.String()}
	if w.Body.Len() > 0 && req.Method != http.MethodHead {
		if got := w.Header().Get("Content-Type"); got != "application/scim+json" {
			h.Errorf("%s %s: got Content-Type %q, want application/scim+json", req.Method, req.URL.Path, got)
		}
		if err := json.Unmarshal(w.Body.Bytes(), &r.json); err != nil {
			h.Fatalf("%s %s: %v in %s", req.Method, req.URL.Path, err, w.Body)
		}
	}
	return r
}

// want fails unless the answer has the status and, where one is given, the scimType.
func (h *house) want(r reply, status int, scimType ...string) reply {
	h.Helper()
	if r.status != status || len(scimType) > 0 && r.str("scimType") != scimType[0] {
		h.Fatalf("got %d %s, want %d %v", r.status, r.body, status, scimType)
	}
	if status >= 400 && (r.str("status") == "" || r.str("detail") == "") {
		h.Errorf("got %s, want status and detail as strings (RFC 7644 §3.12)", r.body)
	}
	return r
}

// user makes one and gives its id. extra are more members, such as `,"title":"x"`.
func (h *house) user(source, name string, extra ...string) string {
	h.Helper()
	return h.want(h.do(source, "POST", "Users", userBody(name, extra...)), http.StatusCreated).str("id")
}

func userBody(name string, extra ...string) string {
	return `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"` + name + `","externalId":"ext-` + name + `","displayName":"User ` + name + `"` +
		strings.Join(extra, "") + `}`
}

func (h *house) group(source, name string, members ...string) string {
	h.Helper()
	return h.want(h.do(source, "POST", "Groups", groupBody(name, members...)), http.StatusCreated).str("id")
}

func groupBody(name string, members ...string) string {
	list := make([]string, len(members))
	for i, m := range members {
		list[i] = `{"value":"` + m + `"}`
	}
	return `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"displayName":"` + name + `","members":[` + strings.Join(list, ",") + `]}`
}

func (h *house) stored(id string) directory.User {
	h.Helper()
	u, err := h.store.Get(h.Context(), id)
	h.ok(err)
	return u
}

// kinds are those of the entries about a person, the newest first.
func (h *house) kinds(id string) (out []audit.Kind) {
	for _, e := range h.entries(id) {
		out = append(out, e.Kind)
	}
	return out
}

func (h *house) entries(id string) (out []audit.Entry) {
	h.Helper()
	page, _, err := h.store.Entries(h.Context(), store.EntryQuery{Person: id, Limit: 1000})
	h.ok(err)
	for _, e := range page {
		out = append(out, e.Entry)
	}
	return out
}

// find lists resources by a filter, with more of a query behind it.
func (h *house) find(source, endpoint, filter string, more ...string) reply {
	h.Helper()
	q := "?" + strings.Join(more, "&")
	if filter != "" {
		q += "&filter=" + url.QueryEscape(filter)
	}
	return h.want(h.do(source, "GET", endpoint+q, ""), http.StatusOK)
}

// patch changes a resource.
func (h *house) patch(source, path string, operations ...string) reply {
	h.Helper()
	return h.do(source, "PATCH", path, patchOf(strings.Join(operations, ",")))
}

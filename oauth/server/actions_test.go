package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/oauth/admin"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/store"
)

// action is one action as an app sends it, changed by name-value pairs; a nil value takes a member out.
func (h *house) action(sid string, change ...any) map[string]any {
	a := map[string]any{
		"id": "act-1", "sid": sid, "time": h.clock.Now().Format(time.RFC3339Nano), "phase": "before",
		"route": "/account/delete", "method": "POST", "note": "refused: forbidden",
	}
	for i := 0; i < len(change); i += 2 {
		if a[change[i].(string)] = change[i+1]; change[i+1] == nil {
			delete(a, change[i].(string))
		}
	}
	return a
}

func batch(actions ...map[string]any) string {
	b, err := json.Marshal(map[string]any{"actions": actions})
	if err != nil {
		panic(err)
	}
	return string(b)
}

// act posts a body as client.
func (h *house) act(client, body string) reply {
	h.t.Helper()
	req, err := http.NewRequest(http.MethodPost, h.url+"/impersonation/actions", strings.NewReader(body))
	h.must(err)
	req.Header.Set("Content-Type", "application/json")
	if client != "" {
		req.SetBasicAuth(client, h.secrets[client])
	}
	return h.do(req)
}

// actionsOf gives the actions of a session on record, newest first.
func (h *house) actionsOf(sid string) (out []audit.Entry) {
	h.t.Helper()
	page, _, err := h.store.Entries(context.Background(), store.EntryQuery{Session: sid, Kind: audit.KindAction, Limit: 1000})
	h.must(err)
	for _, e := range page {
		out = append(out, e.Entry)
	}
	return out
}

func wantSessions(t *testing.T, r reply, want string) {
	t.Helper()
	if r.status != http.StatusOK || r.body != `{"sessions":{`+want+`}}` {
		t.Errorf("got %d %s; want 200 with %s", r.status, r.body, want)
	}
	if got := r.header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control %q; want no-store", got)
	}
}

// TestActions: what is told is on record in the session's story, once however often it is told, and the answer says who is alive.
func TestActions(t *testing.T) { onBoth(t, testActions) }

func testActions(t *testing.T, o options) {
	h := setup(t, o)
	s := h.start("ann", "app", "john", "write")
	alive := fmt.Sprintf("%q:%s", s.sid, `{"active":true}`)
	body := batch(h.action(s.sid, "writer", "w-1", "seq", 7), h.action(s.sid, "phase", "after", "status", 403, "writer", "w-1", "seq", 8, "note", nil))
	wantSessions(t, h.act("app", body), alive)
	first := h.actionsOf(s.sid)
	wantSessions(t, h.act("app", body), alive)
	// Something else under the same ID is on record too: nobody chooses what is not.
	wantSessions(t, h.act("app", batch(h.action(s.sid, "route", "/other"), h.action(s.sid, "id", "act-2"))), alive)
	wantSessions(t, h.act("app", batch(h.action(s.sid, "route", "/third"))), alive)
	all := h.actionsOf(s.sid)
	if len(first) != 2 || len(all) != 5 {
		t.Fatalf("%d, then %d actions on record; want 2, then 5", len(first), len(all))
	}
	if diff := cmp.Diff(first, all[3:]); diff != "" {
		t.Errorf("telling again changed the record (-was +is):\n%s", diff)
	}

	after, before := first[0], first[1]
	if before.Actor.Subject != "ann" || before.Subject.Subject != "john" || before.Client != "app" || before.Policy == "" || before.Request == "" {
		t.Errorf("entry %+v; want who, to whom, where, by which policy and request", before)
	}
	want := map[string]string{
		"action": "act-1", "writer": "w-1", "seq": "7", "phase": "before", "method": "POST", "route": "/account/delete", "note": "refused: forbidden",
		"time": before.Fields["time"], "actor_name": "Ann Admin", "actor_email": "ann@acme.test", "subject_name": "John Doe", "subject_email": "john@acme.test",
	}
	if diff := cmp.Diff(want, before.Fields); diff != "" || want["time"] == "" {
		t.Errorf("fields before (-want +got):\n%s", diff)
	}
	if after.Fields["status"] != "403" || after.Fields["phase"] != "after" || after.Fields["note"] != "" {
		t.Errorf("fields after: %v", after.Fields)
	}
	for _, personal := range []string{"route", "actor_name", "subject_email"} {
		if before.Salts[personal] == nil {
			t.Errorf("%s stands in clear: nobody can erase it", personal)
		}
	}
	if before.ID == after.ID || len(before.ID) != len("aud_")+26 {
		t.Errorf("IDs %s and %s", before.ID, after.ID)
	}
}

// TestNotes: what an app says of its own accord belongs to the request in which it said it, as often as it says it, and what it names can
// be erased.
func TestNotes(t *testing.T) { onBoth(t, testNotes) }

func testNotes(t *testing.T, o options) {
	h := setup(t, o)
	s := h.start("ann", "app", "john", "write")
	note := func(seq int) map[string]any {
		return h.action(s.sid, "phase", "note", "writer", "w-1", "seq", seq, "note", "invoice.refunded", "details", map[string]any{"id": "7", "to": "john@acme.test"})
	}
	body := batch(h.action(s.sid, "writer", "w-1", "seq", 1), note(2), note(3))
	for range 2 {
		wantSessions(t, h.act("app", body), fmt.Sprintf("%q:%s", s.sid, `{"active":true}`))
	}
	all := h.actionsOf(s.sid)
	if len(all) != 3 {
		t.Fatalf("%d on record, want 3", len(all))
	}
	e := all[0]
	if e.Fields["note"] != "invoice.refunded" || e.Fields["detail_id"] != "7" || e.Fields["detail_to"] != "john@acme.test" || e.Fields["action"] != "act-1" || e.Fields["phase"] != "note" {
		t.Errorf("the note is %v", e.Fields)
	}
	if e.Salts["detail_to"] == nil {
		t.Error("a detail stands in clear: nobody can erase it")
	}
}

// TestTenThousandActions: a batch that is too long is refused by its length, whether it is so in bytes or only in number, and nothing of it is on record.
func TestTenThousandActions(t *testing.T) { onBoth(t, testTenThousandActions) }

func testTenThousandActions(t *testing.T, o options) {
	h := setup(t, o)
	s := h.start("ann", "app", "john", "write")
	var many []map[string]any
	for n := range 100 {
		many = append(many, h.many(s.sid, 100*n)...)
	}
	r := h.act("app", batch(many...))
	if got := r.str("error_description"); r.status != http.StatusRequestEntityTooLarge || !strings.Contains(got, "65536 bytes") {
		t.Errorf("10,000: got %d %s", r.status, r.body)
	}
	r = h.act("app", `{"actions":[`+strings.Repeat("{},", 9_999)+"{}]}")
	if got := r.str("error_description"); r.status != http.StatusBadRequest || got != "actions: must be 1 to 100." {
		t.Errorf("10,000 empty ones: got %d %s", r.status, r.body)
	}
	if n := len(h.actionsOf(s.sid)); n != 0 {
		t.Errorf("%d are on record", n)
	}
}

// TestActionsOfADeadSession: what happened is on record all the same, marked, and the answer says that it must not go on.
func TestActionsOfADeadSession(t *testing.T) { onBoth(t, testActionsOfADeadSession) }

func testActionsOfADeadSession(t *testing.T, o options) {
	h := setup(t, o)
	s := h.start("ann", "app", "john", "read")
	other := h.start("bea", "app", "eve", "read")
	if r := h.post("/oauth2/token", "app", stopForm(s.ret)); r.status != http.StatusOK {
		t.Fatal(r.body)
	}
	r := h.act("app", batch(h.action(s.sid), h.action(other.sid)))
	if r.status != http.StatusOK || !strings.Contains(r.body, s.sid+`":{"active":false}`) || !strings.Contains(r.body, other.sid+`":{"active":true}`) {
		t.Errorf("got %d %s", r.status, r.body)
	}
	for sid, state := range map[string]string{s.sid: "over", other.sid: ""} {
		if e := h.actionsOf(sid); len(e) != 1 || e[0].Fields["session_state"] != state {
			t.Errorf("%s: %+v; want one entry with state %q", sid, e, state)
		}
	}
	// Killed between two actions: the next answer says so.
	_, err := h.store.End(context.Background(), impersonation.EndWrite{Write: h.write(), Scope: impersonation.ScopeSubject, ID: "eve", Reason: impersonation.EndKilled, Kill: true})
	h.must(err)
	wantSessions(t, h.act("app", batch(h.action(other.sid, "id", "act-2"))), fmt.Sprintf("%q:%s", other.sid, `{"active":false}`))
}

// TestActionsAreActivity: an app that tells of actions keeps the session from being idle, and one that is silent does not.
func TestActionsAreActivity(t *testing.T) { onBoth(t, testActionsAreActivity) }

func testActionsAreActivity(t *testing.T, o options) {
	h := setup(t, o)
	s, idle := h.start("ann", "app", "john", "read"), h.start("bea", "app", "eve", "read")
	for i := range 3 {
		h.clock.advance(6 * time.Minute)
		wantSessions(t, h.act("app", batch(h.action(s.sid, "id", fmt.Sprint("n", i)))), fmt.Sprintf("%q:%s", s.sid, `{"active":true}`))
	}
	wantSessions(t, h.act("app", batch(h.action(idle.sid))), fmt.Sprintf("%q:%s", idle.sid, `{"active":false}`))
}

// TestActionsRefusedByName: each fault is told by its member, and nothing of the batch is written.
func TestActionsRefusedByName(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	s, foreign := h.start("ann", "app", "john", "read"), h.start("ann", "other", "john", "read")
	good := h.action(s.sid)
	long := strings.Repeat("x", 600)
	bend := func(change ...any) string { return batch(good, h.action(s.sid, append(change, "id", "act-2")...)) }
	id := func(v any) string { return batch(good, h.action(s.sid, "id", v)) }
	many := make([]map[string]any, 101)
	for i := range many {
		many[i] = h.action(s.sid, "id", fmt.Sprint(i))
	}
	for name, c := range map[string]struct{ body, want string }{
		"no body":            {"", "the body must be one JSON object"},
		"not JSON":           {"{", "the body must be one JSON object"},
		"an array":           {"[]", "must be an object"},
		"trailing data":      {batch(good) + "{}", "the body must be one JSON object"},
		"invalid UTF-8":      {strings.Replace(batch(good), "act-1", "act\xff", 1), "the body must be one JSON object"},
		"no actions":         {"{}", "actions: must be 1 to 100"},
		"empty":              {`{"actions":[]}`, "actions: must be 1 to 100"},
		"101":                {batch(many...), "actions: must be 1 to 100"},
		"null":               {`{"actions":null}`, "actions: must be an array"},
		"actions twice":      {`{"actions":[],"actions":[]}`, "actions: is given twice"},
		"unknown beside":     {`{"actions":[],"colour":1}`, "colour: is not a known member"},
		"other case":         {strings.Replace(batch(good), `"sid"`, `"SID"`, 1), "actions[0].SID: is not a known member"},
		"unknown":            {bend("colour", "blue"), "actions[1].colour: is not a known member"},
		"unknown, hostile":   {bend("a\nb", 1), "actions[1]: has a member that is not known"},
		"member twice":       {strings.Replace(batch(good), `"id"`, `"sid":"imp_x","id"`, 1), "actions[0].sid: is given twice"},
		"twice, escaped":     {strings.Replace(batch(good), `"id"`, `"\u0073id":"imp_x","id"`, 1), "actions[0].sid: is given twice"},
		"not an object":      {`{"actions":[1]}`, "actions[0]: must be an object"},
		"id missing":         {id(nil), "actions[1].id: must be 1 to 64 characters"},
		"id too long":        {id(long[:65]), "actions[1].id: must be 1 to 64 characters"},
		"id with a dot":      {id("a.b"), "actions[1].id: must be 1 to 64 characters"},
		"id a number":        {id(1), "actions[1].id: must be a string"},
		"half a surrogate":   {strings.Replace(bend("note", "HERE"), "HERE", `\ud800`, 1), "actions[1].note: must be a string, and whole"},
		"sid missing":        {bend("sid", nil), "actions[1].sid: must be given"},
		"sid unknown":        {bend("sid", "imp_nobody"), "actions[1].sid: no session of this client"},
		"sid of another":     {bend("sid", foreign.sid), "actions[1].sid: no session of this client"},
		"id twice":           {batch(good, good), "actions[1].id: is given twice"},
		"id twice, other":    {batch(good, h.action(s.sid, "route", "/other")), "actions[1].id: is given twice"},
		"seq twice":          {batch(h.action(s.sid, "seq", 3), h.action(s.sid, "id", "act-2", "seq", 3)), "actions[1].seq: is given twice"},
		"writer with a dot":  {bend("writer", "a.b"), "actions[1].writer: must be at most 64"},
		"writer too long":    {bend("writer", long[:65]), "actions[1].writer: must be at most 64"},
		"note without text":  {bend("phase", "note", "note", nil), "actions[1].note: must be given with the phase note"},
		"status of a note":   {bend("phase", "note", "status", 200), "actions[1].status: comes with the phase after"},
		"details before":     {bend("details", map[string]any{"id": "7"}), "actions[1].details: come with the phase note only"},
		"details, many":      {bend("phase", "note", "details", details(9)), "actions[1].details: must be at most 8"},
		"details, a list":    {bend("phase", "note", "details", []string{"7"}), "actions[1].details: must be an object"},
		"details, a number":  {bend("phase", "note", "details", map[string]any{"id": 7}), "actions[1].details: must be a string"},
		"details, a name":    {bend("phase", "note", "details", map[string]any{"Id": "7"}), "actions[1].details: must have names of"},
		"details, hostile":   {bend("phase", "note", "details", map[string]any{"a\nb": "7"}), "actions[1].details: must have names of"},
		"details, long":      {bend("phase", "note", "details", map[string]any{"id": long[:201]}), "actions[1].details: must have values of"},
		"details, twice":     {strings.Replace(bend("phase", "note", "details", map[string]any{"id": "7"}), `"id":"7"`, `"id":"7","id":"8"`, 1), "actions[1].details.id: is given twice"},
		"seq negative":       {bend("seq", -1), "actions[1].seq: must be 0 to 2^53"},
		"seq too large":      {bend("seq", 1<<53+1), "actions[1].seq: must be 0 to 2^53"},
		"seq a fraction":     {bend("seq", 1.5), "actions[1].seq: must be a whole number"},
		"seq text":           {bend("seq", "1"), "actions[1].seq: must be a whole number"},
		"time missing":       {bend("time", nil), "actions[1].time: must be within a day"},
		"time in words":      {bend("time", "yesterday"), "actions[1].time: must be a time of RFC 3339"},
		"time by a comma":    {bend("time", h.clock.Now().Format("2006-01-02T15:04:05")+",5Z"), "actions[1].time: must be a time of RFC 3339"},
		"time long past":     {bend("time", "2001-01-01T00:00:00Z"), "actions[1].time: must be within a day"},
		"time ahead":         {bend("time", h.clock.Now().Add(25*time.Hour).Format(time.RFC3339)), "actions[1].time: must be within a day"},
		"phase":              {bend("phase", "during"), "actions[1].phase: must be before, after or note"},
		"phase missing":      {bend("phase", nil), "actions[1].phase: must be before, after or note"},
		"route missing":      {bend("route", nil), "actions[1].route: must be a path"},
		"route with a query": {bend("route", "/a?token=x"), "actions[1].route: must be a path without query"},
		"route too long":     {bend("route", "/"+long), "actions[1].route: must be a path"},
		"route, control":     {bend("route", "/a\nb"), "actions[1].route: must be a path"},
		"route, turned":      {bend("route", "/a\u202eb"), "actions[1].route: must be a path"},
		"method missing":     {bend("method", nil), "actions[1].method: must be an HTTP method"},
		"method, two":        {bend("method", "GET POST"), "actions[1].method: must be an HTTP method"},
		"method too long":    {bend("method", long[:17]), "actions[1].method: must be an HTTP method"},
		"status before":      {bend("status", 200), "actions[1].status: comes with the phase after only"},
		"status 99":          {bend("phase", "after", "status", 99), "actions[1].status: must be 100 to 599"},
		"status 600":         {bend("phase", "after", "status", 600), "actions[1].status: must be 100 to 599"},
		"status huge":        {bend("phase", "after", "status", int64(1)<<32+200), "actions[1].status: must be 100 to 599"},
		"note too long":      {bend("note", long[:201]), "actions[1].note: must be at most 200"},
		"note of two lines":  {bend("note", "a\nb"), "actions[1].note: must be at most 200"},
	} {
		r := h.act("app", c.body)
		if got := r.str("error_description"); r.status != http.StatusBadRequest || r.str("error") != "invalid_request" || !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: got %d %s; want 400 invalid_request with %q", name, r.status, r.body, c.want)
		}
	}
	if got := h.act("app", bend("phase", "x")).str("error_description"); got != "actions[1].phase: must be before, after or note" {
		t.Errorf("got %q", got)
	}
	if got := append(h.actionsOf(s.sid), h.actionsOf(foreign.sid)...); len(got) != 0 {
		t.Errorf("%d actions of bad batches are on record: %+v", len(got), got)
	}
	r := h.act("app", batch(many[:100]...))
	wantSessions(t, r, fmt.Sprintf("%q:%s", s.sid, `{"active":true}`))
}

// TestActionsOfAPIs: an API that starts nothing itself tells what is done with the tokens that are for it, whichever app they were given to, and of no others;
// the trail says who told.
func TestActionsOfAPIs(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	h.addClientAs("orders", func(c *store.Client) {
		c.Exchange, c.Resources, c.Scopes, c.Serves = false, nil, nil, []string{resource}
	})
	h.addClientAs("mail", func(c *store.Client) { c.Exchange, c.Resources, c.Scopes, c.Serves = false, nil, nil, []string{api1} })
	s := h.start("ann", "app", "john", "read")
	wantSessions(t, h.act("orders", batch(h.action(s.sid))), fmt.Sprintf("%q:%s", s.sid, `{"active":true}`))
	if e := h.actionsOf(s.sid); len(e) != 1 || e[0].Client != "app" || e[0].Fields["server"] != "orders" {
		t.Errorf("on record: %+v", e)
	}
	if r := h.act("mail", batch(h.action(s.sid))); r.status != http.StatusBadRequest || r.str("error_description") != "actions[0].sid: no session of this client" {
		t.Errorf("of another resource: %d %s", r.status, r.body)
	}
	if e := h.actionsOf(s.sid); len(e) != 1 {
		t.Errorf("%d on record, want 1", len(e))
	}
}

// TestWritersOfOtherClients: what another client tells under an app's own writer neither fills nor tears the gaps of the app's numbers.
func TestWritersOfOtherClients(t *testing.T) { onBoth(t, testWritersOfOtherClients) }

func testWritersOfOtherClients(t *testing.T, o options) {
	h := setup(t, o)
	h.addClientAs("orders", func(c *store.Client) {
		c.Exchange, c.Resources, c.Scopes, c.Serves = false, nil, nil, []string{resource}
	})
	s := h.start("ann", "app", "john", "write")
	tell := func(client string, seq int64) {
		a := h.action(s.sid, "id", fmt.Sprint("act-", seq), "writer", "w-1", "seq", seq)
		wantSessions(t, h.act(client, batch(a)), fmt.Sprintf("%q:%s", s.sid, `{"active":true}`))
	}
	tell("app", 1)
	tell("app", 3)
	tell("orders", 2)
	tell("orders", 1<<53-1)
	got, err := admin.Writers(t.Context(), h.store, s.sid)
	want := []admin.Writer{
		{Name: "w-1", Told: 2, Last: 3, Missing: []admin.Span{{First: 2, Last: 2}}, Twice: []int64{}},
		{Server: "orders", Name: "w-1", Told: 2, Last: 1<<53 - 1, Missing: []admin.Span{{First: 1, Last: 1}, {First: 3, Last: 1<<53 - 2}}, Twice: []int64{}},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v, (-want +got):\n%s", err, diff)
	}
}

// TestActionsNeedTheirClient: only a confidential client by HTTP Basic, by POST, with JSON of limited length.
func TestActionsNeedTheirClient(t *testing.T) { onBoth(t, testActionsNeedTheirClient) }

func testActionsNeedTheirClient(t *testing.T, o options) {
	h := setup(t, o)
	h.must(h.store.CreateClient(context.Background(), store.ClientWrite{Write: h.write(), Client: store.Client{
		Client: policy.Client{ID: "spa", Public: true, Resources: []string{resource}}, RedirectURIs: []string{callback}, Created: h.clock.Now(),
	}}))
	s := h.start("ann", "app", "john", "read")
	good := batch(h.action(s.sid))
	for name, c := range map[string]struct {
		status int
		change func(*http.Request)
	}{
		"nobody":              {401, func(r *http.Request) { r.Header.Del("Authorization") }},
		"wrong secret":        {401, func(r *http.Request) { r.SetBasicAuth("app", "wrong") }},
		"a public client":     {401, func(r *http.Request) { r.SetBasicAuth("spa", "x") }},
		"the token":           {401, func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+s.token) }},
		"the token as secret": {401, func(r *http.Request) { r.SetBasicAuth("app", s.token) }},
		"the actor's token":   {401, func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+s.actor) }},
		"the admin's cookie":  {401, func(r *http.Request) { r.Header.Del("Authorization"); r.Header.Set("Cookie", s.cookie) }},
		"two authorizations":  {400, func(r *http.Request) { r.Header.Add("Authorization", "Bearer x") }},
		"GET":                 {405, func(r *http.Request) { r.Method = http.MethodGet }},
		"PUT":                 {405, func(r *http.Request) { r.Method = http.MethodPut }},
		"a query":             {400, func(r *http.Request) { r.URL.RawQuery = "client_id=app" }},
		"a form":              {415, func(r *http.Request) { r.Header.Set("Content-Type", "application/x-www-form-urlencoded") }},
		"no type":             {415, func(r *http.Request) { r.Header.Del("Content-Type") }},
		"two types":           {400, func(r *http.Request) { r.Header.Add("Content-Type", "text/plain") }},
		"Latin-1":             {415, func(r *http.Request) { r.Header.Set("Content-Type", "application/json; charset=iso-8859-1") }},
		"compressed":          {415, func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }},
		"UTF-8, said":         {200, func(r *http.Request) { r.Header.Set("Content-Type", "application/json; charset=UTF-8") }},
	} {
		r := httptest.NewRequest(http.MethodPost, "/impersonation/actions", strings.NewReader(good))
		r.Header.Set("Content-Type", "application/json")
		r.SetBasicAuth("app", h.secrets["app"])
		c.change(r)
		w := httptest.NewRecorder()
		h.handler.ServeHTTP(w, r)
		if w.Code != c.status || c.status == 405 && w.Header().Get("Allow") != "POST" {
			t.Errorf("%s: got %d %s; want %d", name, w.Code, w.Body, c.status)
		}
	}
	if r := h.act("app", strings.Replace(good, "{", "{"+strings.Repeat(" ", 64<<10), 1)); r.status != http.StatusRequestEntityTooLarge {
		t.Errorf("more than 64 KiB: got %d %s; want 413", r.status, r.body)
	}
	if n := len(h.actionsOf(s.sid)); n != 1 {
		t.Errorf("%d actions on record; want the one that was sent right", n)
	}
}

// TestActionsFailClosed: a store that cannot be read or written is 503, vouches for nothing, and has nothing on record.
func TestActionsFailClosed(t *testing.T) { onBoth(t, testActionsFailClosed) }

func testActionsFailClosed(t *testing.T, o options) {
	var b *broken
	h := setup(t, o.wrapped(func(s store.Store) store.Store { b = &broken{Store: s}; return b }))
	s := h.start("ann", "app", "john", "read")
	for name, fail := range map[string]*error{"reading": &b.loadSession, "recording": &b.recordOnce} {
		*fail = store.ErrUnavailable
		r := h.act("app", batch(h.action(s.sid)))
		if r.status != http.StatusServiceUnavailable || r.header.Get("Retry-After") == "" || strings.Contains(r.body, "active") {
			t.Errorf("%s: got %d %s; want 503", name, r.status, r.body)
		}
		*fail = nil
	}
	h.clock.advance(time.Minute) // so that the session would be touched
	b.touch = store.ErrUnavailable
	if r := h.act("app", batch(h.action(s.sid))); r.status != http.StatusServiceUnavailable {
		t.Errorf("touching: got %d %s; want 503", r.status, r.body)
	}
	b.touch = nil
	if n := len(h.actionsOf(s.sid)); n != 0 {
		t.Errorf("%d actions on record though no answer said so", n)
	}
	wantSessions(t, h.act("app", batch(h.action(s.sid))), fmt.Sprintf("%q:%s", s.sid, `{"active":true}`))
}

// TestActionsAtOnce: the same action told by many at once is one entry.
func TestActionsAtOnce(t *testing.T) { onBoth(t, testActionsAtOnce) }

func testActionsAtOnce(t *testing.T, o options) {
	h := setup(t, o)
	s := h.start("ann", "app", "john", "read")
	body := batch(h.action(s.sid))
	codes := make([]int, 16)
	each(len(codes), func(i int) { codes[i] = h.directActions(body).Code })
	if slices.ContainsFunc(codes, func(c int) bool { return c != http.StatusOK }) || len(h.actionsOf(s.sid)) != 1 {
		t.Errorf("answers %v and %d entries; want 200 and one", codes, len(h.actionsOf(s.sid)))
	}
}

// directActions is act as app without a socket.
func (h *house) directActions(body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/impersonation/actions", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.SetBasicAuth("app", h.secrets["app"])
	w := httptest.NewRecorder()
	h.handler.ServeHTTP(w, r)
	return w
}

// FuzzActions: whatever comes in, the answer is one of a few, nothing is written unless all of it is, and what the strict reader
// takes encoding/json reads alike.
func FuzzActions(f *testing.F) {
	seen := setup(f, options{})
	good := seen.action("SID", "time", "NOW")
	f.Add(batch(good))
	f.Add(batch(good, seen.action("SID", "time", "NOW", "phase", "after", "status", 599, "note", nil)))
	f.Add(batch(seen.action("SID", "time", "NOW", "colour", "blue")))
	f.Add(strings.Replace(batch(good), `"id"`, `"\u0073id":"imp_x","id"`, 1))
	f.Add(batch(seen.action("SID", "time", "NOW", "phase", "note", "writer", "w", "seq", 1, "details", map[string]any{"id": "7", "a": ""})))
	f.Add(batch(good, good))
	f.Add(`{"actions":[]}`)
	f.Add(` {"actions" : [ {"id":"\ud83d\ude00"} ] } `)
	f.Add(`{"actions":[{"seq":1e3}]}`)
	var s started
	told := 0
	f.Fuzz(func(t *testing.T, template string) {
		h := *seen
		h.t = t
		if told%5 == 0 { // six full batches are more than a session may tell in a minute
			s = h.start("ann", "app", "john", "read")
		}
		told++
		body := strings.NewReplacer("SID", s.sid, "NOW", h.clock.Now().UTC().Format(time.RFC3339)).Replace(template)
		w := h.directActions(body)
		switch w.Code {
		case http.StatusBadRequest, http.StatusRequestEntityTooLarge:
			return
		case http.StatusOK:
		default:
			t.Fatalf("got %d %s", w.Code, w.Body)
		}
		var in struct {
			Actions []struct {
				ID, Sid, Writer, Phase, Route, Method, Note string
				Details                                     map[string]string
			}
		}
		if err := json.Unmarshal([]byte(body), &in); err != nil || len(in.Actions) == 0 {
			t.Fatalf("taken, though encoding/json says %v of it", err)
		}
		have := h.actionsOf(s.sid)
		for _, a := range in.Actions {
			if a.Sid != s.sid || !slices.ContainsFunc(have, func(e audit.Entry) bool {
				return e.Fields["action"] == a.ID && e.Fields["phase"] == a.Phase && e.Fields["writer"] == a.Writer && has(e, a.Details)
			}) {
				t.Errorf("%+v was taken and is not on record", a)
			}
		}
	})
}

// many are a hundred actions that differ, from the n-th on.
func (h *house) many(sid string, n int) (actions []map[string]any) {
	for i := range 100 {
		actions = append(actions, h.action(sid, "id", fmt.Sprintf("act-%d", n+i)))
	}
	return actions
}

// details are so many members of a note.
func details(n int) map[string]any {
	m := make(map[string]any)
	for i := range n {
		m[fmt.Sprint("d", i)] = "7"
	}
	return m
}

// has reports whether e tells details.
func has(e audit.Entry, details map[string]string) bool {
	for name, value := range details {
		if e.Fields["detail_"+name] != value {
			return false
		}
	}
	return true
}

// TestActionsWithoutEnd: neither script in one session's pages nor the sessions of the past fill the trail.
func TestActionsWithoutEnd(t *testing.T) { onBoth(t, testActionsWithoutEnd) }

func testActionsWithoutEnd(t *testing.T, o options) {
	h := setup(t, o)
	h.clock.stop() // or as many come free as a slow machine sends
	s := h.start("ann", "app", "john", "write")
	var last reply
	sent := 0
	for ; sent < 4000 && last.status != http.StatusTooManyRequests; sent += 100 {
		last = h.act("app", batch(h.many(s.sid, sent)...))
	}
	if last.status != http.StatusTooManyRequests || last.header.Get("Retry-After") == "" || sent > 3400 {
		t.Errorf("after %d: %d", sent, last.status)
	}
	other := h.start("bea", "app", "eve", "write")
	for i := range 31 { // another client knows the sid from the token, and uses up nothing of it
		last = h.act("other", batch(h.many(other.sid, 100*i)...))
	}
	if last.status != http.StatusTooManyRequests {
		t.Errorf("another client: got %d %s; want it told to wait", last.status, last.body)
	}
	wantSessions(t, h.act("app", batch(h.action(other.sid))), fmt.Sprintf("%q:%s", other.sid, `{"active":true}`))
	h.clock.advance(3 * time.Hour)
	at := h.clock.Now().UTC().Format(time.RFC3339)
	wantSessions(t, h.act("app", batch(h.action(other.sid, "id", "late", "time", at))), fmt.Sprintf("%q:%s", other.sid, `{"active":false}`))
	h.clock.advance(24 * time.Hour)
	at = h.clock.Now().UTC().Format(time.RFC3339)
	r := h.act("app", batch(h.action(other.sid, "id", "later", "time", at)))
	if got := r.str("error_description"); r.status != http.StatusBadRequest || got != "actions[0].sid: is of a session that is over for more than a day" {
		t.Errorf("got %d %s", r.status, r.body)
	}
	if n := len(h.actionsOf(other.sid)); n != 2 {
		t.Errorf("%d on record, want 2: the session is long over", n)
	}
}

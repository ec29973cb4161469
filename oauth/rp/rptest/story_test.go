package rptest_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/rp"
	"github.com/understudy-id/understudy/oauth/rp/rptest"
)

// story is an app at a world, and what could be seen of all that happened: by the person, and by whoever listens between app and issuer.
type story struct {
	t    *testing.T
	w    world
	app  *rp.App
	site http.Handler
	jars map[string]map[string]string
	said []string

	mu   sync.Mutex
	wire map[string]map[string]string // by request and status: the members of the answer, with their kinds
}

// RoundTrip notes what the app says to the issuer, and is told.
func (s *story) RoundTrip(r *http.Request) (*http.Response, error) {
	asked := ""
	if r.Body != nil {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		asked = string(b)
	}
	in := httptest.NewRequestWithContext(r.Context(), r.Method, r.URL.String(), strings.NewReader(asked))
	in.Header = r.Header.Clone()
	w := httptest.NewRecorder()
	s.w.handler.ServeHTTP(w, in)
	name := r.Method + " " + r.URL.Path
	if form, err := url.ParseQuery(asked); err == nil {
		name += " " + form.Get("grant_type") + " " + form.Get("subject_token_type")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wire[fmt.Sprintf("%s %d", name, w.Code)] = members(w.Body.Bytes())
	resp := w.Result()
	resp.Request = r
	return resp, nil
}

// members are the members of a JSON object, of those in it, and of the claims of JWTs, with what kind of value they have; names that are values are left out.
func members(body []byte) map[string]string {
	all := make(map[string]string)
	var walk func(at string, v any)
	walk = func(at string, v any) {
		object, ok := v.(map[string]any)
		if !ok {
			all[at] = fmt.Sprintf("%T", v)
			text, _ := v.(string)
			if parts := strings.Split(text, "."); len(parts) == 3 {
				claims, err := base64.RawURLEncoding.DecodeString(parts[1])
				if err == nil && json.Unmarshal(claims, &object) == nil {
					walk(at, object)
				}
			}
			return
		}
		for name, v := range object {
			if strings.HasPrefix(name, "imp_") {
				name = "imp_"
			}
			walk(at+"."+name, v)
		}
	}
	var v any
	if json.NewDecoder(bytes.NewReader(body)).Decode(&v) == nil {
		walk("", v)
	}
	return all
}

func begin(t *testing.T, w world) *story {
	t.Helper()
	s := &story{t: t, w: w, jars: map[string]map[string]string{}, wire: map[string]map[string]string{}}
	if w.cookie != "" {
		s.jars[rptest.URL] = map[string]string{"__Host-op": w.cookie}
	}
	c := rptest.NewIssuer().Config()
	c.ClientSecret, c.Client, c.Logger = w.secret, &http.Client{Transport: s}, slog.New(slog.DiscardHandler)
	c.Home = func(p rp.Person) string { return "/home-of-" + p.Subject }
	var err error
	if s.app, err = rp.New(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		subject, _ := rp.Subject(r.Context())
		actor, _ := rp.Actor(r.Context())
		if r.Method == http.MethodPost {
			if err := rp.Note(r.Context(), "saved", "id", 7); err != nil {
				t.Error(err)
			}
		}
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, "<!doctype html><html><body>%v by %v</body></html>", subject, actor)
	})
	mux.Handle("POST /delete", rp.Forbid(http.NotFoundHandler()))
	s.site = s.app.Handler(s.app.RequireSignIn(mux))
	return s
}

// send is what a browser does with one request, up to where it is led. With mode it does on the impersonate page what is done there.
func (s *story) send(mode oauth.Mode, r *http.Request) {
	s.t.Helper()
	for range 20 {
		origin := r.URL.Scheme + "://" + r.URL.Host
		if s.jars[origin] == nil {
			s.jars[origin] = map[string]string{}
		}
		for name, value := range s.jars[origin] {
			r.AddCookie(&http.Cookie{Name: name, Value: value})
		}
		for name, value := range map[string]string{"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"} {
			r.Header.Set(name, value)
		}
		handler := s.site
		if origin == rptest.URL {
			handler = s.w.handler
		}
		rec := httptest.NewRecorder()
		handler.ServeHTTP(rec, r)
		resp := rec.Result()
		for _, c := range resp.Cookies() {
			if s.jars[origin][c.Name] = c.Value; c.MaxAge < 0 {
				delete(s.jars[origin], c.Name)
			}
		}
		switch {
		case origin == rptest.URL && resp.StatusCode == http.StatusOK && r.URL.Path == "/impersonate" && r.Method == http.MethodGet:
			r = s.w.page(r.URL, mode)
		case resp.StatusCode == http.StatusSeeOther:
			to, err := r.URL.Parse(resp.Header.Get("Location"))
			if err != nil {
				s.t.Fatal(err)
			}
			if origin != rptest.URL { // how the issuer's pages lead to each other is its own affair
				s.said = append(s.said, fmt.Sprintf("%s %s%s led to %s%s with %s", r.Method, origin, r.URL.Path, to.Host, to.Path, strings.Join(slices.Sorted(maps.Keys(to.Query())), " ")))
			} else if to.Host != "issuer.test" {
				s.said = append(s.said, fmt.Sprintf("back to %s%s with %s, error %q", to.Host, to.Path, strings.Join(slices.Sorted(maps.Keys(to.Query())), " "), to.Query().Get("error")))
			}
			r = httptest.NewRequest(http.MethodGet, to.String(), nil)
		default:
			body := answerOf(s.t, resp)
			for _, cut := range []string{"imp_"} { // what differs each time
				for at := strings.Index(body, cut); at >= 0 && len(body) >= at+30; at = strings.Index(body, cut) {
					body = body[:at] + "SID" + body[at+30:]
				}
			}
			if at := strings.Index(body, "<time"); at >= 0 {
				body = body[:at]
			}
			s.said = append(s.said, fmt.Sprintf("%s %s%s: %d %s", r.Method, origin, r.URL.Path, resp.StatusCode, body))
			return
		}
	}
	s.t.Fatal("led on without end")
}

func (s *story) get(at string) {
	s.t.Helper()
	s.send("", httptest.NewRequest(http.MethodGet, at, nil))
}
func (s *story) post(at string) {
	s.t.Helper()
	r := httptest.NewRequest(http.MethodPost, at, strings.NewReader("a=b"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	s.send("", r)
}

func (s *story) impersonate(mode oauth.Mode) {
	s.t.Helper()
	s.w.choose(mode)
	s.send(mode, httptest.NewRequest(http.MethodGet, rptest.AppURL+"/.understudy/start?subject=john&return_to=/back", nil))
}

// run tells the story, and gives what could be seen of it.
func (s *story) run() {
	s.t.Helper()
	s.get(rptest.AppURL + "/admin") // signs in
	s.impersonate(oauth.ModeRead)
	s.get(rptest.AsUser + "/reports")
	s.post(rptest.AsUser + "/save") // refused
	s.post(rptest.AsUser + "/.understudy/stop")
	s.post(rptest.AsUser + "/.understudy/stop")
	s.impersonate(oauth.ModeWrite)
	s.post(rptest.AsUser + "/save")
	s.post(rptest.AsUser + "/delete")
	s.w.end()
	s.post(rptest.AsUser + "/save")
	s.get(rptest.AsUser + "/reports")
	s.post(rptest.AsUser + "/.understudy/stop")
	s.get(rptest.AppURL + "/admin")
	if err := s.app.Flush(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	told := s.w.told()
	key := func(a rp.Action) string { return fmt.Sprint(a.Method, a.Route, a.Phase, a.Seq) }
	slices.SortFunc(told, func(a, b rp.Action) int { return strings.Compare(key(a), key(b)) })
	for _, a := range told {
		s.said = append(s.said, fmt.Sprintf("on record: %s %s %s %d %s %v, number %d", a.Phase, a.Method, a.Route, a.Status, a.Note, a.Details, a.Seq))
	}
}

// TestLikeTheRealOne runs one story at the issuer of this package and at the real one: a person sees the same, the same is on record, and what
// the app is told on the wire has the same members, of the same kinds.
func TestLikeTheRealOne(t *testing.T) {
	t.Parallel()
	real, unreal := begin(t, actual(t)), begin(t, fake())
	real.run()
	unreal.run()
	if diff := cmp.Diff(real.said, unreal.said); diff != "" || len(real.said) < 20 {
		t.Errorf("%d lines (-real +rptest):\n%s", len(real.said), diff)
	}
	if a, b := slices.Sorted(maps.Keys(real.wire)), slices.Sorted(maps.Keys(unreal.wire)); !slices.Equal(a, b) {
		t.Errorf("the app asked\n%q of the real one, and\n%q of rptest", a, b)
	}
	for name, members := range unreal.wire {
		for member, kind := range members {
			if is := real.wire[name][member]; is != kind {
				t.Errorf("%s: member %s is %s, of the real one %q", name, member, kind, is)
			}
		}
		for member := range real.wire[name] {
			if _, ok := members[member]; !ok && !strings.Contains(name, "/.well-known/") && !strings.Contains(name, "introspect") && !strings.HasPrefix(member, ".id_token.") {
				t.Errorf("%s: rptest has no member %s", name, member)
			}
		}
	}
}

package demo_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/cmd/understudy/internal/acme"
	"github.com/understudy-id/understudy/cmd/understudy/internal/demo"
	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/admin"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/store/sqlite"
)

// start runs a demo until the test ends, or until Stop.
func start(t *testing.T, c demo.Config) *demo.Demo {
	t.Helper()
	c.Logger = slog.New(slog.DiscardHandler)
	d, err := demo.Start(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, d) })
	return d
}

func stop(t *testing.T, d *demo.Demo) {
	t.Helper()
	if err := d.Stop(); err != nil {
		t.Error(err)
	}
}

// beside opens the issuer's database as a command line would.
func beside(t *testing.T, path string) *sqlite.Store {
	t.Helper()
	st, err := sqlite.Open(t.Context(), sqlite.Config{Path: path, Reserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	return st
}

// everybody is all users, with what the issuer's own tools would find.
func everybody(t *testing.T, st *sqlite.Store) []directory.User {
	t.Helper()
	all, _, err := st.Search(t.Context(), directory.Query{AnyOrganisation: true, Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestSeed(t *testing.T) {
	t.Parallel()
	d := start(t, demo.Config{Directory: t.TempDir()})
	st := beside(t, d.Database)
	users := everybody(t, st)
	roles, able := map[string]int{}, []string{}
	for _, u := range users {
		for _, r := range u.Roles {
			roles[r]++
		}
		if c, err := st.Credentials(t.Context(), u.ID); err != nil || c.Password != "" {
			able = append(able, u.Email)
		}
	}
	organisations, err := st.Organisations(t.Context())
	if err != nil || len(users) < 40 || len(organisations) != 3 || len(roles) != 4 {
		t.Errorf("got %d users, organisations %v, roles %v, %v; want at least 40, 3, 4", len(users), organisations, roles, err)
	}
	john, err := st.ByEmail(t.Context(), "john@acme.test")
	if err != nil || john.Name != "John Doe" || !slices.Equal(john.Roles, []string{"viewer"}) {
		t.Errorf("got %+v, %v, want John Doe, a viewer", john, err)
	}
	var printed []string
	for _, p := range d.People {
		printed = append(printed, p.Email)
		u, err := st.ByEmail(t.Context(), p.Email)
		if err != nil || u.SecondFactor != (p.TOTPSecret != "") || u.SecondFactor != (p.Code(time.Now()) != "") {
			t.Errorf("%s: got %+v, %v, want a second factor as printed", p.Email, u, err)
		}
	}
	slices.Sort(able)
	slices.Sort(printed)
	if diff := cmp.Diff(printed, able); diff != "" {
		t.Errorf("who is printed (-) and who has a password (+):\n%s", diff)
	}
	if m, err := st.Marker(t.Context()); err != nil || m != "demo" {
		t.Errorf("got marker %q, %v, want demo", m, err)
	}
}

// Every address in the output answers, localhost under both of its addresses.
func TestServes(t *testing.T) {
	t.Parallel()
	d := start(t, demo.Config{Directory: t.TempDir()})
	for _, url := range []string{d.AppURL, d.AsUserURL, d.IssuerURL} {
		if got := status(t, url+"/static/acme.css"); got == 0 {
			t.Errorf("%s does not answer", url)
		}
	}
	if got := status(t, d.IssuerURL+"/.well-known/openid-configuration"); got != http.StatusOK {
		t.Errorf("the issuer: got %d", got)
	}
	if got := status(t, d.AppURL+"/static/acme.css"); got != http.StatusOK {
		t.Errorf("the app: got %d", got)
	}
	if _, err := net.Dial("tcp", "[::1]:0"); err != nil && strings.Contains(err.Error(), "cannot assign") {
		t.Skip("no IPv6 here")
	}
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(d.IssuerURL, "http://"))
	if c, err := net.Dial("tcp", "[::1]:"+port); err != nil {
		t.Errorf("the issuer under ::1: %v", err)
	} else {
		c.Close()
	}
}

func status(t *testing.T, url string) int {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Error(err)
		return 0
	}
	defer res.Body.Close()
	io.Copy(io.Discard, res.Body)
	return res.StatusCode
}

// A second run goes on with what the first left: also what was changed in between, under other addresses and in the other form.
func TestRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := start(t, demo.Config{Directory: dir})
	st := beside(t, d.Database)
	first, john := everybody(t, st), person(t, st, "john@acme.test")
	ad := operator(t, st)
	if _, err := ad.SetRights(t.Context(), john.ID, admin.Rights{AddRoles: []string{"analyst"}}); err != nil {
		t.Fatal(err)
	}
	stop(t, d)
	again := start(t, demo.Config{Directory: dir, SameOrigin: true})
	if again.AsUserURL != "" || again.ClientID == d.ClientID {
		t.Errorf("got as-user URL %q and client %s, want none and another than %s", again.AsUserURL, again.ClientID, d.ClientID)
	}
	if got := len(everybody(t, st)); got != len(first) {
		t.Errorf("got %d users, want %d as before", got, len(first))
	}
	if got := person(t, st, "john@acme.test").Roles; !slices.Equal(got, []string{"analyst", "viewer"}) {
		t.Errorf("John's roles: got %v, want them as they were changed", got)
	}
	clients, err := st.ListClients(t.Context())
	if err != nil || len(clients) != 2 {
		t.Errorf("got %d clients, %v, want one for each form", len(clients), err)
	}
}

func person(t *testing.T, st *sqlite.Store, email string) directory.User {
	t.Helper()
	u, err := st.ByEmail(t.Context(), email)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// operator is somebody with the command line.
func operator(t *testing.T, st *sqlite.Store) *admin.Admin {
	t.Helper()
	r := policy.Default()
	r.Roles = append(r.Roles, policy.Role{Name: "viewer"}, policy.Role{Name: "analyst"})
	ad, err := admin.New(admin.Config{Store: st, Registry: r, Issuer: "http://localhost", By: oauth.Party{Issuer: "cli", Subject: "test"}})
	if err != nil {
		t.Fatal(err)
	}
	return ad
}

// The same addresses have the same registration, and the secret is the same.
func TestRestartSameAddresses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := start(t, demo.Config{Directory: dir})
	stop(t, d)
	ports := func(url string) int {
		_, port, _ := net.SplitHostPort(strings.TrimPrefix(url, "http://"))
		n, _ := net.LookupPort("tcp", port)
		return n
	}
	again := start(t, demo.Config{Directory: dir, AppPort: ports(d.AppURL), IssuerPort: ports(d.IssuerURL)})
	if again.ClientID != d.ClientID || again.AppURL != d.AppURL || again.IssuerURL != d.IssuerURL {
		t.Errorf("got client %s at %s, want %s at %s", again.ClientID, again.AppURL, d.ClientID, d.AppURL)
	}
	clients, err := beside(t, d.Database).ListClients(t.Context())
	if err != nil || len(clients) != 1 {
		t.Errorf("got %d clients, %v, want 1", len(clients), err)
	}
}

// A run that was interrupted while it seeded is finished by the next.
func TestInterruptedSeed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	st, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(dir, "understudy-demo.db"), Migrate: true, Reserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Close(); err != nil { // a database without a mark, and nothing in it
		t.Fatal(err)
	}
	for range 3 { // somewhere in the middle, each time a little further
		ctx, cancel := context.WithTimeout(t.Context(), 40*time.Millisecond)
		if d, err := demo.Start(ctx, demo.Config{Directory: dir, Logger: slog.New(slog.DiscardHandler)}); err == nil {
			stop(t, d)
		}
		cancel()
	}
	d := start(t, demo.Config{Directory: dir})
	if got := len(everybody(t, beside(t, d.Database))); got < 40 {
		t.Errorf("got %d users, want all", got)
	}
	for _, p := range d.People {
		if u := person(t, beside(t, d.Database), p.Email); u.SecondFactor != (p.TOTPSecret != "") {
			t.Errorf("%s: got second factor %v", p.Email, u.SecondFactor)
		}
	}
}

// A port that somebody else has is an error that says which, and nothing was written.
func TestTakenPort(t *testing.T) {
	t.Parallel()
	for _, host := range []string{"127.0.0.1", "[::1]"} {
		ln, err := net.Listen("tcp", host+":0")
		if err != nil {
			t.Logf("not tried: %v", err)
			continue
		}
		defer ln.Close()
		port := ln.Addr().(*net.TCPAddr).Port
		for part, c := range map[string]demo.Config{"issuer": {IssuerPort: port}, "app": {AppPort: port}} {
			c.Directory = t.TempDir()
			_, err := demo.Start(t.Context(), c)
			if taken := new(demo.TakenError); !errors.As(err, &taken) || taken.Port != port || taken.Part != part {
				t.Errorf("%s on %s: got %v, want a TakenError", part, host, err)
			}
			if left, err := os.ReadDir(c.Directory); err != nil || len(left) != 0 {
				t.Errorf("got files %v, %v, want none", left, err)
			}
		}
	}
}

func TestTwoDemos(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	start(t, demo.Config{Directory: dir})
	if _, err := demo.Start(t.Context(), demo.Config{Directory: dir}); !errors.Is(err, sqlite.ErrLocked) {
		t.Errorf("got %v, want ErrLocked", err)
	}
}

// A database that is not a demo's is not written to, and not removed either.
func TestForeignDatabase(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "understudy-demo.db")
	st, err := sqlite.Open(t.Context(), sqlite.Config{Path: path, Migrate: true, Reserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := operator(t, st).AddUser(t.Context(), admin.NewUser{Email: "real@example.com", Name: "Real"}); err != nil {
		t.Fatal(err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(t.TempDir(), "understudy-demo.db")
	if err := os.WriteFile(other, []byte("SQLite format 3\x00 it is not"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{path, other} {
		before := read(t, path)
		for _, fresh := range []bool{false, true} {
			if _, err := demo.Start(t.Context(), demo.Config{Directory: filepath.Dir(path), Fresh: fresh}); !errors.Is(err, demo.ErrForeign) {
				t.Errorf("fresh %v: got %v, want ErrForeign", fresh, err)
			}
		}
		if read(t, path) != before {
			t.Errorf("%s was written to", path)
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The app's file is looked at in the same way, and before the issuer's is made.
func TestForeignAppDatabase(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "understudy-demo-acme.db")
	st, err := sqlite.Open(t.Context(), sqlite.Config{Path: path, Migrate: true, Reserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(t.TempDir(), "understudy-demo-acme.db")
	if err := os.WriteFile(other, []byte("a list of things to do, and no database"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{path, other} {
		before := read(t, path)
		for _, fresh := range []bool{false, true} {
			_, err := demo.Start(t.Context(), demo.Config{Directory: filepath.Dir(path), Fresh: fresh})
			if !errors.Is(err, demo.ErrForeign) || !errors.Is(err, acme.ErrForeign) {
				t.Errorf("fresh %v: got %v, want ErrForeign", fresh, err)
			}
		}
		if read(t, path) != before {
			t.Errorf("%s was written to", path)
		}
		wantFiles(t, filepath.Dir(path), "understudy-demo-acme.db", "understudy-demo.db.lock")
	}
}

// wantFiles demands that a directory holds these and no others. They are in order.
func wantFiles(t *testing.T, dir string, want ...string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range files {
		got = append(got, f.Name())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestFresh(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := start(t, demo.Config{Directory: dir, Fresh: true}) // nothing there to remove
	st := beside(t, d.Database)
	if _, err := operator(t, st).AddUser(t.Context(), admin.NewUser{Email: "new@acme.test", Name: "New"}); err != nil {
		t.Fatal(err)
	}
	key := read(t, d.Database+".key")
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	stop(t, d)
	again := start(t, demo.Config{Directory: dir, Fresh: true})
	if _, err := beside(t, again.Database).ByEmail(t.Context(), "new@acme.test"); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
	if read(t, again.Database+".key") == key {
		t.Error("the sealing key is the old one")
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	for _, c := range []demo.Config{
		{AppURL: "https://app.localhost"}, {AppURL: "http://app.example"}, {AppURL: "http://localhost/path"}, {AppURL: "localhost"},
		{AppURL: "http://localhost:1"}, {AsUserURL: "http://10.0.0.1"}, {AsUserURL: "http://[::1"}, {SameOrigin: true, AsUserURL: "http://127.0.0.1"},
		{AsUserURL: "http://localhost"}, {AppURL: "http://127.0.0.1"}, {IssuerPort: 65536}, {AppPort: 65536}, {AppPort: -1}, {IssuerPort: 9, AppPort: 9},
	} {
		c.Directory, c.Logger = t.TempDir(), slog.New(slog.DiscardHandler)
		d, err := demo.Start(t.Context(), c)
		if wrong := new(demo.AddressError); !errors.As(err, &wrong) {
			t.Errorf("%+v: got %v, want an AddressError", c, err)
		}
		if err == nil {
			stop(t, d)
		}
		wantFiles(t, c.Directory)
	}
}

// Each code is given once, since the issuer takes each once; three are good at any moment.
func TestCode(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	d := start(t, demo.Config{Directory: t.TempDir(), Now: func() time.Time { return now }})
	ann := d.People[0]
	want := []string{ann.Code(now), ann.Code(now.Add(demo.CodePeriod)), ann.Code(now.Add(-demo.CodePeriod)), ""}
	var got []string
	for range want {
		got = append(got, d.Code("ann@acme.test"))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := d.Code("john@acme.test") + d.Code("nobody@acme.test"); got != "" {
		t.Errorf("who has no second factor: got %q, want none", got)
	}
}

// Wait returns once the context ends, and everything is closed then.
func TestEnd(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	dir := t.TempDir()
	d, err := demo.Start(ctx, demo.Config{Directory: dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := d.Wait(); err != nil {
		t.Errorf("got %v", err)
	}
	if _, err := http.Get(d.AppURL); err == nil {
		t.Error("the app still answers")
	}
	release, err := sqlite.Lock(d.Database)
	if err != nil {
		t.Fatal(err)
	}
	release()
	for _, path := range []string{d.Database, d.AppDatabase} {
		if _, err := os.Stat(path + "-wal"); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s was not closed: %v", path, err)
		}
	}
}

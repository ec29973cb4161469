package upstream_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth/upstream"
)

// patience is more than any answer may take, and less than a person waits.
const patience = 3 * time.Second

// wait waits until the client is gone, which the server notices only once it has read the body.
func wait(r *http.Request, stop <-chan struct{}) {
	io.Copy(io.Discard, r.Body)
	select {
	case <-r.Context().Done():
	case <-stop:
	}
}

func drip(w http.ResponseWriter, r *http.Request, stop <-chan struct{}) {
	io.Copy(io.Discard, r.Body)
	for r.Context().Err() == nil {
		w.Write([]byte(" "))
		w.(http.Flusher).Flush()
		select {
		case <-time.After(time.Second):
		case <-stop:
			return
		}
	}
}

func huge(w http.ResponseWriter, _ *http.Request) {
	w.Write([]byte(`{"keys":[],"x":"`))
	for range 50 {
		if _, err := w.Write(make([]byte, 1<<20)); err != nil {
			return
		}
	}
}

// bombed is 8 MiB in 8 KiB, packed once and beforehand: to pack is what takes long.
var bombed = sync.OnceValue(func() []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write([]byte(`{"keys":[],"x":"`))
	z.Write(make([]byte, 8<<20))
	z.Close()
	return b.Bytes()
})

func bomb(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Encoding", "gzip")
	w.Write(bombed())
}

// refused wants an error of the package within patience, which shows nothing of what was sent.
func refused(t *testing.T, begun time.Time, err error, marks ...string) {
	t.Helper()
	if !errors.Is(err, upstream.ErrUnavailable) && !errors.Is(err, upstream.ErrDocument) {
		t.Errorf("got %v; want ErrUnavailable or ErrDocument", err)
		return
	}
	if took := time.Since(begun); took > patience {
		t.Errorf("it took %s; want at most %s", took, patience)
	}
	for _, mark := range append(marks, "10.0.0.1", "<html>", "http://", "https://", "%!") {
		if strings.Contains(err.Error(), mark) {
			t.Errorf("%q shows what was sent", err)
		}
	}
	if len(err.Error()) > 300 {
		t.Errorf("an error of %d bytes", len(err.Error()))
	}
}

// TestHostileAnswers: whatever stands where the documents should be, callers get an error in time, and the issuer beside is served.
func TestHostileAnswers(t *testing.T) {
	t.Parallel()
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop) })
	good := newFake(t)
	beside := good.issuer()
	for name, answer := range hostile(stop) {
		for _, path := range []string{discoveryPath, keysPath} {
			t.Run(name+" at "+path, func(t *testing.T) {
				t.Parallel()
				f := newFake(t)
				f.answer(path, answer)
				i := f.issuer()
				begun := time.Now()
				keys, err := i.Keys(t.Context(), "")
				refused(t, begun, err)
				if keys != nil {
					t.Errorf("got %d keys", len(keys))
				}
				if _, err := beside.Keys(t.Context(), good.keys[0].ID); err != nil {
					t.Errorf("the issuer beside: %v", err)
				}
				f.answer(path, nil)
				until(t, "the issuer is honest again and served", func() bool {
					f.clk.pass(time.Minute)
					keys, err := i.Keys(t.Context(), f.keys[0].ID)
					return err == nil && len(keys) == 1
				})
			})
		}
	}
}

// TestDiscoveryDocument: members of the wrong type or with the wrong rule, each named, and another issuer's document.
func TestDiscoveryDocument(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		member string
		value  any
	}{
		"no issuer":             {"issuer", nil},
		"issuer a number":       {"issuer", 7},
		"another issuer":        {"issuer", "https://other.test"},
		"with a slash":          {"issuer", "+/"},
		"in upper case":         {"issuer", "HTTP"},
		"no keys":               {"jwks_uri", nil},
		"keys an array":         {"jwks_uri", []string{"https://a.test"}},
		"keys of plain http":    {"jwks_uri", "http://a.test/keys"},
		"keys in a file":        {"jwks_uri", "file:///etc/passwd"},
		"keys relative":         {"jwks_uri", "/keys"},
		"keys with a user":      {"jwks_uri", "https://u:p@a.test/keys"},
		"keys with a fragment":  {"jwks_uri", "https://a.test/keys#x"},
		"keys far too long":     {"jwks_uri", "https://a.test/" + strings.Repeat("x", 3000)},
		"keys no URL":           {"jwks_uri", "https://a.test/%zz"},
		"token of plain http":   {"token_endpoint", "http://a.test/token"},
		"end of plain http":     {"end_session_endpoint", "http://a.test/end"},
		"end a script":          {"end_session_endpoint", "javascript:alert(1)"},
		"introspection":         {"introspection_endpoint", "ftp://a.test"},
		"methods one string":    {"token_endpoint_auth_methods_supported", "client_secret_basic"},
		"methods of numbers":    {"token_endpoint_auth_methods_supported", []int{1}},
		"iss parameter in text": {"authorization_response_iss_parameter_supported", "true"},
		"logout a number":       {"backchannel_logout_supported", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			switch c.value {
			case "+/":
				c.value = f.url + "/"
			case "HTTP":
				c.value = "HTTP" + strings.TrimPrefix(f.url, "http")
			}
			f.change(c.member, c.value)
			begun := time.Now()
			_, err := f.issuer().Metadata(t.Context())
			refused(t, begun, err, "a.test", "passwd", "alert")
			if !errors.Is(err, upstream.ErrDocument) || !strings.Contains(err.Error(), c.member) {
				t.Errorf("got %v; want ErrDocument naming %s", err, c.member)
			}
		})
	}
	f := newFake(t)
	f.change("userinfo_endpoint", nil)
	f.change("backchannel_logout_supported", true)
	m, err := f.issuer().Metadata(t.Context())
	if err != nil || m.Issuer != f.url || m.UserinfoEndpoint != "" || !m.BackchannelLogout || len(m.TokenAuthMethods) != 1 || m.TokenAuthMethods[0] != "client_secret_basic" {
		t.Errorf("got %+v, %v", m, err)
	}
}

// TestPrivateAddresses: neither an issuer nor the keys that it names may stand where only we can reach, unless that is allowed.
func TestPrivateAddresses(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	secret := newFake(t)
	i, err := upstream.NewIssuer(upstream.IssuerConfig{URL: "https://localhost:" + f.url[strings.LastIndex(f.url, ":")+1:]})
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	_, err = i.Keys(t.Context(), "")
	refused(t, begun, err)
	if !errors.Is(err, upstream.ErrUnavailable) || f.asked(discoveryPath) != 0 {
		t.Errorf("got %v and %d requests; want ErrUnavailable and none", err, f.asked(discoveryPath))
	}
	// Loopback is allowed here, and nothing else that is private.
	for _, uri := range []string{"https://10.0.0.1/keys", "https://169.254.169.254/keys", "https://[fd00::1]/keys"} {
		f := newFake(t)
		f.change("jwks_uri", uri)
		begun := time.Now()
		_, err := f.issuer().Keys(t.Context(), "")
		refused(t, begun, err)
		if !strings.Contains(err.Error(), "not for the public") {
			t.Errorf("%s: got %v", uri, err)
		}
	}
	f.answer(keysPath, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, secret.url+keysPath, http.StatusFound)
	})
	_, err = f.issuer().Keys(t.Context(), "")
	if !errors.Is(err, upstream.ErrDocument) || secret.asked(keysPath) != 0 {
		t.Errorf("a redirect: got %v and %d requests; want ErrDocument and none", err, secret.asked(keysPath))
	}
	allowed := upstream.IssuerConfig{URL: f.url, Loopback: true, AllowPrivate: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, JWKSURI: secret.url + keysPath}
	if i, err = upstream.NewIssuer(allowed); err != nil {
		t.Fatal(err)
	}
	before := f.asked(discoveryPath)
	if keys, err := i.Keys(t.Context(), ""); err != nil || len(keys) != 1 || f.asked(discoveryPath) != before {
		t.Errorf("a configured jwks_uri: got %d keys, %v, %d requests for a discovery document", len(keys), err, f.asked(discoveryPath)-before)
	}
}

func TestIssuerConfig(t *testing.T) {
	t.Parallel()
	for _, c := range []upstream.IssuerConfig{
		{}, {URL: "idp.test"}, {URL: "http://idp.test"}, {URL: "http://127.0.0.1"}, {URL: "https://idp.test?x"}, {URL: "https://idp.test#x"}, {URL: "https://idp.test?"},
		{URL: "https://u@idp.test"}, {URL: "https://"}, {URL: "file:///x"}, {URL: "https:idp.test"}, {URL: "http://idp.test", Loopback: true},
		{URL: "https://idp.test", JWKSURI: "http://idp.test"}, {URL: "https://idp.test", JWKSURI: "keys"},
	} {
		if _, err := upstream.NewIssuer(c); err == nil {
			t.Errorf("%+v is taken", c)
		}
	}
	for _, u := range []string{"https://idp.test", "https://idp.test/", "https://idp.test:8443/realms/a"} {
		i, err := upstream.NewIssuer(upstream.IssuerConfig{URL: u})
		if err != nil || i.URL() != u {
			t.Errorf("%s: %v", u, err)
		}
	}
}

// TestKeysAreCached: one fetch serves many callers, until the answer's max-age is over.
func TestKeysAreCached(t *testing.T) {
	t.Parallel()
	for age, fresh := range map[string]time.Duration{
		"": 10 * time.Minute, "max-age=300": 5 * time.Minute, "max-age=1": time.Minute, "no-store": time.Minute, "private, max-age=99999999": time.Hour, "max-age=soon": 10 * time.Minute,
	} {
		f := newFake(t)
		f.maxAge = age
		i := f.issuer()
		var all sync.WaitGroup
		for range 32 {
			all.Go(func() {
				if keys, err := i.Keys(t.Context(), f.keys[0].ID); err != nil || len(keys) != 1 {
					t.Errorf("got %d keys, %v", len(keys), err)
				}
			})
		}
		all.Wait()
		if n := f.asked(keysPath); n != 1 {
			t.Errorf("%q: %d requests for 32 callers; want 1", age, n)
		}
		f.clk.pass(fresh - 10*time.Second)
		i.Keys(t.Context(), "")
		if n := f.asked(keysPath); n != 1 {
			t.Errorf("%q: asked again before %s are over", age, fresh)
		}
		f.clk.pass(20 * time.Second)
		i.Keys(t.Context(), "")
		until(t, "it is asked again", func() bool { return f.asked(keysPath) == 2 })
	}
}

// TestLongAnswers: what is good is refused beyond its length, and taken up to it.
func TestLongAnswers(t *testing.T) {
	t.Parallel()
	for path, most := range map[string]int{discoveryPath: 256 << 10, keysPath: 512 << 10} {
		for _, more := range []int{0, 1} {
			f := newFake(t)
			body := jwks(t, f.keys...)
			if path == discoveryPath {
				body = marshal(t, f.document())
			}
			f.answer(path, says(string(body)+strings.Repeat(" ", most+more-len(body))))
			keys, err := f.issuer().Keys(t.Context(), "")
			if more == 0 && (err != nil || len(keys) != 1) || more == 1 && !errors.Is(err, upstream.ErrDocument) {
				t.Errorf("%s of %d bytes: got %d keys, %v", path, most+more, len(keys), err)
			}
		}
	}
}

// until polls, since some things happen beside their callers.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// TestStaleKeys: while the issuer gives nothing good, what it gave serves for an hour more, without waiting, and then no longer.
func TestStaleKeys(t *testing.T) {
	t.Parallel()
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop) })
	for name, answer := range hostile(stop) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			i := f.issuer()
			if _, err := i.Keys(t.Context(), ""); err != nil {
				t.Fatal(err)
			}
			f.answer(keysPath, answer)
			f.clk.pass(69 * time.Minute) // 10 of usual, 60 of stale
			for range 3 {
				begun := time.Now()
				keys, err := i.Keys(t.Context(), f.keys[0].ID)
				if err != nil || len(keys) != 1 || time.Since(begun) > time.Second {
					t.Errorf("stale: got %d keys, %v after %s; want the old one at once", len(keys), err, time.Since(begun))
				}
			}
			until(t, "it is asked meanwhile", func() bool { return f.asked(keysPath) > 1 })
			f.clk.pass(2 * time.Minute)
			begun := time.Now()
			keys, err := i.Keys(t.Context(), f.keys[0].ID)
			refused(t, begun, err)
			if len(keys) != 0 {
				t.Error("keys of two hours ago are given")
			}
		})
	}
}

// TestUnknownKid: a made-up kid costs a request every ten seconds at most, a good one never waits for it, and a new key comes in.
func TestUnknownKid(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	i := f.issuer()
	known := f.keys[0].ID
	if _, err := i.Keys(t.Context(), known); err != nil {
		t.Fatal(err)
	}
	hold := make(chan struct{})
	f.clk.pass(11 * time.Second)
	f.answer(keysPath, func(w http.ResponseWriter, r *http.Request) { wait(r, hold); w.Write(jwks(t, f.keys...)) })
	var strangers sync.WaitGroup
	for range 50 {
		strangers.Go(func() {
			if keys, err := i.Keys(t.Context(), "made up"); err != nil || len(keys) != 0 {
				t.Errorf("got %d keys, %v; want none", len(keys), err)
			}
		})
	}
	until(t, "the strangers wait", func() bool { return f.asked(keysPath) == 2 })
	begun := time.Now()
	if keys, err := i.Keys(t.Context(), known); err != nil || len(keys) != 1 || time.Since(begun) > time.Second {
		t.Errorf("the known one waited %s, got %d keys, %v", time.Since(begun), len(keys), err)
	}
	close(hold)
	strangers.Wait()
	f.answer(keysPath, nil)
	for range 50 {
		i.Keys(t.Context(), "made up")
	}
	if n := f.asked(keysPath); n != 2 {
		t.Errorf("%d requests; want 2 within ten seconds", n)
	}
	fresh := newKey(t, "EdDSA")
	f.publish(f.keys[0], fresh)
	if keys, _ := i.Keys(t.Context(), fresh.ID); len(keys) != 0 {
		t.Error("asked again within ten seconds")
	}
	f.clk.pass(11 * time.Second)
	if keys, err := i.Keys(t.Context(), fresh.ID); err != nil || len(keys) != 1 || keys[0].ID != fresh.ID {
		t.Errorf("a new key: got %d, %v", len(keys), err)
	}
	f.answer(keysPath, says(""))
	f.clk.pass(11 * time.Second)
	if _, err := i.Keys(t.Context(), "made up"); !errors.Is(err, upstream.ErrDocument) {
		t.Errorf("an unknown kid where the issuer lies: got %v", err)
	}
}

// TestDownIssuerIsNotHammered: callers between two tries share the error.
func TestDownIssuerIsNotHammered(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	var n atomic.Int64
	f.answer(discoveryPath, func(w http.ResponseWriter, _ *http.Request) { n.Add(1); w.WriteHeader(http.StatusBadGateway) })
	i := f.issuer()
	for range 20 {
		if _, err := i.Metadata(t.Context()); !errors.Is(err, upstream.ErrUnavailable) {
			t.Fatalf("got %v; want ErrUnavailable", err)
		}
	}
	if n.Load() > 2 { // a slow machine may take more than two seconds for twenty
		t.Errorf("%d requests for twenty callers", n.Load())
	}
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	gone, err := upstream.NewIssuer(upstream.IssuerConfig{URL: closed.URL, Loopback: true})
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	_, err = gone.Keys(t.Context(), "")
	refused(t, begun, err)
	if !errors.Is(err, upstream.ErrUnavailable) || !strings.Contains(err.Error(), "takes no connections") {
		t.Errorf("got %v", err)
	}
}

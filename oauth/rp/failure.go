package rp

import (
	"net/http"
	"net/url"
	"time"

	"github.com/understudy-id/understudy/oauth/internal/seal"
)

// failedParam is in the query of a page that a start came back to without having begun.
const failedParam = "understudy_failed"

// failure is why a start did not begin, on its way to the page that asked for it. It is sealed, so that nobody else can make a page say
// something by a link.
type failure struct {
	key, detail string // as of failedNotice
	expires     time.Time
}

func (f *failure) pack() []byte {
	p := newPack(64)
	p.text(f.key, f.detail)
	p.time(f.expires)
	return p
}

func (f *failure) unpack(packed string) error {
	u := newUnpack(packed)
	f.key, f.detail = u.text(), u.text()
	f.expires = u.time()
	return u.done()
}

// failureJSON is the member failure of the answer of GET /.understudy/session.
type failureJSON struct {
	Reason string `json:"reason"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
}

// comeBack leads to the page that asked for a start, which can then ask what failed.
func (a *App) comeBack(w http.ResponseWriter, to, key, detail string) {
	u, err := url.Parse(a.landing(to, nil))
	if err != nil { // it was a localPath when it was taken
		u = &url.URL{Path: "/"}
	}
	f := failure{key, clean(detail), a.now().Add(flowLifetime * time.Second)}
	q := u.Query()
	q.Set(failedParam, encoding.EncodeToString(a.failures.Seal(f.pack())))
	u.RawQuery = q.Encode()
	redirect(w, a.base.origin+u.String())
}

// failure reads what comeBack wrote, nil if it is not that or too old.
func (a *App) failure(value string) *failureJSON {
	if value == "" || len(value) > maxCookie {
		return nil
	}
	sealed, err := encoding.DecodeString(value)
	if err != nil {
		return nil
	}
	var f failure
	if plain, err := a.failures.Open(sealed); err != nil || f.unpack(string(plain)) != nil || !a.now().Before(f.expires) {
		return nil
	}
	if _, ok := messages[f.key+".title"]; !ok { // of another release of this package, beside this one
		return nil
	}
	n := a.failedNotice(f.key, f.detail)
	return &failureJSON{n.reason, plainText(n.title), n.detail()}
}

// forFailures binds box to what comeBack seals. All origins of an app share it: a start fails on one and is asked about on another.
func forFailures(box *seal.Box, client string) seal.Bound {
	return box.For("rp1\x00failed\x00" + client)
}

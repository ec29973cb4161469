package rp

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"time"

	"github.com/understudy-id/understudy/oauth/internal/seal"
)

// failedParam is in the query of a page that a start came back to without having begun.
const failedParam = "understudy_failed"

// markParam is in the query of a start that comes back where it fails: the mark of the browser.
const markParam = "mark"

// failure is why a start did not begin, on its way to the page that asked for it. It is sealed, and for one browser, so that nobody can make
// another's page say something by a link.
type failure struct {
	key, detail string // as of failedNotice
	mark        string
	expires     time.Time
}

func (f *failure) pack() []byte {
	p := newPack(64)
	p.text(f.key, f.detail, f.mark)
	p.time(f.expires)
	return p
}

func (f *failure) unpack(packed string) error {
	u := newUnpack(packed)
	f.key, f.detail, f.mark = u.text(), u.text(), u.text()
	f.expires = u.time()
	return u.done()
}

// failureJSON is the member failure of the answer of GET /.understudy/session.
type failureJSON struct {
	Reason string `json:"reason"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
}

// marked puts the browser's mark into q, the query of a start: it has that on the origin to come back to, and fails on the other. Where it
// reports false it led there first.
func (a *App) marked(w http.ResponseWriter, r *http.Request, v *visit, q url.Values) bool {
	if v.site != a.base {
		if n := len(q.Get(markParam)); n > 0 && n <= 64 {
			return true
		}
		redirect(w, a.base.origin+r.URL.RequestURI())
		return false
	}
	mark, err := v.site.mark.open(find(r, v.site.mark.name))
	if err != nil {
		mark = rand.Text()
	}
	q.Set(markParam, mark)
	if err := v.site.mark.set(w, v.site, []byte(mark), 2*flowLifetime); err != nil { // the way to the failure, and as long again to ask
		a.failed(w, r, v, "failed.query", "", err)
		return false
	}
	return true
}

// comeBack leads to the page that asked for a start, which can then ask what failed.
func (a *App) comeBack(w http.ResponseWriter, began *flow, key, detail string) {
	u, err := url.Parse(a.landing(began.ReturnTo, nil))
	if err != nil { // it was a localPath when it was taken
		u = &url.URL{Path: "/"}
	}
	f := failure{key, clean(detail), began.Back, a.now().Add(flowLifetime * time.Second)}
	q := u.Query()
	q.Set(failedParam, encoding.EncodeToString(a.failures.Seal(f.pack())))
	u.RawQuery = q.Encode()
	redirect(w, a.base.origin+u.String())
}

// failure reads what comeBack wrote, nil if it is not that, too old or another browser's.
func (a *App) failure(r *http.Request, st *site) *failureJSON {
	value := r.URL.Query().Get(failedParam)
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
	if mark, err := st.mark.open(find(r, st.mark.name)); err != nil || mark != f.mark {
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

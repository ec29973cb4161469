package browsertest

import (
	"context"
	"net/http"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/storage"
	"github.com/chromedp/chromedp"
)

// Cookies is every cookie of the browser context, of all hosts and the HttpOnly ones too. Domain tells the host; a cookie
// belongs to all ports of it.
func (p *Page) Cookies() []*http.Cookie {
	p.t.Helper()
	var list []*http.Cookie
	p.do("reading cookies", func(ctx context.Context) error {
		id := chromedp.FromContext(p.ctx).BrowserContextID
		res, err := chromedp.CallBrowser(ctx, storage.GetCookies, storage.GetCookiesParams{BrowserContextID: id})
		for _, c := range res.Cookies {
			list = append(list, fromDevTools(c))
		}
		return err
	})
	return list
}

// Cookie gives the cookie of that name that the host (without a port) set, nil if there is none.
func (p *Page) Cookie(host, name string) *http.Cookie {
	p.t.Helper()
	for _, c := range p.Cookies() {
		if c.Name == name && c.Domain == host {
			return c
		}
	}
	return nil
}

// SetCookie sets a cookie as an answer of url would. Name, Value, Path, Domain, Secure, HttpOnly, SameSite and Expires count. A
// cookie that Chromium refuses ends the test.
func (p *Page) SetCookie(url string, c *http.Cookie) {
	p.t.Helper()
	set := network.SetCookieParams{
		URL: url, Name: c.Name, Value: c.Value, Path: c.Path, Domain: c.Domain, Secure: &c.Secure, HTTPOnly: &c.HttpOnly,
		SameSite: toDevTools[c.SameSite],
	}
	if !c.Expires.IsZero() {
		set.Expires = cdp.TimeSinceEpoch(c.Expires.Unix())
	}
	p.do("setting cookie "+c.Name, func(ctx context.Context) error {
		_, err := chromedp.Call(ctx, network.SetCookie, set)
		return err
	})
}

// ClearCookie deletes the cookies of that name that a request to url would carry.
func (p *Page) ClearCookie(url, name string) {
	p.t.Helper()
	p.do("deleting cookie "+name, func(ctx context.Context) error {
		_, err := chromedp.Call(ctx, network.DeleteCookies, network.DeleteCookiesParams{Name: name, URL: url})
		return err
	})
}

var toDevTools = map[http.SameSite]network.CookieSameSite{
	http.SameSiteLaxMode: network.CookieSameSiteLax, http.SameSiteStrictMode: network.CookieSameSiteStrict, http.SameSiteNoneMode: network.CookieSameSiteNone,
}

func fromDevTools(c *network.Cookie) *http.Cookie {
	h := &http.Cookie{Name: c.Name, Value: c.Value, Domain: c.Domain, Path: c.Path, Secure: c.Secure, HttpOnly: c.HTTPOnly}
	for ours, theirs := range toDevTools {
		if theirs == c.SameSite {
			h.SameSite = ours
		}
	}
	if !c.Session {
		h.Expires = time.Unix(int64(c.Expires), 0).UTC()
	}
	return h
}

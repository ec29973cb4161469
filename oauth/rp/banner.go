package rp

import (
	"context"
	"html/template"
	"net/http"
	"strconv"
	"unicode/utf8"

	"github.com/understudy-id/understudy/oauth"
)

// Paths that pages link to.
const (
	stylePath = "/.understudy/banner.css"
	stopPath  = "/.understudy/stop"
)

// BannerHTML is the banner, for a page that wants to place it itself: as the first element of its body, where that is no
// row of a flex or grid layout. Handler then leaves the page alone, if BannerHTML was called before the page's body was
// written. "" when nobody impersonates. It holds no script and is ASCII, whatever the charset of the page. Call it from
// the goroutine that writes the answer.
func BannerHTML(ctx context.Context) template.HTML {
	v := visitFrom(ctx)
	if v == nil || v.session == nil {
		return ""
	}
	v.shown = true
	return template.HTML(bannerHTML(v.site, v.session))
}

// FormField is a hidden input that ties a form to the session it was made in: when that has ended, a form left open in
// another tab is refused, and not sent in the name of whoever is there by then. Put it into each form that changes
// something; banner.js does it in pages made under impersonation, and leaves the forms of all others as they are. When nobody impersonates it is "" on an
// app with an origin for that; where impersonation lies over the
// app's own, it then ties the form to that: one left open from before a start is not sent in the user's name. It needs App.Handler in front.
func FormField(r *http.Request) template.HTML {
	v := visitFrom(r.Context())
	switch {
	case v == nil:
		return ""
	case v.session != nil:
		return formField(v.session.ID)
	case v.app.acting == v.app.base:
		return formField(noSession)
	}
	return ""
}

func formField(id string) template.HTML {
	return template.HTML(`<input type="hidden" name="` + sessionField + `" value="` + template.HTMLEscapeString(id) + `">`)
}

// bannerHTML is the whole element.
func bannerHTML(st *site, s *Session) string {
	return string(appendBanner(make([]byte, 0, 2<<10), st, s))
}

// appendBanner adds the element to b. Its content is in a declarative shadow root, out of reach for the styles of the page.
// URLs are absolute and the form has a target, since the page may have a base element that leads elsewhere. The style sheet
// is linked twice: inside for the banner, outside so that the page does not scroll what has the focus under it.
//
// Nothing here is a protection. Script in the page can remove the banner, and another element may cover it: the guard does
// not ask whether it is seen.
func appendBanner(b []byte, st *site, s *Session) []byte {
	subject, actor, email := s.Subject.name(), clean(s.Actor.label()), clean(s.Subject.Email)
	b = add(b, `<understudy-banner role="region" aria-label="`, messages["banner.lead"])
	b = appendASCII(b, subject)
	b = add(b, `" data-session="`)
	b = appendASCII(b, s.ID)
	b = add(b, `"><template shadowrootmode="open">`, styleLink, st.origin, stylePath, `"><div class="b"><p>`, messages["banner.lead"], `<b>`)
	b = appendBDI(b, subject)
	b = add(b, `</b>`)
	if email != "" && email != subject {
		b = add(appendBDI(add(b, ` (`), email), `)`)
	}
	b = appendBDI(add(b, ` <span class="m">&#183; `, messages["banner.you"]), actor)
	b = add(b, ` &#183; `, modeText(s.Mode), ` &#183; `, messages["banner.ends"], `<time datetime="`)
	b = s.Expires.UTC().AppendFormat(b, "2006-01-02T15:04:05Z")
	b = s.Expires.UTC().AppendFormat(add(b, `">`), "15:04")
	b = add(b, ` UTC</time></span></p><form method="post" target="_top" action="`, st.origin, stopPath, `"><input type="hidden" name="`, sessionField, `" value="`)
	b = appendASCII(b, s.ID)
	return add(b, `"><button type="submit">`, messages["stop"], `</button></form></div></template>`, styleLink, st.origin, stylePath, `">`, bannerEnd)
}

const bannerEnd = `</understudy-banner>`

// appendPlain adds to the banner at the end of b what is seen of it where its shadow root stays closed, and only there: no form, which scripts of the page
// could take for one of theirs.
func appendPlain(b []byte, st *site, s *Session) []byte {
	b = add(b[:len(b)-len(bannerEnd)], `<p>`, messages["banner.lead"], `<b>`)
	b = appendBDI(b, s.Subject.name())
	return add(b, `</b> &#183; `, modeText(s.Mode), ` &#183; <a href="`, st.origin, stopPath, `" target="_top">`, messages["stop"], `</a></p>`, bannerEnd)
}

const styleLink = `<link rel="stylesheet" href="`

// add adds HTML of our own.
func add(b []byte, html ...string) []byte {
	for _, h := range html {
		b = append(b, h...)
	}
	return b
}

// appendBDI adds a stranger's text as an element of its own, so that its direction stays inside (HTML §4.5.25).
func appendBDI(b []byte, s string) []byte { return add(appendASCII(add(b, "<bdi>"), s), "</bdi>") }

func modeText(m oauth.Mode) string {
	if m == oauth.ModeWrite {
		return messages["banner.write"]
	}
	return messages["banner.read"]
}

// appendASCII adds text as HTML that holds in every charset a page may be written in.
func appendASCII(b []byte, s string) []byte {
	for _, c := range s {
		if c < utf8.RuneSelf && c != '<' && c != '>' && c != '&' && c != '"' && c != '\'' {
			b = append(b, byte(c))
			continue
		}
		b = append(strconv.AppendInt(append(b, "&#"...), int64(c), 10), ';')
	}
	return b
}

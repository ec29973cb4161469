package rp

import (
	"context"
	"html/template"
	"net/http"
	"strconv"
	"strings"
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
// something; banner.js does it where scripts run. "" when nobody impersonates.
func FormField(r *http.Request) template.HTML {
	s, ok := FromContext(r.Context())
	if !ok {
		return ""
	}
	return template.HTML(`<input type="hidden" name="` + sessionField + `" value="` + template.HTMLEscapeString(s.ID) + `">`)
}

// bannerHTML is the whole element. Its content is in a declarative shadow root, out of reach for the styles of the page.
// URLs are absolute and the form has a target, since the page may have a base element that leads elsewhere. The style sheet
// is linked twice: inside for the banner, outside so that the page does not scroll what has the focus under it.
//
// Nothing here is a protection. Script in the page can remove the banner, and another element may cover it: the guard does
// not ask whether it is seen.
func bannerHTML(st *site, s *Session) string {
	style := `<link rel="stylesheet" href="` + st.origin + stylePath + `">`
	subject, ends := s.Subject.name(), s.Expires.UTC()
	b := make([]byte, 0, 2048)
	add := func(html ...string) {
		for _, h := range html {
			b = append(b, h...)
		}
	}
	add(`<understudy-banner role="region" aria-label="`, messages["banner.lead"])
	b = appendASCII(b, subject)
	add(`" data-session="`)
	b = appendASCII(b, s.ID)
	add(`"><template shadowrootmode="open">`, style, `<div class="b"><p>`, messages["banner.lead"], `<b><bdi>`)
	b = appendASCII(b, subject)
	add(`</bdi></b>`)
	if email := clean(s.Subject.Email); email != "" && email != subject {
		add(` (<bdi>`)
		b = appendASCII(b, email)
		add(`</bdi>)`)
	}
	add(` <span class="m">&#183; `, messages["banner.you"], `<bdi>`)
	b = appendASCII(b, clean(s.Actor.label()))
	add(`</bdi> &#183; `, modeText(s.Mode), ` &#183; `, messages["banner.ends"], `<time datetime="`)
	b = ends.AppendFormat(b, "2006-01-02T15:04:05Z")
	add(`">`)
	b = ends.AppendFormat(b, "15:04")
	add(` UTC</time></span></p><form method="post" target="_top" action="`, st.origin, stopPath, `"><input type="hidden" name="`, sessionField, `" value="`)
	b = appendASCII(b, s.ID)
	add(`"><button type="submit">`, messages["stop"], `</button></form></div></template>`, style, `</understudy-banner>`)
	return string(b)
}

func modeText(m oauth.Mode) string {
	if m == oauth.ModeWrite {
		return messages["banner.write"]
	}
	return messages["banner.read"]
}

// appendASCII adds text as HTML that holds in every charset a page may be written in.
func appendASCII(b []byte, s string) []byte {
	for _, c := range s {
		if c >= utf8.RuneSelf || strings.ContainsRune(`<>&"'`, c) {
			b = append(strconv.AppendInt(append(b, "&#"...), int64(c), 10), ';')
		} else {
			b = append(b, byte(c))
		}
	}
	return b
}

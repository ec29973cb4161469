package rp

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// What the issuer takes of a path and of a method.
const (
	maxRoute  = 512
	maxMethod = 16
)

// longestPath is more than any server has to take (RFC 9110 §4.1). A longer one is not looked at.
const longestPath = 8 << 10

const (
	// cutMark stands where something was left out, and hashMark before the SHA-256 of the whole. An escaped path has neither.
	cutMark, hashMark = "…", " sha256:"
	// leastShown is how many characters of each segment a long route must show: names of routes are shorter, what tells one row from another may be longer.
	leastShown = 32
)

// routeOf is the path of u as the trail has it: as it was sent, dots and double slashes too, since nobody knows how the app reads them. A long one is
// cut, and told apart by its hash. shown reports whether of each of its segments there is enough to see which route it is.
func routeOf(u *url.URL) (route string, shown bool) {
	route = u.EscapedPath()
	if !strings.HasPrefix(route, "/") { // as after OPTIONS, for the whole server
		route = "/" + route
	}
	if len(route) <= maxRoute {
		return route, true
	}
	sum := sha256.Sum256([]byte(route))
	hash := hashMark + hex.EncodeToString(sum[:])
	room := maxRoute - len(hash)
	short, shown := cutSegments(route, room)
	if !shown {
		short = cut(route, room)
	}
	return short + hash, shown
}

// slashes are what separates segments for some router, however often it decodes.
var slashes = regexp.MustCompile(`(?i)/|%(?:25)*(?:2f|5c)`)

// cutSegments shortens the longest segments of route, which is escaped, until all of it has room characters; false where that cannot be.
func cutSegments(route string, room int) (string, bool) {
	cuts := slashes.FindAllStringIndex(route, room+1)
	if len(cuts) > room {
		return "", false
	}
	each := func(yield func(segment, slash string)) {
		from := 0
		for _, at := range cuts {
			yield(route[from:at[0]], route[at[0]:at[1]])
			from = at[1]
		}
		yield(route[from:], "")
	}
	most := room
	for ; most >= leastShown; most-- {
		n := 0
		each(func(segment, slash string) { n += min(len(segment), most) + len(slash) })
		if n <= room {
			break
		}
	}
	if most < leastShown {
		return "", false
	}
	var b strings.Builder
	each(func(segment, slash string) { b.WriteString(cut(segment, most) + slash) })
	return b.String(), true
}

// cut is s in at most most characters, its middle left out.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return s[:most/2] + cutMark + s[len(s)-(most-1-most/2):]
}

// methodOf is the method of r as the trail has it. Of those that are registered only UPDATEREDIRECTREF is longer (RFC 4437 §7).
func methodOf(r *http.Request) string {
	if len(r.Method) > maxMethod {
		return r.Method[:maxMethod-1] + "~"
	}
	return r.Method
}

// unrecordable reports whether the trail could not tell what r was. What may change something is told whole or not done; of what only looks, the long names
// that signed links have may be cut.
func unrecordable(r *http.Request) bool {
	if len(r.URL.Path) <= maxRoute/3 && len(r.URL.RawPath) < maxRoute { // escaped, each byte is three at most
		return false
	}
	route, shown := routeOf(r.URL)
	return !shown || changes(r) && strings.Contains(route, hashMark)
}

package server_test

import (
	"go/ast"
	"slices"
	"strings"
	"testing"
)

// flaws are those that others had with cookies, sessions and what stands in front of a server: a row each, with the tests that keep us from it. without says
// what of a row has no test, and why.
var flaws = []struct {
	ids     []string // public numbers, at least one of which each test names
	tests   []string
	without string
}{
	// Cookies and sessions.
	{[]string{"keycloak#49213"}, []string{"oauth/server.TestStoreUnavailable", "oauth/server.TestLostCommit"}, ""},
	{[]string{"CVE-2026-7571"}, []string{"oauth/server.TestHiddenFields"}, "an opaque id of a flow: nothing is kept before the POST, which validates all anew"},
	{[]string{"CVE-2025-12390"}, []string{"oauth/server.TestNextPerson", "oauth/rp.TestLeftovers"}, ""},
	{[]string{"CVE-2024-28197"}, []string{"oauth/server.TestPlantedCookie", "oauth/rp.TestDamagedCookies", "oauth/rp.TestCookieFlags"}, ""},
	{[]string{"CVE-2026-29191", "CVE-2026-29192", "CVE-2025-67495"}, []string{"oauth/server.TestHostileNames"}, "logo_uri: clients have no logo"},
	{[]string{"CVE-2021-28680"}, []string{"oauth/rp.TestStolenCookie", "cmd/understudy/internal/demo.TestStolenCookie"}, ""},
	{[]string{"CVE-2025-61928"}, []string{"oauth/server.TestIdentityInRequest", "oauth/rp.TestIdentityInRequest"}, ""},
	{[]string{"GHSA-xg6x-h9c9-2m83"}, []string{"oauth/server.TestPendingSignIn"}, ""},
	{[]string{"nextcloud passwords#116"}, []string{"oauth/rp.TestCookieFlags", "oauth/rp.TestSharedCache", "oauth/rp.TestBackAfterStop", "cmd/understudy/internal/demo.TestBackAndForward"}, ""},
	{[]string{"CVE-2021-32701", "GHSA-qvp4-rpmr-xwrr", "CVE-2026-33496"}, []string{"oauth/rp.TestBelievedOfOneToken"}, ""},
	{[]string{"GHSA-rp9m-7r4c-75qg"}, []string{"oauth/rp.TestBelievedOfOneToken", "oauth/rp.TestEveryBitOfATokenCounts"}, ""},
	{[]string{"Cookie Chaos"}, []string{"oauth/server.TestPlantedCookie", "oauth/rp.TestDamagedCookies"}, ""},
	{[]string{"CVE-2023-45128", "CVE-2023-45141", "CVE-2024-38513"}, []string{"oauth/server.TestPlantedCookie"}, "tokens against CSRF: we have none, a request says where it is from (TestOtherSites)"},
	{[]string{"CVE-2023-30861"}, []string{"oauth/rp.TestSharedCache"}, ""},
	{[]string{"CVE-2026-34454", "CVE-2026-56750"}, []string{"oauth/server.TestOldCookies", "oauth/rp.TestCookieFlags"}, ""},
	{[]string{"CVE-2026-25899", "CVE-2026-40303"}, []string{"oauth/rp.TestTooManyCookies", "oauth/rp.TestDamagedCookies"}, ""},
	{[]string{"GO-2026-5815"}, []string{"oauth/server.TestReplayAfterRestart"}, ""},
	{[]string{"CVE-2025-61726", "CVE-2025-58186", "CVE-2023-24534", "CVE-2026-39825"}, []string{"oauth/server.TestGoFloor", "oauth/server.TestFloods"}, ""},
	{[]string{"CVE-2023-44487", "CVE-2023-39325", "CVE-2023-45288", "CVE-2026-27141"}, []string{"oauth/server.TestGoFloor"}, "floods of frames: no HTTP/2 is spoken"},
	{[]string{"CVE-2026-39826", "CVE-2024-24785", "CVE-2023-39318"}, []string{"oauth/page.TestTemplatesStayPlain", "oauth/server.TestGoFloor"}, ""},
	{[]string{"CVE-2026-42507", "CVE-2026-32283", "CVE-2025-68121"}, []string{"oauth/server.TestGoFloor"}, "TLS tickets after a reload: the configuration of TLS is read once"},
	// In front of a server.
	{[]string{"CVE-2025-64101", "GHSA-93m4-mfpg-c3xf"}, []string{"oauth/server.TestForwardedHeadersCountForNothing", "oauth/rp.TestUnknownHost"}, ""},
	{[]string{"CVE-2026-33494", "CVE-2026-33495"}, []string{"oauth/rp.TestTargets", "oauth/rp.TestBlockedSpellings"}, ""},
	{[]string{"CVE-2025-30204", "CVE-2025-27144", "CVE-2025-66506", "CVE-2025-22868"}, []string{"oauth/tokens.TestLongTokensCostNothing", "oauth/rp.TestHostileTokens"}, ""},
	{[]string{"CVE-2025-64484", "CVE-2026-40575", "CVE-2026-34457", "CVE-2026-20896"}, []string{"oauth/server.TestForwardedHeadersCountForNothing", "oauth/rp.TestIdentityInRequest"}, "a gateway that hands identities on in headers: there is none yet"},
	{[]string{"GHSA-9g5q-2w5x-hmxf", "GHSA-rjr7-jggh-pgcp", "CVE-2026-45364"}, []string{"oauth/server.TestForwardedHeadersCountForNothing", "oauth/server.TestGuessingFromIPv6"}, ""},
	{[]string{"CVE-2025-22871", "CVE-2023-39326", "CVE-2022-1705"}, []string{"oauth/rp.TestRawRequests"}, ""},
	{[]string{"CVE-2026-56853", "CVE-2024-24791"}, []string{"cmd/understudy.TestSlowClients"}, "delays of good clients: a figure, and not a test"},
	{[]string{"CVE-2026-25679", "CVE-2025-47912", "CVE-2026-39821", "CVE-2023-29406"}, []string{"oauth/rp.TestConfig"}, "names in punycode: a name is compared byte by byte, and decoded nowhere"},
}

// TestFlaws: each row has its tests, each of them is there, says what it is about, and does not skip itself.
func TestFlaws(t *testing.T) {
	t.Parallel()
	docs := make(map[string]string)
	eachTest(t, func(name string, f *ast.FuncDecl) {
		if !skips(f) {
			docs[name] = f.Doc.Text()
		}
	})
	seen := make(map[string]bool)
	for _, row := range flaws {
		if len(row.tests) == 0 && row.without == "" {
			t.Errorf("%v: neither a test nor a reason", row.ids)
		}
		for _, id := range row.ids {
			if seen[id] {
				t.Errorf("%s stands there twice", id)
			}
			seen[id] = true
		}
		for _, name := range row.tests {
			doc, there := docs[name]
			if !there || !slices.ContainsFunc(row.ids, func(id string) bool { return strings.Contains(doc, id) }) {
				t.Errorf("%v: %s is not there, may skip itself, or says nothing of it", row.ids, name)
			}
		}
	}
	if len(flaws) != 29 {
		t.Errorf("%d rows; want 29", len(flaws))
	}
}

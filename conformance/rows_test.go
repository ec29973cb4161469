package conformance

import (
	"cmp"
	"os"
	"slices"
	"strings"
	"testing"
)

// The reasons for which a row has no case.
const (
	relyingApp  = "not yet: it is about a relying app, which no case drives"
	resourceAPI = "not yet: it is about an API, and the suite knows of no other than userinfo"
	unsignable  = "not from outside: whoever cannot sign as the server cannot show it a malformed act or may_act that it would believe"
	listener    = "not yet: the suite has no listener that the server could call"
	stream      = "not yet: a target has no way to say how a receiver of events gets its token"
	twoScopes   = "not yet: a target has no way to say which scope is of which API"
)

// untested are the rows without a case, and why.
var untested = map[string]string{
	"RFC8693-2.2.2-07": "not from outside: after how long a sign-in is too old is the deployment's own policy, and the suite cannot make one that old",
	"RFC8693-4.1-05":   "not yet: no target says that it makes chains of actors, and without one token/one-actor demands that there is none",
	"RFC8693-4.1-06":   resourceAPI, "RFC8693-4.1-11": unsignable, "RFC8693-4.4-05": unsignable, "RFC8693-4.4-06": unsignable,
	"RFC6750-5.3-01":   relyingApp,
	"RFC7662-2.2-05":   "not from outside: nobody but an administrator of the server gives people attributes of such names",
	"RFC7662-4-03":     resourceAPI,
	"RFC7009-2.2-02":   "not from outside: the server's store would have to fail",
	"RFC9068-2.2.3-02": twoScopes, "RFC9068-3-03": twoScopes,
	"RFC9068-4-02": resourceAPI, "RFC9068-4-03": resourceAPI,
	"RFC9068-5-01":    "not from outside: the suite registers no clients",
	"RFC9068-6-01":    relyingApp,
	"RFC8725-3.10-02": "not from outside: the suite registers no clients; code/request-object-unsigned tries the one URL that a stranger can send",
	"RFC9700-2.1-03":  relyingApp, "RFC9700-2.1-04": relyingApp, "RFC9207-2.4-01": relyingApp,
	"RFC8705-3.1-01": "not yet: the suite has no client with a certificate",
	"RFC9470-3-01":   resourceAPI, "RFC9470-3-02": resourceAPI,
	"OIDC-3.1.3.7-01": relyingApp,
	"OIDC-10.1.1-01":  "not from outside: nobody but an administrator of the server has it take another key",
	"BCL-2.4-01":      listener, "BCL-2.4-02": listener, "BCL-2.4-03": listener, "BCL-2.6-01": relyingApp, "BCL-2.7-01": relyingApp,
	"RFC8417-2.2-01": stream, "RFC8417-2.2-02": stream, "RFC8417-2.3-01": stream, "RFC8935-2.1-01": listener, "RFC8935-2.2-01": relyingApp, "RFC8935-2.3-01": relyingApp,
	"RFC8936-2.4-01": stream, "RFC8936-2.5.1-01": stream, "SSF-4.1-01": stream, "SSF-4.1.8-01": stream, "SSF-8.1.4-01": stream,
	"CAEP-3.1-01": stream, "CAEP-2-01": stream, "CAEP-3.1-02": stream,
	"BFF-6.1.3-01": relyingApp, "BFF-6.1.3-02": relyingApp, "BFF-6.1.3-03": relyingApp,
}

// TestRows: of each row of the requirements it is known which cases try it, or why none does.
func TestRows(t *testing.T) {
	t.Parallel()
	list, err := os.ReadFile("testdata/rows.txt")
	if err != nil {
		t.Fatal(err)
	}
	by := make(map[string][]string)
	for _, c := range Cases() {
		for _, row := range c.Rows {
			by[row] = append(by[row], c.ID)
		}
	}
	var b strings.Builder
	rows := strings.Fields(string(list))
	for _, row := range rows {
		why := untested[row]
		switch {
		case len(by[row]) == 0 && why == "":
			t.Errorf("%s has no case, and no reason in untested", row)
		case len(by[row]) > 0 && why != "":
			t.Errorf("%s has a case, and a reason in untested", row)
		}
		b.WriteString(row + ": " + cmp.Or(strings.Join(by[row], " "), why) + "\n")
	}
	for row := range untested {
		if !slices.Contains(rows, row) {
			t.Errorf("%s is untested, and no row", row)
		}
	}
	const golden = "testdata/rows.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil || b.String() != string(want) {
		t.Errorf("which cases cover which rows is not as in %s (%v): go test ./conformance -run 'TestRows$' -update", golden, err)
	}
}

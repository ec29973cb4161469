package scim_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/oauth/scim"
)

// TestKept: what a source sent comes back as it was, and policy sees it under names it can use.
func TestKept(t *testing.T) {
	t.Parallel()
	user := `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"b","active":false,"title":"Guide","nickName":"","roles":[{"value":"admin"}],"password":"x",
		"name":{"givenName":"Barbara"},"emails":[{"value":"B@x.test","primary":true},{"value":"c@x.test","primary":false}],
		"addresses":[{"formatted":"1 Road\nTown \\n","type":"work"}],"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"department":"Tours","manager":{"value":"usr_1"}}}`
	attributes, back, err := scim.Kept(user)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"badge": "7", "scim:title": "Guide", "scim:name.givenName": "Barbara", "scim:emails.0.value": "B@x.test", "scim:emails.0.primary": "true",
		"scim:emails.1.value": "c@x.test", "scim:emails.1.primary": "false", "scim:addresses.0.formatted": `1 Road\nTown \\n`, "scim:addresses.0.type": "work",
		"scim:enterprise.department": "Tours", "scim:enterprise.manager.value": "usr_1",
	}
	if d := cmp.Diff(want, attributes); d != "" {
		t.Errorf("attributes (-want +got):\n%s", d)
	}
	whole := decoded(t, user)
	for _, gone := range []string{"schemas", "userName", "active", "nickName", "roles", "password"} {
		delete(whole, gone)
	}
	if d := cmp.Diff(whole, back); d != "" {
		t.Errorf("back (-want +got):\n%s", d)
	}
}

func TestKeptIsBounded(t *testing.T) {
	t.Parallel()
	phone := `{"value":"` + strings.Repeat("1", 1000) + `"}`
	_, _, err := scim.Kept(`{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"b","phoneNumbers":[` + strings.Repeat(phone+",", 19) + phone + `]}`)
	if _, kind := scim.Fault(err); kind != "invalidValue" {
		t.Errorf("20,000 bytes of attributes: got %v, want invalidValue", err)
	}
}

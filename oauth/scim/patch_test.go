package scim_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/oauth/scim"
)

func patchOf(operations string) string {
	return `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[` + operations + `]}`
}

func TestPatch(t *testing.T) {
	t.Parallel()
	const enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
	for _, tt := range []struct {
		name, ops string
		want      string // members that are other than barbara's; null for gone
	}{
		{"replace a simple attribute", `{"op":"replace","path":"title","value":"Boss"}`, `{"title":"Boss"}`},
		{"in Entra's case", `{"op":"Replace","path":"TITLE","value":"Boss"}`, `{"title":"Boss"}`},
		{"by null", `{"op":"replace","path":"title","value":null}`, `{"title":null}`},
		{"add what is not there", `{"op":"Add","path":"nickName","value":"Babs"}`, `{"nickName":"Babs"}`},
		{"a boolean in Entra's spelling", `{"op":"Replace","path":"active","value":"False"}`, `{"active":false}`},
		{"without a path", `{"op":"replace","value":{"active":false,"title":"Boss"}}`, `{"active":false,"title":"Boss"}`},
		{"without a path, names that are paths", `{"op":"replace","value":{"name.givenName":"Ann","` + enterprise + `:department":"Sales","emails[type eq \"work\"].value":"b@acme.test"}}`,
			`{"name":{"familyName":"Jensen","givenName":"Ann"},"` + enterprise + `":{"department":"Sales","manager":{"value":"usr_1"}},
			"emails":[{"value":"b@acme.test","type":"work","primary":true},{"value":"babs@home.test","type":"home"}]}`},
		{"without a path, what has no effect", `{"op":"replace","value":{"id":"7","password":"x","shoeSize":7,"meta":{},"roles":[{"value":"admin"}]}}`, `{}`},
		{"roles have no effect", `{"op":"Add","path":"roles[primary eq \"True\"].value","value":"admin"}`, `{}`},
		{"a part of a complex attribute", `{"op":"replace","path":"name.familyName","value":"Doe"}`, `{"name":{"familyName":"Doe","givenName":"Barbara"}}`},
		{"what is not said of a complex attribute stays", `{"op":"replace","path":"name","value":{"familyName":"Doe"}}`, `{"name":{"familyName":"Doe","givenName":"Barbara"}}`},
		{"remove a complex attribute", `{"op":"remove","path":"name"}`, `{"name":null}`},
		{"remove the last part", `{"op":"remove","path":"` + enterprise + `:department"},{"op":"remove","path":"` + enterprise + `:manager"}`, `{"` + enterprise + `":null}`},
		{"the manager as Entra sends it", `{"op":"Add","path":"` + enterprise + `:manager","value":"usr_2"}`, `{"` + enterprise + `":{"department":"Tours","manager":{"value":"usr_2"}}}`},
		{"the manager in an array", `{"op":"Add","path":"` + enterprise + `:manager","value":[{"$ref":"../Users/usr_2","value":"usr_2"}]}`,
			`{"` + enterprise + `":{"department":"Tours","manager":{"value":"usr_2","$ref":"../Users/usr_2"}}}`},
		{"one of several by a filter", `{"op":"replace","path":"emails[type eq \"work\"].value","value":"b@acme.test"}`,
			`{"emails":[{"value":"b@acme.test","type":"work","primary":true},{"value":"babs@home.test","type":"home"}]}`},
		{"a whole one of several", `{"op":"replace","path":"emails[type eq \"home\"]","value":{"value":"h@home.test"}}`,
			`{"emails":[{"value":"bjensen@acme.test","type":"work","primary":true},{"value":"h@home.test"}]}`},
		{"add to one that the filter names nowhere yet", `{"op":"Add","path":"phoneNumbers[type eq \"mobile\"].value","value":"+1 555"}`, `{"phoneNumbers":[{"type":"mobile","value":"+1 555"}]}`},
		{"remove by a filter", `{"op":"remove","path":"emails[type eq \"home\"]"}`, `{"emails":[{"value":"bjensen@acme.test","type":"work","primary":true}]}`},
		{"remove what is not there", `{"op":"remove","path":"emails[type eq \"other\"]"}`, `{}`},
		{"remove a part of one", `{"op":"remove","path":"emails[type eq \"home\"].type"}`, `{"emails":[{"value":"bjensen@acme.test","type":"work","primary":true},{"value":"babs@home.test"}]}`},
		{"remove by value", `{"op":"Remove","path":"emails","value":[{"value":"babs@home.test"}]}`, `{"emails":[{"value":"bjensen@acme.test","type":"work","primary":true}]}`},
		{"add one that is there", `{"op":"add","path":"emails","value":[{"value":"babs@home.test","type":"home"}]}`, `{}`},
		{"a new primary takes it from the old", `{"op":"add","path":"emails","value":{"value":"new@acme.test","primary":true}}`,
			`{"emails":[{"value":"bjensen@acme.test","type":"work","primary":false},{"value":"babs@home.test","type":"home"},{"value":"new@acme.test","primary":true}]}`},
		{"primary by a filter", `{"op":"replace","path":"emails[type eq \"home\"].primary","value":"True"}`,
			`{"emails":[{"value":"bjensen@acme.test","type":"work","primary":false},{"value":"babs@home.test","type":"home","primary":true}]}`},
		{"replace all", `{"op":"replace","path":"emails","value":[{"value":"b@acme.test"}]}`, `{"emails":[{"value":"b@acme.test"}]}`},
		{"later operations see earlier ones", `{"op":"remove","path":"emails"},{"op":"add","path":"emails","value":[{"value":"b@acme.test"}]}`, `{"emails":[{"value":"b@acme.test"}]}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			want := decoded(t, barbara)
			for name, v := range decoded(t, tt.want) {
				if want[name] = v; v == nil {
					delete(want, name)
				}
			}
			delete(want, "schemas")
			got, err := scim.Patched(barbara, patchOf(tt.ops))
			if d := cmp.Diff(want, got); err != nil || d != "" {
				t.Errorf("got %v, (-want +got):\n%s", err, d)
			}
		})
	}
}

func same(t testing.TB, what string, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func decoded(t testing.TB, text string) (out map[string]any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestPatchRefuses(t *testing.T) {
	t.Parallel()
	many := make([]string, 1001)
	for i := range many {
		many[i] = `{"op":"remove","path":"title"}`
	}
	members := make([]string, 1001)
	for i := range members {
		members[i] = fmt.Sprintf(`"emails[type ne \"%d\"].display":"x"`, i)
	}
	split := func(n int) string {
		return patchOf(`{"op":"add","value":{` + strings.Join(members[:n], ",") + `}},{"op":"add","value":{` + strings.Join(members[n:], ",") + `}}`)
	}
	for _, tt := range []struct{ name, patch, want string }{
		{"too many in a value without a path", patchOf(`{"op":"add","value":{` + strings.Join(members, ",") + `}}`), "invalidValue"},
		{"too many in two values without a path", split(500), "invalidValue"},
		{"another version", strings.Replace(patchOf(`{"op":"remove","path":"title"}`), "2.0:PatchOp", "3.0:PatchOp", 1), "invalidSyntax"},
		{"no schemas", `{"Operations":[{"op":"remove","path":"title"}]}`, "invalidSyntax"},
		{"no operations", patchOf(""), "invalidValue"},
		{"operations that are none", `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":{"op":"remove"}}`, "invalidValue"},
		{"too many", patchOf(strings.Join(many, ",")), "invalidValue"},
		{"an operation that is none", patchOf(`"remove"`), "invalidValue"},
		{"no op", patchOf(`{"path":"title"}`), "invalidSyntax"},
		{"another op", patchOf(`{"op":"move","path":"title"}`), "invalidSyntax"},
		{"a path that is no string", patchOf(`{"op":"remove","path":7}`), "invalidPath"},
		{"a path that is none", patchOf(`{"op":"remove","path":"emails[type eq]"}`), "invalidPath"},
		{"an attribute that is none", patchOf(`{"op":"replace","path":"shoeSize","value":"7"}`), "invalidPath"},
		{"a removal of everything", patchOf(`{"op":"remove"}`), "noTarget"},
		{"a value where nothing is", patchOf(`{"op":"replace","path":"emails[type eq \"other\"].value","value":"x@y.test"}`), "noTarget"},
		{"read only", patchOf(`{"op":"replace","path":"id","value":"7"}`), "mutability"},
		{"read only, below", patchOf(`{"op":"replace","path":"meta.created","value":"7"}`), "mutability"},
		{"no value", patchOf(`{"op":"add","path":"title"}`), "invalidValue"},
		{"no path and no object", patchOf(`{"op":"add","value":"x"}`), "invalidValue"},
		{"another type", patchOf(`{"op":"replace","path":"title","value":7}`), "invalidValue"},
		{"another type of boolean", patchOf(`{"op":"replace","path":"active","value":"maybe"}`), "invalidValue"},
		{"another type of complex attribute", patchOf(`{"op":"replace","path":"name","value":"Barbara"}`), "invalidValue"},
		{"control characters", patchOf(`{"op":"replace","path":"title","value":"a\u0000b"}`), "invalidValue"},
		{"a long value", patchOf(fmt.Sprintf(`{"op":"replace","path":"title","value":%q}`, strings.Repeat("x", 1025))), "invalidValue"},
		{"many values", patchOf(`{"op":"add","path":"emails","value":[` + strings.TrimSuffix(strings.Repeat(`{"value":"x"},`, 21), ",") + `]}`), "invalidValue"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := scim.Patched(barbara, tt.patch)
			if status, kind := scim.Fault(err); err == nil || status != 400 || kind != tt.want {
				t.Errorf("got %v, want 400 %s", err, tt.want)
			}
		})
	}
}

// FuzzPath: a path never panics; a removal by one that is parsed changes nothing the second time.
func FuzzPath(f *testing.F) {
	for _, seed := range []string{`members`, `name.familyName`, `emails[type eq "work"].value`, `addresses[type eq "work"]`, `emails[not (primary eq true)]`,
		`urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.displayName`, `urn:ietf:params:scim:schemas:core:2.0:User:name`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		quoted, err := json.Marshal(path)
		if err != nil {
			return
		}
		op := `{"op":"remove","path":` + string(quoted) + `}`
		once, err := scim.Patched(barbara, patchOf(op))
		if err != nil {
			return
		}
		twice, err := scim.Patched(barbara, patchOf(op+","+op))
		if err != nil || !reflect.DeepEqual(once, twice) {
			t.Errorf("%s twice: got %v, %v, want %v", path, twice, err, once)
		}
	})
}

package scim

import (
	"slices"
	"strings"

	"github.com/understudy-id/understudy/oauth/store"
)

// The names of RFC 7643 §8.7 and RFC 7644 §8.2.
const (
	userSchema       = "urn:ietf:params:scim:schemas:core:2.0:User"
	groupSchema      = "urn:ietf:params:scim:schemas:core:2.0:Group"
	enterpriseSchema = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
	schemaSchema     = "urn:ietf:params:scim:schemas:core:2.0:Schema"
	typeSchema       = "urn:ietf:params:scim:schemas:core:2.0:ResourceType"
	configSchema     = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"
	listSchema       = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
	patchSchema      = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
	searchSchema     = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"
	errorSchema      = "urn:ietf:params:scim:api:messages:2.0:Error"
)

// kind is the type of an attribute (RFC 7643 §2.3).
type kind string

const (
	text      kind = "string"
	boolean   kind = "boolean"
	instant   kind = "dateTime"
	reference kind = "reference"
	composed  kind = "complex"
)

// attribute describes one (RFC 7643 §7). What it does not say is optional, read and written, and compared without case.
type attribute struct {
	name        string // an extension is one complex attribute under its URN
	kind        kind
	about       string
	multi       bool
	required    bool
	exact       bool // the case counts
	unique      bool
	readOnly    bool
	immutable   bool // of a member: it comes and goes whole
	hidden      bool // in no schema: it is the same for all resources
	most        int  // values of a multi-valued one; 0 for maxValues
	sub         []attribute
	flattenedAs string // the name in directory.User.Attributes; "" for name
}

func plain(name, about string) attribute { return attribute{name: name, kind: text, about: about} }

func complexOf(name, about string, sub ...attribute) attribute {
	return attribute{name: name, kind: composed, about: about, sub: sub}
}

// several is a multi-valued attribute with the sub-attributes of RFC 7643 §2.4.
func several(name, about string, sub ...attribute) attribute {
	sub = append(sub, plain("display", "A name for people."), plain("type", "What it is for, such as work."),
		attribute{name: "primary", kind: boolean, about: "Whether it is the preferred one. At most one is."})
	return attribute{name: name, kind: composed, about: about, multi: true, sub: sub}
}

func value(about string) attribute { return plain("value", about) }

// common are the attributes of every resource (RFC 7643 §3.1), and where they come from.
var common = []attribute{
	{name: "schemas", kind: reference, multi: true, readOnly: true, hidden: true},
	{name: "id", kind: text, readOnly: true, exact: true, hidden: true},
	{name: "externalId", kind: text, exact: true, hidden: true},
	{name: "meta", kind: composed, readOnly: true, hidden: true, sub: []attribute{
		{name: "resourceType", kind: text, exact: true, readOnly: true}, {name: "created", kind: instant, readOnly: true},
		{name: "lastModified", kind: instant, readOnly: true}, {name: "location", kind: reference, exact: true, readOnly: true},
		{name: "version", kind: text, exact: true, readOnly: true},
	}},
}

var userAttributes = append(slices.Clone(common),
	attribute{name: "userName", kind: text, required: true, unique: true, about: "What the source calls the user; unique among its users. Where there are no emails it must be an e-mail address, and is the user's."},
	complexOf("name", "The parts of the name. Without a displayName, formatted, or else givenName and familyName, is what banner and trail show.",
		plain("formatted", "The whole name."), plain("familyName", "The family name."), plain("givenName", "The given name."), plain("middleName", "Middle names."),
		plain("honorificPrefix", "Such as Dr."), plain("honorificSuffix", "Such as III.")),
	plain("displayName", "The name that banner and trail show."),
	plain("nickName", "A casual name."),
	attribute{name: "profileUrl", kind: reference, about: "A page about the user."},
	plain("title", "The title, such as Vice President."),
	plain("userType", "The relation to the organisation, such as Contractor."),
	plain("preferredLanguage", "A language (RFC 7231 section 5.3.5)."),
	plain("locale", "A locale (RFC 5646)."),
	plain("timezone", "A time zone of the Olson database."),
	attribute{name: "active", kind: boolean, about: "Whether the user may sign in. False ends, at once, their sign-ins, their tokens, and the impersonations in which they act or are acted for; true must be sent to undo it. It cannot be removed."},
	several("emails", "E-mail addresses. The primary one, or else the first, is the user's, and unique.", value("The address.")),
	several("phoneNumbers", "Telephone numbers.", value("The number.")),
	several("ims", "Addresses for instant messages.", value("The address.")),
	several("photos", "Pictures.", attribute{name: "value", kind: reference, exact: true, about: "The URL of a picture."}),
	several("addresses", "Postal addresses.", plain("formatted", "The whole address."), plain("streetAddress", "Street and number."), plain("locality", "The city."),
		plain("region", "The state or region."), plain("postalCode", "The postal code."), plain("country", "The country (ISO 3166-1 alpha-2).")),
	attribute{name: enterpriseSchema, kind: composed, flattenedAs: "enterprise", about: "Enterprise User", hidden: true, sub: []attribute{
		plain("employeeNumber", "A number or name of the person there."), plain("costCenter", "The cost centre."), plain("organization", "The organisation."),
		plain("division", "The division."), plain("department", "The department."),
		complexOf("manager", "The manager.", value("The id of the manager."), attribute{name: "$ref", kind: reference, exact: true, about: "The URI of the manager."},
			plain("displayName", "The name of the manager.")),
	}},
)

var groupAttributes = append(slices.Clone(common),
	attribute{name: "displayName", kind: text, required: true, exact: true, unique: true, about: "The name of the group, by which roles are conferred."},
	attribute{name: "members", kind: composed, multi: true, most: store.MaxMembers, about: "The users in the group, who must be of the same source.", sub: []attribute{
		{name: "value", kind: text, required: true, exact: true, immutable: true, about: "The id of a user."},
		{name: "$ref", kind: reference, exact: true, immutable: true, about: "The URI of the user."},
		{name: "type", kind: text, immutable: true, about: "Always User: a group has no groups in it."},
		{name: "display", kind: text, readOnly: true, about: "The name of the user."},
	}},
)

// ineffective are attributes of RFC 7643 §4.1 that have no effect here, in lower case: rights come from groups and from whoever works at
// the provider itself, and passwords from nobody else. They are taken and forgotten, since those who send them cannot always be told not to.
var ineffective = []string{"password", "groups", "entitlements", "roles", "x509certificates"}

// resourceType is a kind of resource (RFC 7643 §6).
type resourceType struct {
	name, endpoint, schema, about string
	attributes                    []attribute
}

var (
	users  = &resourceType{name: "User", endpoint: "/Users", schema: userSchema, attributes: userAttributes, about: "A person. password, groups, entitlements, roles and x509Certificates are not supported: they are ignored."}
	groups = &resourceType{name: "Group", endpoint: "/Groups", schema: groupSchema, attributes: groupAttributes, about: "A group of users. A group that confers a role needs a source with that right."}
)

// named finds by name without case; nil if there is none.
func named(list []attribute, name string) *attribute {
	for i := range list {
		if strings.EqualFold(list[i].name, name) {
			return &list[i]
		}
	}
	return nil
}

// chain is an attribute with all that it is a part of, the outermost first.
type chain []*attribute

func (c chain) last() *attribute { return c[len(c)-1] }

// dotted is how the chain is written, such as name.givenName.
func (c chain) dotted() string {
	names := make([]string, len(c))
	for i, a := range c {
		names[i] = a.name
	}
	return strings.Join(names, ".")
}

// find gives the chain of a path as RFC 7644 §3.10 writes it: an attribute with or without the URN of its schema before it, and a
// sub-attribute behind it. nil if there is no such attribute.
func (t *resourceType) find(path string) chain {
	if e := named(t.attributes, path); e != nil { // the URN of an extension too, in which there are dots
		return chain{e}
	}
	list, found := t.attributes, chain(nil)
	if i := strings.LastIndexByte(path, ':'); i >= 0 {
		urn := path[:i]
		path = path[i+1:]
		if !strings.EqualFold(urn, t.schema) {
			e := named(t.attributes, urn)
			if e == nil {
				return nil
			}
			list, found = e.sub, chain{e}
		}
	}
	for name := range strings.SplitSeq(path, ".") {
		a := named(list, name)
		if a == nil {
			return nil
		}
		list, found = a.sub, append(found, a)
	}
	return found
}

// IsText reports whether path, as RFC 7644 §3.10 writes it, leads to an attribute of a user that is kept and is one text, such as
// userType, so that it can tell an organisation.
func IsText(path string) bool {
	c := users.find(path)
	return c != nil && c.last().kind == text && !slices.ContainsFunc(c, func(a *attribute) bool { return a.multi || a.readOnly })
}

// ineffective reports whether the path begins with an attribute that is taken and forgotten.
func (t *resourceType) ineffective(path string) bool {
	name, _, _ := strings.Cut(strings.ToLower(path), ".")
	return t == users && slices.Contains(ineffective, strings.TrimPrefix(name, strings.ToLower(t.schema)+":"))
}

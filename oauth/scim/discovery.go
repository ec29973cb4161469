package scim

import (
	"net/http"
	"strings"
)

// serviceProviderConfig is RFC 7643 §5.
func (h *Handler) serviceProviderConfig(c *call) (*answer, error) {
	no := map[string]any{"supported": false}
	return discovered(c, map[string]any{
		"schemas":        []string{configSchema},
		"patch":          map[string]any{"supported": true},
		"bulk":           map[string]any{"supported": false, "maxOperations": 0, "maxPayloadSize": 0},
		"filter":         map[string]any{"supported": true, "maxResults": maxResults},
		"changePassword": no,
		"sort":           no,
		"etag":           map[string]any{"supported": true},
		"authenticationSchemes": []any{map[string]any{
			"type": "oauthbearertoken", "name": "Bearer token", "primary": true, "specUri": "https://www.rfc-editor.org/info/rfc6750",
			"description": "A token of this source, made with understudy scim token add.",
		}},
		"meta": map[string]any{"resourceType": "ServiceProviderConfig", "location": h.issuer + Path + "ServiceProviderConfig"},
	})
}

// discovered refuses to filter what describes the service (RFC 7644 §4).
func discovered(c *call, body map[string]any) (*answer, error) {
	if c.r.URL.Query().Has("filter") {
		return nil, &fault{Status: http.StatusForbidden, Detail: "filter: what describes the service is not filtered."}
	}
	return &answer{status: http.StatusOK, body: body}, nil
}

func discoveredList(c *call, resources ...any) (*answer, error) {
	return discovered(c, listAnswer(listing{start: 1}, len(resources), resources).body.(map[string]any))
}

// resourceTypes is RFC 7643 §6.
func (h *Handler) resourceTypes(c *call) (*answer, error) {
	return discoveredList(c, h.describeType(users), h.describeType(groups))
}

func (h *Handler) resourceType(c *call) (*answer, error) {
	for _, t := range []*resourceType{users, groups} {
		if c.r.PathValue("id") == t.name {
			return discovered(c, h.describeType(t))
		}
	}
	return nil, errNotFound
}

func (h *Handler) describeType(t *resourceType) map[string]any {
	extensions := []any{}
	if t == users {
		extensions = append(extensions, map[string]any{"schema": enterpriseSchema, "required": false})
	}
	return map[string]any{
		"schemas": []string{typeSchema}, "id": t.name, "name": t.name, "description": t.about, "endpoint": t.endpoint, "schema": t.schema,
		"schemaExtensions": extensions, "meta": map[string]any{"resourceType": "ResourceType", "location": h.location("/ResourceTypes", t.name)},
	}
}

// schemas is RFC 7643 §7.
func (h *Handler) schemas(c *call) (*answer, error) {
	return discoveredList(c, h.describedSchemas()...)
}

func (h *Handler) schema(c *call) (*answer, error) {
	for _, s := range h.describedSchemas() {
		if s := s.(map[string]any); strings.EqualFold(c.r.PathValue("id"), s["id"].(string)) {
			return discovered(c, s)
		}
	}
	return nil, errNotFound
}

func (h *Handler) describedSchemas() []any {
	enterprise := named(userAttributes, enterpriseSchema)
	return []any{
		h.describeSchema(userSchema, users.name, users.about, userAttributes),
		h.describeSchema(groupSchema, groups.name, groups.about, groupAttributes),
		h.describeSchema(enterpriseSchema, "EnterpriseUser", enterprise.about, enterprise.sub),
	}
}

func (h *Handler) describeSchema(urn, name, about string, attributes []attribute) any {
	return map[string]any{
		"schemas": []string{schemaSchema}, "id": urn, "name": name, "description": about, "attributes": described(attributes),
		"meta": map[string]any{"resourceType": "Schema", "location": h.location("/Schemas", urn)},
	}
}

func described(attributes []attribute) []any {
	out := []any{}
	for i := range attributes {
		if a := &attributes[i]; !a.hidden {
			out = append(out, a.describe())
		}
	}
	return out
}

func (a *attribute) describe() map[string]any {
	out := map[string]any{
		"name": a.name, "type": string(a.kind), "multiValued": a.multi, "description": a.about, "required": a.required, "caseExact": a.exact,
		"mutability": "readWrite", "returned": "default", "uniqueness": "none",
	}
	switch {
	case a.readOnly:
		out["mutability"] = "readOnly"
	case a.immutable:
		out["mutability"] = "immutable"
	}
	if a.unique {
		out["uniqueness"] = "server"
	}
	if a.kind == reference {
		out["referenceTypes"] = []string{"external"}
		if a.name == "$ref" {
			out["referenceTypes"] = []string{"User"}
		}
	}
	if a.kind == composed {
		out["subAttributes"] = described(a.sub)
	}
	return out
}

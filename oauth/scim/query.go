package scim

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/understudy-id/understudy/oauth/store"
)

// maxResults is how many resources a page has at most, and without count.
const maxResults = 200

// listing is what a query asks for (RFC 7644 §3.4.2): in a URL, or in the body of a search.
type listing struct {
	filter       *term
	start, count int // start begins with 1
	projection   projection
}

func (c *call) readListing(t *resourceType) (listing, error) {
	q, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil {
		return listing{}, &fault{Status: http.StatusBadRequest, Type: "invalidValue", Detail: "The query of the URL cannot be read."}
	}
	l := listing{start: 1, count: maxResults, projection: projectionOf(t, list(q.Get("attributes")), list(q.Get("excludedAttributes")))}
	if err := l.page(q.Get("startIndex"), q.Get("count")); err != nil {
		return listing{}, err
	}
	return l, l.filterBy(t, q.Get("filter"))
}

// readSearch reads POST /Users/.search (RFC 7644 §3.4.3).
func (c *call) readSearch(t *resourceType) (listing, error) {
	body, err := readBody(c.w, c.r)
	if err != nil {
		return listing{}, err
	}
	if err := body.wantSchema(searchSchema); err != nil {
		return listing{}, err
	}
	l := listing{start: 1, count: maxResults, projection: projectionOf(t, texts(body["attributes"]), texts(body["excludedattributes"]))}
	if err := l.page(number(body["startindex"]), number(body["count"])); err != nil {
		return listing{}, err
	}
	filter, ok := body["filter"].(string)
	if !ok && body["filter"] != nil {
		return listing{}, filterFault("filter: must be a string.")
	}
	return l, l.filterBy(t, filter)
}

func (l *listing) filterBy(t *resourceType, filter string) (err error) {
	if filter != "" {
		l.filter, err = parseFilter(t, filter)
	}
	return err
}

// page reads where the page begins and how long it is. What is out of bounds is put at them (RFC 7644 §3.4.2.4).
func (l *listing) page(start, count string) error {
	for _, f := range []struct {
		name, text string
		min, max   int
		to         *int
	}{{"startIndex", start, 1, 1 << 30, &l.start}, {"count", count, 0, maxResults, &l.count}} {
		if f.text == "" {
			continue
		}
		n, err := strconv.Atoi(f.text)
		if err != nil {
			return valueFault(f.name, "must be a whole number")
		}
		*f.to = min(max(n, f.min), f.max)
	}
	return nil
}

func list(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, ",")
}

func texts(v any) (out []string) {
	items, _ := v.([]any)
	for _, item := range items {
		if s, ok := item.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

// number is a number as it was written, and what is no number in a way that is none either.
func number(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case json.Number:
		return v.String()
	}
	return "none"
}

// conditions are what must all hold.
func (f *term) conditions() []*term {
	switch {
	case f == nil:
		return nil
	case f.op == "and":
		return append(f.left.conditions(), f.right.conditions()...)
	}
	return []*term{f}
}

// equality gives what f asks of one attribute by eq, such as emails.value, also inside a value path.
func (f *term) equality() (name string, value any) {
	p := f.path
	switch {
	case f.op == "pr" && p.where != nil && p.sub == "":
		inner, v := p.where.equality()
		return p.chain.dotted() + "." + inner, v
	case f.op == "eq":
		return p.chain.dotted(), f.value
	}
	return "", nil
}

const (
	userFilters  = "filter: users are found by userName, externalId, id, emails.value and active with eq, joined by and; other conditions beside one of the first four."
	groupFilters = "filter: groups are found by displayName, externalId, id and members.value with eq, joined by and."
)

// userQuery is what a store can find of a filter. exact tells that it finds nothing else; otherwise what it finds is little, and the
// filter must be asked of each. none tells that nothing can be such.
func userQuery(source string, f *term) (q store.UserQuery, exact, none bool, err error) {
	q, exact = store.UserQuery{Source: source}, true
	for _, c := range f.conditions() {
		name, v := c.equality()
		to := map[string]*string{"userName": &q.UserName, "externalId": &q.ExternalID, "id": &q.ID, "emails": &q.Email, "emails.value": &q.Email}[name]
		text, isText := v.(string)
		active, isBool := v.(bool)
		switch {
		case to != nil && isText && *to == "":
			*to = text
			none = none || text == ""
			exact = exact && to != &q.Email // the store compares the address that counts, the filter all
		case name == "active" && isBool && q.Active == nil:
			q.Active = &active
		default:
			exact = false
		}
	}
	if !exact && q.UserName == "" && q.ExternalID == "" && q.ID == "" && q.Email == "" && !none {
		return q, false, false, filterFault(userFilters)
	}
	return q, exact, none, nil
}

func groupQuery(source string, f *term) (q store.GroupQuery, none bool, err error) {
	q = store.GroupQuery{Source: source}
	for _, c := range f.conditions() {
		name, v := c.equality()
		to := map[string]*string{"displayName": &q.Name, "externalId": &q.ExternalID, "id": &q.ID, "members": &q.Member, "members.value": &q.Member}[name]
		text, isText := v.(string)
		if to == nil || !isText || *to != "" || c.path.sub != "" {
			return q, false, filterFault(groupFilters)
		}
		*to = text
		none = none || text == ""
	}
	return q, none, nil
}

// listAnswer is a page of resources (RFC 7644 §3.4.2).
func listAnswer(l listing, total int, resources []any) *answer {
	if resources == nil {
		resources = []any{}
	}
	return &answer{status: http.StatusOK, body: map[string]any{
		"schemas": []string{listSchema}, "totalResults": total, "startIndex": l.start, "itemsPerPage": len(resources), "Resources": resources,
	}}
}

package scim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	maxFilter = 2048 // bytes: a condition on each of two addresses
	maxTerms  = 32   // conditions in a filter
)

// term is a filter (RFC 7644 §3.4.2.2): conditions joined by and, or and not.
type term struct {
	op          string // "and", "or", "not", or an operator of attributes in lower case
	left, right *term  // of and, or; left alone of not
	path        path
	value       any // string, bool, json.Number or nil
}

// path is where a condition or a change applies: attr[where].sub.
type path struct {
	attr  string // as written, with URN and sub-attribute
	where *term  // of a multi-valued attribute's values, nil for all
	sub   string // behind where
	chain chain  // once bound; it ends with sub
	outer int    // how much of chain stands before where
}

func filterFault(detail string) error {
	return &fault{Status: http.StatusBadRequest, Type: "invalidFilter", Detail: detail}
}

func pathFault(detail string) error {
	return &fault{Status: http.StatusBadRequest, Type: "invalidPath", Detail: detail}
}

// parseFilter reads a filter about resources of type t.
func parseFilter(t *resourceType, text string) (*term, error) {
	if len(text) > maxFilter || !utf8.ValidString(text) {
		return nil, filterFault(fmt.Sprintf("filter: must be UTF-8 of at most %d bytes.", maxFilter))
	}
	p := parser{rest: text}
	f, err := p.or()
	if err == nil && p.peek() != "" {
		err = errGrammar
	}
	if err != nil {
		return nil, err
	}
	return f, f.bind(t)
}

// parsePath reads the path of a change to a resource of type t.
func parsePath(t *resourceType, text string) (path, error) {
	if len(text) > maxFilter || !utf8.ValidString(text) {
		return path{}, pathFault(fmt.Sprintf("path: must be UTF-8 of at most %d bytes.", maxFilter))
	}
	p := parser{rest: text}
	at, err := p.path()
	switch {
	case err != nil || p.peek() != "":
		return path{}, pathFault("path: is not written as RFC 7644 section 3.5.2 says.")
	case t.ineffective(at.attr):
		return at, nil
	case at.bind(t) != nil:
		return path{}, pathFault("path: there is no such attribute here.")
	}
	return at, nil
}

var errGrammar = filterFault("filter: is not written as RFC 7644 section 3.4.2.2 says.")

// parser reads from rest on. terms counts what was read, so that nothing nests deeper either.
type parser struct {
	rest  string
	terms int
}

// peek gives the next token: a bracket, a JSON string, or a word; "" at the end.
func (p *parser) peek() string {
	p.rest = strings.TrimLeft(p.rest, " ")
	if p.rest == "" {
		return ""
	}
	switch p.rest[0] {
	case '(', ')', '[', ']':
		return p.rest[:1]
	case '"':
		return p.rest[:quoted(p.rest)]
	}
	if i := strings.IndexAny(p.rest, ` ()[]"`); i >= 0 {
		return p.rest[:i]
	}
	return p.rest
}

// quoted is where the JSON string that s begins with ends, or the end of s.
func quoted(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(s)
}

func (p *parser) next() string {
	t := p.peek()
	p.rest = p.rest[len(t):]
	return t
}

// take goes on if the next token is word, without case.
func (p *parser) take(word string) bool {
	if !strings.EqualFold(p.peek(), word) {
		return false
	}
	p.next()
	return true
}

func (p *parser) or() (*term, error)  { return p.joined("or", p.and) }
func (p *parser) and() (*term, error) { return p.joined("and", p.one) }

func (p *parser) joined(op string, read func() (*term, error)) (*term, error) {
	left, err := read()
	for err == nil && p.take(op) {
		t := &term{op: op, left: left}
		t.right, err = read()
		left = t
	}
	return left, err
}

func (p *parser) one() (*term, error) {
	if p.terms++; p.terms > maxTerms {
		return nil, filterFault(fmt.Sprintf("filter: must have at most %d conditions.", maxTerms))
	}
	not := p.take("not")
	if p.take("(") {
		t, err := p.or()
		if err == nil && !p.take(")") {
			err = errGrammar
		}
		if not {
			t = &term{op: "not", left: t}
		}
		return t, err
	}
	if not {
		return nil, errGrammar
	}
	return p.condition()
}

// operators of RFC 7644 §3.4.2.2, without pr, which has no value.
var operators = []string{"eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"}

func (p *parser) condition() (*term, error) {
	at, err := p.path()
	if err != nil {
		return nil, err
	}
	op := strings.ToLower(p.peek())
	switch {
	case op == "pr":
		p.next()
		return &term{op: op, path: at}, nil
	case slices.Contains(operators, op):
		p.next()
		t := &term{op: op, path: at}
		t.value, err = literal(p.next())
		return t, err
	case at.where != nil && at.sub == "":
		return &term{op: "pr", path: at}, nil // a value path stands alone
	}
	return nil, errGrammar
}

func (p *parser) path() (path, error) {
	at := path{attr: p.next()}
	if !attributeName(at.attr) {
		return at, errGrammar
	}
	if !strings.HasPrefix(p.rest, "[") {
		return at, nil
	}
	p.next()
	var err error
	if at.where, err = p.or(); err != nil || !p.take("]") {
		return at, errGrammar
	}
	if strings.HasPrefix(p.rest, ".") {
		if at.sub = strings.TrimPrefix(p.next(), "."); !attributeName(at.sub) {
			return at, errGrammar
		}
	}
	return at, nil
}

// attributeName keeps to the characters of RFC 7644 figure 1 and of a URN before it.
func attributeName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("$-_:.", c) >= 0) {
			return false
		}
	}
	return s != ""
}

// literal reads the value that an attribute is compared with. Python's spelling of the booleans comes from Entra.
func literal(token string) (any, error) {
	switch strings.ToLower(token) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	case "null":
		return nil, nil
	}
	d := json.NewDecoder(strings.NewReader(token))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil || d.More() {
		return nil, errGrammar
	}
	switch v := v.(type) {
	case string:
		return v, whole(v)
	case json.Number:
		return v, nil
	}
	return nil, errGrammar
}

// bind finds the attributes of t that a filter is about.
func (f *term) bind(t *resourceType) error {
	switch f.op {
	case "and", "or":
		if err := f.left.bind(t); err != nil {
			return err
		}
		return f.right.bind(t)
	case "not":
		return f.left.bind(t)
	}
	if f.path.bind(t) != nil {
		return filterFault("filter: there is no such attribute here.")
	}
	if a := f.path.chain.last(); a.kind == boolean && f.op != "pr" { // as in a value: Entra writes "True"
		v, err := readBool("filter", f.value)
		if err != nil || f.op != "eq" && f.op != "ne" {
			return filterFault("filter: a boolean attribute is compared by eq or ne with true or false.")
		}
		f.value = v
	} else if a.kind == instant && f.op != "pr" {
		s, _ := f.value.(string)
		if _, err := time.Parse(time.RFC3339, s); err != nil {
			return filterFault("filter: a time is compared with a time of RFC 3339.")
		}
	}
	return nil
}

func (p *path) bind(t *resourceType) error {
	if p.chain = t.find(p.attr); p.chain == nil {
		return errNotFound
	}
	p.outer = len(p.chain)
	if p.where == nil {
		return nil
	}
	last := p.chain.last()
	if !last.multi || last.kind != composed {
		return errNotFound
	}
	inside := &resourceType{attributes: last.sub}
	if err := p.where.bind(inside); err != nil {
		return err
	}
	if p.sub != "" {
		behind := inside.find(p.sub)
		if behind == nil {
			return errNotFound
		}
		p.chain = append(p.chain, behind...)
	}
	return nil
}

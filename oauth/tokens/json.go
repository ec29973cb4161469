package tokens

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	// maxDepth leaves room above the two levels that we use, and none for a payload that costs stack.
	maxDepth = 8
	// maxMembers keeps the search for duplicates, which is quadratic, short.
	maxMembers = 64
)

// node is a JSON value. kind is '{', '[', '"', or 0 for a number, true, false or null; text is the string, or the
// spelling of the latter.
type node struct {
	kind    byte
	text    string
	members []member // of an object
	items   []node   // of an array
}

type member struct {
	name string
	node
}

// parseObject reads an object in which no reader can see two things. encoding/json says whether it is JSON; this walk then
// refuses what readers are known to differ on: a name twice, also in another case or Unicode folding (readers that fill
// structs take "SUB" and "ſub" for "sub", and the last one wins), lone surrogates, and nesting beyond maxDepth.
func parseObject(b []byte) ([]member, error) {
	if !utf8.Valid(b) || !json.Valid(b) {
		return nil, fmt.Errorf("%w: not JSON", ErrMalformed)
	}
	w := walker{s: string(b)}
	n, err := w.value(0)
	if err != nil {
		return nil, err
	}
	if n.kind != '{' {
		return nil, fmt.Errorf("%w: not an object", ErrMalformed)
	}
	return n.members, nil
}

// walker reads s from i on. s is known to be JSON, so what must come next does.
type walker struct {
	s string
	i int
}

// next skips white space and gives the byte there.
func (w *walker) next() byte {
	for strings.IndexByte(" \t\r\n", w.s[w.i]) >= 0 {
		w.i++
	}
	return w.s[w.i]
}

func (w *walker) value(depth int) (node, error) {
	if depth > maxDepth {
		return node{}, fmt.Errorf("%w: nested deeper than %d", ErrMalformed, maxDepth)
	}
	switch w.next() {
	case '{':
		return w.object(depth)
	case '[':
		return w.array(depth)
	case '"':
		text, err := w.text()
		return node{kind: '"', text: text}, err
	default:
		return w.literal()
	}
}

// literal reads a number, true, false or null. Numbers that float64 cannot hold are refused, since most readers fail on
// them and some take them for infinity.
func (w *walker) literal() (node, error) {
	start := w.i
	for w.i < len(w.s) && strings.IndexByte(",]} \t\r\n", w.s[w.i]) < 0 {
		w.i++
	}
	text := w.s[start:w.i]
	if _, err := strconv.ParseFloat(text, 64); errors.Is(err, strconv.ErrRange) {
		return node{}, fmt.Errorf("%w: a number out of range", ErrMalformed)
	}
	return node{text: text}, nil
}

func (w *walker) object(depth int) (node, error) {
	n := node{kind: '{'}
	for w.i++; w.next() != '}'; w.comma() {
		name, err := w.text()
		if err != nil {
			return n, err
		}
		if err := n.admit(name); err != nil {
			return n, err
		}
		w.next() // the colon
		w.i++
		v, err := w.value(depth + 1)
		if err != nil {
			return n, err
		}
		n.members = append(n.members, member{name, v})
	}
	w.i++
	return n, nil
}

// admit refuses a name that n has already.
func (n *node) admit(name string) error {
	if len(n.members) == maxMembers {
		return fmt.Errorf("%w: an object of more than %d members", ErrMalformed, maxMembers)
	}
	for _, m := range n.members {
		if strings.EqualFold(m.name, name) {
			return fmt.Errorf("%w: a member twice", ErrMalformed)
		}
	}
	return nil
}

func (w *walker) array(depth int) (node, error) {
	n := node{kind: '['}
	for w.i++; w.next() != ']'; w.comma() {
		v, err := w.value(depth + 1)
		if err != nil {
			return n, err
		}
		n.items = append(n.items, v)
	}
	w.i++
	return n, nil
}

func (w *walker) comma() {
	if w.next() == ',' {
		w.i++
	}
}

// text reads the string at i. U+FFFD is refused too: encoding/json puts it where something was lost, such as half a
// surrogate pair, and two names that lost something would be one.
func (w *walker) text() (string, error) {
	start := w.i
	escaped := false
	for w.i++; w.s[w.i] != '"'; w.i++ {
		if w.s[w.i] == '\\' {
			escaped = true
			w.i++
		}
	}
	w.i++
	text := w.s[start+1 : w.i-1]
	if escaped {
		var err error
		if text, err = unescape(w.s[start:w.i]); err != nil {
			return "", err
		}
	}
	if strings.Contains(text, "\uFFFD") {
		return "", fmt.Errorf("%w: a string that lost a character", ErrMalformed)
	}
	return text, nil
}

func unescape(quoted string) (text string, err error) {
	if err := json.Unmarshal([]byte(quoted), &text); err != nil {
		return "", fmt.Errorf("%w: not JSON", ErrMalformed)
	}
	return text, nil
}

package ssf

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	// MaxBody is the most bytes that a request may have: a poll with MaxAcks names.
	MaxBody = 128 << 10
	maxText = 1000 // bytes
	// maxNumber is what every reader's number holds; what is more is no count of anything here.
	maxNumber = 1<<31 - 1
)

// Fault is a request that breaks a rule. Its text is safe to send back: it quotes nothing.
type Fault struct {
	Member string // by path, "" for the body itself
	Rule   string
}

// Error names the member, if any, and the rule.
func (f *Fault) Error() string {
	if f.Member == "" {
		return f.Rule
	}
	return f.Member + ": " + f.Rule
}

func tooMany(most int) string { return fmt.Sprintf("at most %d", most) }

// readObject reads a body: encoding/json would take the members of it in another case, and the last of two.
func readObject(raw []byte, read func(name string, value json.RawMessage) error) error {
	switch {
	case len(raw) > MaxBody:
		return &Fault{"", fmt.Sprintf("the body may have %d bytes", MaxBody)}
	case !utf8.Valid(raw) || !json.Valid(raw):
		return &Fault{"", "the body must be one JSON object in UTF-8, and nothing behind it"}
	}
	return readMembers("", raw, read)
}

// readMembers calls read for each member of an object that is valid JSON.
func readMembers(at string, raw json.RawMessage, read func(name string, value json.RawMessage) error) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return &Fault{at, "must be an object"}
	}
	var seen []string
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return &Fault{at, "cannot be read"}
		}
		if i, dup := slices.BinarySearch(seen, strings.ToLower(name)); dup {
			return &Fault{at, "has two members of one name"}
		} else {
			seen = slices.Insert(seen, i, strings.ToLower(name))
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return &Fault{at, "cannot be read"}
		}
		if err := read(name, value); err != nil {
			return err
		}
	}
	return nil
}

func boolean(at string, raw json.RawMessage, into *bool) error {
	switch string(raw) {
	case "true", "false":
		*into = string(raw) == "true"
		return nil
	}
	return &Fault{at, "must be true or false"}
}

// number reads a whole number, written as one.
func number(at string, raw json.RawMessage, least, most int, into *int) error {
	n, err := strconv.Atoi(string(raw))
	if err != nil || n < least || n > most {
		return &Fault{at, fmt.Sprintf("must be a whole number, %d to %d", least, most)}
	}
	*into = n
	return nil
}

// text reads a string. U+FFFD is refused: encoding/json puts it where half a surrogate pair was lost.
func text(at string, raw json.RawMessage, most int, into *string) error {
	var s *string
	if err := json.Unmarshal(raw, &s); err != nil || s == nil || strings.ContainsRune(*s, utf8.RuneError) {
		return &Fault{at, "must be a string, and whole"}
	}
	if len(*s) > most {
		return &Fault{at, fmt.Sprintf("must have at most %d bytes", most)}
	}
	*into = *s
	return nil
}

func texts(at string, raw json.RawMessage, most int, into *[]string) error {
	var items []json.RawMessage
	if err := json.Unmarshal(raw, &items); err != nil || items == nil {
		return &Fault{at, "must be an array of strings"}
	}
	if len(items) > most {
		return &Fault{at, tooMany(most)}
	}
	out := make([]string, len(items))
	for i, item := range items {
		if err := text(at, item, maxText, &out[i]); err != nil {
			return err
		}
	}
	*into = out
	return nil
}

package meddler

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// member is one of an object, whose order is kept.
type member struct {
	name  string
	value json.RawMessage
}

// members reads an object; nil if it is none.
func members(raw []byte) (all []member) {
	d := json.NewDecoder(bytes.NewReader(raw))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil
	}
	all = []member{}
	for d.More() {
		name, err := d.Token()
		var value json.RawMessage
		if err != nil || d.Decode(&value) != nil {
			return nil
		}
		all = append(all, member{name.(string), value})
	}
	return all
}

// elements reads an array; nil if it is none.
func elements(raw []byte) (all []json.RawMessage) {
	if json.Unmarshal(raw, &all) != nil {
		return nil
	}
	return all
}

func object(all []member) json.RawMessage {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range all {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(quoted(m.name) + ":")
		b.Write(m.value)
	}
	b.WriteByte('}')
	return b.Bytes()
}

func array(all []json.RawMessage) json.RawMessage {
	return append(append([]byte("["), bytes.Join(bytesOf(all), []byte(","))...), ']')
}

func bytesOf(all []json.RawMessage) (b [][]byte) {
	for _, raw := range all {
		b = append(b, raw)
	}
	return b
}

func quoted(s string) string {
	b, _ := json.Marshal(s) // a string always has a JSON form
	return string(b)
}

// edit changes each member at a path of names, where the objects of an array have the path of the array.
func edit(raw json.RawMessage, path string, change func(member) []member) json.RawMessage {
	name, rest, deeper := strings.Cut(path, ".")
	all := members(raw)
	if all == nil {
		list := elements(raw)
		if list == nil {
			return raw
		}
		for i := range list {
			list[i] = edit(list[i], path, change)
		}
		return array(list)
	}
	var out []member
	for _, m := range all {
		switch {
		case m.name != name:
			out = append(out, m)
		case deeper:
			out = append(out, member{m.name, edit(m.value, rest, change)})
		default:
			out = append(out, change(m)...)
		}
	}
	return object(out)
}

// paths are those of all members.
func paths(raw json.RawMessage, under string, each func(path string, value json.RawMessage)) {
	for _, m := range members(raw) {
		each(under+m.name, m.value)
		paths(m.value, under+m.name+".", each)
		for _, e := range elements(m.value) {
			paths(e, under+m.name+".", each)
		}
	}
}

// otherType is a value of another type.
func otherType(raw json.RawMessage) json.RawMessage {
	if len(raw) > 0 && raw[0] == '"' {
		return json.RawMessage("7")
	}
	return json.RawMessage(quoted(string(raw)))
}

// otherValue is another value of the same type.
func otherValue(raw json.RawMessage) json.RawMessage {
	var s string
	var b bool
	var n int64
	switch list := elements(raw); {
	case json.Unmarshal(raw, &s) == nil:
		return json.RawMessage(quoted(otherText(s)))
	case json.Unmarshal(raw, &b) == nil:
		return json.RawMessage(strconv.FormatBool(!b))
	case json.Unmarshal(raw, &n) == nil:
		return json.RawMessage(strconv.FormatInt(n*10+1, 10))
	case len(list) > 0 && members(list[0]) != nil:
		return array(list[1:])
	case len(list) > 0:
		return array(append([]json.RawMessage{otherValue(list[0])}, list[1:]...))
	case members(raw) != nil:
		return json.RawMessage("{}")
	}
	return raw
}

// otherText changes one character, of a URL none of those that say on which machine it is.
func otherText(s string) string {
	if strings.HasPrefix(s, "http") || s == "" {
		return s + "/x"
	}
	other, i := "x", len(s)/2
	if s[i] == 'x' {
		other = "y"
	}
	return s[:i] + other + s[i+1:]
}

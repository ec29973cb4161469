package jws

import (
	"bytes"
	"encoding/json"
	"io"
)

// Repeated gives a member that an object within b has twice, "" if there is none. b is JSON.
func Repeated(b []byte) string {
	type object struct {
		names  map[string]bool
		isName bool
	}
	var stack []*object // nil for an array
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	value := func() {
		if len(stack) > 0 && stack[len(stack)-1] != nil {
			stack[len(stack)-1].isName = true
		}
	}
	for {
		token, err := d.Token()
		if err == io.EOF || err != nil {
			return ""
		}
		switch token := token.(type) {
		case json.Delim:
			switch token {
			case '{':
				stack = append(stack, &object{map[string]bool{}, true})
			case '[':
				stack = append(stack, nil)
			default:
				stack = stack[:len(stack)-1]
				value()
			}
		case string:
			if len(stack) > 0 && stack[len(stack)-1] != nil && stack[len(stack)-1].isName {
				o := stack[len(stack)-1]
				if o.names[token] {
					return token
				}
				o.names[token], o.isName = true, false
				continue
			}
			value()
		default:
			value()
		}
	}
}

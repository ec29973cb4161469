package transfer

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The rules that a value of SQLite can break. None of them names the value.
var (
	errNUL      = errors.New("holds a NUL character, which Postgres cannot keep")
	errUTF8     = errors.New("is not UTF-8, which Postgres cannot keep")
	errBoolean  = errors.New("is neither 0 nor 1")
	errList     = errors.New("is not a list of strings in JSON")
	errMapping  = errors.New("is not a map of strings in JSON")
	errNumbers  = errors.New("is not a list of numbers in JSON")
	errType     = errors.New("has another type than its column")
	errTooLong  = errors.New("is too long for an index of Postgres")
	errTampered = errors.New("does not say what the columns beside it say: the entry was changed after it was written")
)

// normal is the one form of a value that either database gave for a column of kind k: nil, string, int64, bool, []byte or
// []int64, as Postgres takes it. Lists and maps are JSON as Go writes it, since the stores read them by meaning and not by spelling.
func normal(k kind, v any) (any, error) {
	if v == nil {
		return nil, nil
	}
	switch v := v.(type) {
	case string:
		return normalText(k, v)
	case int64:
		return normalInteger(k, v)
	case bool:
		if k == boolean {
			return v, nil
		}
	case []byte:
		if k == bytea {
			return append([]byte{}, v...), nil // an empty one is not NULL
		}
	}
	return nil, errType
}

func normalInteger(k kind, v int64) (any, error) {
	switch {
	case k == integer:
		return v, nil
	case k == boolean && v>>1 == 0:
		return v == 1, nil
	case k == boolean:
		return nil, errBoolean
	}
	return nil, errType
}

func normalText(k kind, v string) (any, error) {
	switch k {
	case text:
		return v, possible(v)
	case list:
		return normalJSON[[]string](v, "[]", errList)
	case mapping:
		return normalJSON[map[string]string](v, "{}", errMapping)
	case numbers:
		out := []int64{}
		if err := json.Unmarshal([]byte(v), &out); err != nil {
			return nil, errNumbers
		}
		return append([]int64{}, out...), nil // "null" is an empty list
	}
	return nil, errType
}

func normalJSON[T []string | map[string]string](v, empty string, rule error) (any, error) {
	var parsed T
	if err := possible(v); err != nil {
		return nil, err
	}
	if err := json.Unmarshal([]byte(v), &parsed); err != nil {
		return nil, rule
	}
	if len(parsed) == 0 {
		return empty, nil // also of null
	}
	b, _ := json.Marshal(parsed) // strings always marshal
	if bytes.Contains(bytes.ReplaceAll(b, []byte(`\\`), nil), []byte(`\u0000`)) {
		return nil, errNUL
	}
	return string(b), nil
}

// possible tells why no column of Postgres can hold s.
func possible(s string) error {
	switch {
	case !utf8.ValidString(s):
		return errUTF8
	case strings.ContainsRune(s, 0):
		return errNUL
	}
	return nil
}

// same compares two normal values of one column.
func same(a, b any) bool {
	switch a := a.(type) {
	case []byte:
		b, ok := b.([]byte)
		return ok && bytes.Equal(a, b)
	case []int64:
		b, ok := b.([]int64)
		return ok && slices.Equal(a, b)
	}
	return a == b
}

// order compares two keys as both databases sort them: by bytes and by number.
func order(a, b []any) int {
	for i := range a {
		n := 0
		switch x := a[i].(type) {
		case int64:
			n = cmp.Compare(x, b[i].(int64))
		case string:
			n = strings.Compare(x, b[i].(string))
		case []byte:
			n = bytes.Compare(x, b[i].([]byte))
		}
		if n != 0 {
			return n
		}
	}
	return 0
}

// keyText shows a key, which names a row and is no secret: IDs, numbers, and hashes in hexadecimal.
func keyText(key []any) string {
	var parts []string
	for _, v := range key {
		switch v := v.(type) {
		case string:
			parts = append(parts, strconv.Quote(v))
		case []byte:
			parts = append(parts, hex.EncodeToString(v))
		default:
			parts = append(parts, fmt.Sprint(v))
		}
	}
	return strings.Join(parts, ", ")
}

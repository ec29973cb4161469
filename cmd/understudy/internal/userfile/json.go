package userfile

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/admin"
)

// object is a line of JSON.
type object struct {
	ID                        string
	Email, Name, Organisation *string
	Groups, Roles             *[]string
	Attributes                map[string]string
	Identities                []identity
	Enabled, Protected        *bool
}

type identity struct {
	Issuer  string `json:"iss"`
	Subject string `json:"sub"`
}

func jsonRows(r io.Reader, yield func(admin.Row, error) bool) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxRecord)
	n := 0
	for lines.Scan() {
		n++
		text := lines.Bytes()
		if n == 1 {
			text = bytes.TrimPrefix(text, []byte(byteOrderMark))
		}
		if text = bytes.TrimSpace(text); len(text) == 0 {
			continue
		}
		row, err := jsonRow(text, n)
		if !yield(row, err) {
			return
		}
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		yield(admin.Row{}, broken(n+1, "", "%v, and no line after it was looked at", errLong))
	} else if err != nil {
		yield(admin.Row{}, err)
	}
}

// jsonRow reads an object member by member, so that each that is wrong is told of.
func jsonRow(text []byte, line int) (admin.Row, error) {
	var members map[string]json.RawMessage
	switch {
	case !utf8.Valid(text): // which encoding/json would mend
		return admin.Row{}, broken(line, "", rule8)
	case json.Unmarshal(text, &members) != nil || members == nil:
		return admin.Row{}, broken(line, "", "must be a JSON object, one on each line")
	}
	row := admin.Row{Line: line}
	checkMembers(text, &row)
	var o object
	for name, to := range map[string]any{"id": &o.ID, "email": &o.Email, "name": &o.Name, "organisation": &o.Organisation, "groups": &o.Groups, "roles": &o.Roles,
		"attributes": &o.Attributes, "identities": &o.Identities, "enabled": &o.Enabled, "protected": &o.Protected} {
		if raw, ok := members[name]; ok {
			if err := json.Unmarshal(raw, to); err != nil {
				unread(&row, jsonError(err, name, line))
			}
		}
	}
	slices.SortStableFunc(row.Unread, func(a, b *admin.RowError) int { return strings.Compare(a.Column, b.Column) })
	row.ID, row.Email, row.Name, row.Organisation, row.Groups, row.Roles = o.ID, o.Email, o.Name, o.Organisation, o.Groups, o.Roles
	row.Attributes, row.Enabled, row.Protected = o.Attributes, o.Enabled, o.Protected
	for _, i := range o.Identities {
		row.Identities = append(row.Identities, oauth.Party{Issuer: i.Issuer, Subject: i.Subject})
	}
	return row, nil
}

// jsonError says what is wrong with a member without what was in it but the name of a member of its own.
func jsonError(err error, name string, line int) *admin.RowError {
	wrong := new(json.UnmarshalTypeError)
	if !errors.As(err, &wrong) {
		return broken(line, name, "cannot be read")
	}
	if wrong.Field != "" {
		name += "." + wrong.Field
	}
	return broken(line, name, "must be %s, not %s", kindOf(wrong), wrong.Value)
}

func kindOf(wrong *json.UnmarshalTypeError) string {
	switch wrong.Type.Kind().String() {
	case "bool":
		return "true or false"
	case "slice":
		return "an array"
	case "map", "struct":
		return "an object"
	}
	return "a string"
}

package userfile

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/admin"
)

// object is a line of JSON.
type object struct {
	ID           string            `json:"id"`
	Email        *string           `json:"email"`
	Name         *string           `json:"name"`
	Organisation *string           `json:"organisation"`
	Groups       *[]string         `json:"groups"`
	Roles        *[]string         `json:"roles"`
	Attributes   map[string]string `json:"attributes"`
	Identities   []identity        `json:"identities"`
	Enabled      *bool             `json:"enabled"`
	Protected    *bool             `json:"protected"`
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

func jsonRow(text []byte, line int) (admin.Row, error) {
	if !utf8.Valid(text) { // which encoding/json would mend
		return admin.Row{}, broken(line, "", rule8)
	}
	var o object
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&o); err != nil {
		return admin.Row{}, jsonError(err, line)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return admin.Row{}, broken(line, "", "must be a JSON object, one on each line")
	}
	if err := checkMembers(text, line); err != nil {
		return admin.Row{}, err
	}
	row := admin.Row{Line: line, ID: o.ID, Email: o.Email, Name: o.Name, Organisation: o.Organisation, Groups: o.Groups, Roles: o.Roles,
		Attributes: o.Attributes, Enabled: o.Enabled, Protected: o.Protected}
	for _, i := range o.Identities {
		row.Identities = append(row.Identities, oauth.Party{Issuer: i.Issuer, Subject: i.Subject})
	}
	return row, nil
}

// jsonError says what is wrong without what was in the line but the name of a member.
func jsonError(err error, line int) error {
	if wrong := new(json.UnmarshalTypeError); errors.As(err, &wrong) {
		if wrong.Field == "" {
			return broken(line, "", "must be a JSON object, one on each line")
		}
		return broken(line, wrong.Field, "must be %s, not %s", kindOf(wrong), wrong.Value)
	}
	if _, name, ok := strings.Cut(err.Error(), "unknown field "); ok {
		return broken(line, strings.Trim(name, `"`), "%s", unknownColumn)
	}
	return broken(line, "", "must be a JSON object, one on each line")
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

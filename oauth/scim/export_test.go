package scim

import "github.com/understudy-id/understudy/oauth/directory"

// Matches asks a filter of a user, given as its JSON.
func Matches(filter, user string) (bool, error) {
	f, err := parseFilter(users, filter)
	if err != nil {
		return false, err
	}
	r, err := readUser(user)
	return err == nil && f.matches(r), err
}

// Patched is what a PATCH makes of a user, both given as JSON.
func Patched(user, patch string) (map[string]any, error) {
	r, err := readUser(user)
	if err != nil {
		return nil, err
	}
	body, err := parseObject([]byte(patch))
	if err != nil {
		return nil, err
	}
	ops, err := readPatch(users, body)
	if err != nil {
		return nil, err
	}
	for _, op := range ops {
		if err := op.apply(r); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// Kept is a user taken apart as it is kept, and put together again.
func Kept(user string) (attributes map[string]string, back map[string]any, err error) {
	r, err := readUser(user)
	if err != nil {
		return nil, nil, err
	}
	u := directory.User{Attributes: map[string]string{"badge": "7", "scim:title": "old"}}
	err = flatten(&u, r)
	return u.Attributes, unflatten(u.Attributes), err
}

// Fault tells the scimType of an error, "" for none.
func Fault(err error) (status int, scimType string) {
	f := toFault(err)
	return f.Status, f.Type
}

func readUser(text string) (map[string]any, error) {
	body, err := parseObject([]byte(text))
	if err != nil {
		return nil, err
	}
	return users.readResource(body)
}

// AnswerMembers bounds how many members one answer shows.
func (h *Handler) AnswerMembers(most int) { h.most = most }

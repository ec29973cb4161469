package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/understudy-id/understudy/oauth/admin"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/store/postgres"
)

// people puts names beside user IDs, asking the store once for each.
type people struct {
	st    store.Store
	known map[string]person
}

// person is somebody as -o json shows them.
type person struct {
	ID    string `json:"id"`
	Email string `json:"email,omitempty"`
	Name  string `json:"name,omitempty"`
}

// String is for tables.
func (p person) String() string {
	if p.Email == "" {
		return p.ID
	}
	return p.Email
}

func newPeople(st store.Store) *people { return &people{st, map[string]person{}} }

// get finds who has the ID; nobody is no error, since the trail outlives its users, nor is an auditor, who may not look.
func (p *people) get(ctx context.Context, id string) (person, error) {
	if found, ok := p.known[id]; ok {
		return found, nil
	}
	u, err := p.st.Get(ctx, id)
	if err != nil && !errors.Is(err, directory.ErrNotFound) && !errors.Is(err, postgres.ErrPrivilege) {
		return person{}, fmt.Errorf("looking up user %s: %w", id, err)
	}
	p.known[id] = person{ID: id, Email: u.Email, Name: u.Name}
	return p.known[id], nil
}

// id turns what an operator typed, an ID or an e-mail address, into an ID. What nobody has is taken for an ID; "" stays.
func (p *people) id(ctx context.Context, who string) (string, error) {
	if who == "" {
		return "", nil
	}
	u, err := admin.FindUser(ctx, p.st, who)
	if errors.Is(err, directory.ErrNotFound) {
		return who, nil
	}
	return u.ID, err
}

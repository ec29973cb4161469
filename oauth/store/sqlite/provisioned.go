package sqlite

import (
	"context"
	"database/sql"

	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/store"
)

const (
	keptColumns = `id, source, name, external_id, created_at, updated_at`

	selectUsersAt = `SELECT ` + userColumns + ` FROM app_user WHERE id IN (SELECT w.id FROM app_user w WHERE `
	countUsersOf  = `SELECT count(*) FROM app_user w WHERE `

	selectGroup   = `SELECT ` + keptColumns + ` FROM directory_group WHERE source = ? AND id = ?`
	selectGroups  = `SELECT ` + keptColumns + ` FROM directory_group WHERE 1`
	countGroupsOf = `SELECT count(*) FROM directory_group WHERE 1`

	// selectMembers goes by the group's own order, so that a page costs what it has.
	selectMembers = `SELECT p.id, p.user_name, p.name FROM directory_group d CROSS JOIN user_group g ON g.name = d.name CROSS JOIN app_user p ON p.id = g.user_id
		WHERE d.id = ?1 AND g.user_id > ?2 AND p.source = d.source ORDER BY g.user_id LIMIT ?3`
)

func groupDest(g *store.Group) []any {
	return []any{&g.ID, &g.Source, &g.Name, &g.ExternalID, at{&g.Created}, at{&g.Updated}}
}

// usersOf is what q asks of app_user w.
func usersOf(q store.UserQuery) filter {
	f := filter{query: "w.source = ?", args: []any{q.Source}}
	f.and(q.UserName != "", "w.user_name_key = ?", folded(q.UserName))
	f.and(q.ExternalID != "", "w.external_id = ? AND w.external_id <> ''", q.ExternalID)
	f.and(q.Email != "", "w.email_key = ?", folded(q.Email))
	f.and(q.ID != "", "w.id = ?", q.ID)
	f.and(q.Active != nil, "w.enabled = ?", q.Active)
	return f
}

// usersPage is the page that q asks for.
func usersPage(q store.UserQuery) filter {
	f := usersOf(q)
	f.query = selectUsersAt + f.query + ` ORDER BY w.user_name_key LIMIT ? OFFSET ?) ORDER BY user_name_key`
	f.args = append(f.args, pageSize(q.Limit, 1000), q.Offset)
	return f
}

// UsersOf implements store.Provisioning.
func (s *Store) UsersOf(ctx context.Context, q store.UserQuery) (page []directory.User, total int, err error) {
	if !storable(q.Source, q.UserName, q.ExternalID, q.Email, q.ID) {
		return nil, 0, nil
	}
	f, some := usersOf(q), usersPage(q)
	err = s.list(ctx, "listing a source's users", func(ctx context.Context, c *conn) error {
		if err := c.row(ctx, countUsersOf+f.query, f.args, []any{&total}); err != nil || q.Limit == 0 {
			return err
		}
		return c.each(ctx, some.query, some.args, func(r *sql.Rows) error {
			var one directory.User
			err := r.Scan(userDest(&one)...)
			page = append(page, one)
			return err
		})
	})
	return page, total, err
}

// Group implements store.Provisioning.
func (s *Store) Group(ctx context.Context, source, id string) (out store.Group, err error) {
	err = s.look(ctx, "reading a group", func(ctx context.Context, c *conn) error {
		return c.row(ctx, selectGroup, []any{source, id}, groupDest(&out))
	})
	return out, err
}

// groupsOf is what q asks of directory_group.
func groupsOf(q store.GroupQuery) (f filter) {
	f.and(q.Source != "", "source = ?", q.Source)
	f.and(q.Name != "", "name = ?", q.Name)
	f.and(q.ExternalID != "", "external_id = ? AND external_id <> ''", q.ExternalID)
	f.and(q.ID != "", "id = ?", q.ID)
	f.and(q.Member != "", "name IN (SELECT g.name FROM user_group g WHERE g.user_id = ?) AND source = (SELECT p.source FROM app_user p WHERE p.id = ?)", q.Member, q.Member)
	return f
}

// groupsPage is the page that q asks for.
func groupsPage(q store.GroupQuery) filter {
	f := groupsOf(q)
	f.query = selectGroups + f.query + ` ORDER BY name LIMIT ? OFFSET ?`
	f.args = append(f.args, pageSize(q.Limit, 1000), q.Offset)
	return f
}

// GroupsOf implements store.Provisioning.
func (s *Store) GroupsOf(ctx context.Context, q store.GroupQuery) (page []store.Group, total int, err error) {
	if !storable(q.Source, q.Name, q.ExternalID, q.ID, q.Member) {
		return nil, 0, nil
	}
	f, some := groupsOf(q), groupsPage(q)
	err = s.list(ctx, "listing groups", func(ctx context.Context, c *conn) error {
		if err := c.row(ctx, countGroupsOf+f.query, f.args, []any{&total}); err != nil || q.Limit == 0 {
			return err
		}
		return c.each(ctx, some.query, some.args, func(r *sql.Rows) error {
			var one store.Group
			err := r.Scan(groupDest(&one)...)
			page = append(page, one)
			return err
		})
	})
	return page, total, err
}

// Members implements store.Provisioning.
func (s *Store) Members(ctx context.Context, groupID, after string, limit int) (out []store.Member, err error) {
	err = s.list(ctx, "listing members", func(ctx context.Context, c *conn) error {
		return c.each(ctx, selectMembers, []any{groupID, after, limit}, func(r *sql.Rows) error {
			var m store.Member
			err := r.Scan(&m.ID, &m.UserName, &m.Name)
			out = append(out, m)
			return err
		})
	})
	return out, err
}

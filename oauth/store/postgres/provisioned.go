package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/store"
)

const (
	keptColumns = `d.id, d.source, d.name, d.external_id, d.created_at, d.updated_at`

	countUsersOf = `SELECT count(*) FROM app_user w WHERE true`

	selectGroup   = `SELECT ` + keptColumns + ` FROM directory_group d WHERE d.source = $1 AND d.id = $2`
	selectGroups  = `SELECT ` + keptColumns + ` FROM directory_group d WHERE true`
	countGroupsOf = `SELECT count(*) FROM directory_group d WHERE true`

	// selectMembers goes by the group's own order, so that a page costs what it has.
	selectMembers = `SELECT u.id, u.user_name, u.name FROM directory_group d
			CROSS JOIN LATERAL (SELECT g.user_id FROM user_group g WHERE g.name = d.name AND g.user_id > $2 OFFSET 0) g
			CROSS JOIN LATERAL (SELECT x.id, x.user_name, x.name FROM app_user x WHERE x.id = g.user_id AND x.source = d.source OFFSET 0) u
		WHERE d.id = $1 ORDER BY g.user_id LIMIT $3`
)

// selectUsersAt finds the keys of a page first: Postgres would make the columns of all that an OFFSET leaves out.
var selectUsersAt = `SELECT ` + userColumns("u") + ` FROM app_user u WHERE u.id = ANY (ARRAY(SELECT w.id FROM app_user w WHERE true`

func groupDest(g *store.Group) []any {
	return []any{text(&g.ID), text(&g.Source), text(&g.Name), text(&g.ExternalID), at{&g.Created}, at{&g.Updated}}
}

// usersOf puts what q asks of app_user w behind query.
func usersOf(query string, q store.UserQuery) filter {
	f := filter{query: query}
	f.and(true, "w.source = ?", q.Source)
	f.and(q.UserName != "", "w.user_name_key = ?", folded(q.UserName))
	f.and(q.ExternalID != "", "w.external_id = ? AND w.external_id <> ''", q.ExternalID)
	f.and(q.Email != "", "w.email_key = ?", folded(q.Email))
	f.and(q.ID != "", "w.id = ?", q.ID)
	f.and(q.Active != nil, "w.enabled = ?", q.Active)
	return f
}

// usersPage is the page that q asks for.
func usersPage(q store.UserQuery) filter {
	f := usersOf(selectUsersAt, q)
	f.add(` ORDER BY w.user_name_key LIMIT ? OFFSET ?)) ORDER BY u.user_name_key`, pageSize(q.Limit, 1000), q.Offset)
	return f
}

// UsersOf implements store.Provisioning.
func (s *Store) UsersOf(ctx context.Context, q store.UserQuery) (page []directory.User, total int, err error) {
	if !storable(q.Source, q.UserName, q.ExternalID, q.Email, q.ID) {
		return nil, 0, nil
	}
	const doing = "listing a source's users"
	f := usersOf(countUsersOf, q)
	err = s.list(ctx, doing, f.query, f.args, func(r pgx.Rows) error { return r.Scan(&total) })
	if err != nil || q.Limit == 0 {
		return nil, total, err
	}
	f = usersPage(q)
	err = s.list(ctx, doing, f.query, f.args, func(r pgx.Rows) error {
		var one directory.User
		err := r.Scan(userDest(&one)...)
		page = append(page, one)
		return err
	})
	return page, total, err
}

// Group implements store.Provisioning.
func (s *Store) Group(ctx context.Context, source, id string) (out store.Group, err error) {
	err = s.single(ctx, "reading a group", func(ctx context.Context, q querier) error {
		return row(ctx, q, selectGroup, []any{source, id}, groupDest(&out))
	})
	return out, err
}

// groupsOf puts what q asks of directory_group d behind query.
func groupsOf(query string, q store.GroupQuery) filter {
	f := filter{query: query}
	f.and(q.Source != "", "d.source = ?", q.Source)
	f.and(q.Name != "", "d.name = ?", q.Name)
	f.and(q.ExternalID != "", "d.external_id = ? AND d.external_id <> ''", q.ExternalID)
	f.and(q.ID != "", "d.id = ?", q.ID)
	f.and(q.Member != "", "d.name = ANY (ARRAY(SELECT g.name FROM user_group g WHERE g.user_id = ?)) AND d.source = (SELECT u.source FROM app_user u WHERE u.id = ?)", q.Member, q.Member)
	return f
}

// groupsPage is the page that q asks for.
func groupsPage(q store.GroupQuery) filter {
	f := groupsOf(selectGroups, q)
	f.add(` ORDER BY d.name LIMIT ? OFFSET ?`, pageSize(q.Limit, 1000), q.Offset)
	return f
}

// GroupsOf implements store.Provisioning.
func (s *Store) GroupsOf(ctx context.Context, q store.GroupQuery) (page []store.Group, total int, err error) {
	if !storable(q.Source, q.Name, q.ExternalID, q.ID, q.Member) {
		return nil, 0, nil
	}
	const doing = "listing groups"
	f := groupsOf(countGroupsOf, q)
	err = s.list(ctx, doing, f.query, f.args, func(r pgx.Rows) error { return r.Scan(&total) })
	if err != nil || q.Limit == 0 {
		return nil, total, err
	}
	f = groupsPage(q)
	err = s.list(ctx, doing, f.query, f.args, func(r pgx.Rows) error {
		var one store.Group
		err := r.Scan(groupDest(&one)...)
		page = append(page, one)
		return err
	})
	return page, total, err
}

// Members implements store.Provisioning.
func (s *Store) Members(ctx context.Context, groupID, after string, limit int) (out []store.Member, err error) {
	err = s.single(ctx, "listing members", func(ctx context.Context, q querier) error {
		out = nil
		return each(ctx, q, selectMembers, []any{groupID, after, limit}, func(r pgx.Rows) error {
			var m store.Member
			err := r.Scan(text(&m.ID), text(&m.UserName), text(&m.Name))
			out = append(out, m)
			return err
		})
	})
	return out, err
}

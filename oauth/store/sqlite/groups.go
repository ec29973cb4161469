package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

const (
	insertDirectoryGroup = `INSERT INTO directory_group (` + keptColumns + `) VALUES (?, ?, ?, ?, ?, ?)`
	updateDirectoryGroup = `UPDATE directory_group SET name = ?, external_id = ?, updated_at = ? WHERE id = ?`
	deleteDirectoryGroup = `DELETE FROM directory_group WHERE id = ?`

	countHolders = `SELECT EXISTS (SELECT 1 FROM user_group WHERE name = ?)`

	// The members of a group are the users of its source who have its name. The crosses keep SQLite at the few.
	selectMembership = `SELECT p.id, EXISTS (SELECT 1 FROM user_group g WHERE g.user_id = p.id AND g.name = ?2)
		FROM json_each(?1) j CROSS JOIN app_user p ON p.id = j.value WHERE p.source = ?3`
	selectAllMembers = `SELECT p.id, 1 FROM user_group g CROSS JOIN app_user p ON p.id = g.user_id WHERE g.name = ?1 AND p.source = ?2`

	renameMembers = `UPDATE user_group SET name = ?1 WHERE name = ?2 AND user_id IN (SELECT value FROM json_each(?3))`
	removeMembers = `DELETE FROM user_group WHERE name = ?1 AND user_id IN (SELECT value FROM json_each(?2))`
	addMembers    = `INSERT INTO user_group (user_id, name, position)
		SELECT j.value, ?1, coalesce((SELECT max(g.position) + 1 FROM user_group g WHERE g.user_id = j.value), 0) FROM json_each(?2) j`

	// moveMembers keeps two who change a user at once from undoing what the other did: UserWrite.Was tells any two states apart.
	moveMembers = `UPDATE app_user SET updated_at = max(coalesce(updated_at, 0) + 1, ?1) WHERE id IN (SELECT value FROM json_each(?2))`
	// moveGroupsOf is for who is deleted: their groups are others then. The plus keeps SQLite at the names.
	moveGroupsOf = `UPDATE directory_group SET updated_at = max(coalesce(updated_at, 0) + 1, ?1)
		WHERE name IN (SELECT name FROM user_group WHERE user_id = ?2) AND +source = (SELECT p.source FROM app_user p WHERE p.id = ?2)`
	bumpAuthzOf = `INSERT INTO authz_version (organisation, n) SELECT DISTINCT p.organisation, 1 FROM json_each(?1) j CROSS JOIN app_user p ON p.id = j.value
		WHERE true ON CONFLICT (organisation) DO UPDATE SET n = n + 1`
)

// endingsOfMembers end the sessions in which one of many is the actor or the subject; their ?1 is a list of IDs.
var endingsOfMembers = within(`(s.actor IN (SELECT value FROM json_each(?1)) OR s.subject IN (SELECT value FROM json_each(?1)))`)

// CreateGroup implements store.Provisioning.
func (s *Store) CreateGroup(ctx context.Context, w store.GroupWrite) (store.GroupChange, error) {
	return s.regroup(ctx, "adding a group", w, func(ctx context.Context, c *conn) (store.GroupChange, error) {
		g := w.Group
		if err := errors.Join(w.May(store.Group{}), c.nameIsFree(ctx, g.Name)); err != nil {
			return store.GroupChange{}, err
		}
		if _, err := c.exec(ctx, insertDirectoryGroup, g.ID, g.Source, g.Name, g.ExternalID, ms(g.Created), ms(g.Updated)); err != nil {
			return store.GroupChange{}, exists(err)
		}
		return c.changeGroup(ctx, w, store.Group{})
	})
}

// ChangeGroup implements store.Provisioning.
func (s *Store) ChangeGroup(ctx context.Context, w store.GroupWrite) (store.GroupChange, error) {
	return s.regroup(ctx, "changing a group", w, func(ctx context.Context, c *conn) (store.GroupChange, error) {
		was, err := c.group(ctx, w)
		if err != nil {
			return store.GroupChange{}, err
		}
		if w.Group.Name != was.Name {
			if err := c.nameIsFree(ctx, w.Group.Name); err != nil {
				return store.GroupChange{}, err
			}
		}
		change, err := c.changeGroup(ctx, w, was)
		if err != nil || !change.Changed {
			return change, err
		}
		_, err = c.exec(ctx, updateDirectoryGroup, w.Group.Name, w.Group.ExternalID, ms(w.Group.Updated), was.ID)
		return change, exists(err)
	})
}

// DeleteGroup implements store.Provisioning.
func (s *Store) DeleteGroup(ctx context.Context, w store.GroupWrite) (store.GroupChange, error) {
	w.Group.Name, w.Members, w.Add, w.Remove = "", new([]string), nil, nil
	return s.regroup(ctx, "deleting a group", w, func(ctx context.Context, c *conn) (store.GroupChange, error) {
		was, err := c.group(ctx, w)
		if err != nil {
			return store.GroupChange{}, err
		}
		w.Group = was
		if _, err := c.exec(ctx, deleteDirectoryGroup, was.ID); err != nil {
			return store.GroupChange{}, err
		}
		change, err := c.changeGroup(ctx, w, was)
		if err == nil && !change.Changed { // it had no members
			err = c.record(ctx, w.Entries, w.Events)
		}
		change.Changed = true
		return change, err
	})
}

// regroup runs a write of a group, urgent since it may take rights away.
func (s *Store) regroup(ctx context.Context, doing string, w store.GroupWrite, f func(context.Context, *conn) (store.GroupChange, error)) (store.GroupChange, error) {
	if err := w.Check(); err != nil {
		return store.GroupChange{}, failed(doing, err)
	}
	var done store.GroupChange
	err := s.updateUrgent(ctx, doing, func(ctx context.Context, c *conn) (err error) {
		done, err = f(ctx, c)
		return err
	})
	if err != nil {
		return store.GroupChange{}, err // done may still be written to: a caller who left does not look at it
	}
	return done, nil
}

// group finds the one that w is about, as w may touch it.
func (c *conn) group(ctx context.Context, w store.GroupWrite) (was store.Group, err error) {
	if err := c.row(ctx, selectGroup, []any{w.Group.Source, w.Group.ID}, groupDest(&was)); err != nil {
		return was, missing(err)
	}
	return was, w.May(was)
}

// nameIsFree answers store.ErrExists if any user has the group: given by hand, or by another source.
func (c *conn) nameIsFree(ctx context.Context, name string) error {
	var held bool
	if err := c.row(ctx, countHolders, []any{name}, []any{&held}); err != nil {
		return err
	}
	if held {
		return store.ErrExists
	}
	return nil
}

// changeGroup does all that w does but to the row of the group.
func (c *conn) changeGroup(ctx context.Context, w store.GroupWrite, was store.Group) (store.GroupChange, error) {
	member, err := c.membership(ctx, w, was)
	if err != nil {
		return store.GroupChange{}, err
	}
	change, err := w.Plan(was, member)
	if err != nil {
		return store.GroupChange{}, err
	}
	for _, step := range []struct {
		ids   []string
		query string
		args  []any
	}{
		{change.Renamed, renameMembers, []any{w.Group.Name, was.Name}},
		{change.Removed, removeMembers, []any{was.Name}},
		{change.Added, addMembers, []any{w.Group.Name}},
	} {
		if len(step.ids) == 0 {
			continue
		}
		if _, err := c.exec(ctx, step.query, append(step.args, list(step.ids))...); err != nil {
			return store.GroupChange{}, exists(err)
		}
	}
	if change.Ended, err = c.touched(ctx, w, change.Touched()); err != nil || !change.Changed {
		return change, err
	}
	return change, c.record(ctx, change.Entries(w, was), w.Events)
}

// membership tells of whom w names, and of the others that it touches, who is a member.
func (c *conn) membership(ctx context.Context, w store.GroupWrite, was store.Group) (map[string]bool, error) {
	member := make(map[string]bool)
	add := func(r *sql.Rows) error {
		var id string
		var is bool
		err := r.Scan(&id, &is)
		member[id] = is
		return err
	}
	err := c.each(ctx, selectMembership, []any{list(w.Named()), was.Name, w.Group.Source}, add)
	if err == nil && w.AllMembers(was) {
		err = c.each(ctx, selectAllMembers, []any{was.Name, was.Source}, add)
	}
	return member, err
}

// touched does what a change of rights brings with it for many users.
func (c *conn) touched(ctx context.Context, w store.GroupWrite, ids []string) ([]impersonation.Ended, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	if _, err := c.exec(ctx, moveMembers, w.Now.UnixMilli(), list(ids)); err != nil {
		return nil, err
	}
	if _, err := c.exec(ctx, bumpAuthzOf, list(ids)); err != nil {
		return nil, err
	}
	end := store.MemberEnd(w)
	end.ID = list(ids)
	ended, _, err := c.endBy(ctx, endingsOfMembers, end, -1)
	return ended, err
}

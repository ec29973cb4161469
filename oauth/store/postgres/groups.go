package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

const (
	insertDirectoryGroup = `INSERT INTO directory_group (id, source, name, external_id, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6)`
	updateDirectoryGroup = `UPDATE directory_group SET name = $1, external_id = $2, updated_at = $3 WHERE id = $4`
	deleteDirectoryGroup = `DELETE FROM directory_group WHERE id = $1`

	countHolders = `SELECT EXISTS (SELECT 1 FROM user_group WHERE name = $1 OFFSET 0)`

	// lockGroup comes first, then the users in the order of their IDs, each locked before it is asked who is a member: a statement that
	// waits for a lock would see the members of before.
	lockGroup   = selectGroup + ` FOR NO KEY UPDATE`
	lockMembers = `SELECT 1 FROM app_user WHERE id = ANY (ARRAY(SELECT unnest($1::text[]) UNION SELECT user_id FROM user_group WHERE name = $2))
		ORDER BY id FOR NO KEY UPDATE`

	// The members of a group are the users of its source who have its name.
	selectMembership = `SELECT u.id, EXISTS (SELECT 1 FROM user_group g WHERE g.user_id = u.id AND g.name = $2 OFFSET 0)
		FROM app_user u WHERE u.id = ANY ($1::text[]) AND u.source = $3`
	selectAllMembers = `SELECT u.id, true FROM user_group g CROSS JOIN LATERAL (SELECT x.id FROM app_user x WHERE x.id = g.user_id AND x.source = $2 OFFSET 0) u
		WHERE g.name = $1`

	renameMembers = `UPDATE user_group SET name = $1 WHERE name = $2 AND user_id = ANY ($3::text[])`
	removeMembers = `DELETE FROM user_group WHERE name = $1 AND user_id = ANY ($2::text[])`
	addMembers    = `INSERT INTO user_group (user_id, name, position)
		SELECT j.id, $1, coalesce((SELECT max(g.position) + 1 FROM user_group g WHERE g.user_id = j.id), 0) FROM unnest($2::text[]) AS j(id)
		ON CONFLICT DO NOTHING`

	// moveMembers keeps two who change a user at once from undoing what the other did: UserWrite.Was tells any two states apart.
	moveMembers = `UPDATE app_user SET updated_at = greatest(coalesce(updated_at, 0) + 1, $1) WHERE id = ANY ($2::text[])`
	// moveGroupsOf is for who is deleted: their groups are others then. It locks them in the order of their IDs, before the user, as
	// whoever changes a group does.
	moveGroupsOf = `UPDATE directory_group SET updated_at = greatest(coalesce(updated_at, 0) + 1, $1) WHERE id = ANY (ARRAY(
		SELECT d.id FROM directory_group d WHERE d.name = ANY (ARRAY(SELECT g.name FROM user_group g WHERE g.user_id = $2))
			AND d.source = (SELECT u.source FROM app_user u WHERE u.id = $2) ORDER BY d.id FOR NO KEY UPDATE))`
	bumpAuthzOf = `INSERT INTO authz_version AS v (organisation, n) SELECT o.organisation, 1
			FROM (SELECT DISTINCT u.organisation FROM app_user u WHERE u.id = ANY ($1::text[])) o ORDER BY o.organisation
		ON CONFLICT (organisation) DO UPDATE SET n = v.n + 1`
)

// endingsOfMembers end the sessions in which one of many is the actor or the subject; their $1 is a list of IDs.
var endingsOfMembers = within(`(s.actor IN (SELECT jsonb_array_elements_text($1::jsonb)) OR s.subject IN (SELECT jsonb_array_elements_text($1::jsonb)))`)

// CreateGroup implements store.Provisioning.
func (s *Store) CreateGroup(ctx context.Context, w store.GroupWrite) (store.GroupChange, error) {
	return s.regroup(ctx, "adding a group", w, func(ctx context.Context, t *tx) (store.GroupChange, error) {
		g := w.Group
		if err := errors.Join(w.May(store.Group{}), t.nameIsFree(ctx, g.Name)); err != nil {
			return store.GroupChange{}, err
		}
		if _, err := exec(ctx, t, insertDirectoryGroup, g.ID, g.Source, g.Name, g.ExternalID, ms(g.Created), ms(g.Updated)); err != nil {
			return store.GroupChange{}, exists(err)
		}
		return t.changeGroup(ctx, w, store.Group{})
	})
}

// ChangeGroup implements store.Provisioning.
func (s *Store) ChangeGroup(ctx context.Context, w store.GroupWrite) (store.GroupChange, error) {
	return s.regroup(ctx, "changing a group", w, func(ctx context.Context, t *tx) (store.GroupChange, error) {
		was, err := t.group(ctx, w)
		if err != nil {
			return store.GroupChange{}, err
		}
		if w.Group.Name != was.Name {
			if err := t.nameIsFree(ctx, w.Group.Name); err != nil {
				return store.GroupChange{}, err
			}
		}
		change, err := t.changeGroup(ctx, w, was)
		if err != nil || !change.Changed {
			return change, err
		}
		_, err = exec(ctx, t, updateDirectoryGroup, w.Group.Name, w.Group.ExternalID, ms(w.Group.Updated), was.ID)
		return change, exists(err)
	})
}

// DeleteGroup implements store.Provisioning.
func (s *Store) DeleteGroup(ctx context.Context, w store.GroupWrite) (store.GroupChange, error) {
	w.Group.Name, w.Members, w.Add, w.Remove = "", new([]string), nil, nil
	return s.regroup(ctx, "deleting a group", w, func(ctx context.Context, t *tx) (store.GroupChange, error) {
		was, err := t.group(ctx, w)
		if err != nil {
			return store.GroupChange{}, err
		}
		w.Group = was
		if _, err := exec(ctx, t, deleteDirectoryGroup, was.ID); err != nil {
			return store.GroupChange{}, err
		}
		change, err := t.changeGroup(ctx, w, was)
		if err == nil && !change.Changed { // it had no members
			t.record(w.Entries, w.Events)
		}
		change.Changed = true
		return change, err
	})
}

// regroup runs a write of a group.
func (s *Store) regroup(ctx context.Context, doing string, w store.GroupWrite, f func(context.Context, *tx) (store.GroupChange, error)) (done store.GroupChange, err error) {
	if err := w.Check(); err != nil {
		return done, failed(doing, err)
	}
	err = s.update(ctx, doing, func(ctx context.Context, t *tx) (err error) {
		done, err = f(ctx, t)
		return err
	})
	if err != nil {
		return store.GroupChange{}, err
	}
	return done, nil
}

// group finds the one that w is about, as w may touch it.
func (t *tx) group(ctx context.Context, w store.GroupWrite) (was store.Group, err error) {
	if err := row(ctx, t, lockGroup, []any{w.Group.Source, w.Group.ID}, groupDest(&was)); err != nil {
		return was, missing(err)
	}
	return was, w.May(was)
}

// nameIsFree answers store.ErrExists if any user has the group: given by hand, or by another source.
func (t *tx) nameIsFree(ctx context.Context, name string) error {
	var held bool
	if err := row(ctx, t, countHolders, []any{name}, []any{&held}); err != nil {
		return err
	}
	if held {
		return store.ErrExists
	}
	return nil
}

// changeGroup does all that w does but to the row of the group.
func (t *tx) changeGroup(ctx context.Context, w store.GroupWrite, was store.Group) (store.GroupChange, error) {
	member, err := t.membership(ctx, w, was)
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
		if _, err := exec(ctx, t, step.query, append(step.args, step.ids)...); err != nil {
			return store.GroupChange{}, exists(err)
		}
	}
	if change.Ended, err = t.touched(ctx, w, change.Touched()); err != nil || !change.Changed {
		return change, err
	}
	t.record(change.Entries(w, was), w.Events)
	return change, nil
}

// membership tells of whom w names, and of the others that it touches, who is a member.
func (t *tx) membership(ctx context.Context, w store.GroupWrite, was store.Group) (map[string]bool, error) {
	member := make(map[string]bool)
	add := func(r pgx.Rows) error {
		var id string
		var is bool
		err := r.Scan(text(&id), &is)
		member[id] = is
		return err
	}
	lock, args := lockUsers, []any{w.Named()}
	if w.AllMembers(was) {
		lock, args = lockMembers, append(args, was.Name)
	}
	if _, err := exec(ctx, t, lock, args...); err != nil {
		return nil, err
	}
	err := each(ctx, t, selectMembership, []any{w.Named(), was.Name, w.Group.Source}, add)
	if err == nil && w.AllMembers(was) {
		err = each(ctx, t, selectAllMembers, []any{was.Name, was.Source}, add)
	}
	return member, err
}

// touched does what a change of rights brings with it for many users.
func (t *tx) touched(ctx context.Context, w store.GroupWrite, ids []string) ([]impersonation.Ended, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	if _, err := exec(ctx, t, moveMembers, w.Now.UnixMilli(), ids); err != nil {
		return nil, err
	}
	if _, err := exec(ctx, t, bumpAuthzOf, ids); err != nil {
		return nil, err
	}
	end := store.MemberEnd(w)
	end.ID = list(ids)
	ended, _, err := t.endBy(ctx, endingsOfMembers, end, 0)
	return ended, err
}

package postgres

import "context"

// selectOwner asks of any membership, also of one that SET ROLE must claim first. A superuser is a member of every role.
const selectOwner = `SELECT pg_has_role(c.relowner, 'MEMBER') FROM pg_class c WHERE c.oid = 'audit_entry'::regclass`

// MayChangeTrail reports whether the role of this Store could change or delete entries of the trail: it owns their table, is in
// the role that does, or is a superuser, and so may drop the triggers that forbid it. The role of a server should not. An error
// is store.ErrUnavailable.
func (s *Store) MayChangeTrail(ctx context.Context) (may bool, err error) {
	err = s.single(ctx, "asking who owns the trail", func(ctx context.Context, q querier) error {
		return row(ctx, q, selectOwner, nil, []any{&may})
	})
	return may, err
}

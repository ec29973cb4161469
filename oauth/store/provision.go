package store

import (
	"context"
	"errors"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
)

// What a Provisioning answers beside the errors of Store. Test with errors.Is.
var (
	// ErrMember: who shall be a member is no user of the group's source.
	ErrMember = errors.New("store: no such member")
	// ErrClosed: the group, or its new name, is one of GroupWrite.Closed.
	ErrClosed = errors.New("store: the group is closed")
)

// SourceSCIM begins the directory.User.Source and the Group.Source of what a Source keeps; its name follows.
const SourceSCIM = "scim:"

// Source is somebody who provisions users by SCIM (RFC 7644). It sees and changes the users and groups whose Source is its ID; what
// others keep does not exist for it, but that an address or the name of a group may be taken.
type Source struct {
	// Name is 1 to 32 of a-z, 0-9 and "-".
	Name string
	// Organisation is that of all its users, whatever it sends. "" leaves it to OrganisationAttribute.
	Organisation string
	// OrganisationAttribute is the SCIM attribute that tells the organisation of a user, as a path of RFC 7644 §3.10, compared without case;
	// "" for none. It is not looked at where Organisation is set.
	OrganisationAttribute string
	// Issuer is where a user's externalId is their sub: their identity is then (Issuer, externalId). "" if at none.
	Issuer string
	// MayGrant: it may touch groups that confer a role (policy.Registry.Flagged).
	MayGrant bool
	// MayStaff: its users may have no organisation, and so be the operator's own staff. Without it such a user must be refused.
	MayStaff bool
	Created  time.Time
	Updated  time.Time
	Removed  time.Time // zero: it is there
}

// ID is Source of the users and groups that s keeps.
func (s Source) ID() string { return SourceSCIM + s.Name }

// SourceToken is a bearer token by which a source proves who it is (RFC 6750). A source has several while one takes another's place.
type SourceToken struct {
	ID       string // "sct_" and 26 characters: what people call it
	Source   string // Source.Name
	Hash     oauth.Hash
	Created  time.Time
	Expires  time.Time // zero: never
	LastUsed time.Time // zero: never; within TouchEvery
	Revoked  time.Time // zero: not
}

// Lives reports whether t counts at now, as far as it goes: its source may be removed.
func (t SourceToken) Lives(now time.Time) bool {
	return t.Revoked.IsZero() && (t.Expires.IsZero() || t.Expires.After(now))
}

// TouchEvery is how far SourceToken.LastUsed may lag: a source at work asks many times a second, and each write costs a sync.
const TouchEvery = time.Minute

// Group is a group that a source keeps. Its members are the users of that source who have its name among their directory.User.Groups,
// so that a decision looks nowhere else.
type Group struct {
	ID         string // "grp_" and 26 characters
	Source     string // Source.ID
	Name       string // 1 to 255 bytes; unique in the installation, compared byte by byte
	ExternalID string // what the source calls it; at most 255 bytes
	Created    time.Time
	Updated    time.Time // also when a member was deleted
}

// Member is a user in a group.
type Member struct{ ID, UserName, Name string }

// Provisioning keeps the sources of SCIM, and what they keep.
type Provisioning interface {
	// Sources lists those that are not removed, by name.
	Sources(ctx context.Context) ([]Source, error)
	// Source finds by name, removed or not. ErrNotFound.
	Source(ctx context.Context, name string) (Source, error)
	// CreateSource adds one. ErrExists if there is one of that name. One that was removed comes back with these settings, without
	// its tokens, and finds its users and groups as it left them.
	CreateSource(ctx context.Context, w SourceWrite) error
	// ChangeSource replaces all but Name, Created and Removed. Users stay as they are until they are next sent. ErrNotFound, also if
	// removed; impersonation.ErrChanged if its Updated is no longer w.Was.
	ChangeSource(ctx context.Context, w SourceWrite) error
	// RemoveSource sets Removed to w.Now and revokes all tokens. Users, groups and sessions stay as they are. Of w.Source only Name is
	// read. ErrNotFound, also if removed before.
	RemoveSource(ctx context.Context, w SourceWrite) error

	// SourceByToken finds whose token has the hash, with that token, if it is not revoked and lives at now. ErrNotFound.
	SourceByToken(ctx context.Context, token oauth.Hash, now time.Time) (Source, SourceToken, error)
	// SourceTokens lists all of a source, revoked ones too, the oldest first.
	SourceTokens(ctx context.Context, source string) ([]SourceToken, error)
	// AddSourceToken adds one. ErrNotFound if there is no such source or it was removed, ErrExists.
	AddSourceToken(ctx context.Context, w SourceTokenWrite) error
	// RevokeSourceToken sets Revoked to w.Now, found by w.Token's Source and ID. ErrNotFound, also if revoked before.
	RevokeSourceToken(ctx context.Context, w SourceTokenWrite) error
	// TouchSourceToken moves LastUsed to now if that is TouchEvery later or more. No error if there is no such token.
	TouchSourceToken(ctx context.Context, id string, now time.Time) error

	// UsersOf gives a page of a source's users by UserName without case, and how many there are on all pages.
	UsersOf(ctx context.Context, q UserQuery) (page []directory.User, total int, err error)

	// Group finds by ID among those of source (Source.ID). ErrNotFound.
	Group(ctx context.Context, source, id string) (Group, error)
	// GroupsOf gives a page of groups by name, and how many there are on all pages.
	GroupsOf(ctx context.Context, q GroupQuery) (page []Group, total int, err error)
	// Members gives up to limit members of a group by ID, those after the ID after.
	Members(ctx context.Context, groupID, after string, limit int) ([]Member, error)
	// CreateGroup adds one, with the members that w says. ErrExists if a group has the name or the ID, or a user of any source has the name among
	// their groups: a source shall not come to own what was given by hand. ErrMember, ErrClosed.
	CreateGroup(ctx context.Context, w GroupWrite) (GroupChange, error)
	// ChangeGroup replaces Name, ExternalID and Updated of the group found by Source and ID, and its members as w says. A new name is that of
	// all its members. Where nothing would be other than it is, nothing is written and Updated stays. ErrNotFound, ErrExists as CreateGroup,
	// ErrMember, ErrClosed, impersonation.ErrChanged if its Updated is no longer w.Was. To rename or delete a group of very many members may take
	// longer than a call is given: ErrUnavailable, until they were removed in pieces.
	ChangeGroup(ctx context.Context, w GroupWrite) (GroupChange, error)
	// DeleteGroup removes the group found by Source and ID, and its name from its members. Of w.Group nothing else is read. ErrNotFound,
	// ErrClosed, impersonation.ErrChanged as ChangeGroup.
	DeleteGroup(ctx context.Context, w GroupWrite) (GroupChange, error)
}

// SourceWrite adds, changes or removes a source.
type SourceWrite struct {
	impersonation.Write
	Source Source
	// Was is Source.Updated as it was read. Zero checks nothing; only ChangeSource looks at it.
	Was time.Time
}

// SourceTokenWrite adds or revokes a token.
type SourceTokenWrite struct {
	impersonation.Write
	Token SourceToken
}

// UserQuery selects users of a source. Zero fields but Source select all of them.
type UserQuery struct {
	Source     string // directory.User.Source; must be set
	UserName   string // compared without case
	ExternalID string // compared byte by byte
	Email      string // compared without case
	ID         string
	Active     *bool
	Offset     int // how many to leave out
	Limit      int // zero: none, only the total; at most 1000
}

// GroupQuery selects groups. Zero fields select all.
type GroupQuery struct {
	Source     string // Source.ID
	Name       string // compared byte by byte, like ExternalID
	ExternalID string
	ID         string
	Member     string // a user ID: the groups that this user is in
	Offset     int    // how many to leave out
	Limit      int    // zero: none, only the total; at most 1000
}

// GroupWrite adds, changes or deletes a group. Who becomes a member, or no longer is one, or is one under another name, may do other things
// than before: the store bumps the authz_version of their organisations, moves their Updated, ends the sessions in which they are the
// actor or the subject as End does (impersonation.EndChanged), and writes a MemberEntry for each of them, all in the one transaction.
type GroupWrite struct {
	impersonation.Write
	Group Group
	// Was is Group.Updated as it was read. Zero checks nothing; CreateGroup does not look at it.
	Was time.Time
	// Members, if not nil, are the IDs of all members that there shall be; Add and Remove apply after it. To add who is a member, or to
	// remove who is none, is no error; who is in both is none. Each has at most MaxMembers: ErrTooLong.
	Members     *[]string
	Add, Remove []string
	// Closed are names of groups that this write must not touch: ErrClosed if the group has or gets one of them, checked inside
	// the write. For a source without MayGrant they are policy.Registry.FlaggedGroups.
	Closed []string
	// By and Issuer are those of impersonation.EndWrite: who did it, and the issuer of our own users.
	By     oauth.Party
	Issuer string
}

// GroupChange is what a GroupWrite came to.
type GroupChange struct {
	// Group is the group as it is now; as it was, for DeleteGroup.
	Group Group
	// Changed reports whether anything was written.
	Changed bool
	// Added and Removed are the IDs of users, sorted, and so is Renamed: who is a member under another name now.
	Added, Removed, Renamed []string
	// Ended are the sessions that ended.
	Ended []impersonation.Ended
}

// MaxMembers is how many members a GroupWrite names in one list: SCIM sends some hundred at a time, and while they are written nobody
// else writes to SQLite.
const MaxMembers = 5_000

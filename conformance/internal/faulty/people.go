package faulty

import "slices"

// Account is a person.
type Account struct {
	Subject, Login, Password string

	impersonates, protected, disabled bool
	limited                           bool // to people of their own organisation
	organisation                      string
	totp                              string // secret of their second factor, "" for none
	kind                              string // of a client as an actor, "" of a person
}

// The people.
var (
	Actor      = &Account{Subject: "1001", Login: "ann@faulty.example", Password: "ann has a long password", impersonates: true}
	OtherActor = &Account{Subject: "1002", Login: "bea@faulty.example", Password: "bea has a long password", impersonates: true}
	Subject    = &Account{Subject: "2001", Login: "john@faulty.example", Password: "john has a long password"}
	Ordinary   = &Account{Subject: "2002", Login: "eve@faulty.example", Password: "eve has a long password"}
	Limited    = &Account{Subject: "1003", Login: "sue@faulty.example", Password: "sue has a long password", impersonates: true, limited: true}
	Outside    = &Account{Subject: "2003", Login: "zoe@faulty.example", Password: "zoe has a long password", organisation: "elsewhere"}
	Disabled   = &Account{Subject: "2004", Login: "max@faulty.example", Password: "max has a long password", disabled: true}
	Coded      = &Account{Subject: "1004", Login: "kim@faulty.example", Password: "kim has a long password", impersonates: true, totp: "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"}
	Protected  = &Account{Subject: "3001", Login: "pat@faulty.example", Password: "pat has a long password", protected: true}
)

// TOTP is the secret of a second factor.
func (a *Account) TOTP() string { return a.totp }

func (a *Account) roles() []string {
	if a.impersonates {
		return []string{"support"}
	}
	return []string{"customer"}
}

func account(fits func(*Account) bool) *Account {
	for _, a := range []*Account{Actor, OtherActor, Limited, Subject, Ordinary, Outside, Disabled, Protected, Coded} {
		if fits(a) {
			return a
		}
	}
	return nil
}

// Client is an application. Its Secret is "" where it is public, or has a key.
type Client struct {
	ID, Secret, RedirectURI string

	exchanges bool
	itself    *Account // as an actor, nil for a client that is none
	bound     bool     // to a key (RFC 9449 §5.2): it gets no token without a proof
}

func (c *Client) public() bool { return c.Secret == "" && c != Keyed }

// The clients.
var (
	App        = &Client{ID: "app", Secret: "The-secret-of-app", RedirectURI: "https://app.example/callback", exchanges: true}
	Other      = &Client{ID: "other", Secret: "The-secret-of-other", RedirectURI: "https://other.example/callback", exchanges: true}
	Keyed      = &Client{ID: "keyed", RedirectURI: "https://keyed.example/callback", exchanges: true}
	NoExchange = &Client{ID: "plain", Secret: "The-secret-of-plain", RedirectURI: "https://plain.example/callback"}
	Bound      = &Client{ID: "bound", Secret: "The-secret-of-bound", RedirectURI: "https://bound.example/callback", exchanges: true, bound: true}
	Public     = &Client{ID: "native", RedirectURI: "https://native.example/callback"}
)

func client(id string) *Client {
	clients := []*Client{App, Other, Keyed, NoExchange, Bound, Public, Bot, Robot}
	if i := slices.IndexFunc(clients, func(c *Client) bool { return c.ID == id }); i >= 0 {
		return clients[i]
	}
	return nil
}

// Resource is the API that tokens are for, OtherResource is another. ReadScope and WriteScope are their scopes: who only looks has the first.
const (
	Resource      = "https://api.faulty.example"
	OtherResource = "https://reports.faulty.example"
	ReadScope     = "app:read"
	WriteScope    = "app:write"
)

const impersonateScope = "impersonate"

// scopes are those that there are. A token about somebody whom another impersonates never has the last.
var scopes = []string{"openid", ReadScope, WriteScope, impersonateScope}

package tokens

import "time"

// How keys follow each other (OpenID Connect Core §10.1.1): a new one is published at once and signs after KeyOverlap, and the one
// before verifies until the last token that it signed is over, and for KeyMargin more.
const (
	// KeyOverlap lets whoever has cached the JWKS, for five minutes as it says, come again even if they miss one fetch.
	KeyOverlap = 10 * time.Minute
	// KeyHaste is the overlap for who cannot wait: every server has seen the key by then. They look once a second, and their clocks
	// differ by two at most.
	KeyHaste = 5 * time.Second
	// KeyMargin is for clocks that differ.
	KeyMargin = 5 * time.Minute
)

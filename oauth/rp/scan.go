package rp

import "bytes"

// scanner finds the place in an HTML document where its body begins: after the tag that opens it or, since authors may
// leave that out (HTML §13.1.2.4), before the first thing that cannot stand in a head. It is the tokenizer of HTML §13.2.5
// as far as that needs. It looks at each byte once, however the document is cut into pieces, and keeps none of it.
//
// What does not begin like a document is a fragment and has no such place, unless doc is set beforehand. The zero value is
// ready.
type scanner struct {
	doc     bool // it is a document
	verdict verdict
	at      int // with located: where the body begins, in bytes from the start

	state state
	skip  byte // state wants nothing before this byte; 0 wants all
	seen  int  // bytes of earlier pieces
	pos   int  // of the byte at hand

	mark   int      // where the tag at hand began
	open   bool     // it may yet turn out to stand in the body
	idle   bool     // there is no tag or comment at hand
	name   [11]byte // of the tag, in lower case: longer ones mean nothing here
	n      int
	end    bool // it is an end tag
	body   bool // it opens the body
	closed bool // the head was
	depth  int  // of template elements, whose content is not the document's

	dashes, opening int // of a comment: dashes before the byte at hand, and that its first two count half

	raw             string // the element whose text is at hand, "" if none
	escaped, double bool   // see rawText
}

// verdict is what a scanner has found out.
type verdict int

const (
	undecided verdict = iota
	located
	never // a fragment, a frameset, or no superset of ASCII
)

// state takes one byte and gives the state for the next.
type state func(*scanner, byte) state

// feed looks at the next piece.
func (s *scanner) feed(p []byte) verdict {
	step := s.state // a variable, since a field that is a func costs a write barrier for each byte
	if step == nil {
		step, s.idle = (*scanner).data, true
	}
	for i := 0; i < len(p) && s.verdict == undecided; i++ {
		if s.skip != 0 {
			j := bytes.IndexByte(p[i:], s.skip)
			if j < 0 {
				break
			}
			i, s.skip = i+j, 0
		}
		s.pos = s.seen + i
		step = step(s, p[i])
	}
	s.state = step
	s.seen += len(p)
	return s.verdict
}

// eof says that no more comes. A document that ends in its head has an empty body there; one of no bytes is none.
func (s *scanner) eof() verdict {
	if s.verdict == undecided && s.doc && s.seen > 0 && s.idle && s.raw == "" && s.depth == 0 {
		s.verdict, s.at = located, s.seen
	}
	return s.verdict
}

// safe is how many bytes from the start certainly stand before the place.
func (s *scanner) safe() int {
	if s.open {
		return s.mark
	}
	return s.seen
}

// until is next, but not before the byte b has come.
func (s *scanner) until(b byte, next state) state {
	s.skip = b
	return next
}

// implied ends the search: what is at hand stands in the body, and so opens it unseen.
func (s *scanner) implied() {
	if s.verdict = never; s.doc {
		s.verdict, s.at = located, s.mark
	}
}

func space(c byte) bool  { return c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == '\f' }
func letter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// data is between tags.
func (s *scanner) data(c byte) state {
	const bom = "\uFEFF"
	switch {
	case c == '<':
		s.mark, s.open, s.idle = s.pos, true, false
		return (*scanner).tagOpen
	case space(c), s.depth > 0, s.pos < len(bom) && c == bom[s.pos]:
	case s.pos == 0 && c >= 0xFE:
		s.verdict = never // the byte order mark of UTF-16
	default:
		if s.mark = s.pos; s.pos < len(bom) {
			s.mark = 0 // what looked like a byte order mark is the beginning of a letter
		}
		s.implied()
	}
	return (*scanner).data
}

// tagOpen is after <.
func (s *scanner) tagOpen(c byte) state {
	s.n, s.end = 0, false
	switch {
	case letter(c):
		return s.tagName(c)
	case c == '/':
		s.end = true
		return (*scanner).endTagOpen
	case c == '!':
		s.open = false
		return (*scanner).declaration
	case c == '?':
		return s.bogus(c)
	case s.depth == 0:
		s.implied() // a < of its own is text
		return nil
	}
	s.open, s.idle = false, true
	return s.data(c)
}

func (s *scanner) endTagOpen(c byte) state {
	if letter(c) {
		return s.tagName(c)
	}
	return s.bogus(c)
}

// bogus is in what HTML takes for a comment: it ends at the first >.
func (s *scanner) bogus(c byte) state {
	s.n, s.open = 0, false
	if c == '>' {
		return s.tagClose(c)
	}
	return s.until('>', (*scanner).tagClose)
}

// declaration is after <!, until it is known of what.
func (s *scanner) declaration(c byte) state {
	const doctype, comment = "doctype", "--"
	s.push(c)
	switch name := string(s.name[:s.n]); {
	case name == doctype:
		s.doc = true
		return s.bogus(0)
	case name == comment:
		s.n, s.dashes, s.opening = 0, 2, 2
		return (*scanner).comment
	case name == doctype[:min(s.n, len(doctype))] || name == comment[:1]:
		return (*scanner).declaration
	}
	return s.bogus(c)
}

// comment ends at --> and --!>, and also at the first > of <!--> and <!--->.
func (s *scanner) comment(c byte) state {
	switch {
	case c == '-':
		s.dashes++
		return (*scanner).comment
	case c == '>' && s.dashes >= 2:
		return s.tagClose(c)
	case c == '!' && s.dashes >= 2+s.opening:
		s.dashes, s.opening = 0, 0
		return (*scanner).commentBang
	}
	s.dashes, s.opening = 0, 0
	return s.until('-', (*scanner).comment)
}

func (s *scanner) commentBang(c byte) state {
	if c == '>' {
		return s.tagClose(c)
	}
	return s.comment(c)
}

// push adds to the name.
func (s *scanner) push(c byte) {
	if 'A' <= c && c <= 'Z' {
		c |= 0x20
	}
	if s.n < len(s.name) {
		s.name[s.n] = c
		s.n++
	}
}

package rp

// tagName is in the name of a tag.
func (s *scanner) tagName(c byte) state {
	if !space(c) && c != '/' && c != '>' {
		s.push(c)
		return (*scanner).tagName
	}
	if s.depth == 0 {
		s.place(string(s.name[:s.n]))
	}
	s.open = false
	return s.attribute(c)
}

// place says what a tag outside of templates means for where the body begins (HTML §13.2.6.4.1 to §13.2.6.4.6).
func (s *scanner) place(name string) {
	switch name {
	case "html", "head":
		s.doc = s.doc || !s.end
		s.closed = s.closed || s.end && name == "head"
	case "body":
		s.doc, s.body = s.doc || !s.end, !s.end
	case "frameset":
		if !s.end {
			s.verdict = never
		}
	case "base", "basefont", "bgsound", "link", "meta", "noframes", "script", "style", "template", "title":
	default:
		if !s.end && (name != "noscript" || s.closed) {
			s.implied()
		}
	}
	switch {
	case !s.doc:
		s.verdict = never
	case s.end && (name == "body" || name == "html" || name == "br"):
		s.implied()
	}
}

// attribute is before the name of one.
func (s *scanner) attribute(c byte) state {
	switch {
	case c == '>':
		return s.tagClose(c)
	case c == '/' || space(c):
		return (*scanner).attribute
	}
	return (*scanner).attributeName // also after =, which here begins a name
}

func (s *scanner) attributeName(c byte) state {
	switch {
	case c == '=':
		return (*scanner).value
	case space(c):
		return (*scanner).afterName
	case c == '/' || c == '>':
		return s.attribute(c)
	}
	return (*scanner).attributeName
}

func (s *scanner) afterName(c byte) state {
	switch {
	case c == '=':
		return (*scanner).value
	case space(c):
		return (*scanner).afterName
	}
	return s.attribute(c)
}

// value is after =.
func (s *scanner) value(c byte) state {
	switch {
	case c == '"' || c == '\'':
		return s.until(c, (*scanner).valueEnd)
	case c == '>':
		return s.tagClose(c)
	case space(c):
		return (*scanner).value
	}
	return (*scanner).unquoted
}

func (s *scanner) valueEnd(byte) state { return (*scanner).attribute }

func (s *scanner) unquoted(c byte) state {
	if c == '>' || space(c) {
		return s.attribute(c)
	}
	return (*scanner).unquoted
}

// tagClose is the > of a tag or a comment. A comment has no name.
func (s *scanner) tagClose(byte) state {
	s.idle = true
	if s.body {
		s.verdict, s.at = located, s.pos+1
		return nil
	}
	name := string(s.name[:s.n])
	switch {
	case name == "template" && !s.end:
		s.depth++
	case name == "template" && s.depth > 0:
		s.depth--
	case !s.end:
		return s.enterRaw(name)
	}
	return (*scanner).data
}

// enterRaw goes into an element whose text holds no tags. noscript is one of them as long as scripts run; where they do
// not, the banner may come after it.
func (s *scanner) enterRaw(name string) state {
	s.raw, s.escaped, s.double = "", false, false
	for _, e := range [...]string{"script", "style", "title", "noscript", "noframes", "textarea", "xmp", "iframe", "noembed"} {
		if name == e {
			s.raw = e
			return s.until('<', (*scanner).rawText)
		}
	}
	return (*scanner).data
}

// rawText is in the text of s.raw. Script has states of its own: after <!-- it is escaped until -->, and in that a <script
// makes it doubly so: then </script> ends not the element but the doubling (HTML §13.2.5.16 to §13.2.5.31).
func (s *scanner) rawText(c byte) state {
	switch {
	case c == '<':
		s.dashes = 0
		return (*scanner).rawOpen
	case !s.escaped:
		return s.until('<', (*scanner).rawText)
	case c == '-':
		s.dashes++
		return (*scanner).rawText
	case c == '>' && s.dashes >= 2:
		s.escaped, s.double = false, false
	}
	s.dashes = 0
	return (*scanner).rawText
}

func (s *scanner) rawOpen(c byte) state {
	s.n, s.end = 0, c == '/'
	switch {
	case s.end:
		return (*scanner).rawName
	case c == '!' && s.raw == "script" && !s.escaped:
		return (*scanner).rawEscape
	case letter(c) && s.escaped && !s.double:
		return s.rawName(c)
	}
	return s.rawText(c)
}

// rawEscape is after <! of a script.
func (s *scanner) rawEscape(c byte) state {
	if c != '-' {
		return s.rawText(c)
	}
	if s.push(c); s.n == 2 {
		s.escaped, s.dashes = true, 2
		return (*scanner).rawText
	}
	return (*scanner).rawEscape
}

// rawName is in what may be the name of the tag that ends s.raw, or that doubles it.
func (s *scanner) rawName(c byte) state {
	switch {
	case letter(c):
		s.push(c)
		return (*scanner).rawName
	case string(s.name[:s.n]) != s.raw || !space(c) && c != '/' && c != '>':
	case s.end && !s.double:
		s.raw = ""
		s.idle = false
		return s.attribute(c)
	default:
		s.double = !s.end
	}
	return s.rawText(c)
}

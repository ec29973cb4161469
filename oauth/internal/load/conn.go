package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"time"
)

// conn is a client's connection, kept alive: as much of HTTP/1.1 (RFC 9112) as our server answers in, and nothing that would take
// the processor away from it. Not safe for concurrent use.
type conn struct {
	net.Conn
	r        *bufio.Reader
	host     string
	out      []byte // the request
	body     []byte // the answer's
	location []byte // the answer's
}

// dial connects to the server at addr, host and port.
func dial(addr string) (*conn, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, r: bufio.NewReaderSize(c, 16<<10), host: addr}, nil
}

// answerWithin is far beyond any answer: who waits as long has found an error.
const answerWithin = 30 * time.Second

// do sends a request and reads the answer, whose body and location stand in c until the next. header is whole lines, each with
// its CRLF.
func (c *conn) do(method, path, header string, body []byte) (status int, err error) {
	b := append(c.out[:0], method...)
	b = append(append(append(b, ' '), path...), " HTTP/1.1\r\nHost: "...)
	b = append(append(append(b, c.host...), "\r\n"...), header...)
	if body != nil {
		b = strconv.AppendInt(append(b, "Content-Length: "...), int64(len(body)), 10)
		b = append(b, "\r\n"...)
	}
	c.out = append(append(b, "\r\n"...), body...)
	if err := c.SetDeadline(time.Now().Add(answerWithin)); err != nil {
		return 0, err
	}
	if _, err := c.Write(c.out); err != nil {
		return 0, err
	}
	return c.read()
}

func (c *conn) read() (status int, err error) {
	line, err := c.line()
	if err != nil {
		return 0, err
	}
	if len(line) < 12 {
		return 0, fmt.Errorf("a status line of %q", line)
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, err
	}
	length, err := c.headers()
	if err != nil {
		return 0, err
	}
	c.body = c.body[:0]
	if length >= 0 {
		return status, c.take(length)
	}
	return status, c.chunks()
}

// headers reads up to the body and gives its length, negative where it comes in chunks.
func (c *conn) headers() (length int, err error) {
	c.location = c.location[:0]
	for {
		line, err := c.line()
		if err != nil || len(line) == 0 {
			return length, err
		}
		name, value, _ := bytes.Cut(line, []byte(": "))
		switch string(name) {
		case "Content-Length":
			if length, err = strconv.Atoi(string(value)); err != nil {
				return 0, err
			}
		case "Transfer-Encoding":
			length = -1
		case "Location":
			c.location = append(c.location, value...)
		}
	}
}

// chunks reads a body of RFC 9112 §7.1.
func (c *conn) chunks() error {
	for {
		line, err := c.line()
		if err != nil {
			return err
		}
		n, err := strconv.ParseUint(string(line), 16, 31)
		if err != nil {
			return err
		}
		if err := c.take(int(n)); err != nil {
			return err
		}
		if _, err := c.line(); err != nil || n == 0 {
			return err
		}
	}
}

// take adds n bytes to the body.
func (c *conn) take(n int) error {
	had := len(c.body)
	c.body = slices.Grow(c.body, n)[:had+n]
	_, err := io.ReadFull(c.r, c.body[had:])
	return err
}

// line is valid until the next read.
func (c *conn) line() ([]byte, error) {
	line, err := c.r.ReadSlice('\n')
	return bytes.TrimRight(line, "\r\n"), err
}
